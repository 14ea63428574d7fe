"""Journals on a broker: what is settled is known to the next owner, whatever happens between."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from streamer.kafka.journal.reading import starting_point
from streamer.kafka.journal.truncation import Truncation
from streamer.kafka.topics import partitions
from tests.kafka.journal.outcomes import outcome
from tests.kafka.journal.site import Site, recalled


@pytest.mark.parametrize(
    ("low_water", "beginning", "start", "warned"),
    [
        (None, 3, 3, None),
        (5, 3, 5, None),
        (9, 3, 9, None),
        (2, 3, 3, "1 records .* retention.ms"),
        (10, 0, 0, "made anew"),
    ],
)
def test_reading_begins_at_the_low_water_where_there_is_one(low_water, beginning, start, warned) -> None:
    """Else at the beginning; what that means is told. The marker is at 9."""
    found, warning = starting_point(low_water, beginning, 9)
    assert found == start
    assert (warning is None) == (warned is None)
    if warned:
        assert pytest.raises(AssertionError, match=warned).matches(AssertionError(warning))


@pytest.fixture
async def site(broker, unique_name):
    if not broker.is_real:
        pytest.skip("only the embedded broker is there")
    site = Site(broker.bootstrap_servers, unique_name("journal"))
    yield site
    await site.close()


@pytest.mark.kafka
async def test_what_is_settled_is_known_to_the_next_owner(site):
    """After a crash: the first owner just stops; what was finished meanwhile is not kept."""
    await site.create()
    first = (await site.own())[0]
    for offset in range(5):
        ticket = first.note(offset, outcome(offset + 10))
    await first.settle(ticket)
    second = (await site.own(unfinished=lambda offset: offset != 3))[0]
    assert recalled(second, range(5)) == {0: 10, 1: 11, 2: 12, 4: 14}
    assert second.log.low_water == 1


@pytest.mark.kafka
async def test_several_partitions_are_restored_at_once(site):
    """Each from its own journal."""
    await site.create()
    first = await site.own(0, 1)
    await asyncio.gather(*(first[n].settle(first[n].note(7, outcome(n + 1))) for n in (0, 1)))
    second = await site.own(0, 1)
    assert [recalled(second[n], [7]) for n in (0, 1)] == [{7: 1}, {7: 2}]


@pytest.mark.kafka
async def test_a_note_leaves_soon_though_nobody_waits_for_it(site):
    await site.create()
    channel = (await site.own())[0]
    ticket = channel.note(7, outcome())
    async with asyncio.timeout(30):
        while not channel.log.settled(ticket):
            await asyncio.sleep(0.01)
    assert len(await site.noted()) == 1


@pytest.mark.kafka
async def test_a_former_owner_that_goes_on_changes_nothing(site):
    """Two believe that they own it; the third knows what the second noted, and what the first did before."""
    await site.create()
    zombie = (await site.own())[0]
    await zombie.settle(zombie.note(1, outcome(1)))
    second = (await site.own(after=zombie.log.nonce))[0]
    await second.settle(second.note(2, outcome(2)))
    zombie.note(1, outcome(91))
    await zombie.settle(zombie.note(2, outcome(92)))
    for low_water, known in ((None, {1: 1, 2: 2}), (second.log.marker + 1, {2: 2})):
        third = (await site.own(after=second.log.nonce, low_water=low_water))[0]
        assert recalled(third, [1, 2]) == known
    assert len(await site.noted()) == 4


@pytest.mark.kafka
async def test_who_comes_back_after_another_only_marked_the_journal_is_believed(site):
    """A rebalance that went to and fro: the commit is the first owner's still."""
    await site.create()
    first = (await site.own())[0]
    await first.settle(first.note(1, outcome(1)))
    await site.own(after=first.log.nonce)
    await first.settle(first.note(2, outcome(2)))
    third = (await site.own(after=first.log.nonce, low_water=first.log.low_water))[0]
    assert recalled(third, [1, 2]) == {1: 1, 2: 2}


@pytest.mark.kafka
async def test_offsets_of_another_origin_are_others(site):
    """The input was made anew, or another group shares the journal: neither their notes nor markers count."""
    await site.create()
    first = (await site.own())[0]
    await first.settle(first.note(1, outcome(1)))
    other = (await site.own(origin=b"another-"))[0]
    assert recalled(other, [1]) == {}
    await other.settle(other.note(1, outcome(91)))
    await first.settle(first.note(2, outcome(2)))
    assert recalled((await site.own())[0], [1, 2]) == {1: 1, 2: 2}
    assert recalled((await site.own(origin=b"another-"))[0], [1, 2]) == {1: 91}


@pytest.mark.kafka
async def test_what_the_topic_refuses_for_its_size_is_dropped_and_told_once(site):
    """The small ones among them are written, and nobody waits for ever."""
    await site.create(max_message_bytes="3000")
    channel = (await site.own())[0]
    large = "x" * 10_000
    for offset in range(6):
        ticket = channel.note(offset, outcome(offset + 1, value=large if offset in (1, 4) else "small"))
    async with asyncio.timeout(60):
        await channel.settle(ticket)
    assert recalled((await site.own())[0], range(6)) == {0: 1, 2: 3, 3: 4, 5: 6}
    (warning,) = site.warnings
    assert "max.message.bytes" in warning


@pytest.mark.kafka
async def test_a_journal_that_was_made_anew_is_read_from_its_beginning(site):
    """And its former end is told: what it remembered is gone."""
    await site.create()
    await site.own()
    admin = AIOKafkaAdminClient(bootstrap_servers=site.bootstrap)
    await admin.start()
    await admin.delete_topics([site.topic])
    while site.topic in await partitions(admin):
        await asyncio.sleep(0.02)
    await admin.close()
    await site.create()
    first = (await site.own())[0]
    await first.settle(first.note(7, outcome(5)))
    second = (await site.own(low_water=1_000))[0]
    assert recalled(second, [7]) == {7: 5}
    assert "made anew" in site.warnings[-1]


@pytest.mark.kafka
async def test_what_is_not_of_the_journal_is_passed_over(site):
    """Control records, and records of a version to come: counted, told, no error."""
    await site.create()
    first = (await site.own())[0]
    await first.settle(first.note(7, outcome(5)))
    stranger = AIOKafkaProducer(bootstrap_servers=site.bootstrap, transactional_id=site.topic)
    await stranger.start()
    for value in (b"\x7fnewer", b"\x01\x92", b"nonsense"):
        async with stranger.transaction():
            await stranger.send_and_wait(site.topic, value, partition=0)
    await stranger.stop()
    second = (await site.own())[0]
    assert recalled(second, [7]) == {7: 5}
    (warning,) = site.warnings
    assert "3 records of the journal can't be read" in warning


@pytest.mark.kafka
async def test_truncation_deletes_up_to_the_committed_low_water(site):
    """A restore from there finds all; one from below is told what is missing."""
    await site.create()
    first = (await site.own())[0]
    for offset in range(5):
        await first.settle(first.note(offset, outcome(offset + 1)))
    for offset in range(3):
        first.log.forget(offset)
    committed = first.log.low_water
    truncation = Truncation(site.connection, site.topic, site.warnings.append, every=0.0)
    truncation.tick(lambda: {0: committed})
    await truncation.under_way
    assert [noted.offset for noted in await site.noted()] == [3, 4]
    second = (await site.own(low_water=committed))[0]
    assert recalled(second, range(5)) == {3: 4, 4: 5}
    assert site.warnings == []
    await site.own(low_water=0)
    assert f"{committed} records" in site.warnings[-1]


@pytest.mark.kafka
async def test_a_truncation_that_is_refused_is_told_once(site):
    """Here of a topic that is not there; the others are done all the same."""
    await site.create()
    first = (await site.own())[0]
    await first.settle(first.note(1, outcome()))
    truncation = Truncation(site.connection, site.topic, site.warnings.append, every=0.0)
    for _ in range(2):
        truncation.tick(lambda: {1: 10**9, 0: first.log.end})
        await truncation.under_way
    assert await site.noted() == []
    (warning,) = site.warnings
    assert "can't be shortened" in warning


@pytest.mark.kafka
async def test_a_restore_that_is_cancelled_leaves_nothing_open(site):
    await site.create()
    writer = await site.writer()
    opening = asyncio.create_task(site.own(0, 1, writer=writer))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert writer.channels == {}


@pytest.mark.kafka
async def test_a_restore_is_as_long_as_what_is_unfinished_needs(site):
    """After thousands of notes of finished tasks, with one unfinished since before them all."""
    await site.create()
    channel = (await site.own())[0]
    await channel.settle(channel.note(0, outcome(7)))
    for first in range(1, 4_000, 100):
        for offset in range(first, first + 100):
            ticket = channel.note(offset, outcome())
        await channel.settle(ticket)
        for offset in range(first, first + 100):
            channel.log.forget(offset)
    assert await channel.flush(30)
    assert channel.log.end - channel.log.low_water <= 1_100
    low_water = channel.log.low_water
    second = (await site.own(low_water=low_water, unfinished=lambda offset: offset == 0))[0]
    assert recalled(second, range(4_000)) == {0: 7}
    assert len(await site.noted()) < 4_010
