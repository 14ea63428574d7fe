"""The peers, each in a process of its own, seen from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.end_to_end.scenarios import Scenario

ROOT = Path(__file__).parents[2]
PEERS = ("hand_written", "fast_stream", "streamer")


class Wiring(NamedTuple):
    """Where a peer reads and writes."""

    bootstrap_servers: str
    input: str
    output: str
    group: str


def command(peer: str, scenario: Scenario, wiring: Wiring) -> list[str]:
    """How it is started. Streamer is the command that users type."""
    flags = [
        *("--bootstrap-servers", wiring.bootstrap_servers),
        *("--input", wiring.input),
        *("--output", wiring.output),
        *("--group", wiring.group),
        *("--concurrency", str(scenario.concurrency)),
    ]
    if peer == "streamer":
        return [sys.executable, "-m", "streamer", "run", scenario.topology, *flags]
    return [sys.executable, "-m", f"benchmarks.end_to_end.{peer}", *flags, "--answer-by", scenario.answer_by]


class Process:
    """A running peer; its CPU and memory as the kernel counts them."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self.started = time.monotonic()
        self.popen = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        if sys.platform == "linux":
            return time.clock_gettime((~self.popen.pid << 3) | 2)  # clock_getcpuclockid(3), in nanoseconds
        raise SystemExit("This benchmark reads the CPU time of other processes, for which it needs Linux.")

    def peak_memory(self) -> int:
        """The most memory that was resident, in bytes."""
        for line in Path(f"/proc/{self.popen.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0

    def tail(self) -> str:
        """The last of what it printed."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-2_000:].strip()

    def stop(self, seconds: float = 20.0) -> int:
        """Ask it to end; the exit code."""
        if self.alive:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        return self.popen.returncode
