"""Several processes under one parent."""

import signal

import pytest

from tests.cli.site import Site


@pytest.mark.kafka
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_processes_share_the_work_and_end_together(site: Site, number: signal.Signals, code: int) -> None:
    with site.running("--processes", "2") as workers:
        assert "ready: 2 processes; topology" in workers.until("ready")
        site.call("wait", 0.5, count=40)
        assert len(site.results(40)) == 40
        assert workers.end(number) == code
        assert len([line for line in workers.lines if "ready" in line]) == 1
        assert len([line for line in workers.lines if line.endswith("stopped")]) == 2


@pytest.mark.kafka
def test_processes_end_when_their_parent_is_killed(site: Site) -> None:
    with site.running("--processes", "2") as workers:
        workers.until("ready")
        workers.process.kill()
        workers.reader.join(20)  # the pipe closes when the last child has ended
        assert len([line for line in workers.lines if "the parent process is gone" in line]) == 2
        assert len([line for line in workers.lines if line.endswith("stopped")]) == 2
