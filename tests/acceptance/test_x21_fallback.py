"""X21: one after another until one succeeds: each with retries of its own, and none with another's text."""

import asyncio

import pytest

from streamer import Engine, fallback, retry
from streamer.errors import CallFailed, ChildrenFailed
from streamer.providers.registry import Registry
from streamer.tasks import Llm, Retry
from tests.acceptance.topology import call
from tests.operators.doubles import Script, Work, cancelled_after, now, others, passing, result_of

pytestmark = pytest.mark.virtual_time


async def test_x21_in_order_and_no_further_than_needed():
    works = [Work(1, error=passing()), Work(1, error=RuntimeError("no")), Work(1, "third"), Work(1, "fourth")]
    result = await result_of(fallback(*works))
    assert (result.value, result.winner) == ("third", 2)
    assert [work.began for work in works] == [[0], [1], [2], []]
    assert [child.status for child in result.children] == ["failed", "failed", "succeeded", "skipped"]


async def test_x21_if_all_fail_every_error_is_there():
    errors = [passing("a"), RuntimeError("b"), KeyError("c")]
    with pytest.raises(ChildrenFailed) as caught:
        await fallback(*(Script(error) for error in errors))
    assert caught.value.failures == dict(enumerate(errors))


async def test_x21_each_has_as_many_attempts_as_the_first():
    """The budget of one is not what the one before has left over."""
    scripts = [Script(passing()) for _ in range(3)]
    again = retry(4, initial_delay=1, backoff="fixed")
    with pytest.raises(ChildrenFailed):
        await fallback(*(again(script) for script in scripts))
    assert [len(script.began) for script in scripts] == [4, 4, 4]


async def test_x21_so_it_is_with_a_retry_of_the_whole_topology():
    scripts = [Script(passing()), Script(passing()), Script(passing(), passing(), "third time")]
    registry = Registry()
    models = [
        registry.declare(lambda _, script=script: script(), {"name": f"m{n}"})
        for n, script in enumerate(scripts)
    ]
    engine = Engine(
        lambda _: fallback(*(model(Llm(prompt="?")) for model in models)),
        providers=registry,
        retry=Retry(max_attempts=3, initial_delay=1),
    )
    result = await engine.run(None)
    assert (result.value, result.winner) == ("third time", 2)
    assert [len(script.began) for script in scripts] == [3, 3, 3]


async def test_x21_yet_one_budget_of_the_task_bounds_all():
    scripts = [Script(passing()) for _ in range(3)]
    again = retry(4, initial_delay=1)
    engine = Engine(lambda _: fallback(*(again(script) for script in scripts)), retry_budget=4)
    assert not (await engine.run(None)).succeeded
    assert sum(len(script.began) for script in scripts) == 3 + 4


class Model:
    """Says its pieces, and then fails if it is told to."""

    def __init__(self, *pieces, error=None):
        self.pieces, self.error = pieces, error
        self.open = 0

    async def __call__(self, request):
        self.open += 1
        try:
            for piece in self.pieces:
                await asyncio.sleep(1)
                yield piece
            if self.error is not None:
                raise self.error
        finally:
            self.open -= 1


def asked(*models):
    registry = Registry()
    return [registry.declare(model.__call__, {"name": f"m{n}"})("?") for n, model in enumerate(models)]


async def test_x21_the_answer_is_of_one_attempt_and_mixes_no_texts():
    """What the first had said before it failed is no part of the second's answer."""
    primary = Model("PRIMARY-", "partial ", error=passing())
    calls = asked(primary, Model("fall", "back"))
    assert await fallback(*calls) == "fallback"
    assert primary.open == 0


async def test_x21_nor_does_a_retry():
    flaky = Model("A", "B", error=passing())
    (ask,) = asked(flaky)

    def heal(*_):
        flaky.error = None

    assert await retry(2, initial_delay=1, on_retry=heal)(ask) == "AB"


async def test_x21_who_reads_along_is_told_whose_words_are_void():
    calls = asked(Model("PRIMARY-", "partial ", error=passing()), Model("fall", "back"))
    chunks = []
    end = asyncio.Event()
    Engine(lambda _: fallback(*calls)).tokens("question").subscribe(chunks.append, print, end.set)
    await end.wait()
    valid: dict[str, str] = {}
    for chunk in chunks:
        if chunk.type == "reset":
            valid.pop(chunk.attempt_id, None)
        elif chunk.type == "delta":
            valid[chunk.attempt_id] = valid.get(chunk.attempt_id, "") + chunk.text
    assert list(valid.values()) == ["fallback"]


async def test_x21_refused_content_is_not_taken_elsewhere_unless_asked_for():
    refused, other = Script(CallFailed("content_filter", "withheld")), Script("other")
    with pytest.raises(ChildrenFailed):
        await fallback(refused, other)
    assert other.began == []
    assert await fallback(refused, other, on=["content_filter"]) == "other"


async def test_x21_cancelled_from_outside_it_tries_nobody_else():
    works = [Work(50, cleanup=0.5), Work(1, "other")]
    await cancelled_after(1, fallback(*works))
    assert (works[0].alive, works[1].began, now()) == (0, [], 1.5)
    assert not others()


RETRY = {"max_attempts": 2, "initial_delay": 0.01}
WIRE = {
    "x21-third": {
        "kind": "fallback",
        "tasks": [
            call("fail"),
            {"kind": "llm", "model": "simulated:m?error_rate=1", "prompt": "?"},
            call("say", "c"),
            call("say", "d"),
        ],
    },
    "x21-own-budgets": {
        "kind": "fallback",
        "retry": RETRY,
        "tasks": [
            call("flaky", "x21-a", 9),
            call("flaky", "x21-b", 9),
            call("flaky", "x21-c", 1),
        ],
    },
}


async def test_x21_on_the_wire(answer):
    third = await answer("x21-third")
    assert (third["value"], third["winner"]) == ("c", 2)
    assert [child["status"] for child in third["children"]] == ["failed", "failed", "succeeded", "skipped"]
    budgets = await answer("x21-own-budgets")
    assert (budgets["status"], budgets["value"]) == ("succeeded", 2)
    assert [len(child["attempts"]) for child in budgets["children"]] == [2, 2, 2]
