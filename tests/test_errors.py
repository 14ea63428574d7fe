"""What can go wrong, by category."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from streamer.errors import (
    FINAL,
    RETRIED,
    CallFailed,
    Cancelled,
    Category,
    ChildrenFailed,
    InvalidTask,
    SettingsError,
    Skipped,
    StreamerError,
    TimedOut,
    category_of,
)

BROKEN = CallFailed(Category.NETWORK, "Broken.")
FULL = CallFailed(Category.RATE_LIMIT, "Too many.")

TABLE: list[tuple[BaseException, Category]] = [
    *((CallFailed(category, "It failed."), category) for category in Category),
    (CallFailed("quota", "None left."), Category.QUOTA),
    (TimedOut("Late."), Category.TIMEOUT),
    (TimedOut("Too late.", Category.DEADLINE), Category.DEADLINE),
    (Skipped("It depended on another."), Category.DEPENDENCY_FAILED),
    (Cancelled("A sibling won."), Category.CANCELLED),
    (asyncio.CancelledError(), Category.CANCELLED),
    (TimeoutError(), Category.TIMEOUT),
    (ConnectionError(), Category.NETWORK),
    (ConnectionResetError("rate limit exceeded"), Category.NETWORK),
    (BrokenPipeError(), Category.NETWORK),
    (OSError("timeout"), Category.INTERNAL),
    (ValueError("429 rate limit"), Category.INTERNAL),
    (KeyError("x"), Category.INTERNAL),
    (RuntimeError("timeout"), Category.INTERNAL),
    (MemoryError(), Category.INTERNAL),
    (KeyboardInterrupt(), Category.INTERNAL),
    (ExceptionGroup("Two.", [TimeoutError()]), Category.INTERNAL),
    (SettingsError("Wrong."), Category.INTERNAL),
    (InvalidTask("decode_error", "Wrong."), Category.INTERNAL),
    (ChildrenFailed("race", {0: FULL, 1: BROKEN}, 2), Category.RATE_LIMIT),
    (ChildrenFailed("race", {1: ChildrenFailed("race", {0: BROKEN}, 1)}, 2), Category.NETWORK),
    (ChildrenFailed("parallel", {"a": ValueError("x")}, 2), Category.INTERNAL),
]


@pytest.mark.parametrize(("error", "category"), TABLE, ids=lambda case: str(case) or type(case).__name__)
def test_the_category_of_an_error(error: BaseException, category: Category) -> None:
    """Type and provider decide, never the words of a message."""
    assert category_of(error) is category


def test_an_unknown_category_is_an_error() -> None:
    """A provider can't invent one."""
    with pytest.raises(ValueError, match="weather"):
        CallFailed("weather", "It rains.")


def test_what_is_retried() -> None:
    """What passes by itself, as the wire says."""
    assert {*RETRIED} == {
        "network",
        "timeout",
        "rate_limit",
        "overloaded",
        "server_error",
        "invalid_response",
    }


def test_what_no_other_candidate_is_asked_after() -> None:
    """What another candidate could not mend, as the wire says."""
    assert {*FINAL} == {"content_filter", "cancelled", "deadline"}


@pytest.mark.parametrize(
    "error", [BROKEN, SettingsError("x"), InvalidTask("decode_error", "x"), TimedOut("x")]
)
def test_one_class_above_all(error: Exception) -> None:
    """Whoever wants to catch all of ours can."""
    assert isinstance(error, StreamerError)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimedOut("x"), TimeoutError),
        (SettingsError("x"), ValueError),
        (ChildrenFailed("race", {0: BROKEN}, 1), ExceptionGroup),
    ],
)
def test_they_are_what_python_calls_them(error: Exception, kind: type[Exception]) -> None:
    """``except TimeoutError`` and ``except*`` work."""
    assert isinstance(error, kind)


# --- of combinators


@pytest.mark.parametrize(
    "failures",
    [{0: BROKEN}, {0: BROKEN, 2: FULL}, {"a": FULL, "b": ValueError("No.")}, dict(enumerate([FULL] * 50))],
)
def test_a_combinators_failure_holds_every_failure(failures: dict[int | str, Exception]) -> None:
    """Each by its index or name, and all as an exception group."""
    error = ChildrenFailed("parallel", failures, 60, value=[None])
    assert error.failures == failures
    assert list(error.exceptions) == list(failures.values())
    assert error.value == [None]


def test_its_message_counts_and_names_them() -> None:
    """How many of how many, and of each its key, its category and what it says."""
    error = ChildrenFailed("race", {0: FULL, 2: BROKEN}, 3)
    assert str(error) == "race: 2 of 3 failed (0: rate_limit: Too many.; 2: network: Broken.)"


def test_its_message_names_eight() -> None:
    """More are counted."""
    text = str(ChildrenFailed("parallel", dict(enumerate([BROKEN] * 20)), 20))
    assert text.count("network") == 8
    assert text.endswith("; and 12 more)")


def test_its_message_is_bounded() -> None:
    """However much each child says, and however deep they nest."""
    error: Exception = ValueError("x" * 1_000_000)
    for _ in range(5):
        error = ChildrenFailed("parallel", dict(enumerate([error] * 20)), 20)
        assert len(str(error)) < 4_000


def test_it_is_split_like_any_group() -> None:
    """What ``except*`` does not take goes on, with all that was left."""
    error = ChildrenFailed("race", {0: BROKEN, 1: ValueError("No.")}, 2)
    taken, left = error.split(CallFailed)
    assert taken is not None
    assert left is not None
    assert taken.exceptions == (BROKEN,)
    assert [str(other) for other in left.exceptions] == ["No."]


@pytest.mark.parametrize(
    "error",
    [
        CallFailed(Category.RATE_LIMIT, "Too many.", provider="p", http_status=429, retry_after=3.0),
        TimedOut("Late.", Category.DEADLINE),
        Skipped("No."),
        Cancelled("Ended."),
        InvalidTask("too_large", "Large.", "t-1"),
    ],
)
def test_an_error_goes_from_process_to_process_whole(error: StreamerError) -> None:
    """With its category, and all that it knows besides."""
    other = pickle.loads(pickle.dumps(error))
    assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))


def test_so_does_that_of_a_combinator() -> None:
    """With its failures and what was finished."""
    error = pickle.loads(pickle.dumps(ChildrenFailed("race", {0: FULL}, 2, value=[None, 1])))
    assert isinstance(error, ChildrenFailed)
    assert (str(error), error.value) == ("race: 1 of 2 failed (0: rate_limit: Too many.)", [None, 1])
    assert error.failures[0].category == Category.RATE_LIMIT
