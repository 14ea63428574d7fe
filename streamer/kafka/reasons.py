"""Why records become dead letters, and what to do about each."""

from __future__ import annotations

from typing import NamedTuple


class Reason(NamedTuple):
    """``meaning`` and ``remedy`` are sentences for whoever looks at a dead letter."""

    meaning: str
    remedy: str


REASONS = {
    "decode_error": Reason(
        "The value is neither JSON nor, with its header, MessagePack; or the name of a header is not UTF-8.",
        "Repair the producer and let it send the task again; a redrive alone brings the same dead letter.",
    ),
    "validation_error": Reason(
        "The value was read, but a field or header is not what it may be; the message names the place.",
        "Repair the producer, or run a version that knows the field and then redrive.",
    ),
    "unknown_kind": Reason(
        "The task's kind is none that the worker knew.",
        "Run a version that knows the kind and then redrive, or let the producer send another kind.",
    ),
    "too_large": Reason(
        "The value is larger than max_message_bytes; or its task's id, key or headers are, so that no result can be written.",
        "Raise STREAMER_MAX_MESSAGE_BYTES and then redrive, or let the producer use a claim check.",
    ),
    "failed": Reason(
        "The task was run and has a result, which failed or timed out; only where the topology asks for it.",
        "Look at the error, repair what caused it, and redrive: the task is run anew and has a second result.",
    ),
    "poison": Reason(
        "It took its worker down three times while it ran alone.",
        "Find out what ends the process (memory, a native library), repair it, and then redrive.",
    ),
}
"""By the text of the header ``streamer-dead-letter-reason``."""
