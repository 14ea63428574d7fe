"""Tasks of the wire, of a topology with a name of the test's own: so are its dead letters."""

import os

from streamer import Topology

name = os.environ["TEST_TOPOLOGY"]
topology = Topology(input=name, output=f"{name}-results", concurrency=100)


@topology.function
def add(a: float, b: float) -> float:
    return a + b
