"""Says that the workers have their partitions: in one line, and in a file for whoever can only look for one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from streamer.cli.planning import Plan
from streamer.errors import SettingsError


class Announce(Protocol):
    """Who is told, once, that the workers are there; and that they are about to go."""

    def __call__(self, line: str) -> None: ...

    def withdraw(self) -> None: ...


class Announcement:
    """Call it once with the line. ``ready_file`` is there from then until the drain, and never from a run before."""

    def __init__(self, plans: list[Plan]) -> None:
        self.files = {
            Path(plan.settings.ready_file) for plan in plans if plan.settings.ready_file is not None
        }
        self.withdraw()

    def __call__(self, line: str) -> None:
        for file in self.files:
            with self.judged(file):
                file.write_text(f"{line}\n")
        logging.getLogger("streamer").info(line)

    def withdraw(self) -> None:
        """No file any more."""
        for file in self.files:
            with self.judged(file):
                file.unlink(missing_ok=True)

    @contextmanager
    def judged(self, file: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SettingsError(f"ready_file: {file} can't be written: {error.strerror}.") from error
