"""Answer questions: race two quick models, each tried again, and fall back to a careful one.

Runs as it is, on simulated models. For real ones set their names and the keys of their providers:
QUICK_MODEL=openai:gpt-4o-mini CAREFUL_MODEL=openai:gpt-4o OPENAI_API_KEY=... streamer run topologies/answers.py
"""

import os

from streamer import Single, Topology, fallback, race, retry, timeout
from streamer.providers import provider
from streamer.tasks import Llm

QUICK = "simulated:quick?latency=lognormal(0.3,0.5)&error_rate=0.05"
OTHER = "simulated:other?latency=lognormal(0.4,0.5)&error_rate=0.05"
CAREFUL = "simulated:careful?latency=lognormal(1,0.3)"

quick = provider(os.environ.get("QUICK_MODEL", QUICK), concurrency=200)
other = provider(os.environ.get("OTHER_MODEL", OTHER))
careful = provider(os.environ.get("CAREFUL_MODEL", CAREFUL))

topology = Topology(input="questions", output="answers", concurrency=500, ordering="key")


@topology.task
def answer(task: Llm) -> Single[str]:
    """The question's own model does not matter: this topology chooses."""
    return fallback(
        race(quick(task).pipe(timeout(10), retry(3)), other(task).pipe(timeout(10), retry(3))),
        careful(task).pipe(timeout(60), retry(5)),
    )
