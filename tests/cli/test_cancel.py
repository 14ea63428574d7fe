"""``streamer cancel``."""

import json

import pytest

from tests.cli.shell import streamer
from tests.cli.site import Site

pytestmark = pytest.mark.broker


def test_a_task_is_cancelled_by_its_id(site: Site) -> None:
    task = {"id": "t-1", "kind": "function", "name": "wait", "arguments": [300]}
    env = {"STREAMER_BOOTSTRAP_SERVERS": site.servers}
    with site.running() as worker:
        worker.until("ready")
        streamer("produce", site.topic, "-", stdin=json.dumps(task).encode(), **env)
        done = streamer("cancel", str(site.module), "t-1", "t-2", **env)
        assert done.code == 0
        assert done.one_line == f"workers of {site.topic} were asked to cancel t-1, t-2"
        (result,) = site.results(1)
    assert (result["task_id"], result["status"]) == ("t-1", "cancelled")


def test_an_empty_id_is_refused(site: Site) -> None:
    done = streamer("cancel", str(site.module), "t-1", "", STREAMER_BOOTSTRAP_SERVERS=site.servers)
    assert (done.code, "has at least one character" in done.err) == (2, True)
