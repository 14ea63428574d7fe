"""The command line as a shell sees it: processes, their two streams, signals, exit codes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from streamer.settings import ENVIRONMENT

STREAMER = (sys.executable, "-m", "streamer")
ROOT = Path(__file__).parents[2]


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def one_line(self) -> str:
        """What standard error says, which is one line and no traceback."""
        assert "Traceback" not in self.err
        assert len(self.err.splitlines()) == 1, self.err
        return self.err.strip()


def environment(**ours: str) -> dict[str, str]:
    """This process's environment without settings of Streamer's, and with ours."""
    ours_or_none = {*ENVIRONMENT.values(), "STREAMER_PROCESSES", "STREAMER_NO_CREATE"}
    kept = {name: value for name, value in os.environ.items() if name not in ours_or_none}
    return kept | {"COLUMNS": "100"} | ours


def streamer(*arguments: str, cwd: Path = ROOT, stdin: bytes = b"", seconds: float = 60, **env: str) -> Done:
    """Run a command to its end."""
    done = subprocess.run(
        [*STREAMER, *arguments],
        cwd=cwd,
        env=environment(**env),
        input=stdin,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def lines(*values: object) -> bytes:
    """JSON Lines."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def interruptible() -> None:
    """What a script starts in the background ignores SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Running:
    """A command that runs; its standard error is read as it comes."""

    def __init__(self, *arguments: str, cwd: Path = ROOT, **env: str) -> None:
        self.process = subprocess.Popen(
            [*STREAMER, *arguments],
            cwd=cwd,
            env=environment(**env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=interruptible,
        )
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self.reader.join(10)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.decode().rstrip())

    def until(self, sign: str, seconds: float = 30) -> str:
        """Wait for the line that holds ``sign``."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            for line in list(self.lines):
                if sign in line:
                    return line
            if self.process.poll() is not None and not self.reader.is_alive():
                break
            time.sleep(0.02)
        raise AssertionError(f"no line with {sign!r} within {seconds:g} s:\n" + "\n".join(self.lines))

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals | None = None, seconds: float = 30) -> int:
        """Its exit code; after a signal, if one is given."""
        if number is not None:
            self.send(number)
        code = self.process.wait(seconds)
        self.reader.join(10)
        return code
