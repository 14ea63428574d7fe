"""X25: what most of all that were asked agree on; "42" is not "24", and one of five is no majority."""

import pytest

from streamer import consensus
from streamer.errors import CallFailed, Category, ChildrenFailed
from tests.acceptance.topology import call
from tests.operators.doubles import Script, Work, cancels_itself, now, passing, result_of

pytestmark = pytest.mark.virtual_time

ANSWERS = ["The answer is 42.", "The answer is 24.", "The answer is 41."]


def say(*answers):
    return [Script(answer) for answer in answers]


async def agreed(*answers, **settings):
    result = await result_of(consensus(*say(*answers), **settings))
    assert result.succeeded, result.error
    return result.value, result.agreement


async def disagrees(*answers, **settings):
    result = await result_of(consensus(*say(*answers), **settings))
    assert (result.status, result.error.category) == ("failed", Category.NO_AGREEMENT)
    return result


@pytest.mark.parametrize("compare", ["exact", "normalized", "number", "similarity"])
@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.8, 0.99])
async def test_x25_forty_two_is_not_twenty_four(compare, threshold):
    """However alike the sentences are, and however little must be alike."""
    result = await disagrees(*ANSWERS, compare=compare, threshold=threshold)
    assert result.agreement == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("compare", "answers"),
    [
        ("exact", ["Paris", "Paris", "Rome"]),
        ("normalized", ["Paris.", "  paris", "Rome"]),
        ("number", ["It is 42.", "42", "It is 24."]),
        ("json", ['{"a": 1, "b": 2}', '{"b": 2, "a": 1.0}', '{"a": 2}']),
        ("similarity", ["The capital is Paris.", "The capital is paris", "It is Rome, of course"]),
    ],
)
async def test_x25_two_of_three_are_a_majority(compare, answers):
    assert await agreed(*answers, compare=compare) == (answers[0], pytest.approx(2 / 3))


async def test_x25_an_objects_names_have_no_order_and_a_text_is_not_what_it_says():
    assert (await agreed({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1}))[1] == pytest.approx(2 / 3)
    await disagrees({"a": 1}, '{"a": 1}', str({"a": 1}))
    await disagrees(1, "1", True)


@pytest.mark.parametrize("successes", [1, 2, 3])
@pytest.mark.parametrize("strategy", ["majority", "unanimous", "best", "weighted"])
async def test_x25_the_share_is_of_all_that_were_asked(strategy, successes):
    """Those who failed were asked as well: one answer of five is not agreed on by everybody."""
    weights = [1] * 5 if strategy in ("best", "weighted") else None
    works = [*say(*["same"] * successes), *(Script(passing()) for _ in range(5 - successes))]
    result = await result_of(consensus(*works, strategy=strategy, weights=weights))
    assert result.succeeded == (successes >= 3 and strategy != "unanimous")
    if result.succeeded:
        assert result.agreement == pytest.approx(successes / 5)
    else:
        assert result.error.category is Category.NO_AGREEMENT


async def test_x25_unanimous_is_all_of_them():
    assert await agreed("a", "a", "a", strategy="unanimous") == ("a", 1)
    await disagrees("a", "a", "b", strategy="unanimous")


async def test_x25_the_best_is_the_one_of_the_highest_weight_and_not_the_first():
    value, _ = await agreed("a", "b", "c", strategy="best", weights=[1, 3, 2], minimum_agreement=0)
    assert value == "b"


async def test_x25_weights_count_and_those_of_nothing_do_not_crash():
    assert (await agreed("a", "b", "b", strategy="weighted", weights=[8, 1, 1]))[0] == "a"
    assert (await agreed("a", "b", "b", strategy="weighted", weights=[1, 0, 0])) == ("a", 1)
    with pytest.raises(ValueError, match="not all 0"):
        consensus(*say("a", "b"), strategy="weighted", weights=[0, 0])


@pytest.mark.parametrize(
    ("answers", "value"),
    [
        ([{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "y"}], {"a": 1, "b": "y"}),
        ([{"a": [1, 2]}, {"a": [1, 2]}, {"a": [2, 1]}], {"a": [1, 2]}),
        ([{"a": 1, "b": 1}, {"a": 1}, {"a": 1}], {"a": 1}),
        ([{"a": {"b": "x"}}, {"a": {"b": "x"}}, {"a": None}], {"a": {"b": "x"}}),
    ],
    ids=["fields", "lists", "a field of one", "objects in objects"],
)
async def test_x25_merged_field_by_field(answers, value):
    assert (await agreed(*answers, strategy="merge"))[0] == value


async def test_x25_a_merge_in_which_no_field_has_a_majority_is_none():
    await disagrees({"a": 1}, {"a": 2}, {"a": 3}, strategy="merge")


async def test_x25_a_tie_goes_to_the_lowest_index():
    assert await agreed("b", "a", "a", "b", minimum_agreement=0.5) == ("b", 0.5)


async def test_x25_a_failure_and_a_cancelled_one_are_no_answers():
    works = [Script("a"), Script("a"), Script(passing()), cancels_itself]
    result = await result_of(consensus(*works, minimum_agreement=0.5))
    assert (result.value, result.agreement) == ("a", 0.5)
    assert [child.status for child in result.children] == ["succeeded", "succeeded", "failed", "cancelled"]


async def test_x25_if_all_fail_every_error_is_there():
    errors = [passing("a"), RuntimeError("b")]
    with pytest.raises(ChildrenFailed) as caught:
        await consensus(*(Script(error) for error in errors))
    assert caught.value.failures == dict(enumerate(errors))


async def test_x25_it_stops_paying_once_the_minimum_is_out_of_reach():
    """And bounds how many run at once, which a vote over many would need."""
    slow = [Work(60, "a") for _ in range(3)]
    with pytest.raises(CallFailed):
        await consensus(Work(1, "a"), Work(1, "b"), *slow, strategy="unanimous")
    assert (now(), [work.cancelled for work in slow]) == (1, [1, 1, 1])
    five = [Work(1, "a") for _ in range(5)]
    assert await consensus(*five, concurrency=2, minimum_agreement=1) == "a"
    assert [work.began[0] - 1 for work in five] == [0, 0, 1, 1, 2]


def vote(*answers, **settings):
    return {"kind": "consensus", "tasks": [call("say", answer) for answer in answers], **settings}


WIRE = {
    "x25-majority": vote("Paris", "paris.", "Rome", compare="normalized"),
    "x25-42": vote(*ANSWERS, compare="similarity", threshold=0.5),
    "x25-quorum": {
        "kind": "consensus",
        "tasks": [call("say", "alone"), *[call("fail")] * 4],
    },
    "x25-merge": vote({"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 2}, strategy="merge"),
}


async def test_x25_on_the_wire(answer):
    majority = await answer("x25-majority")
    assert (majority["value"], majority["agreement"]) == ("Paris", pytest.approx(2 / 3))
    for name, share in (("x25-42", 1 / 3), ("x25-quorum", 1 / 5)):
        result = await answer(name)
        assert (result["status"], result["error"]["category"]) == ("failed", "no_agreement")
        assert result["agreement"] == pytest.approx(share)
    assert (await answer("x25-merge"))["value"] == {"a": 1, "b": 2}
