"""Tasks from Python are the wire's values, checked when they are made."""

import msgspec
import pytest

from streamer import function, llm, race, retry
from streamer.decoding import Decoder
from streamer.tasks import Function, Llm, Message, Retry


@pytest.mark.parametrize(
    "task",
    [
        llm("why?", model="echo:", timeout=3, retry={"max_attempts": 2}, metadata={"user": 5}),
        llm(messages=[{"role": "user", "content": "why?"}], model="echo:"),
        llm(messages=[Message(role="user", content="why?")], retry=Retry(max_attempts=2)),
        llm("why?", retry=2),
        function("add", 1, 2),
        function("add", arguments={"a": 1, "b": 2}, tag="sum"),
    ],
)
def test_they_are_what_a_producer_would_send(task):
    """Encoded and decoded, they are the same."""
    assert Decoder().decode(msgspec.json.encode(task)) == task
    assert isinstance(task, Llm | Function)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: llm(), "either `messages` or `prompt`"),
        (lambda: llm("x", timeout=-1), r"Expected `float` > 0.0 - at `\$\.timeout`"),
        (lambda: llm("x", timeot=1), "unknown field `timeot`; there are id, tag, timeout"),
        (lambda: llm("x", retry={"max_attempts": 0}), r">= 1 - at `\$\.retry\.max_attempts`"),
        (lambda: llm("x", retry=0), r">= 1 - at `\$\.retry\.max_attempts`"),
        (lambda: llm("x", retry=True), r"at `\$\.retry`"),
        (lambda: function(""), r"length >= 1 - at `\$\.name`"),
        (lambda: function("add", 1, arguments={"b": 2}), "either by position or"),
    ],
)
def test_what_is_wrong_is_said_at_once(make, said):
    """With the field and its range."""
    with pytest.raises(ValueError, match=said):
        make()


def test_a_name_that_a_retry_does_not_have_is_said_with_those_it_has():
    with pytest.raises(
        ValueError, match="retry: unknown field `attempts`; there are max_attempts, initial_delay"
    ):
        retry(attempts=3)


async def test_they_can_be_combined_and_awaited():
    """A script needs nothing but the import."""
    assert await race(llm("why?", model="echo:"), llm("how?", model="echo:")) in ("why?", "how?")
