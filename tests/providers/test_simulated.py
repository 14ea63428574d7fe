"""The provider that behaves as told."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from itertools import islice
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import CallFailed, Category, SettingsError
from streamer.providers.distribution import Distribution
from streamer.providers.protocol import Provider, Request, Response
from streamer.providers.simulated import FAILURES, SETTINGS, Simulated
from streamer.results import Usage
from streamer.tasks import Message

ASKED = Request(messages=(Message(role="user", content="How are you?"),))


def outcomes(provider: Simulated, n: int) -> list[str]:
    return [draw.outcome for draw in islice(provider.draws(), n)]


def test_it_is_a_provider_that_ends_when_cancelled() -> None:
    """A clock around it needs no task of its own."""
    assert isinstance(Simulated(), Provider)
    assert Simulated.ends_when_cancelled


async def test_it_answers_with_the_last_message_and_counts_tokens() -> None:
    """A token per four characters, unless told."""
    assert await Simulated("quick").answer(ASKED) == Response(
        text="How are you?", model="quick", usage=Usage(input_tokens=3, output_tokens=3)
    )
    told = await Simulated("quick", text="Fine.", output_tokens=100).answer(ASKED)
    assert (told.text, told.usage) == ("Fine.", Usage(input_tokens=3, output_tokens=100))


@pytest.mark.parametrize(
    ("text", "at_half", "lowest", "highest"),
    [
        ("0.25", 0.25, 0.25, 0.25),
        ("fixed(0.25)", 0.25, 0.25, 0.25),
        ("uniform(1, 3)", 2.0, 1.0, 3.0),
        ("lognormal(0.3,0.5)", 0.3, 0.0, math.inf),
        (" lognormal( 3e-1 , 0 ) ", 0.3, 0.3, 0.3),
    ],
)
def test_a_distribution_is_drawn_by_its_quantile(
    text: str, at_half: float, lowest: float, highest: float
) -> None:
    """The median is what it says, and all values are in the range."""
    drawn = Simulated(latency=text, seed=7).latencies(2_000)
    assert Distribution.parse(text, "latency").quantile(0.5) == pytest.approx(at_half)
    assert median(drawn) == pytest.approx(at_half, rel=0.1)
    assert all(lowest <= latency <= highest for latency in drawn)


@given(st.sampled_from(["2", "uniform(0,9)", "lognormal(1,10)"]), st.floats(0, 1, exclude_max=True))
def test_every_variate_gives_a_finite_number(text: str, u: float) -> None:
    """Also the smallest, of which the normal distribution has no quantile."""
    assert 0 <= Distribution.parse(text, "latency").quantile(u) < math.inf


def test_the_draws_depend_on_the_seed_and_the_number_alone() -> None:
    """Two of the same seed agree, whatever was called; without a seed an instance agrees with itself."""
    settings: dict[str, Any] = {"latency": "lognormal(1,1)", "error_rate": 0.3, "hang_rate": 0.1}
    one, two = Simulated(seed=7, **settings), Simulated(seed=7, **settings)
    assert list(islice(one.draws(), 100)) == list(islice(two.draws(), 100))
    assert outcomes(Simulated(seed=8, **settings), 100) != outcomes(one, 100)
    unseeded = Simulated(**settings)
    assert unseeded.latencies(10) == unseeded.latencies(20)[:10]
    assert unseeded.latencies(10) != Simulated(**settings).latencies(10)


def test_rates_do_not_shift_latencies() -> None:
    """Each call draws the same number of variates, so that runs with and without faults compare."""
    plain = Simulated(seed=7, latency="lognormal(1,1)")
    faulty = Simulated(
        seed=7, latency="lognormal(1,1)", error_rate=0.5, hang_rate=0.2, output_tokens="uniform(1,9)"
    )
    assert plain.latencies(100) == faulty.latencies(100)


def test_the_rates_are_kept() -> None:
    """Of all calls, a tenth, a fifth and three tenths."""
    provider = Simulated(seed=7, error_rate=0.1, hang_rate=0.2, truncation_rate=0.3)
    counts = Counter(outcomes(provider, 20_000))
    assert counts["error"] == pytest.approx(2_000, rel=0.1)
    assert counts["hang"] == pytest.approx(4_000, rel=0.1)
    assert counts["truncation"] == pytest.approx(6_000, rel=0.1)


async def test_the_calls_behave_as_drawn() -> None:
    """The answers and failures of calls in their order are those of the draws."""
    provider = Simulated(seed=7, error_rate=0.4, truncation_rate=0.2)
    seen = []
    for _ in range(50):
        try:
            await provider.answer(ASKED)
            seen.append("answer")
        except CallFailed as error:
            seen.append("error" if error.category is Category.SERVER_ERROR else "truncation")
    assert seen == outcomes(provider, 50)


async def test_the_latency_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call sleeps for its draw, failures too."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("streamer.providers.simulated.asyncio.sleep", sleep)
    provider = Simulated(seed=7, latency="uniform(1,2)", error_rate=0.5)
    await asyncio.gather(*(provider.answer(ASKED) for _ in range(20)), return_exceptions=True)
    assert slept == provider.latencies(20)


@pytest.mark.parametrize("category", FAILURES)
async def test_an_error_has_the_category_asked_for(category: Category) -> None:
    """With its HTTP status and what to wait."""
    provider = Simulated("quick", error_rate=1, error=category, retry_after=2)
    with pytest.raises(CallFailed) as caught:
        await provider.answer(ASKED)
    assert caught.value.category is category
    assert caught.value.http_status == FAILURES[category]
    assert (caught.value.provider, caught.value.retry_after) == ("quick", 2)


async def test_a_truncated_answer_is_a_failure() -> None:
    """As a stream is that ends without a finish reason."""
    with pytest.raises(CallFailed) as caught:
        await Simulated(truncation_rate=1).answer(ASKED)
    assert caught.value.category is Category.INVALID_RESPONSE


async def test_a_hanging_call_ends_when_it_is_cancelled() -> None:
    """And not before."""
    task = asyncio.create_task(Simulated(hang_rate=1).answer(ASKED))
    await asyncio.wait((task,), timeout=0.005)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_it_is_made_from_the_words_of_a_model_name() -> None:
    """What follows the scheme: a name, and the settings as a query."""
    provider = Simulated.parse("slow?latency=lognormal(0.3,0.5)&error_rate=0.01&seed=7", hang_rate=0.5)
    assert (provider.name, provider.seed, provider.error_rate, provider.hang_rate) == ("slow", 7, 0.01, 0.5)
    assert provider.latency == Distribution("lognormal", 0.3, 0.5)
    assert Simulated.parse("").name == "simulated"
    assert Simulated.parse("x?text=a%26b&error=rate_limit&retry_after=1.5&output_tokens=7").text == "a&b"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("x?latency=gamma(1,2)", "latency .*lognormal\\(median,sigma\\).*'gamma"),
        ("x?latency=uniform(2,1)", "latency .*a <= b"),
        ("x?latency=lognormal(1)", "latency "),
        ("x?latency=fixed(1,2)", "latency "),
        ("x?latency=lognormal(1,11)", "latency .*sigma <= 10"),
        ("x?latency=-1", "latency .*from 0 to"),
        ("x?latency=nan", "latency "),
        ("x?latency=", "latency "),
        ("x?error_rate=1.5", "error_rate is from 0 to 1, not 1.5"),
        ("x?error_rate=nan", "error_rate is from 0 to 1"),
        ("x?error_rate=much", "error_rate is a number, not 'much'"),
        ("x?hang_rate=0.6&truncation_rate=0.6", "together at most 1, not 1.2"),
        ("x?error=teapot", "error is one of network, .*'teapot'"),
        ("x?error=cancelled", "error is one of network"),
        ("x?retry_after=-1", "retry_after is in seconds, from 0"),
        ("x?seed=1.5", "seed is a whole number"),
        ("x?output_tokens=many", "output_tokens is a number"),
        ("x?latancy=1", "no setting 'latancy'; it has latency, error_rate"),
        ("x?seed=1&seed=2", "seed is given twice"),
    ],
)
def test_a_wrong_setting_is_named_with_its_range(text: str, named: str) -> None:
    """At construction, not at the first call."""
    with pytest.raises(SettingsError, match=named):
        Simulated.parse(text)


def test_an_unknown_setting_in_code_is_named_as_well() -> None:
    """As in a model's name."""
    with pytest.raises(SettingsError, match="no setting 'latancy'"):
        Simulated.parse("x", latancy=1)
    assert set(SETTINGS) == set(Simulated.__init__.__kwdefaults__ or ())
