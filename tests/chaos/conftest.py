"""A site for a test: workers and model servers that are gone when it ends."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos.processes import Site
from tests.kafka.rig import Rig


@pytest.fixture
async def site(broker, topic_name: str, tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(Rig(broker.bootstrap_servers, topic_name), tmp_path)
    yield made
    await made.close()
