"""What a peer is told on its command line: the same flags as ``streamer run``."""

from __future__ import annotations

import argparse

from benchmarks.end_to_end import by_hand
from benchmarks.end_to_end.by_hand import Answer


class Options(argparse.Namespace):
    bootstrap_servers: str
    input: str
    output: str
    group: str
    concurrency: int
    answer_by: str

    @property
    def answer(self) -> Answer:
        return ANSWERS[self.answer_by]


ANSWERS: dict[str, Answer] = {"once": by_hand.once, "guarded": by_hand.guarded, "answers": by_hand.answers}


def options(description: str | None) -> Options:
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--answer-by", choices=sorted(ANSWERS), default="once")
    return parser.parse_args(namespace=Options())
