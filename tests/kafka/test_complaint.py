"""What is said of places that can't be written to: once, and once more when that is over."""

import pytest

from streamer.kafka.complaint import RETRY_FIRST, RETRY_LAST, Complaint


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def complaint(said) -> Complaint:
    return Complaint(said.append, lambda: 7)


def test_it_is_said_once_with_the_place_and_what_waits_and_once_that_it_is_over(complaint, said) -> None:
    complaint.raise_("out-0", "down")
    complaint.raise_("out-0", "still down")
    assert (complaint.stuck, complaint.why) == (True, "out-0: down")
    complaint.withdraw("out-0")
    assert not complaint.stuck
    assert said == [
        "Can't write to out-0: down. 7 results wait, nothing is lost; trying again.",
        "Writing to out-0 works again.",
    ]


def test_the_topic_that_refuses_is_named_and_the_place_is_what_works_again(complaint, said) -> None:
    complaint.raise_("out (in-0)", "too large", "dead-letters")
    assert complaint.why == "dead-letters: too large"
    complaint.withdraw("out (in-0)")
    assert [sentence.split(":")[0] for sentence in said] == [
        "Can't write to dead-letters",
        "Writing to out (in-0) works again.",
    ]


def test_of_several_places_one_is_named_and_it_is_over_when_the_last_of_them_works(complaint, said) -> None:
    complaint.raise_("out-0", "down")
    complaint.raise_("out-1", "down")
    complaint.withdraw("out-0")
    assert (complaint.stuck, complaint.why) == (True, "out-1: down")
    complaint.withdraw("out-1")
    assert [sentence.split(":")[0] for sentence in said] == [
        "Can't write to out-0",
        "Writing to out-1 works again.",
    ]


def test_a_place_that_works_says_nothing_for_one_that_does_not(complaint, said) -> None:
    """Else there would be two sentences for each try."""
    for _ in range(3):
        complaint.raise_("out-0", "down")
        complaint.withdraw("out-1")
    assert complaint.stuck
    assert len(said) == 1


def test_that_a_place_is_given_up_ends_it_too(complaint, said) -> None:
    """The next time that something can't be written is said again."""
    complaint.raise_("out-0", "down")
    complaint.dismiss("out-1")
    assert complaint.stuck
    complaint.dismiss("out-0")
    assert not complaint.stuck
    complaint.raise_("out-1", "down")
    assert [sentence.split(":")[0] for sentence in said] == [
        "Can't write to out-0",
        "Nothing is written to out-0 from here any more.",
        "Can't write to out-1",
    ]


def test_pauses_get_longer_until_all_works(complaint) -> None:
    complaint.raise_("out-0", "down")
    complaint.raise_("out-1", "down")
    pauses = [complaint.pause() for _ in range(8)]
    assert pauses[0] <= 1.2 * RETRY_FIRST
    assert pauses[-1] >= 0.8 * RETRY_LAST
    complaint.withdraw("out-0")
    assert complaint.pause() >= 0.8 * RETRY_LAST
    complaint.withdraw("out-1")
    assert complaint.pause() <= 1.2 * RETRY_FIRST
