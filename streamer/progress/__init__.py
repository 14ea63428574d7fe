"""How far things are: a tree with weights, as values and on a terminal."""

from streamer.progress.node import Node
from streamer.progress.progress import Progress
from streamer.progress.snapshot import Snapshot, State

__all__ = ["Node", "Progress", "Snapshot", "State"]
