"""Functions for processes."""

import math
import os
import signal
import time

from streamer.errors import CallFailed


class Awkward(Exception):
    """Can't be unpickled."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def process_id():
    return os.getpid()


def divide(a, b=1):
    return a / b


def awkward():
    raise Awkward("one", "two")


def busy():
    raise CallFailed("overloaded", "Busy.", retry_after=2.0)


def misses():
    with open("/no/such/file"):  # noqa: PTH123
        pass


def leaves():
    raise SystemExit(3)


def lambdas():
    return lambda: None


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def computes(seconds):
    """In one go, as a loop without end would."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        math.sqrt(2)
    return os.getpid()


def count(until):
    yield from range(until)


def spell(word):
    yield from word
