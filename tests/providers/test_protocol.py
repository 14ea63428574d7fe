"""What providers are asked."""

from __future__ import annotations

from typing import Any

import pytest

from streamer.providers.protocol import Request
from streamer.tasks import Message


@pytest.mark.parametrize(
    ("content", "prompt"),
    [
        ("a", "a"),
        (None, ""),
        ((), ""),
        (({"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}), "ab"),
        (({"type": "text", "text": None}, {"text": 7}, {"text": ["b"]}, {"text": "c"}), "c"),
    ],
)
def test_the_prompt_is_the_text_of_the_last_message(content: Any, prompt: str) -> None:
    """What is no text adds none: a task decides what a part holds, and nobody judged it."""
    asked = Message(role="user", content=content)
    assert Request(messages=(Message(role="user", content="Not this."), asked)).prompt == prompt


def test_no_messages_have_no_prompt() -> None:
    """None to be read."""
    assert Request(messages=()).prompt == ""
