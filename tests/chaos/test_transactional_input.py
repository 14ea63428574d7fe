"""An input that is written in transactions: aborted tasks are never called, and open ones wait for their end."""

from collections.abc import Iterable

import pytest
from aiokafka import AIOKafkaProducer

from tests.chaos.processes import DELIVERIES, Site, questions
from tests.kafka.rig import Rig

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(180)]


class Transaction:
    """A producer's one transaction, spread over all partitions; open until it is committed or aborted."""

    def __init__(self, rig: Rig, name: str) -> None:
        self.rig = rig
        self.producer = AIOKafkaProducer(
            bootstrap_servers=rig.bootstrap,
            transactional_id=f"{rig.name}-{name}",
        )

    async def send(self, numbers: Iterable[int]) -> None:
        await self.producer.start()
        await self.producer.begin_transaction()
        await self.more(numbers)

    async def more(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            task = b'{"id":"t%d","kind":"llm","model":"openai:x","prompt":"question %d"}' % (number, number)
            await self.producer.send(self.rig.name, task, partition=number % self.rig.partitions)
        await self.producer.flush()

    async def commit(self) -> None:
        await self.producer.commit_transaction()
        await self.producer.stop()

    async def abort(self) -> None:
        await self.producer.abort_transaction()
        await self.producer.stop()


async def sent(rig: Rig, name: str, numbers: Iterable[int]) -> Transaction:
    transaction = Transaction(rig, name)
    await transaction.send(numbers)
    return transaction


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("ordering", ["none", "key"])
async def test_aborted_tasks_are_never_called(site: Site, ordering: str, delivery: str):
    """Also of transactions that were open when a worker was killed, and open when the next one began."""
    rig = site.rig
    await rig.create()
    url, _ = await site.model_server("--latency", "0.02")
    flags = ("--delivery", delivery, "--ordering", ordering)
    worker = await site.worker(url, *flags)

    await (await sent(rig, "a", range(40))).commit()
    await (await sent(rig, "b", range(40, 80))).abort()
    await (await sent(rig, "a", range(80, 100))).commit()
    await rig.read(60)
    kept = await sent(rig, "kept", range(100, 120))
    dropped = await sent(rig, "dropped", range(120, 140))
    await rig.produce(questions(200)[160:], partition=1)  # behind what is open
    await worker.kill()
    worker = await site.worker(url, *flags)
    await kept.more(range(140, 150))
    await dropped.more(range(150, 160))
    seen = site.seen.received
    assert not {f"question {number}" for number in range(100, 160)} & set(seen)

    await kept.commit()
    await dropped.abort()
    await (await sent(rig, "b", range(200, 220))).abort()  # its control records are the last
    expected = {*range(40), *range(80, 120), *range(140, 150), *range(160, 200)}
    await rig.all_committed()
    results = await rig.read(len(expected), settle=0.5)
    assert await worker.terminate() == 0
    assert {result.value["task_id"] for result in results} == {f"t{number}" for number in expected}
    assert set(site.seen.received) == {f"question {number}" for number in expected}


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_an_input_of_aborted_transactions_only_is_committed_to_its_end(site: Site, delivery: str):
    """Nothing is called, nothing is written, nothing lags."""
    rig = site.rig
    await rig.create()
    url, _ = await site.model_server()
    for name in "abc":
        await (await sent(rig, name, range(40))).abort()
    worker = await site.worker(url, "--delivery", delivery)
    await rig.all_committed()
    await (await sent(rig, "a", range(40))).abort()
    await rig.all_committed()
    assert await worker.terminate() == 0
    assert site.seen.received == {}
    assert set((await rig.ends(rig.output)).values()) == {0}
