"""A site for a test: workers and model servers that are gone when it ends."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos.processes import Site
from tests.kafka.rig import Rig


@pytest.fixture
def partitions() -> int:
    """Of the input; a module that needs another number says so."""
    return 4


@pytest.fixture
async def site(broker, topic_name: str, tmp_path: Path, partitions: int) -> AsyncIterator[Site]:
    made = Site(Rig(broker.bootstrap_servers, topic_name, partitions), tmp_path)
    yield made
    await made.close()
