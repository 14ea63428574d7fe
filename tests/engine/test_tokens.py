"""One task, read along: what models say, of which attempt, and what of it is void."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from streamer import fallback, race, retry
from streamer.chunks import Chunk
from streamer.engine import Engine
from streamer.errors import CallFailed, Category
from streamer.functions import llm
from streamer.providers.protocol import Request
from streamer.providers.registry import Registry
from streamer.single import Single
from tests.operators.doubles import others, passing
from tests.operators.test_concurrent_map import Seen


def speaker(*lines: Any, pause: float = 0.1) -> Any:
    """A model that says one line a call, word by word; an exception among the words ends it."""
    left = list(lines)

    async def say(request: Request) -> AsyncIterator[str]:
        assert request.stream
        for word in left.pop(0) if len(left) > 1 else left[0]:
            await asyncio.sleep(pause)
            if isinstance(word, Exception):
                raise word
            yield word

    return say


def model(answer: Any, name: str = "model") -> Single[Any]:
    return Registry().declare(answer, {"name": name})("Say something.")


async def read(plan: Any) -> Seen:
    seen = Seen(Engine(lambda _: plan).tokens(llm("?", id="t")))
    await seen.ended()
    return seen


def told(seen: Seen) -> list[tuple[str, int, str, str]]:
    return [(chunk.attempt_id, chunk.sequence, chunk.type, chunk.text) for chunk in seen.values]


async def test_pieces_come_as_they_are_said_and_then_the_end() -> None:
    seen = await read(model(speaker(["Hello", ", ", "world"])))
    assert told(seen) == [
        ("t#1", 0, "delta", "Hello"),
        ("t#1", 1, "delta", ", "),
        ("t#1", 2, "delta", "world"),
        ("t#1", 3, "end", ""),
    ]
    assert seen.completed
    assert {chunk.task_id for chunk in seen.values} == {"t"}


async def test_an_answer_in_one_piece_is_one_delta() -> None:
    seen = await read(model(lambda request: request.prompt))
    assert told(seen) == [("t#1", 0, "delta", "Say something."), ("t#1", 1, "end", "")]


async def test_what_a_failed_attempt_said_is_reset_and_the_next_begins_anew() -> None:
    seen = await read(retry(3, initial_delay=1)(model(speaker(["Hel", passing()], [passing()], ["Hello"]))))
    assert told(seen) == [
        ("t#1", 0, "delta", "Hel"),
        ("t#1", 1, "reset", ""),
        ("t#3", 0, "delta", "Hello"),
        ("t#3", 1, "end", ""),
    ]
    assert seen.completed


async def test_a_fallback_says_which_candidate_speaks() -> None:
    seen = await read(fallback(model(speaker(["No", passing()])), model(speaker(["Yes"]))))
    assert [(attempt, kind) for attempt, _, kind, _ in told(seen)] == [
        ("t/0#1", "delta"),
        ("t/0#1", "reset"),
        ("t/1#1", "delta"),
        ("t/1#1", "end"),
    ]


async def test_losers_of_a_race_are_reset() -> None:
    seen = await read(race(model(speaker(["a", "b"])), model(speaker(["slow"] * 9))))
    assert [(attempt, kind) for attempt, _, kind, _ in told(seen) if kind != "delta"] == [
        ("t/0#1", "end"),
        ("t/1#1", "reset"),
    ]


async def test_the_tasks_failure_is_the_observables_error() -> None:
    error = CallFailed(Category.QUOTA, "Nothing left.")
    seen = await read(model(speaker(["Hel", error])))
    assert [chunk.type for chunk in seen.values] == ["delta", "reset"]
    assert seen.error is error


async def test_a_task_that_names_nothing_to_call_is_an_error() -> None:
    seen = Seen(Engine().tokens(llm("?", model="none:")))
    await seen.ended()
    assert "No provider 'none:' is known" in str(seen.error)


async def test_disposing_cancels_what_runs() -> None:
    seen = Seen(Engine(lambda _: model(speaker(["word"] * 99))).tokens(llm("?")))
    await asyncio.sleep(0.5)
    seen.subscription.dispose()
    count = len(seen.values)
    await asyncio.sleep(5)
    assert len(seen.values) == count
    assert not others()


async def test_every_subscription_runs_the_task_anew() -> None:
    tokens = Engine(lambda _: model(speaker(["word"]))).tokens(llm("?"))
    for _ in range(2):
        assert [chunk.type for chunk in await Seen(tokens).ended()] == ["delta", "end"]


async def test_a_reader_that_raises_changes_nothing() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    ended = asyncio.Event()

    def raises(chunk: Chunk) -> None:
        raise RuntimeError(chunk.text)

    Engine(lambda _: model(speaker(["one"]))).tokens(llm("?")).subscribe(raises, on_completed=ended.set)
    await asyncio.wait_for(ended.wait(), 10)
    assert told


@pytest.mark.parametrize("plan", [lambda: 5, lambda: "text"])
async def test_a_function_says_nothing(plan: Any) -> None:
    seen = await read(Single(lambda _: asyncio.sleep(0, plan())))
    assert (seen.values, seen.completed) == ([], True)
