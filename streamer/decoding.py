"""Where input is judged: bytes become a task, or one sentence that names the place."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from streamer.errors import InvalidTask
from streamer.forms import BadForm, check_form, check_steps, completed, located
from streamer.tasks import Consensus, Fallback, Map, Parallel, Race, Sequence, Task, TaskBase, Workflow

MAX_NESTING = 64
MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
JSON = "application/json"
MSGPACK = "application/msgpack"
SURROGATE = re.compile(rb"\\u[dD][89abAB]")
PART = re.compile(r"\[(\d+)\]|\.([^.\[]+)")
LEAVES = frozenset({"Llm", "Function", "Plan"})


def hint(data: bytes, error: Exception) -> str:
    """What the decoder does not say of texts that are written in another way."""
    if data.startswith(MARKS):
        return "; it begins with a byte order mark: send UTF-8 without one"
    if "truncated" in str(error) and SURROGATE.search(data):
        return ", or half of a surrogate pair (`\\ud800` to `\\udfff`) stands alone in a text"
    return ""


class Decoder:
    """Decodes messages of one type: a wire task, or the msgspec Struct that a topology's function names.

    ``limit`` is in bytes. Errors are :class:`InvalidTask`, with the reason of the dead letter.
    """

    def __init__(self, type: Any = Task, limit: int = 1_048_576) -> None:
        self.type = type
        self.limit = limit
        self.json = msgspec.json.Decoder(type)
        self.msgpack = msgspec.msgpack.Decoder(type)

    def decode(self, data: bytes | None, content_type: str = JSON) -> Any:
        """Return the task; a msgspec Struct."""
        if data is None:
            raise InvalidTask(
                "decode_error", "The message has no value; a task is a JSON or MessagePack object."
            )
        if len(data) > self.limit:
            raise InvalidTask(
                "too_large",
                f"The message has {len(data)} bytes; max_message_bytes is {self.limit}.",
                self.task_id(data, content_type),
            )
        decoder = self.msgpack if content_type == MSGPACK else self.json
        try:
            task = decoder.decode(data)
            if type(task).__name__ not in LEAVES:
                check(task)
        except msgspec.ValidationError as error:
            raise self.explained(error, data, content_type) from error
        except BadForm as error:
            reason = "unknown_kind" if error.unknown_kind else "validation_error"
            raise InvalidTask(reason, str(error), self.task_id(data, content_type)) from error
        except RecursionError as error:
            raise InvalidTask(
                "validation_error", f"Nested too deeply; tasks nest at most {MAX_NESTING} deep."
            ) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidTask("decode_error", f"Not {content_type}: {error}{hint(data, error)}") from error
        return task

    def explained(self, error: msgspec.ValidationError, data: bytes, content_type: str) -> InvalidTask:
        """Name the place, with the field and the keys that msgspec leaves out."""
        text, place = located(str(error))
        unknown_kind = text.startswith("Invalid value ") and place.endswith(".kind")
        if "[...]" in place:
            place = self.with_keys(place, str(error), data, content_type)
        return InvalidTask(
            "unknown_kind" if unknown_kind else "validation_error",
            f"{text} - at `{completed(text, place)}`",
            self.task_id(data, content_type),
        )

    def with_keys(self, place: str, message: str, data: bytes, content_type: str) -> str:
        """The place with the keys of objects, which msgspec writes as ``[...]``."""
        first, *others = place.split("[...]")
        named, part = first, first.rpartition("$")[2]
        try:
            raw = holder = codec(content_type).decode(data)
            for after in others:
                for index, name in PART.findall(part):
                    holder = holder[int(index)] if index else holder[name]
                key = self.culprit(raw, holder, message, content_type)
                holder = holder[key]
                named, part = f"{named}.{key}{after}", after
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return place  # what comes after the error is no message, say
        return named

    def culprit(self, raw: Any, holder: dict[str, Any], message: str, content_type: str) -> str:
        """The key in ``holder``, somewhere in ``raw``, that the message is about: found by halving."""
        decoder = self.msgpack if content_type == MSGPACK else self.json
        encode = codec(content_type).encode
        entries = list(holder.items())
        while len(entries) > 1:
            half = entries[: len(entries) // 2]
            holder.clear()
            holder.update(half)
            told = None
            try:
                decoder.decode(encode(raw))
            except msgspec.ValidationError as error:
                told = str(error)
            entries = half if told == message else entries[len(half) :]
        holder.clear()
        holder.update(entries)
        return entries[0][0]

    def task_id(self, data: bytes, content_type: str) -> str | None:
        """The id of a task that the schema refused, if it can be read."""
        try:
            raw = codec(content_type).decode(data)
        except (ValueError, RecursionError):
            return None
        found = raw.get("id") if isinstance(raw, dict) else None
        return found if isinstance(found, str) and found else None


def codec(content_type: str) -> Any:
    """The module that reads and writes a format."""
    return msgspec.msgpack if content_type == MSGPACK else msgspec.json


def check(task: Any, path: str = "$", depth: int = 1) -> int:
    """What types cannot say: nesting, and the form of templates. Returns the depth."""
    if depth > MAX_NESTING:
        raise BadForm(f"Nested too deeply; tasks nest at most {MAX_NESTING} deep - at `{path}`")
    deepest = depth
    match task:
        case Parallel() | Race() | Fallback() | Sequence() | Consensus():
            named = isinstance(task.tasks, dict)
            children = task.tasks.items() if isinstance(task.tasks, dict) else enumerate(task.tasks)
            for key, child in children:
                if not isinstance(child, TaskBase) or type(child).__name__ in LEAVES:
                    deepest = max(deepest, depth + 1)
                else:
                    place = f"{path}.tasks.{key}" if named else f"{path}.tasks[{key}]"
                    deepest = max(deepest, check(child, place, depth + 1))
        case Map():
            deepest = check_form(task.task, f"{path}.task", depth + 1)
        case Workflow():
            deepest = check_steps(task.steps, f"{path}.steps", depth + 1)
    if deepest > MAX_NESTING:
        raise BadForm(f"Nested {deepest} deep; tasks nest at most {MAX_NESTING} deep - at `{path}`")
    return deepest
