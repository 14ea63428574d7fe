"""Sample tasks of every kind that this version runs; some fail, some time out, and one is no task at all."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from random import Random
from typing import Any

from streamer.cli.demo.topology import BUSY, CAREFUL, ECHO, LOCKED, OTHER, QUICK, STUCK

CITIES = ("Paris", "Lagos", "Quito", "Hanoi", "Oslo", "Lima", "Cairo", "Perth")
DEAD = {"kind": "llm", "model": QUICK, "promt": "The field's name is misspelt, on purpose."}
"""It becomes the dead letter."""
Sample = Callable[[str], dict[str, Any]]


def llm(city: str, model: str = QUICK, **more: Any) -> dict[str, Any]:
    return {"kind": "llm", "model": model, "prompt": f"What is {city} known for?", **more}


def look_up(city: str) -> dict[str, Any]:
    return {"kind": "function", "name": "look_up", "arguments": {"city": city}}


def count_words(city: str) -> dict[str, Any]:
    return {"kind": "function", "name": "count_words", "arguments": [f"All the words about {city}."]}


SAMPLES: tuple[tuple[int, Sample], ...] = (
    (8, llm),
    (3, lambda city: llm(city, ECHO)),
    (3, look_up),
    (3, count_words),
    (4, lambda city: {"kind": "parallel", "tasks": {"ask": llm(city), "look_up": look_up(city)}}),
    (5, lambda city: {"kind": "race", "tasks": [llm(city), llm(city, OTHER)]}),
    (4, lambda city: {"kind": "fallback", "tasks": [llm(city, BUSY), llm(city, CAREFUL)]}),
    (3, lambda city: {"kind": "sequence", "pass_result": True, "tasks": [llm(city, ECHO), llm(city)]}),
    (1, lambda city: llm(city, LOCKED)),
    (1, lambda city: llm(city, STUCK, timeout=0.8, retry={"max_attempts": 1})),
    (1, lambda _: {"kind": "function", "name": "divide", "arguments": [1, 0]}),
)
"""Each with how many of it there are in a round."""


def samples(count: int) -> list[dict[str, Any]]:
    """``count`` tasks, the same each time, in a mixed order; one of them is the dead letter."""
    in_turn = cycle([sample for share, sample in SAMPLES for _ in range(share)])
    cities = cycle(CITIES)
    tasks = [next(in_turn)(next(cities)) | {"id": f"task-{number}"} for number in range(1, count)]
    Random(7).shuffle(tasks)
    tasks.insert(count // 3, DEAD)
    return tasks
