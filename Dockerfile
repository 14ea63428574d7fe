FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY streamer streamer
COPY topologies topologies
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /venv && /venv/bin/pip install --disable-pip-version-check .

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home streamer
COPY --from=build /venv /venv
COPY topologies /app/topologies
WORKDIR /app
ENV PATH=/venv/bin:$PATH
USER streamer
ENTRYPOINT ["streamer"]
CMD ["run", "topologies/tasks.py"]
