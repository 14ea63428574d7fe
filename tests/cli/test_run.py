"""How a worker begins and ends."""

import signal
import time
from pathlib import Path

import pytest

from tests.cli.site import Site


@pytest.mark.broker
def test_sigterm_drains_what_runs_and_ends_with_0(site: Site) -> None:
    with site.running() as worker:
        worker.until("ready")
        site.call("wait", 1.5, count=5)
        time.sleep(1)
        assert worker.end(signal.SIGTERM) == 0
        assert "draining (SIGTERM): taking no more, finishing what runs, at most 30 s" in worker.until(
            "draining"
        )
        assert worker.lines[-1].endswith("info streamer: stopped")
    results = site.results(5)
    assert [result["status"] for result in results] == ["succeeded"] * 5


@pytest.mark.broker
def test_an_interrupt_drains_as_well_and_ends_with_130(site: Site) -> None:
    with site.running() as worker:
        worker.until("ready")
        site.call("wait", 1)
        time.sleep(0.5)
        assert worker.end(signal.SIGINT) == 130
    assert len(site.results(1)) == 1


@pytest.mark.broker
def test_a_second_interrupt_ends_at_once(site: Site) -> None:
    with site.running() as worker:
        worker.until("ready")
        site.call("wait", 60)
        time.sleep(0.5)
        worker.send(signal.SIGINT)
        worker.until("draining")
        began = time.monotonic()
        assert worker.end(signal.SIGINT) == 130
        assert time.monotonic() - began < 2
        assert "what was running will be run again" in worker.lines[-1]


@pytest.mark.broker
@pytest.mark.parametrize("function", ["block", "refuse"])
def test_what_cannot_be_cancelled_does_not_keep_the_process(site: Site, function: str) -> None:
    with site.running("--drain-timeout", "1") as worker:
        worker.until("ready")
        site.call(function, 60)
        time.sleep(1)
        began = time.monotonic()
        assert worker.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < 6
        assert "The drain timeout came first" in worker.until("drain timeout")


@pytest.mark.broker
def test_a_signal_ends_it_while_it_starts(site: Site) -> None:
    with site.running() as worker:
        worker.until("was missing")
        assert worker.end(signal.SIGTERM) == 0
        assert [line for line in worker.lines if "ready" in line] == []


@pytest.mark.broker
def test_all_topologies_of_a_module_run_and_are_announced_in_one_line(site: Site) -> None:
    with site.module.open("a") as module:
        module.write(
            f"\nother = Topology({site.topic!r}, {site.topic + '-other'!r}, name={site.topic + '-2'!r})\n"
        )
    with site.running() as worker:
        line = worker.until("ready")
        assert f"topology {site.topic}, " in line
        assert (
            f"; topology {site.topic}-2, {site.topic} -> {site.topic}-other, group {site.topic}-2, " in line
        )
        assert worker.end(signal.SIGTERM) == 0


@pytest.mark.broker
def test_the_file_for_health_checks_is_there_while_it_takes_tasks(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "ready"
    file.write_text("from a run before")
    with site.running(STREAMER_READY_FILE=str(file)) as worker:
        worker.until("was missing")
        assert not file.exists()
        worker.until("ready")
        assert "ready" in file.read_text()
        worker.end(signal.SIGTERM)
        assert not file.exists()
