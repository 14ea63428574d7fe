"""A worker that its group has not heard of for a session begins nothing until it has."""

import asyncio
from types import SimpleNamespace

import pytest

from streamer.kafka.membership import LOOK, LOOKS, Membership

pytestmark = pytest.mark.virtual_time


class Group:
    """Heard of the worker so many seconds ago; None is a worker in no group."""

    def __init__(self, unheard):
        self.silence = unheard
        self.asked = 0
        self.membership = Membership(None, session_timeout=6)
        self.membership.heartbeats = self

    def unheard(self):
        self.asked += 1
        return self.silence


@pytest.mark.parametrize(
    ("unheard", "valid"), [(0, True), (5.9, True), (6, False), (60, False), (None, False)]
)
async def test_it_counts_for_the_time_of_a_session(unheard, valid):
    assert Group(unheard).membership.valid is valid


@pytest.mark.parametrize("unheard", [6, None])
async def test_all_who_wait_go_on_once_it_is_heard_of(unheard):
    group, loop = Group(unheard), asyncio.get_running_loop()
    waiting = [asyncio.ensure_future(group.membership.heard(lambda: True)) for _ in range(1_000)]
    await asyncio.sleep(10.02)
    assert not any(waiter.done() for waiter in waiting)
    group.silence = 0
    await asyncio.gather(*waiting)
    assert loop.time() == pytest.approx(10.05)
    assert group.membership.timer is None


async def test_who_does_not_want_to_any_more_is_let_go_soon():
    group, loop = Group(None), asyncio.get_running_loop()
    record = SimpleNamespace(mine=True)
    waiting = asyncio.ensure_future(group.membership.heard(lambda: record.mine))
    await asyncio.sleep(3.01)
    record.mine = False
    await waiting
    assert loop.time() <= 3.01 + LOOK * LOOKS


async def test_thousands_who_wait_do_not_each_look_at_every_turn():
    group = Group(None)
    waiting = [asyncio.ensure_future(group.membership.heard(lambda: True)) for _ in range(1_000)]
    await asyncio.sleep(10)
    assert group.asked <= 1_000 * (10 / (LOOK * LOOKS) + 1) + 10 / LOOK
    for waiter in waiting:
        waiter.cancel()
