"""Server-sent events: bytes in, the data of events out."""

from __future__ import annotations

MAX_EVENT = 1_048_576
BOM = b"\xef\xbb\xbf"


class EventTooLong(ValueError):
    """A line, or the data of an event, is longer than the parser takes."""


class Events:
    """Parses one event stream, however it is cut into pieces.

    Only ``data`` is kept: the lines of an event are joined by a line feed, and ``event``, ``id``, ``retry``
    and comments are passed over. Lines end with CR, LF or CRLF. Bytes that are no UTF-8 become U+FFFD, as the
    standard has it. ``limit`` is in bytes, for a line as for the data of an event.

    Invariant: what is fed in any pieces gives the same data in the same order.

    Source: the WHATWG HTML standard, section 9.2.6, "Interpreting an event stream". Beyond it, :meth:`close`
    gives the last event also where its blank line is missing.
    """

    __slots__ = ("after_cr", "data", "limit", "rest", "size", "started")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self.limit = limit
        self.rest = bytearray()
        """The line that has begun; its end is looked for in new bytes only, so that the cost is linear."""
        self.data: list[bytes] = []
        self.size = 0
        self.after_cr = False
        self.started = False

    def feed(self, data: bytes) -> list[str]:
        """The data of the events that these bytes complete; :class:`EventTooLong` beyond the limit."""
        if self.after_cr and data:
            self.after_cr = False
            if data.startswith(b"\n"):  # the second half of a CRLF
                data = data[1:]
        lines = data.splitlines()
        if not lines:
            return []
        if data.endswith(b"\r"):
            self.after_cr = True
            last = b""
        else:
            last = b"" if data.endswith(b"\n") else lines.pop()
        if lines and self.rest:
            lines[0] = bytes(self.rest) + lines[0]
            self.rest.clear()
        events: list[str] = []
        for line in lines:
            self.line(line, events)
        self.rest += last
        if len(self.rest) > self.limit:
            raise EventTooLong(f"An event of the stream is longer than {self.limit} bytes.")
        return events

    def close(self) -> list[str]:
        """The data of an event that the end of the stream completes."""
        events: list[str] = []
        if self.rest:
            line = bytes(self.rest)
            self.rest.clear()
            self.line(line, events)
        self.line(b"", events)
        return events

    def line(self, line: bytes, events: list[str]) -> None:
        """Take one line, without its end."""
        if not self.started:
            self.started = True
            line = line.removeprefix(BOM)
        if not line:
            if self.data:
                events.append(b"\n".join(self.data).decode(errors="replace"))
                self.data.clear()
                self.size = 0
            return
        name, _, value = line.partition(b":")
        is_data = name == b"data"
        self.size += len(line) if is_data else 0
        if len(line) > self.limit or self.size > self.limit:
            raise EventTooLong(f"An event of the stream is longer than {self.limit} bytes.")
        if is_data:
            self.data.append(value.removeprefix(b" "))
