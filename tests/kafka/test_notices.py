"""What whoever is on call hears of dead letters."""

from __future__ import annotations

import asyncio

import pytest

from streamer.kafka.notices import QUIET_FOR, Notices

pytestmark = pytest.mark.virtual_time
SEE = "To see them: streamer dead-letters list --topic t.dead-letters"


async def test_the_first_is_told_at_once_and_the_next_in_a_line_a_minute() -> None:
    """With counts by reason; after a quiet minute the next is a first again."""
    said: list[str] = []
    notices = Notices("t.dead-letters", said.append)
    notices.count("poison")
    assert said == [f"1 new dead letter in t.dead-letters (1 poison). {SEE}"]
    for reason in ("too_large", "poison", "too_large"):
        notices.count(reason)
    await asyncio.sleep(QUIET_FOR - 1)
    assert len(said) == 1
    await asyncio.sleep(2)
    assert said[1:] == [f"3 new dead letters in t.dead-letters (2 too_large, 1 poison). {SEE}"]
    await asyncio.sleep(2 * QUIET_FOR)
    assert len(said) == 2
    notices.count("poison")
    assert len(said) == 3


async def test_what_was_not_told_is_told_at_the_end() -> None:
    """Nothing is left that would tell anything later."""
    said: list[str] = []
    notices = Notices("t.dead-letters", said.append)
    for _ in range(3):
        notices.count("poison")
    notices.close()
    assert [line.split()[0] for line in said] == ["1", "2"]
    await asyncio.sleep(2 * QUIET_FOR)
    notices.close()
    assert len(said) == 2
