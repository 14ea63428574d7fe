"""Failed tasks that are dead letters besides: their one result as always, and the record with the reason."""

import asyncio

import pytest

from streamer.kafka.letters import Wanted
from streamer.kafka.redrive import Redrive
from streamer.kafka.topics import ensure
from streamer.worker import Worker
from tests.kafka.rig import Rig
from tests.kafka.test_redrive import Told
from tests.kafka.test_worker import echo, set_limit

pytestmark = [pytest.mark.broker, pytest.mark.kafka]
CONNECT = "__connect.errors."


@pytest.fixture(params=["at-least-once", "exactly-once"])
def rig(request, broker, topic_name) -> Rig:
    return Rig(broker.bootstrap_servers, topic_name, delivery=request.param)


class Repaired:
    """A topology whose functions fail in their ways until it is said to be repaired."""

    def __init__(self, rig: Rig) -> None:
        self.broken = True
        self.topology = rig.topology(dead_letter_failed=True)

        @self.topology.function
        async def fails(detail: str = "no luck") -> str:
            if self.broken:
                raise ValueError(detail)
            return "well"

        @self.topology.function
        async def hangs() -> None:
            await asyncio.Event().wait()

        @self.topology.function
        async def cancels() -> None:
            raise asyncio.CancelledError


def call(name: str, **fields) -> dict:
    return {"id": name, "kind": "function", "name": name, **fields}


async def test_what_failed_or_timed_out_is_a_dead_letter_besides_its_result(rig):
    """One result each; the record as it came, with what the error says; what ended otherwise is none."""
    tasks = [call("fails", metadata={"n": 1}), call("hangs", timeout=0.1), call("cancels"), echo(1)]
    async with rig.worker(Repaired(rig).topology):
        await rig.produce([*tasks, b"?"], key=b"k", headers=[("mine", b"1")])
        results = await rig.read(4, settle=0.5)
        letters = await rig.read(3, topic=rig.dead_letters, settle=0.5)
        await rig.all_committed()
    assert sorted((result.value["task_id"], result.value["status"]) for result in results) == [
        ("cancels", "cancelled"),
        ("fails", "failed"),
        ("hangs", "timed_out"),
        ("t1", "succeeded"),
    ]
    said = {letter.headers.get("streamer-task-id"): letter for letter in letters}
    assert said[None].headers["streamer-dead-letter-reason"] == b"decode_error"
    failed, hung = said[b"fails"], said[b"hangs"]
    assert (failed.key, failed.value, failed.headers["mine"]) == (b"k", tasks[0], b"1")
    assert failed.headers["streamer-dead-letter-reason"] == b"failed"
    assert failed.headers[f"{CONNECT}exception.class.name"] == b"ValueError"
    assert failed.headers[f"{CONNECT}exception.message"] == b"internal: no luck"
    assert b"in fails" in failed.headers[f"{CONNECT}exception.stacktrace"]
    assert failed.headers[f"{CONNECT}stage"] == b"TASK_PUT"
    assert hung.headers["streamer-dead-letter-reason"] == b"failed"
    assert hung.headers[f"{CONNECT}exception.message"].startswith(b"timeout: ")


async def test_it_can_be_redriven(rig):
    """What was repaired meanwhile succeeds, as another task."""
    repaired = Repaired(rig)
    async with rig.worker(repaired.topology) as worker:
        await rig.produce([call("fails"), b"?"])
        await rig.read(2, topic=rig.dead_letters)
        repaired.broken = False
        told = await redriven(rig, worker)
        results = await rig.read(2, settle=0.5)
        await rig.all_committed()
    assert len(told.copied) == 1
    assert [result.value["status"] for result in results] == ["failed", "succeeded"]


async def redriven(rig: Rig, worker: Worker) -> Told:
    there = await ensure(rig.connection, worker.topics())
    told, wanted = Told(), Wanted(frozenset({"failed"}))
    await Redrive(rig.connection, rig.dead_letters, there, told, wanted=wanted).run()
    return told


@pytest.mark.parametrize("small", ["dead letters", "both"])
async def test_a_dead_letter_that_is_refused_for_its_size_holds_nothing_up(rig, small):
    """It goes without its value; a result that is refused as well goes as it always does; others are as they are."""
    repaired = Repaired(rig)
    tasks = [call("fails", id=f"f{number}") for number in range(10)]
    tasks[4] |= {"metadata": {"blob": "x" * 20_000}}
    async with rig.worker(repaired.topology):
        await set_limit(rig, rig.dead_letters, 8_000)
        if small == "both":
            await set_limit(rig, rig.output, 8_000)
        await rig.produce([*tasks, echo(1)], partition=0)
        results = await rig.read(11, settle=0.5)
        letters = await rig.read(10, topic=rig.dead_letters, settle=0.5)
        await rig.all_committed()
    assert len({result.value["task_id"] for result in results}) == len(results) == 11
    types = {result.value["task_id"]: (result.value["error"] or {}).get("type") for result in results}
    assert types.pop("t1") is None
    assert types.pop("f4") == ("Unwritable" if small == "both" else "ValueError")
    assert set(types.values()) == {"ValueError"}
    assert len({letter.headers["streamer-task-id"] for letter in letters}) == len(letters) == 10
    (large,) = (letter for letter in letters if letter.value is None)
    assert large.headers["streamer-task-id"] == b"f4"
    assert int(large.headers["streamer-dead-letter-value-bytes"]) > 20_000


async def test_a_result_that_fails_for_its_size_is_a_dead_letter_as_well(rig):
    """However well the task went: with a claim check it may be redriven."""
    async with rig.worker(rig.topology(dead_letter_failed=True)):
        await set_limit(rig, rig.output, 8_000)
        await rig.produce([echo(0) | {"prompt": "x" * 20_000}], partition=0)
        (result,) = await rig.read(1, settle=0.5)
        (letter,) = await rig.read(1, topic=rig.dead_letters, settle=0.5)
        await rig.all_committed()
    assert (result.value["status"], result.value["error"]["type"]) == ("failed", "Unwritable")
    assert letter.headers[f"{CONNECT}exception.class.name"] == b"Unwritable"


async def test_the_offset_is_finished_when_both_are_there(rig):
    """While the dead letter can't be written nothing is committed; in a transaction nobody sees the result either."""
    async with rig.worker(Repaired(rig).topology):
        await rig.produce([echo(0)], partition=0)
        await rig.read(1)
        await rig.all_committed()
        await set_limit(rig, rig.dead_letters, 100)
        await rig.produce([call("fails")], partition=0)
        async with asyncio.timeout(30):
            while not any(f"Can't write to {rig.dead_letters}" in warning for warning in rig.warnings):
                await asyncio.sleep(0.05)
        seen = await rig.read(1, settle=0.5)
        (committed, _) = (await rig.committed())[0]
        await set_limit(rig, rig.dead_letters, 1_000_000)
        results = await rig.read(2)
        await rig.all_committed()
    assert committed == 1
    assert len(seen) == (2 if rig.delivery == "at-least-once" else 1)
    assert [result.value["task_id"] for result in results] == ["t0", "fails"]
