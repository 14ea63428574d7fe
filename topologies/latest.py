"""Summarise documents that are edited in bursts: of each burst only the latest version is paid for.

Runs as it is, on a simulated model; MODEL=openai:gpt-4o-mini OPENAI_API_KEY=... asks a real one.
"""

import os
from typing import Any

import msgspec
import reactivex as rx
from reactivex import Observable
from reactivex import operators as ops

from streamer import Topology, retry, timeout
from streamer.providers import provider

BURST = 0.5
"""Seconds."""
OVERTAKEN = {"overtaken": True}

model = provider(os.environ.get("MODEL", "simulated:model?latency=lognormal(0.3,0.5)"), concurrency=50)
topology = Topology(input="documents", output="summaries")


class Document(msgspec.Struct):
    """A version of a document, under its name."""

    name: str
    text: str
    id: str | None = None


@topology.stream(answer_within=30)
def summaries(documents: Observable[Document]) -> Observable[tuple[Document, Any]]:
    """Pairs of a document and its answer: a value, or a call that is to be made for it."""
    return documents.pipe(ops.buffer_with_time_or_count(BURST, 1_000), ops.flat_map(latest))


def latest(burst: list[Document]) -> Observable[tuple[Document, Any]]:
    """Every document has an answer, also one that is not asked for."""
    last = {document.name: document for document in burst}
    return rx.from_iterable(
        (document, summary(document) if last[document.name] is document else OVERTAKEN) for document in burst
    )


def summary(document: Document) -> Any:
    """The call runs as the document's own: in its result, under its topology's concurrency."""
    return model(f"Summarise in one sentence: {document.text}").pipe(timeout(20), retry(3))
