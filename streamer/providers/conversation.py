"""A task's question as messages."""

from __future__ import annotations

from typing import Any

import msgspec

from streamer.tasks import Llm, Message


def conversation(task: Llm) -> tuple[Message, ...]:
    """The messages of a task, however it put them."""
    if task.messages is not None:
        return task.messages
    question = Message(role="user", content=task.prompt)
    return (question,) if task.system is None else (Message(role="system", content=task.system), question)


def handed_over(messages: tuple[Message, ...], previous: Any) -> tuple[Message, ...]:
    """The previous answer as one assistant message before the last user message, else at the end; None is no answer."""
    if previous is None:
        return messages
    text = previous if isinstance(previous, str) else msgspec.json.encode(previous).decode()
    answer = Message(role="assistant", content=text)
    users = [index for index, message in enumerate(messages) if message.role == "user"]
    place = users[-1] if users else len(messages)
    return (*messages[:place], answer, *messages[place:])
