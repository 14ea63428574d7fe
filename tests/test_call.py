"""One call: what of it is recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import UNSET

from streamer.errors import CallFailed, Category
from streamer.providers import provider
from streamer.providers.call import whole
from streamer.providers.function import FunctionTarget
from streamer.providers.protocol import Chunk
from streamer.providers.registry import Registry, Target
from streamer.results import Usage
from streamer.scope import Scope
from streamer.step import Step

USAGE = Usage(input_tokens=5, output_tokens=3)
WITHHELD = CallFailed(Category.CONTENT_FILTER, "Withheld.", usage=USAGE, cost=0.25)


def scripted(*lines: Any) -> Target:
    return Registry().declare("echo:", {"script": lines})


async def stream(*chunks: Chunk) -> AsyncIterator[Chunk]:
    for chunk in chunks:
        yield chunk


def test_a_failure_says_nothing_of_usage_unless_it_is_told() -> None:
    """None is unknown, not nothing."""
    error = CallFailed(Category.NETWORK, "Broken.")
    assert (error.usage, error.cost) == (None, None)


async def test_a_failed_attempt_has_what_was_paid_for() -> None:
    """Each time it is paid, though the very same exception is raised."""
    step, target = Step(Scope("t")), scripted(WITHHELD, WITHHELD, ValueError("unpaid"))
    for _ in range(2):
        with pytest.raises(CallFailed):
            await step.run(target("Hello"))
    with pytest.raises(ValueError, match="unpaid"):
        await step.run(target("Hello"))
    assert step.attempts is not None
    paid = [(attempt.usage, attempt.cost) for attempt in step.attempts]
    assert paid == [(USAGE, 0.25), (USAGE, 0.25), (None, None)]


async def test_what_a_function_passes_on_is_counted_once() -> None:
    """By the call that paid, not by the function whose failure it is then as well."""
    target = scripted(WITHHELD)

    async def ask() -> Any:
        return await target("Hello")

    step = Step(Scope("t"))
    with pytest.raises(CallFailed):
        await step.run(FunctionTarget(ask, "ask")())
    assert step.attempts is not None
    assert step.calls is not None
    assert step.calls[0].attempts is not None
    assert [attempt.usage for attempt in (*step.attempts, *step.calls[0].attempts)] == [None, USAGE]


async def test_what_a_function_itself_paid_is_recorded() -> None:
    """It may call any SDK."""

    async def ask() -> Any:
        raise WITHHELD

    step = Step(Scope("t"))
    with pytest.raises(CallFailed):
        await step.run(FunctionTarget(ask, "ask")())
    assert step.attempts is not None
    assert step.attempts[0].usage == USAGE


async def test_a_cut_stream_has_what_was_counted() -> None:
    """Without a finish reason it is a failure, and paid for."""
    with pytest.raises(CallFailed) as caught:
        await whole(stream(Chunk(text="a", usage=USAGE, cost=0.25), Chunk(text="b")), Step(Scope("t")))
    assert (caught.value.usage, caught.value.cost) == (USAGE, 0.25)


@pytest.mark.parametrize("value", [{"tool_calls": []}, None, UNSET])
async def test_a_stream_may_end_in_a_value(value: Any) -> None:
    """Beside its text; None is a value, too."""
    response = await whole(
        stream(Chunk(text="a", value=value), Chunk(finish_reason="stop")), Step(Scope("t"))
    )
    assert (response.text, response.value) == ("a", value)


@pytest.mark.parametrize("piece", [3, None, {"text": "a"}])
async def test_a_stream_of_what_is_no_text_says_so(piece):
    async def says(request):
        yield "a"
        yield piece

    with pytest.raises(TypeError, match=f"stream is of texts and Chunks, not of {type(piece).__name__}"):
        await provider(says, name=f"says {piece}")("Hello")
