"""Whatever is nested in whatever, and however it ends: statuses add up, and values stand in order."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer import Result, Status, map, parallel, sequence
from tests.operators.doubles import passing, result_of

LEAVES = st.tuples(
    st.sampled_from(["answers", "answers", "fails", "cancels itself"]), st.sampled_from([0, 1, 1, 2, 5])
)


def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {
            "op": st.sampled_from(["list", "names", "map", "sequence"]),
            "of": st.lists(inner, max_size=4),
            "require": st.sampled_from(["all", "any", "none"]),
            "fail_fast": st.booleans(),
            "concurrency": st.sampled_from([None, 1, 2]),
            "batch_size": st.sampled_from([None, 1, 2]),
        }
    )


PLANS = larger(st.recursive(LEAVES, larger, max_leaves=10))


def made(spec: Any) -> Any:
    if isinstance(spec, tuple):
        fate, seconds = spec

        async def leaf() -> Any:
            await asyncio.sleep(seconds)
            if fate == "fails":
                raise passing()
            if fate == "cancels itself":
                raise asyncio.CancelledError("mine")
            return seconds

        return leaf
    of, chosen = spec["of"], {name: spec[name] for name in ("require", "fail_fast", "concurrency")}
    if spec["op"] == "sequence":
        return sequence(*[made(child) for child in of], fail_fast=spec["fail_fast"])
    if spec["op"] == "names":
        return parallel({f"n{i}": made(child) for i, child in enumerate(of)}, **chosen)
    if spec["op"] == "list":
        return parallel(*[made(child) for child in of], **chosen)

    def one(child: Any) -> Any:
        thing = made(child)
        return thing() if isinstance(child, tuple) else thing

    return map(one, of, **chosen, batch_size=spec["batch_size"])


def expected(spec: Any) -> tuple[bool, Any]:
    """Whether it succeeds, and its value with what was finished, where nothing is stopped."""
    if isinstance(spec, tuple):
        return spec[0] == "answers", spec[1] if spec[0] == "answers" else None
    ends = [expected(child) for child in spec["of"]]
    values = [value if good else None for good, value in ends]
    require = "all" if spec["op"] == "sequence" else spec["require"]
    needed = {"all": len(ends), "any": min(1, len(ends)), "none": 0}[require]
    named = spec["op"] == "names"
    return sum(good for good, _ in ends) >= needed, (
        {f"n{i}": value for i, value in enumerate(values)} if named else values
    )


def hasty(spec: Any) -> bool:
    """Whether something in it may be stopped."""
    return isinstance(spec, dict) and (spec["fail_fast"] or any(hasty(child) for child in spec["of"]))


def check(spec: Any, result: Result, stopped: bool) -> None:
    children = result.each_child()
    assert sum(result.counts.values()) == len(children) == result.successes + result.failures
    if isinstance(spec, tuple) or (stopped and not children):
        return
    assert len(children) == len(spec["of"])
    if isinstance(result.children, dict):
        assert list(result.children) == [f"n{i}" for i in range(len(children))]
    if result.status is not Status.SKIPPED:
        values = list(result.value.values()) if isinstance(result.value, dict) else result.value
        assert [value for value, child in zip(values, children, strict=True) if child.succeeded] == (
            result.successful_values()
        )
        assert all(
            value is None for value, child in zip(values, children, strict=True) if not child.succeeded
        )
    for below, child in zip(spec["of"], children, strict=True):
        if not stopped:
            assert child.succeeded is expected(below)[0]
        check(below, msgspec.structs.replace(child, value=inner(result, child, children)), stopped)


def inner(result: Result, child: Result, children: tuple[Result, ...]) -> Any:
    """A child's value, wherever it is held."""
    if child.value is not msgspec.UNSET:
        return child.value
    values = list(result.value.values()) if isinstance(result.value, dict) else result.value
    return values[next(i for i, other in enumerate(children) if other is child)]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)
@given(PLANS)
async def test_statuses_add_up_and_values_are_in_order(spec):
    result = await result_of(made(spec))
    check(spec, result, hasty(spec))
    if not hasty(spec):
        succeeds, value = expected(spec)
        assert (result.succeeded, result.value) == (succeeds, value)
        assert all(
            status in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED) or not count
            for status, count in result.counts.items()
        )
