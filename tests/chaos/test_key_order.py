"""Key order as the model server sees it: calls of one key one after another, and no key in another's way."""

import asyncio
from collections import Counter, defaultdict
from itertools import groupby, pairwise
from typing import Any

import pytest

from streamer.testing.servers import Call, Fault, FaultServer
from tests.chaos.processes import DELIVERIES, Site, question
from tests.chaos.reading import Reader

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(300)]

RETRY = {"max_attempts": 4, "initial_delay": 0.05}
KEYED = {"STREAMER_ORDERING": "key", "STREAMER_CONCURRENCY": "4", "STREAMER_PARK_AFTER": "0.5"}


class Keyed(FaultServer):
    """Counts the calls that are open for each key, from their beginning to their end or their client's.

    A prompt is ``KEY/NUMBER``. ``lives`` are, for each owner in turn, the numbers by key as they were called.
    """

    def __init__(self, **simulated: Any) -> None:
        super().__init__(self.fate, keep=False, **simulated)
        self.open: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        """How many calls of a key were open at once."""
        self.times: Counter[str] = Counter()
        """How often a prompt was called."""
        self.parked: set[str] = set()
        """Prompts that were told to come back much later, and did not yet."""
        self.lives: list[dict[str, list[int]]] = []

    def begins(self) -> None:
        """What comes from now on is another owner's."""
        self.lives.append(defaultdict(list))

    async def handle(self, client: Any, headers: dict[str, str], body: dict[str, Any]) -> None:
        key, _, number = body["messages"][-1]["content"].partition("/")
        self.lives[-1][key].append(int(number))
        self.open[key] += 1
        self.most[key] = max(self.most[key], self.open[key])
        try:
            await super().handle(client, headers, body)
        finally:
            self.open[key] -= 1

    def fate(self, call: Call) -> Fault | None:
        """The first call for some is refused, for others with a long Retry-After; the second is answered."""
        prompt, number = call.prompt, int(call.prompt.partition("/")[2])
        self.times[prompt] += 1
        self.parked.discard(prompt)
        if self.times[prompt] == 1 and number % 13 == 2:
            self.parked.add(prompt)
            return Fault(kind="status", status=429, retry_after=2)
        if self.times[prompt] == 1 and number % 6 == 1:
            return Fault(kind="status", status=503)
        return None

    async def until_parked(self) -> set[str]:
        """Wait until some task waits for long: which do."""
        while not self.parked:
            await asyncio.sleep(0.01)
        return set(self.parked)

    def one_at_a_time(self) -> None:
        """Assert that no two calls of a key overlapped, and that each owner went from task to task in order."""
        assert set(self.most.values()) == {1}, self.most
        for life in self.lives:
            for key, numbers in life.items():
                tasks = [number for number, _ in groupby(numbers)]  # a retry is a call for the same one
                assert all(before < after for before, after in pairwise(tasks)), (key, numbers)


async def produce(site: Site, keys: list[str]) -> None:
    """A task for each, with its key, in the first partition."""
    tasks = [question(n, prompt=f"{key}/{n}", retry=RETRY) for n, key in enumerate(keys)]
    await site.rig.produce(tasks, key=lambda number: keys[number].encode(), partition=0)


async def in_input_order(site: Site, keys: list[str], delivery: str) -> None:
    """Assert that each key's results are published in the order of its tasks, each once if that is the mode."""
    results = await site.rig.read(len(keys), settle=0.5, distinct=True)
    published: dict[str, list[int]] = defaultdict(list)
    for result in sorted(results, key=lambda result: (result.partition, result.offset)):
        assert result.value["status"] == "succeeded"
        assert result.key is not None
        published[result.key.decode()].append(int(result.value["task_id"][1:]))
    for key, numbers in published.items():
        seen = numbers if delivery == "exactly-once" else list(dict.fromkeys(numbers))
        assert seen == [number for number, its in enumerate(keys) if its == key]


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_an_owner_never_runs_a_key_twice_at_once(site: Site, delivery: str):
    """Through retries, parking, a drain and a kill; parked tasks count their attempts on behind the drain."""
    keys = [f"key {number % 8}" for number in range(160)]
    async with Keyed(latency="uniform(0.02,0.06)", seed=5) as server, Reader(site.rig) as reader:

        async def owner():
            server.begins()
            return await site.worker(server.url, delivery=delivery, **KEYED)

        worker = await owner()
        await produce(site, keys)
        await reader.until(30)
        parked = await server.until_parked()
        assert await worker.terminate() == 0
        worker = await owner()
        await reader.until(90)
        await server.until_parked()
        assert max(server.times[prompt] for prompt in parked) <= 2
        await worker.kill()
        worker = await owner()
        await reader.until(len(keys))
        await site.rig.all_committed()
        assert await worker.terminate() == 0
        server.one_at_a_time()
    again = sum(times > 2 for times in server.times.values())
    print(f"{delivery}: {server.received} calls, {len(parked)} parked at the drain, {again} called again")
    await in_input_order(site, keys, delivery)


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_hot_key_holds_no_other_up(site: Site, delivery: str):
    """A third of all tasks, before all others in their partition, and more than may be outstanding.

    While the first of them is not answered all others are; then it is their turn, one at a time.
    """
    keys = ["hot"] * 40 + [f"key {number % 20}" for number in range(80)]
    others_done = asyncio.Event()

    class Held(Keyed):
        async def send(self, client: Any, call: Call, *more: Any) -> bool:
            if call.prompt.startswith("hot/"):
                await others_done.wait()
            return await super().send(client, call, *more)

    async with Held(latency="0.01") as server, Reader(site.rig) as reader:
        server.rule = None
        server.begins()
        worker = await site.worker(server.url, delivery=delivery, STREAMER_OUTSTANDING="8", **KEYED)
        await produce(site, keys)
        await reader.until(80)
        assert server.lives[0]["hot"] == [0]
        assert set(reader.ids) == {f"t{number}" for number, key in enumerate(keys) if key != "hot"}
        others_done.set()
        await reader.until(120)
        await site.rig.all_committed()
        assert await worker.terminate() == 0
        server.one_at_a_time()
    await in_input_order(site, keys, delivery)
