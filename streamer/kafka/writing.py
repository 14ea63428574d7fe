"""What is written for a record: a result or a dead letter, with their headers."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from streamer.decoding import JSON, MSGPACK
from streamer.errors import Category, InvalidTask
from streamer.kafka.claims import CLAIM
from streamer.kafka.dead_letters import VALUE_BYTES, added, dead_letter_headers
from streamer.kafka.encoding import bare, encoded, failed
from streamer.kafka.notices import Notices
from streamer.kafka.outlet import Outgoing
from streamer.kafka.record import Record
from streamer.results import Encoder, Result, Status

STATUS = {status: status.value.encode() for status in Status}
UNANSWERED = (Status.FAILED, Status.TIMED_OUT)
"""What may become a dead letter as well: the others ended as somebody wanted, or for another's failure."""
LONGEST_HEADER = 4_096
"""Of what a dead letter says, where its record's own headers are left out."""


class Writer:
    """Makes what goes out of what came in.

    With ``failed_too`` the record of a result that failed or timed out is a dead letter besides.
    """

    def __init__(
        self,
        output: str,
        dead_letters: str,
        topology: str,
        client_id: str,
        notices: Notices | None = None,
        *,
        failed_too: bool = False,
    ) -> None:
        self.output = output
        self.dead_letters = dead_letters
        self.topology = topology
        self.client_id = client_id
        self.notices = notices
        self.failed_too = failed_too
        self.encoder = Encoder()

    def write(self, item: Any, refused: str | None) -> tuple[str, Outgoing]:
        """The topic, and what to write there. Of what the broker ``refused`` for its size, less."""
        if refused is not None:
            return self.smaller(item, refused)
        record, outcome = item
        if type(outcome) is InvalidTask:
            return self.dead_letter(record, outcome)
        outgoing = self.result(record, outcome)
        return self.output, self.with_letter(outgoing) if self.failed_too else outgoing

    def result(self, record: Record, result: Result) -> Outgoing:
        """The result in its task's format; one that can't be encoded is a failed one that says why."""
        msgpack = content_type(record.message) == MSGPACK
        result, value = encoded(self.encoder, result, msgpack)
        task_id = result.task_id.encode()
        headers = [
            ("streamer-task-id", task_id),
            ("streamer-status", STATUS[result.status]),
            ("content-type", b"application/msgpack" if msgpack else b"application/json"),
        ]
        if result.claim_check is not UNSET:
            headers.append((CLAIM, result.claim_check.location.encode()))
        for name, found in record.message.headers:
            if name == "traceparent":
                headers.append((name, found))
        return Outgoing(record, task_id if record.key is None else record.key, value, headers, result)

    def with_letter(self, outgoing: Outgoing) -> Outgoing:
        """The result, also as a dead letter if that is what it calls for."""
        result = outgoing.result
        if result is None or result.status not in UNANSWERED:
            return outgoing
        return outgoing._replace(also=self.dead_letter(outgoing.record, result))

    def dead_letter(self, record: Record, problem: InvalidTask | Result) -> tuple[str, Outgoing]:
        """The record as it came, with the reason in its headers."""
        message = record.message
        if self.notices is not None:
            self.notices.count(problem.reason if isinstance(problem, InvalidTask) else "failed")
        headers = dead_letter_headers(message, problem, self.topology, self.client_id)
        return self.dead_letters, Outgoing(record, message.key, message.value, headers, None)

    def smaller(self, outgoing: Outgoing, refused: str) -> tuple[str, Outgoing]:
        """A failed result with the sizes; a dead letter without its value, which the input still holds.

        Where that was not small enough: a dead letter that only says where its record is.
        """
        if outgoing.reduced:
            return self.pointer(outgoing, refused)
        if outgoing.result is not None:
            less = self.result(outgoing.record, bare(failed(outgoing.result, Category.INTERNAL, refused)))
            less = less._replace(reduced=True, also=outgoing.also)
            wants_letter = self.failed_too and outgoing.also is None
            return self.output, self.with_letter(less) if wants_letter else less
        size = str(len(outgoing.value or b"")).encode()
        headers = [*outgoing.headers, (VALUE_BYTES, size)]
        return self.dead_letters, outgoing._replace(
            value=None, key=outgoing.key or b"", headers=headers, reduced=True
        )

    def pointer(self, outgoing: Outgoing, refused: str) -> tuple[str, Outgoing]:
        """What names the record alone, whose id, key or headers are too large by themselves."""
        record, result = outgoing.record, outgoing.result
        headers = outgoing.headers
        if result is not None:
            problem = InvalidTask(
                "too_large", f"{refused} Its id, key or headers are too large by themselves."
            )
            headers = dead_letter_headers(record.message, problem, self.topology, self.client_id)
            headers.append((VALUE_BYTES, str(len(record.message.value or b"")).encode()))
        headers = [(name, text) for name, text in added(headers) if len(text or b"") <= LONGEST_HEADER]
        return self.dead_letters, Outgoing(record, b"", None, headers, None, reduced=True)


def content_type(message: Any) -> str:
    """The format of a record's value, by its header; JSON without one."""
    for name, value in message.headers:
        if name == "content-type" and value is not None and value.lower().startswith(b"application/msgpack"):
            return MSGPACK
    return JSON
