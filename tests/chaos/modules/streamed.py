"""Tasks of the wire, whose ``openai:streamed`` answers in pieces."""

from streamer import Topology
from streamer.providers import provider

provider("openai:streamed", stream=True)
topology = Topology(input="tasks", output="results", concurrency=200)
