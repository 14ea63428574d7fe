"""Functions that compute, in processes of their own."""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import pickle
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

from streamer.errors import CallFailed, Cancelled, Category, SettingsError, StreamerError
from streamer.operand import collected

Place = tuple[str, str | None, str]
"""Where a function is found: its module, that one's file, its name there."""


class Job:
    """One call. Invariant: ``process`` is set exactly while it is this call's, so that nobody else's is killed."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.process: Process | None = None
        self.cancelled = False

    def cancel(self) -> None:
        """End it, at once."""
        with self.lock:
            self.cancelled = True
            if self.process is not None:
                self.process.kill()


class Process:
    """A process that answers one call at a time; it ends when its pipe does."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, asked: bytes) -> bytes:
        """What it answers; an EOFError or OSError where it has died."""
        self.pipe.send_bytes(asked)
        return self.pipe.recv_bytes()

    def kill(self) -> None:
        self.process.kill()

    def close(self) -> None:
        """It ends, by the end of its pipe; what computes is killed."""
        self.pipe.close()
        self.process.join(1.0)
        if self.process.is_alive():
            self.kill()


class Processes:
    """The processes of one function: made when needed, used again, as many as there are calls at once."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.name = name
        self.place = place_of(function, name)
        self.idle: list[Process] = []

    def call(self, job: Job, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Call the function and wait, in a thread. A process that dies takes this call with it and no other."""
        asked = pickle.dumps((self.place, args, named))
        try:
            process = self.idle.pop()
        except IndexError:
            process = Process()
        with job.lock:
            job.process = process
            if job.cancelled:
                process.kill()
        died = True
        try:
            answered = process.ask(asked)
            died = False
        except (EOFError, OSError) as error:
            raise self.death(process, job) from error
        finally:
            with job.lock:
                job.process = None
            if died or job.cancelled:
                process.close()
            else:
                self.idle.append(process)
        succeeded, answer = pickle.loads(answered)
        if not succeeded:
            raise answer
        return answer

    def death(self, process: Process, job: Job) -> CallFailed:
        """What the end of a process means for the call that it took with it."""
        if job.cancelled:
            return Cancelled("Its process was killed.")
        process.kill()  # whatever closed its pipe
        process.process.join()
        code = process.process.exitcode
        return CallFailed(
            Category.INTERNAL, f"The process of function {self.name!r} ended with {code} while it ran."
        )

    def close(self) -> None:
        """End those that have nothing to do; made anew when needed."""
        while self.idle:
            self.idle.pop().close()


def place_of(function: Callable[..., Any], name: str) -> Place:
    """Where a process finds it; a SettingsError where it can't."""
    module = getattr(function, "__module__", None)
    qualname = getattr(function, "__qualname__", None)
    owner = getattr(function, "__self__", None)
    if not module or not qualname or "<" in qualname or not (owner is None or isinstance(owner, ModuleType)):
        raise SettingsError(
            f"function {name!r}: run_in='process' takes a function that a process can import, one at the top of a "
            f"module, not {qualname or type(function).__name__}."
        )
    file = getattr(sys.modules.get(module), "__file__", None)
    return module, None if file is None or module == "__main__" else str(Path(file).resolve()), qualname


@cache
def found(place: Place) -> Callable[..., Any]:
    """The function, in a process."""
    name, file, qualname = place
    module: Any = None
    with suppress(ModuleNotFoundError):
        module = importlib.import_module(name)
    if file is not None and (module is None or str(Path(module.__file__ or "").resolve()) != file):
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    for part in qualname.split("."):
        module = getattr(module, part)
    return module  # type: ignore[no-any-return]


def serve(pipe: Connection) -> None:
    """What such a process does, until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it, and lets it finish
    while True:
        try:
            asked = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            place, args, named = pickle.loads(asked)
            answer = pickle.dumps((True, collected(found(place)(*args, **named))))
        except Exception as error:
            answer = pickle.dumps((False, portable(error)))
        except BaseException as error:
            answer = pickle.dumps((False, StreamerError(f"It raised {error!r}.")))
        try:
            pipe.send_bytes(answer)
        except OSError:
            return


def portable(error: Exception) -> Exception:
    """The exception, or what can be said of it where it does not travel."""
    error.__traceback__ = None
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return StreamerError(f"{type(error).__name__}: {error}")
    return error
