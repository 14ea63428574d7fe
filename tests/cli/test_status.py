"""``streamer status``: why a partition does not move, with and without workers."""

import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from tests.cli.shell import Done, lines, streamer
from tests.cli.site import Site

Run = Callable[..., Done]


def said(site: Site) -> dict:
    """What it says of the site's group, as JSON."""
    done = streamer("status", str(site.module), "--json", STREAMER_BOOTSTRAP_SERVERS=site.servers)
    assert (done.code, done.err) == (0, "")
    (group,) = json.loads(done.out)
    return group


def until(site: Site, holds: Callable[[dict], bool], seconds: float = 30) -> dict:
    """The first answer of which that holds."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        group = said(site)
        if holds(group):
            return group
        time.sleep(0.2)
    raise AssertionError(group)


def whys(group: dict) -> list[str]:
    return [partition["why"] for partition in group["partitions"]]


def hanging(site: Site, task: dict) -> None:
    done = streamer("produce", site.topic, "-", stdin=lines(task), STREAMER_BOOTSTRAP_SERVERS=site.servers)
    assert done.code == 0


@pytest.mark.kafka
@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_a_hanging_provider_is_named_with_its_attempt(site: Site, delivery: str) -> None:
    model = {"kind": "llm", "model": "simulated:slow?latency=600", "prompt": "?"}
    with site.running("--drain-timeout", "0", "--delivery", delivery) as worker:
        worker.until("ready")
        hanging(site, {"id": "q-17", "kind": "parallel", "tasks": [{**model, "model": "echo:"}, model]})
        group = until(site, lambda group: any("waits for answer" in why for why in whys(group)))
        (held,) = [p for p in group["partitions"] if p["left"]]
        assert held["why"].startswith("waits for answer of simulated (attempt q-17/1#1, ")
        assert held["oldest"]["call"]["provider"] == "simulated"
        assert (held["worker"], held["left"]) == (1, 1)
        assert whys(group).count("fine: 0 behind") == 3
        shown = streamer("status", "--topic", site.topic, STREAMER_BOOTSTRAP_SERVERS=site.servers).out
        assert f"Group {site.topic}  stable, 1 worker, 1 behind" in shown
        assert "offset 0, task q-17, began" in shown
        worker.end(signal.SIGTERM)


@pytest.mark.kafka
def test_without_workers_the_commit_tells_what_is_unfinished(site: Site) -> None:
    with site.running("--drain-timeout", "0") as worker:
        worker.until("ready")
        hanging(site, {"id": "slow", "kind": "function", "name": "wait", "arguments": [600]})
        until(site, lambda group: any("waits for function wait" in why for why in whys(group)))
        worker.end(signal.SIGTERM)
    group = said(site)
    assert (group["state"], group["workers"]) == ("Empty", [])
    (held,) = [p for p in group["partitions"] if p["left"]]
    assert held["why"] == "nobody is assigned: no worker runs"
    assert {why for why in whys(group) if why != held["why"]} == {"fine: 0 behind (nobody is assigned)"}


@pytest.mark.kafka
def test_each_of_two_workers_is_asked(site: Site) -> None:
    with site.running() as first:
        first.until("ready")
        with site.running() as second:
            second.until("ready")
            group = until(
                site, lambda group: len(group["workers"]) == 2 and whys(group) == ["fine: 0 behind"] * 4
            )
            assert sorted(partition["worker"] for partition in group["partitions"]) == [1, 1, 2, 2]
            pids = {worker["worker"]["pid"] for worker in group["workers"]}
            assert pids == {first.process.pid, second.process.pid}
            second.end(signal.SIGTERM)
        first.end(signal.SIGTERM)


@pytest.mark.kafka
def test_a_worker_that_was_killed_or_serves_nothing_is_told(site: Site) -> None:
    with site.running(STREAMER_STATUS_PORT="off") as worker:
        worker.until("ready")
        assert [member["silent"] for member in said(site)["workers"]] == ["it serves no status"]
        worker.end(signal.SIGTERM)
    with site.running(STREAMER_SESSION_TIMEOUT="30") as worker:
        worker.until("ready")
        worker.end(signal.SIGKILL)
        (member,) = said(site)["workers"]
        assert member["silent"].startswith("its process is gone")


@pytest.mark.kafka
def test_health_is_503_while_the_event_loop_is_kept(site: Site) -> None:
    with site.module.open("a") as module:
        module.write("\n@topology.function\nasync def keep(seconds: float):\n    time.sleep(seconds)\n")
    with site.running() as worker:
        worker.until("ready")
        (member,) = said(site)["workers"]
        port = member["client_id"].rpartition("-p")[2]
        assert asked(port, "health") == (200, {"healthy": True, "problems": [], "stuck": []})
        assert asked(port, "ready") == (200, {"state": "running"})
        site.call("keep", 5)
        worker.until("The event loop stood still for")
        code, body = asked(port, "health")
        assert (code, body["healthy"]) == (503, False)
        assert "run_in='process'" in body["problems"][0]
        worker.end(signal.SIGTERM)


def asked(port: str, what: str) -> tuple[int, dict]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{what}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.broker
def test_whose_status_has_to_be_said(on: Run) -> None:
    done = on("status")
    assert done.code == 2
    assert "streamer status MODULE, or --group NAME, or --topic TOPIC" in done.one_line
