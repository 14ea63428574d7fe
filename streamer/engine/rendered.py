"""What came of a task's template, judged as what arrives is."""

from __future__ import annotations

from typing import Any

import msgspec

from streamer.decoding import Decoder, check
from streamer.errors import CallFailed, Category, InvalidTask
from streamer.forms import BadForm, completed, located
from streamer.tasks import Task, TaskBase


def made(form: Any, path: str) -> TaskBase:
    """The task that a rendered form is; else ``invalid_request`` with the place, which begins with ``path``."""
    try:
        task: TaskBase = msgspec.convert(form, Task)
        check(task)
    except msgspec.ValidationError as error:
        said = explained(error, form)
    except BadForm as error:
        said = str(error)
    else:
        return task
    text, place = located(said)
    raise CallFailed(Category.INVALID_REQUEST, f"{text} - at `{place.replace('$', path, 1)}`")


def explained(error: msgspec.ValidationError, form: Any) -> str:
    """The place with the names that msgspec leaves out, where the form can be written as a message."""
    try:
        Decoder(limit=2**62).decode(msgspec.json.encode(form))
    except InvalidTask as invalid:
        return str(invalid)
    except (TypeError, ValueError, OverflowError, RecursionError):
        pass
    text, place = located(str(error))
    return f"{text} - at `{completed(text, place)}`"
