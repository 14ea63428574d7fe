"""A provider with its name: what it can be asked, and what its calls say."""

from __future__ import annotations

from typing import Any

import pytest

from streamer import llm
from streamer.errors import CallFailed, Category, SettingsError
from streamer.providers.echo import Echo
from streamer.providers.registry import Registry, Target
from streamer.tasks import Message

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "Hello"}


def listening(**settings: Any) -> Target:
    """An echo that keeps its calls."""
    return Registry().declare(Echo(keep_calls=True), settings)


def asked(target: Target) -> list[Any]:
    return [request.parameters for request in target.provider.calls]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "messages",
    [
        [SYSTEM, USER],
        (SYSTEM, Message(role="user", content="Hello")),
        [Message(role="system", content="Be brief."), Message(role="user", content="Hello")],
    ],
)
async def test_messages_are_asked_however_they_are_written(messages: Any) -> None:
    """As values, or as they are sent."""
    target = listening()
    assert await target(messages) == "Hello"
    assert target.provider.calls[0].messages == (  # type: ignore[attr-defined]
        Message(role="system", content="Be brief."),
        Message(role="user", content="Hello"),
    )


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([{"role": "judge", "content": "?"}], r"Invalid enum value 'judge' - at `\$\[0\].role`"),
        ([USER, {"text": "?"}], "unknown field `text`"),
        ([USER, "Hello"], "texts and lists of messages, not list"),
    ],
)
def test_what_is_no_message_is_named(messages: Any, said: str) -> None:
    with pytest.raises(CallFailed, match=said) as caught:
        listening()(messages)
    assert caught.value.category is Category.INVALID_REQUEST


async def test_parameters_of_a_provider_hold_for_its_calls_and_a_tasks_own_go_before() -> None:
    """Name by name."""
    target = listening(parameters={"temperature": 0, "seed": 7})
    await target("Hello")
    await target(llm("Hello", parameters={"temperature": 1, "top_p": 0.5}))
    await target([USER])
    plain = {"temperature": 0, "seed": 7}
    assert asked(target) == [plain, {"temperature": 1, "seed": 7, "top_p": 0.5}, plain]


@pytest.mark.parametrize("parameters", ["temperature=0", 3, {1: 2}])
def test_parameters_are_a_mapping_of_names(parameters: Any) -> None:
    with pytest.raises(SettingsError, match="parameters of provider 'echo' is a mapping of names, not"):
        listening(parameters=parameters)
