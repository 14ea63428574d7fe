"""Dead letters put back: each once, as it first came, whatever interrupts it."""

from collections import Counter

import pytest
from aiokafka import AIOKafkaProducer

from streamer.errors import SettingsError, StreamerError
from streamer.kafka import redrive as module
from streamer.kafka.copying import Copy, send
from streamer.kafka.letters import DeadLetter, Wanted
from streamer.kafka.redrive import Redrive
from tests.kafka.letters import Site
from tests.kafka.rig import Rig

pytestmark = [pytest.mark.broker, pytest.mark.kafka]
MIXED = ["decode_error", "poison", "too_large", "poison", "decode_error"]


class Told:
    def __init__(self) -> None:
        self.copied: list[str] = []
        self.stayed: dict[str, str] = {}

    def redriven(self, copy: Copy) -> None:
        self.copied.append(copy.letter.address)

    def skipped(self, letter: DeadLetter, why: str) -> None:
        self.stayed[letter.address] = why


@pytest.fixture
async def site(broker, topic_name) -> Site:
    made = Site(broker.bootstrap_servers, topic_name)
    made.there = await made.create()
    return made


async def redrive(site: Site, *reasons: str, kind: type[Redrive] = Redrive, **options) -> Told:
    told = Told()
    wanted = Wanted(frozenset(reasons))
    await kind(site.connection, site.topic, site.there, told, wanted=wanted, **options).run()
    return told


async def ids(site: Site) -> list[str]:
    return sorted(record.value.decode()[8:-2] for record in await site.came())


async def test_a_dead_letter_goes_back_as_it_came(site):
    """Key, value and headers of its own, to its partition; and where it was put back from."""
    own = [("mine", b"1"), ("streamer-task-id", b"other")]
    await site.letters(["poison"], headers=own)
    await redrive(site)
    (record,) = await site.came()
    assert (record.partition, record.key, record.value) == (1, b"k0", b'{"id": "t0"}')
    assert list(record.headers) == [*own, ("streamer-redriven-from", f"{site.topic}-0-0".encode())]


async def test_a_second_redrive_goes_on_after_the_first(site):
    """Nothing is put back twice unless it is asked for."""
    await site.letters(MIXED)
    assert len((await redrive(site)).copied) == 5
    assert (await redrive(site)).copied == []
    await site.letters(["poison"])
    assert (await redrive(site)).copied == ["0-5"]
    assert (await redrive(site, dry_run=True, again=True)).copied == [f"0-{n}" for n in range(6)]
    assert (await redrive(site)).copied == []
    assert len((await redrive(site, again=True)).copied) == 6
    assert len(await site.came()) == 12


async def test_what_the_filters_left_out_is_there_for_other_filters(site):
    """In any order, each once."""
    await site.letters(MIXED)
    assert (await redrive(site, "poison")).copied == ["0-1", "0-3"]
    assert (await redrive(site, "poison", "too_large")).copied == ["0-2"]
    assert (await redrive(site)).copied == ["0-0", "0-4"]
    assert await ids(site) == ["t0", "t1", "t2", "t3", "t4"]


async def test_a_dry_run_changes_nothing(site):
    """It says what would be put back, each time."""
    await site.letters(MIXED)
    for _ in range(2):
        assert len((await redrive(site, dry_run=True)).copied) == 5
    assert await site.came() == []


class Crash(BaseException):
    pass


class Dies(Redrive):
    """Its process dies in its second transaction, when the copies are written and nothing is committed."""

    async def transact(self, copies, offsets):
        if self.progress[0].frontier == 2:
            await self.producer.begin_transaction()
            for copy in copies:
                await (await send(self.producer, copy))
            raise Crash
        await super().transact(copies, offsets)


async def test_a_redrive_that_dies_between_the_copies_and_their_commit_is_taken_up(site, monkeypatch):
    """What it committed stays, what it did not is undone and made again: for readers each is there once."""
    monkeypatch.setattr(module, "MOST_RECORDS", 2)
    await site.letters(MIXED)
    with pytest.raises(Crash):
        await redrive(site, kind=Dies)
    assert (await redrive(site)).copied == ["0-2", "0-3", "0-4"]
    assert await ids(site) == ["t0", "t1", "t2", "t3", "t4"]


class Overtaken(Redrive):
    """Another redrive begins, and ends, when this one has begun to write."""

    site: Site

    async def transact(self, copies, offsets):
        await redrive(self.site)
        await super().transact(copies, offsets)


async def test_of_two_redrives_the_later_one_goes_on(site):
    """The earlier says so and ends; nothing of it is seen."""
    await site.letters(MIXED)
    Overtaken.site = site
    with pytest.raises(StreamerError, match="Another redrive"):
        await redrive(site, kind=Overtaken)
    assert await ids(site) == ["t0", "t1", "t2", "t3", "t4"]


async def test_a_value_that_was_left_out_is_read_from_its_first_place(site):
    """With that record's own key and headers; where it is gone the dead letter stays, and is looked at again."""
    value = b"x" * 1_000
    async with AIOKafkaProducer(bootstrap_servers=site.bootstrap) as producer:
        await producer.send_and_wait(site.name, value, b"own key", partition=1, headers=[("mine", b"1")])
    await site.letters(["too_large"], left_out=1_000)
    await site.letters(["too_large"], left_out=999)
    told = await redrive(site)
    assert told.copied == ["0-0"]
    assert told.stayed == {"0-1": f"its value of 999 bytes was left out, and {site.name}-1-0 is gone"}
    first, again = await site.came()
    assert (again.key, again.value, again.headers[0]) == (first.key, first.value, first.headers[0])
    assert (await redrive(site)).stayed.keys() == {"0-1"}


async def test_another_topic_takes_them_by_key(site, unique_name):
    """``to`` names it; keys choose the partition, as their producer would."""
    other = Site(site.bootstrap, unique_name("other"))
    site.there |= await other.create()
    await site.letters(["poison"] * 14)
    await redrive(site, to=other.name)
    assert await site.came() == []
    places = Counter((record.key, record.partition) for record in await other.came())
    assert (len(places), set(places.values())) == (7, {2})


async def test_a_dead_letter_that_its_topic_refuses_stays(site, unique_name):
    """What is around it is put back."""
    small = Site(site.bootstrap, unique_name("small"))
    site.there |= await small.create(**{"max.message.bytes": "1000"})
    await site.letters(["poison", "poison"])
    await site.letters(["poison"], headers=[("large", b"x" * 2_000)])
    await site.letters(["poison"])
    told = await redrive(site, to=small.name)
    assert sorted(told.copied) == ["0-0", "0-1", "0-3"]
    assert "takes no record of 12 bytes" in told.stayed["0-2"]
    assert len(await small.came()) == 3


class DiesAlone(Redrive):
    """Its process dies before the second of those that it writes alone."""

    async def transact(self, copies, offsets):
        if len(copies) == 1 and copies[0].letter.address == "0-1":
            raise Crash
        await super().transact(copies, offsets)


async def test_one_that_dies_among_refused_dead_letters_loses_none(site, unique_name):
    """What was not written yet is left, though what is behind it was looked at."""
    small = Site(site.bootstrap, unique_name("small"))
    site.there |= await small.create(**{"max.message.bytes": "1000"})
    await site.letters(["poison", "poison"])
    await site.letters(["poison"], headers=[("large", b"x" * 2_000)])
    await site.letters(["too_large"])
    with pytest.raises(Crash):
        await redrive(site, "poison", kind=DiesAlone, to=small.name)
    assert (await redrive(site, "poison", to=small.name)).copied == ["0-1"]
    assert len(await small.came()) == 2


async def test_a_topic_that_is_gone_is_not_made(site):
    """The sentence says which, and what to do."""
    await site.letters(["poison"])
    del site.there[site.name]
    with pytest.raises(SettingsError, match=r"does not exist\. Make it, or use --to"):
        await redrive(site)


async def test_filters_that_leave_more_than_can_be_remembered_end_the_redrive(site, monkeypatch):
    """Rather than to forget what was put back."""
    monkeypatch.setattr("streamer.kafka.redriven.LIMIT", 10)
    await site.letters(MIXED)
    with pytest.raises(StreamerError, match="Redrive those first, without filters"):
        await redrive(site, "poison")
    assert await site.came() == []


async def test_a_redriven_task_is_answered(site):
    """The whole way: refused by one worker, put back, answered by another that takes it."""
    rig = Rig(site.bootstrap, site.name, partitions=3)
    task = {"id": "t", "kind": "llm", "model": "echo:", "prompt": "x" * 500}
    async with rig.worker(max_message_bytes=100):
        await rig.produce([task], key=b"k")
        await rig.read(1, topic=rig.dead_letters)
    assert (await redrive(site)).copied == ["0-0"]
    async with rig.worker():
        (result,) = await rig.read(1)
        await rig.all_committed()
    assert (result.key, result.value["task_id"], result.value["value"]) == (b"k", "t", "x" * 500)
