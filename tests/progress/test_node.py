"""A tree of what is to be done: whatever is done to it, its fractions are what they are said to be."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.progress import Node, Progress, Snapshot, State


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


# --- by hand


def test_a_leaf_is_as_far_as_it_was_advanced():
    node = Node("read", total=4)
    assert (node.fraction, node.state) == (0, State.WAITING)
    node.advance()
    assert (node.fraction, node.state) == (0.25, State.RUNNING)
    node.advance(10)
    assert (node.fraction, node.state) == (1, State.RUNNING)


def test_of_what_nobody_knows_the_end_of_nothing_is_over_until_all_is():
    node = Node("read")
    node.advance(100)
    assert (node.fraction, node.snapshot().eta) == (0, None)
    node.finish()
    assert (node.fraction, node.snapshot().eta) == (1, 0)


def test_a_parent_is_as_far_as_its_children_by_their_weight():
    report = Progress("report")
    read, write = report.child("read", total=10), report.child("write", weight=3, total=2)
    read.advance(10)
    assert report.fraction == 0.25
    write.advance(1)
    assert report.fraction == 0.625
    write.finish(State.FAILED)
    read.finish()
    assert (report.fraction, report.state) == (1, State.RUNNING)


def test_children_that_are_yet_to_come_count():
    report = Progress("report", total=4)
    report.child("one").finish()
    assert report.fraction == 0.25
    report.child("two")
    assert report.fraction == 0.25


def test_who_begins_begins_what_it_is_a_part_of():
    report = Progress("report")
    leaf = report.child("part").child("leaf")
    leaf.start()
    assert [node.state for node in leaf.above()] == [State.RUNNING] * 3


def test_elapsed_and_eta_are_by_the_clock():
    clock = Clock()
    report = Progress("report", clock=clock)
    part = report.child("part", total=10)
    clock.now = 5.0
    part.advance()
    clock.now = 7.0
    part.advance(3)
    seen = report.snapshot()
    assert (seen.elapsed, seen.eta) == (2, pytest.approx(3))
    assert (seen.children[0].elapsed, seen.children[0].eta) == (2, pytest.approx(3))
    part.finish()
    report.finish()
    clock.now = 100.0
    assert (report.snapshot().elapsed, report.snapshot().eta) == (2, 0)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (None, State.SUCCEEDED),
        (KeyError("x"), State.FAILED),
        (TimeoutError(), State.TIMED_OUT),
        (asyncio.CancelledError(), State.CANCELLED),
    ],
)
def test_a_block_is_a_node_that_ends_as_the_block_does(error, state):
    report = Progress("report")
    runs, waits = report.child("runs"), report.child("waits")
    with_error = pytest.raises(type(error)) if error is not None else report.child("beside")
    with with_error, report:
        runs.start()
        if error is not None:
            raise error
    ended = report.snapshot()
    assert ended.state is state
    assert (runs.state, waits.state) == (State.CANCELLED, State.SKIPPED)


def test_messages_are_for_whoever_looks():
    report = Progress("report")
    part = report.child("part")
    part.message = "page 3"
    assert report.snapshot().children[0].message == "page 3"


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf"), True, "2", None])
def test_a_weight_is_a_number_above_0(weight):
    report = Progress("report")
    for make in (
        lambda: Progress("x", weight=weight),
        lambda: report.child("x", weight=weight),
        lambda: Progress("x", weights={"/0": weight}),
    ):
        with pytest.raises(ValueError, match=r"weight.* is a number above 0, not"):
            make()
    with pytest.raises(ValueError, match="every is a number above 0, not"):
        report.values(weight)
    assert report.children == ()


def test_nothing_to_do_is_not_done_before_it_began():
    report = Progress("report")
    empty, other = report.child("empty", total=0), report.child("other", weight=3, total=4)
    assert report.fraction == 0
    empty.start()
    assert report.fraction == 0.25
    other.advance(4)
    assert report.fraction == 1


@pytest.mark.parametrize("total", [-1, float("nan"), float("inf"), True])
def test_a_total_is_a_number_or_unknown(total):
    with pytest.raises(ValueError, match="total is a number of at least 0, or None, not"):
        Progress("x", total=total)
    with pytest.raises(ValueError, match="amount is a number of at least 0, not"):
        Progress("x").advance(total)


def test_the_end_is_one_of_five():
    with pytest.raises(ValueError, match="for good, not 'running'"):
        Progress("x").finish("running")
    with pytest.raises(ValueError, match="not a valid State"):
        Progress("x").finish("done")


# --- whatever is done

WEIGHTS = st.sampled_from([0.1, 1, 3])
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["child", "child", "advance", "advance", "start", "finish", "wait", "look"]),
        st.integers(0, 30),
        st.sampled_from([0, 1, 2.5]),
        WEIGHTS,
        st.sampled_from([None, 0, 2, 5]),
        st.sampled_from([state for state in State if state.over]),
    ),
    max_size=40,
)


def every(snapshot: Snapshot):
    yield snapshot
    for child in snapshot.children:
        yield from every(child)


def holds(snapshot: Snapshot, endless: bool = False) -> None:
    """What is true of every tree; with ``endless`` parts nothing of those may be over though parts of them are."""
    for node in every(snapshot):
        assert 0 <= node.fraction <= 1
        assert not node.over or node.fraction == 1
        assert node.elapsed >= 0
        assert node.eta is None or node.eta >= 0
        assert sum(node.counts.values()) == len(node.children)
        if node.over:
            assert all(child.over for child in node.children)
        elif node.children and (node.fraction or not endless):
            weight = sum(child.weight for child in node.children)
            weight += max(0, (node.total or 0) - len(node.children))
            share = sum(child.weight * child.fraction for child in node.children) / weight
            assert node.fraction == pytest.approx(share)
            assert node.state is State.RUNNING or {child.state for child in node.children} <= {
                State.WAITING,
                *(state for state in State if state.over),
            }


def goes_on(before: Snapshot, after: Snapshot, added: bool) -> None:
    """What is true of two moments of one tree."""
    if before.over:
        assert (after.state, after.elapsed) == (before.state, before.elapsed)
    assert before.state is State.WAITING or after.state is not State.WAITING
    assert after.done >= before.done
    assert after.elapsed >= before.elapsed
    assert added or after.fraction >= before.fraction
    for one, other in zip(before.children, after.children, strict=False):
        goes_on(one, other, added)


@given(ACTS)
def test_fractions_are_shares_that_grow_and_what_has_ended_stays_so(acts):
    clock = Clock()
    root = Progress("root", clock=clock)
    nodes: list[Node] = [root]
    before, added = root.snapshot(), False
    for act, which, amount, weight, total, state in acts:
        node = nodes[which % len(nodes)]
        match act:
            case "child":
                nodes.append(node.child("x", weight=weight, total=total))
                added = True
            case "advance":
                node.advance(amount)
            case "start":
                node.start()
            case "finish":
                node.finish(state)
            case "wait":
                clock.now += amount
            case "look":
                after = root.snapshot()
                holds(after)
                goes_on(before, after, added)
                before, added = after, False
    root.finish()
    ended = root.snapshot()
    holds(ended)
    goes_on(before, ended, added)
    assert all(node.over for node in every(ended))
