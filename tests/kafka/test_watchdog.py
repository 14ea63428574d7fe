"""What the watchdog says, and when it is silent."""

import pytest

from streamer.blocking import Kept
from streamer.kafka.watchdog import (
    PartitionSight,
    Remedy,
    Sight,
    TasksSight,
    Watchdog,
    limit_of,
)


def fine(**more) -> Sight:
    return Sight(**{"late": 0.0, "unheard": 0.1, **more})


def silent(now: float, position: int = 5, end: int = 9, *, room: bool = True, end_at: float | None = None):
    """A partition whose end was just learnt."""
    return fine(partitions=[PartitionSight("t-0", position, end, now if end_at is None else end_at, room)])


def seconds(dog: Watchdog, first: int, last: int, sight) -> list:
    return [found for now in range(first, last) for found in dog.look(float(now), sight(float(now)))]


def test_of_what_is_fine_nothing_is_said() -> None:
    assert seconds(Watchdog(), 0, 1000, lambda now: silent(now, position=9)) == []


def test_a_silent_partition_is_read_again_once_and_then_ends_the_worker_once() -> None:
    found = seconds(Watchdog(silent_after=30, give_up_after=300), 0, 1000, silent)
    assert [finding.remedy for finding in found] == [Remedy.READ_AGAIN, Remedy.END]
    assert "no record has come for 30 s, though the log goes from 5 to 9" in found[0].sentence
    assert "no record has come for 300 s" in found[1].sentence


def test_when_records_come_again_that_is_said() -> None:
    dog = Watchdog()
    seconds(dog, 0, 40, silent)
    assert list(dog.troubles) == ["t-0"]
    assert [finding.sentence for finding in dog.look(41, silent(41, position=6))] == [
        "t-0: records come again."
    ]
    assert dog.troubles == {}


@pytest.mark.parametrize("why", [{"room": False}, {"end": 5}, {"end_at": -100.0}])
def test_no_room_no_record_or_no_broker_is_not_silence(why: dict) -> None:
    assert seconds(Watchdog(), 0, 1000, lambda now: silent(now, **why)) == []


def test_a_partition_that_left_is_forgotten() -> None:
    dog = Watchdog()
    seconds(dog, 0, 40, silent)
    assert dog.look(41, fine()) == []
    assert (dog.silences, dog.troubles) == ({}, {})


def test_a_late_loop_is_said_once_per_episode_and_worse_near_the_session_timeout() -> None:
    dog = Watchdog(session_timeout=10)
    assert "stood still for 3.0 s" in dog.look(0, fine(late=3.0))[0].sentence
    assert dog.look(1, fine(late=4.0)) == []
    assert "close to the session timeout (10 s)" in dog.look(2, fine(late=8.0))[0].sentence
    assert seconds(dog, 3, 32, lambda _: fine()) == []
    assert [f.sentence for f in dog.look(32, fine())] == ["The event loop is on time again."]
    assert dog.troubles == {}


def test_whoever_kept_the_loop_is_named() -> None:
    kept = Kept("slow (tasks.py:7)", 2.9)
    sentence = Watchdog().look(0, fine(late=3.0, kept=kept))[0].sentence
    assert "slow (tasks.py:7) kept it for 2.9 s." in sentence


def test_missing_heartbeats_are_said_after_two_thirds_of_the_session_timeout() -> None:
    """They are no reason for a restart: what is under way would only be paid for again."""
    dog = Watchdog(session_timeout=9)
    assert dog.look(0, fine(unheard=5.9)) == []
    assert "No heartbeat has got through for 6 s; after 9 s" in dog.look(1, fine(unheard=6.1))[0].sentence
    assert dog.look(2, fine(unheard=7.0)) == []
    assert ("for 7 s" in dog.outages["heartbeat"], dog.troubles) == (True, {})
    assert [f.sentence for f in dog.look(3, fine(unheard=None))] == ["Heartbeats get through again."]


def test_stuck_tasks_are_said_once_per_partition_and_are_no_reason_for_a_restart() -> None:
    dog = Watchdog()
    stuck = TasksSight("t-0", 3, "q-17", 12, 700.0, "waits for answer of openai (attempt q-17#1, 43 s)")
    (found,) = dog.look(0, fine(tasks=[stuck]))
    assert (
        "t-0: task q-17, offset 12, runs for 700 s (and 2 more here): waits for answer of" in found.sentence
    )
    assert dog.look(1, fine(tasks=[stuck])) == []
    assert (list(dog.stuck), dog.troubles) == (["t-0"], {})
    assert [f.sentence for f in dog.look(2, fine())] == ["t-0: no task runs too long any more."]


def test_a_task_with_a_long_timeout_may_run_for_twice_that() -> None:
    assert (limit_of(600, None), limit_of(600, 10.0), limit_of(600, 1000.0)) == (600, 600, 2000)


@pytest.mark.parametrize("unheard", [None, 30.0])
def test_a_partition_that_is_not_opened_while_the_broker_is_away_is_not_told_of(
    unheard: float | None,
) -> None:
    dog = Watchdog()
    found = seconds(dog, 0, 1000, lambda now: fine(closed=["t-0"], unheard=unheard))
    assert not [finding for finding in found if "not opened" in finding.sentence]
    assert dog.troubles == {}


def test_a_partition_that_is_not_opened_is_told_of_once_and_when_it_is_that_is_said() -> None:
    dog = Watchdog()
    found = seconds(dog, 0, 1000, lambda now: fine(closed=["t-0"]))
    assert [finding.sentence.partition(",")[0] for finding in found] == ["t-0: not opened for 120 s"]
    assert "not opened for 999 s" in dog.troubles["t-0, closed"]
    assert [finding.sentence for finding in dog.look(1000, fine())] == [
        "t-0: it is open, or another worker's."
    ]
    assert (dog.troubles, seconds(dog, 1001, 1100, lambda now: fine(closed=["t-0"]))) == ({}, [])


@pytest.mark.parametrize(
    ("busy", "kept", "said"), [(0.1, None, True), (14.0, None, False), (0.1, Kept("f", 15.0), False)]
)
def test_of_a_process_that_used_no_cpu_it_is_said_that_it_may_have_been_stopped(busy, kept, said) -> None:
    (found, *_) = Watchdog().look(1.0, fine(late=15.0, busy=busy, kept=kept))
    assert ("perhaps it was stopped or paused from outside" in found.sentence) is said
