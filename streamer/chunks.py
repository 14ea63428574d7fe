"""What models say, piece by piece, while they say it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

from msgspec import UNSET, Struct

from streamer.providers.protocol import Response


class Chunk(Struct, frozen=True, kw_only=True):
    """A piece of what one attempt says; ``sequence`` counts those of the attempt from 0.

    A ``delta`` goes behind what the attempt said before; on a ``reset`` all of that is void, for it failed or was
    cancelled; at its ``end`` it is whole.
    """

    task_id: str
    attempt_id: str
    sequence: int
    type: Literal["delta", "reset", "end"]
    text: str = ""


class Chunks:
    """Numbers what the attempts of tasks say and passes it on.

    Invariant: of every attempt that said anything there is one ``reset`` or ``end``, and nothing after it. What
    ``tell`` raises changes nothing.
    """

    def __init__(self, tell: Callable[[Chunk], object]) -> None:
        self.tell = tell
        self.said: dict[str, int] = {}
        """How many chunks there are of each attempt under way."""

    def delta(self, task_id: str, attempt_id: str, text: str) -> None:
        """An attempt goes on."""
        if text:
            self.put(task_id, attempt_id, "delta", text)

    def ended(self, task_id: str, attempt_id: str, response: Any, error: BaseException | None) -> None:
        """An attempt has ended, well or not; one whose provider does not stream is a stream of one piece."""
        if error is not None:
            if attempt_id in self.said:
                self.put(task_id, attempt_id, "reset")
        else:
            if attempt_id not in self.said:
                self.delta(task_id, attempt_id, text_of(response))
            self.put(task_id, attempt_id, "end")
        self.said.pop(attempt_id, None)

    def put(
        self, task_id: str, attempt_id: str, type: Literal["delta", "reset", "end"], text: str = ""
    ) -> None:
        sequence = self.said.get(attempt_id, 0)
        self.said[attempt_id] = sequence + 1
        chunk = Chunk(task_id=task_id, attempt_id=attempt_id, sequence=sequence, type=type, text=text)
        try:
            self.tell(chunk)
        except Exception as error:
            context = {"message": "Who reads the chunks raised", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)


def text_of(response: Any) -> str:
    """What a whole answer says."""
    if isinstance(response, str):
        return response
    return response.text if isinstance(response, Response) and response.value is UNSET else ""
