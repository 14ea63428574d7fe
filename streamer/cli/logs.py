"""What a command says on standard error while it runs: one line each, and a repeated one not over and over."""

from __future__ import annotations

import logging
import re
import sys
import time
from datetime import UTC, datetime

LOUD = ("aiokafka", "kafka", "aiohttp", "asyncio")
QUIET_FOR = 30.0
"""Seconds for which a line that only differs in numbers is not said again."""


class OneLine(logging.Formatter):
    """``INSTANT LEVEL NAME: sentence``; tracebacks only where they are asked for."""

    def __init__(self, tracebacks: bool) -> None:
        super().__init__()
        self.tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        instant = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        sentence = record.getMessage().strip()
        if record.exc_info and record.exc_info[1] is not None:
            sentence += f": {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        if not self.tracebacks:
            sentence = " ".join(sentence.split())
        line = f"{instant.replace('+00:00', 'Z')} {record.levelname.lower()} {record.name}: {sentence}"
        if record.exc_info and self.tracebacks:
            line += "\n" + self.formatException(record.exc_info)
        return line


class Repeats(logging.Filter):
    """Passes a line once in a while, with the number of those that were left out."""

    def __init__(self, quiet_for: float = QUIET_FOR) -> None:
        super().__init__()
        self.quiet_for = quiet_for
        self.said: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key = record.name + re.sub(r"\d+", "0", record.getMessage())
        now = time.monotonic()
        last, left_out = self.said.get(key, (-self.quiet_for, 0))
        if now - last < self.quiet_for:
            self.said[key] = (last, left_out + 1)
            return False
        if len(self.said) > 1_000:
            self.said.clear()
        self.said[key] = (now, 0)
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out} more like this were left out)", ()
        return True


def begin(verbose: bool) -> None:
    """Set logging up for this process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine(verbose))
    if not verbose:
        handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.INFO if verbose else logging.CRITICAL)
    if not verbose:
        logging.getLogger("asyncio").setLevel(logging.ERROR)
