"""A model server for tests: chat completions over real sockets, with faults by rule, and a count of its own.

``python -m streamer.testing.servers --port 0 --log FILE --latency "lognormal(0.3,0.5)" --seed 7`` runs it as
a process: it prints one line, ``listening http://127.0.0.1:PORT/v1``, and serves until it is told to end.
"""

from streamer.testing.servers.calls import Call
from streamer.testing.servers.faults import Fault
from streamer.testing.servers.plan import Plan, text_for
from streamer.testing.servers.server import FaultServer

__all__ = ["Call", "Fault", "FaultServer", "Plan", "text_for"]
