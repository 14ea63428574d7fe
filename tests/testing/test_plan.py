"""What a seeded plan of faults promises to the test that knows it."""

from collections import Counter

import pytest

from streamer.errors import SettingsError
from streamer.testing.servers import Call, Plan, text_for


def call(prompt: str) -> Call:
    return Call(number=1, received_at=0.0, attempt_id="", prompt=prompt, body={}, headers={})


def test_what_becomes_of_a_call_depends_on_its_prompt_and_its_number_alone():
    """Other calls in between change nothing."""
    alone, among = Plan({"status": 0.5}, 3), Plan({"status": 0.5}, 3)
    first = [alone(call("a")) for _ in range(20)]
    second = []
    for _ in range(20):
        among(call("b"))
        second.append(among(call("a")))
    assert first == second
    assert [fault.kind for fault in first] == [alone.fate("a", number) for number in range(1, 21)]


def test_the_shares_are_kept():
    """Of many calls about so many have each fate."""
    plan = Plan({"hang": 0.1, "truncated": 0.2}, 1)
    fates = Counter(plan.fate(f"q{number}", 1) for number in range(10_000))
    assert fates.keys() == {None, "hang", "truncated"}
    assert 900 < fates["hang"] < 1_100
    assert 1_850 < fates["truncated"] < 2_150


def test_answers_are_told_from_pieces_of_them():
    """Every prompt has an answer of its own, of two words or more, and each good call gets it."""
    answers = {text_for(f"q{number}") for number in range(1_000)}
    assert len(answers) == 1_000
    assert min(len(answer.split()) for answer in answers) == 2
    assert Plan({})(call("q1")).text == text_for("q1")


@pytest.mark.parametrize("text", ["fire=0.1", "hang=1.1", "hang=0.6,status=0.6", "hang", "hang=-0.1"])
def test_a_plan_that_cannot_be_is_refused(text):
    """With what is wrong in it."""
    with pytest.raises(SettingsError, match="plan: "):
        Plan.parse(text)
