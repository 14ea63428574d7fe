"""Large results and tasks on a worker with a claim check."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest

from streamer.errors import SettingsError
from tests.kafka.rig import Rig

pytestmark = pytest.mark.broker


@pytest.fixture
def rig(broker, topic_name) -> Rig:
    return Rig(broker.bootstrap_servers, topic_name)


def tasks(*sizes: int) -> list[dict]:
    return [
        {"id": f"t{size}", "kind": "function", "name": "large", "arguments": {"size": size}} for size in sizes
    ]


def topology(rig: Rig, **settings):
    made = rig.topology(claim_check_bytes=10_000, **settings)

    @made.function
    async def large(size: int) -> str:
        return "x" * size

    return made


async def test_a_large_result_is_put_there_and_the_record_says_where(rig, tmp_path):
    """Whole, with size and digest; a small one is as ever."""
    async with rig.worker(topology(rig, claim_check=str(tmp_path))):
        await rig.produce(tasks(10, 3_000_000))
        found = {result.value["task_id"]: result for result in await rig.read(2)}
    small, large = found["t10"], found["t3000000"]
    assert "claim_check" not in small.value
    assert "streamer-claim-check" not in small.headers
    claim = large.value["claim_check"]
    assert large.headers["streamer-claim-check"].decode() == claim["location"]
    assert (large.value["status"], "value" in large.value) == ("succeeded", False)
    data = Path(claim["location"]).read_bytes()
    assert (claim["bytes"], claim["sha256"]) == (len(data), sha256(data).hexdigest())
    whole = json.loads(data)
    assert (whole["task_id"], whole["value"]) == ("t3000000", "x" * 3_000_000)
    assert rig.warnings == []


async def test_a_store_that_fails_makes_a_failed_result_with_the_sizes(rig, tmp_path):
    """Never a stuck partition."""
    async with rig.worker(topology(rig, claim_check=str(tmp_path))):
        (tmp_path / rig.name).write_text("in the way of the directory of that name")
        await rig.produce(tasks(20_000, 10))
        results = await rig.read(2)
        await rig.all_committed()
    error = next(result.value["error"] for result in results if result.value["error"])
    assert error["category"] == "internal"
    assert "above claim_check_bytes of 10000" in error["message"]


@pytest.mark.parametrize("absolute", [True, False])
async def test_a_task_is_read_from_where_its_header_says(rig, tmp_path, absolute):
    """Also one that is larger than messages may be; the value is not looked at."""
    task = {"id": "t", "kind": "llm", "model": "echo:", "prompt": "x" * 2_000_000}
    (tmp_path / "task.json").write_text(json.dumps(task))
    location = str(tmp_path / "task.json") if absolute else "task.json"
    async with rig.worker(topology(rig, claim_check=str(tmp_path))):
        await rig.produce([b""], key=b"k", headers=[("streamer-claim-check", location.encode())])
        (result,) = await rig.read(1)
    assert (result.key, result.value["task_id"], result.value["status"]) == (b"k", "t", "succeeded")
    assert result.value["claim_check"]["bytes"] > 2_000_000


WRONG = {
    "/etc/passwd": ("validation_error", "is not below"),
    "../../etc/passwd": ("validation_error", "is not below"),
    "": ("decode_error", "can't be read: FileNotFoundError"),
    "nowhere": ("decode_error", "can't be read: FileNotFoundError"),
    "bad.json": ("validation_error", "unknown field `promt`"),
    "other.json": ("decode_error", "its sha256 is another"),
    "sparse.json": ("decode_error", "its sha256 is another"),
}


async def test_what_cannot_be_read_is_a_dead_letter_with_its_header(rig, tmp_path):
    """So a redrive brings it again; the worker goes on."""
    (tmp_path / "bad.json").write_text('{"kind": "llm", "model": "echo:", "promt": "x"}')
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "sparse.json").write_text("{}")
    claims = {
        "other.json": {"claim_check": {"location": "other.json", "bytes": 2, "sha256": "0"}},
        "sparse.json": {"claim_check": {"sha256": "0"}},
    }
    async with rig.worker(topology(rig, claim_check=str(tmp_path))):
        for location in WRONG:
            headers = [("streamer-claim-check", location.encode()), ("streamer-task-id", location.encode())]
            await rig.produce([claims.get(location, b"")], headers=headers)
        letters = await rig.read(len(WRONG), topic=rig.dead_letters)
        await rig.all_committed()
    told = [warning for warning in rig.warnings if f" in {rig.dead_letters} (" in warning]
    assert sum(int(warning.split()[0]) for warning in told) == len(WRONG)
    assert len(told) == 2  # the first at once, the others when the worker ends
    for letter in letters:
        reason, said = WRONG[letter.headers["streamer-claim-check"].decode()]
        assert letter.headers["streamer-dead-letter-reason"].decode() == reason
        assert said in letter.headers["__connect.errors.exception.message"].decode()
        assert letter.headers["streamer-task-id"] == letter.headers["streamer-claim-check"]


async def test_without_a_claim_check_the_header_is_refused(rig):
    """It says which setting is missing."""
    async with rig.worker(topology(rig)):
        await rig.produce([b"{}"], headers=[("streamer-claim-check", b"/etc/passwd")])
        (letter,) = await rig.read(1, topic=rig.dead_letters)
    assert letter.headers["streamer-dead-letter-reason"] == b"validation_error"
    assert b"set STREAMER_CLAIM_CHECK" in letter.headers["__connect.errors.exception.message"]


async def test_a_directory_that_is_missing_ends_the_start(rig, tmp_path):
    """Before anything is polled."""
    with pytest.raises(SettingsError, match="Make it, or mount it"):
        async with rig.worker(topology(rig, claim_check=os.fspath(tmp_path / "nowhere"))):
            pass
