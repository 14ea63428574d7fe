"""A worker that its group may have put out begins nothing until it knows better."""

import asyncio
from types import SimpleNamespace

import pytest

from streamer.kafka import adapter, membership
from streamer.kafka.membership import LOOK, TICK, Membership
from streamer.kafka.partition import Partition

pytestmark = pytest.mark.virtual_time
SESSION, JOIN = 6.0, 60.0


class Coordinator:
    """aiokafka's, as far as it is looked at; the test is the broker."""

    def __init__(self):
        self.generation = 3
        self._rebalance_timeout_ms = JOIN * 1000
        self._heartbeat_task = None
        self.answers = asyncio.Queue()

    async def _do_heartbeat(self):
        return await self.answers.get()

    def reset_generation(self):
        self.generation = -1


class Group:
    """A worker's place in its group. ``step`` lets time pass, ``freeze`` without a turn of the loop."""

    def __init__(self, monkeypatch):
        self.frozen = 0.0
        loop = asyncio.get_running_loop()
        for module in (adapter, membership):
            monkeypatch.setattr(module, "monotonic", lambda: 1000 + loop.time() + self.frozen)
        self.coordinator = Coordinator()
        self.membership = Membership(SimpleNamespace(_coordinator=self.coordinator), SESSION)
        self.membership.begin()
        self.partition = Partition("t", 0)

    def freeze(self, seconds):
        self.frozen += seconds

    def join(self):
        """It has joined: heartbeats begin."""
        self.coordinator._heartbeat_task = asyncio.get_running_loop().create_future()
        return self.membership.valid

    def rejoin(self):
        """The group is rebalanced, and no heartbeat is sent meanwhile."""
        self.coordinator._heartbeat_task = None

    async def beat(self, success=True, freeze=0.0):
        """One is sent, and answered, which is read after so long."""
        beat = asyncio.ensure_future(self.coordinator._do_heartbeat())
        await asyncio.sleep(0)
        self.freeze(freeze)
        self.coordinator.answers.put_nowait(success)
        await beat

    @property
    def trusts(self):
        return self.membership.trusts(self.partition)


@pytest.fixture
async def group(monkeypatch):
    group = Group(monkeypatch)
    yield group
    group.membership.end()


async def test_it_counts_for_a_session_after_a_heartbeat_that_got_through(group):
    assert (group.membership.valid, group.trusts) == (False, False)
    assert group.join()
    await asyncio.sleep(SESSION - 0.1)
    assert group.trusts
    await group.beat()
    await asyncio.sleep(SESSION - 0.1)
    assert group.trusts
    await group.beat(success=False)
    await asyncio.sleep(0.2)
    assert (group.membership.valid, group.trusts) == (False, False)
    await group.beat()  # the broker was away: nobody was put out
    assert group.trusts


async def test_an_answer_that_was_read_late_counts_from_when_it_was_asked_for(group):
    """It lay there while the process was stopped, and others took over."""
    group.join()
    await group.beat(freeze=2 * SESSION)
    assert not group.trusts


async def test_what_is_under_way_is_trusted_while_the_group_is_rebalanced(group):
    """However slow another member is, nobody is given what others have before all have joined."""
    group.join()
    await group.beat()
    group.rejoin()
    await asyncio.sleep(SESSION + JOIN - 0.1)
    assert (group.membership.valid, group.trusts) == (False, True)
    await asyncio.sleep(0.2)
    assert not group.trusts


@pytest.mark.parametrize("turns", [0, 3])
async def test_not_after_it_was_frozen_meanwhile(group, turns):
    """Whether anything of it is seen first by who asks, or by the tick."""
    group.join()
    group.rejoin()
    await asyncio.sleep(1)
    assert group.trusts
    group.freeze(2 * SESSION)
    await asyncio.sleep(turns * TICK)
    assert not group.trusts
    group.join()  # the same generation: nobody had it
    assert group.trusts


async def test_nor_once_the_group_has_put_it_out_until_it_was_seen_that_nobody_had_it(group):
    group.join()
    group.coordinator.reset_generation()
    group.rejoin()
    assert not group.trusts
    group.coordinator.generation = 5
    group.join()
    assert (group.membership.valid, group.trusts) == (True, False)
    group.partition.trusted = group.membership.heartbeats.losses
    assert group.trusts


async def test_who_waits_goes_on_soon_after(group):
    loop = asyncio.get_running_loop()
    waiting = asyncio.ensure_future(group.membership.wait(lambda: group.trusts))
    await asyncio.sleep(10)
    assert not waiting.done()
    group.join()
    await waiting
    assert loop.time() <= 10 + LOOK
