"""The bytes of answers and refusals."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import msgspec

from streamer.providers.simulated import tokens_of
from streamer.testing.servers.calls import Call
from streamer.testing.servers.faults import Fault

ENCODE = msgspec.json.Encoder().encode


class Answer:
    """The bytes of one answer, with what its fault makes of them."""

    def __init__(self, call: Call, fault: Fault, text: str, usage: dict[str, Any]) -> None:
        self.call = call
        self.fault = fault
        self.text = text
        self.usage = usage
        self.about = {
            "id": f"chatcmpl-{call.number}",
            "created": int(call.received_at),
            "model": call.body.get("model"),
        }
        self.finish_reason = None if fault.kind == "no_finish" else fault.finish_reason
        self.error = {"error": {"message": fault.message, "type": "server_error", "code": fault.code}}

    def body(self) -> bytes:
        """The whole answer."""
        if self.fault.kind == "malformed":
            return b"<html>Bad gateway</html>"
        if self.fault.kind == "in_band":
            return ENCODE(self.error)
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.fault.tool_calls is not None:
            message["tool_calls"] = self.fault.tool_calls
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        return ENCODE({**self.about, "object": "chat.completion", "choices": [choice], "usage": self.usage})

    def events(self) -> tuple[list[bytes], str | None]:
        """The events of a streamed answer, and the fault it ends with."""
        kind, at = self.fault.kind, self.fault.at
        events = [self.event({"role": "assistant", "content": ""})]
        if self.fault.tool_calls is not None:
            events.append(self.event({"tool_calls": self.fault.tool_calls}))
        events += [self.event({"content": word}) for word in re.findall(r"\s*\S+|\s+$", self.text)]
        if self.finish_reason is not None:
            events.append(self.event({}, self.finish_reason))
        if (self.call.body.get("stream_options") or {}).get("include_usage"):
            events.append(
                data({**self.about, "object": "chat.completion.chunk", "choices": [], "usage": self.usage})
            )
        if kind in ("cut", "truncate", "stall"):
            return events[:at], kind
        if kind == "malformed":
            events[at] = events[at][: len(events[at]) // 2] + b"\n\n"
        elif kind == "in_band":
            events = [*events[:at], data(self.error)]
        if kind == "no_done":
            events[-1] = events[-1].rstrip()
        elif kind != "open":
            events.append(b"data: [DONE]\n\n")
        return events, kind

    def event(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        """One piece of a streamed answer."""
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return data({**self.about, "object": "chat.completion.chunk", "choices": [choice]})


def data(value: Any) -> bytes:
    """A server-sent event."""
    return b"data: %b\n\n" % ENCODE(value)


def refusal(fault: Fault) -> bytes:
    """A response with an error's status."""
    kind = "invalid_request_error" if fault.status < 500 else "server_error"
    body = ENCODE({"error": {"message": fault.message, "type": kind, "param": None, "code": fault.code}})
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **fault.headers}
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    reasons = {status.value: status.phrase for status in HTTPStatus}
    lines = [f"HTTP/1.1 {fault.status} {reasons.get(fault.status, 'Refused')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def usage_of(prompt: str, text: str, output_tokens: int | None) -> dict[str, Any]:
    """Tokens as this server counts them: one per four characters."""
    asked, answered = tokens_of(prompt), tokens_of(text) if output_tokens is None else output_tokens
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}
