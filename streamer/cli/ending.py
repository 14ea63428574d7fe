"""Ends the process, also where something of it does not want to end."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time

PATIENCE = 1.0


def end_anyway(code: int, loop: asyncio.AbstractEventLoop, patience: float = PATIENCE) -> None:
    """See to it that the process ends with ``code``, though a thread hangs or a coroutine refuses to be cancelled.

    Python would join the threads, and asyncio await the coroutine, for ever.
    """

    def watch() -> None:
        time.sleep(patience)
        main = threading.main_thread()
        if not loop.is_closed() or any(
            not thread.daemon and thread is not main and thread.is_alive() for thread in threading.enumerate()
        ):
            leave_now(code)

    threading.Thread(target=watch, daemon=True).start()


def leave_now(code: int) -> None:
    """End without waiting for anybody."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)
