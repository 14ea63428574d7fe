"""X29: a setting that is wrong is an error when it is said, which names it and what it may be."""

from datetime import UTC, datetime
from math import inf, nan
from typing import Any

import pytest

import streamer
from streamer import (
    Engine,
    Limit,
    Pool,
    Progress,
    Topology,
    batched,
    concurrent_map,
    consensus,
    fallback,
    function,
    in_process,
    in_thread,
    limited,
    llm,
    map,
    parallel,
    race,
    retry,
    sequence,
    single,
    timeout,
)
from streamer.limits import ExtraCalls
from streamer.operators.deadline import deadline
from streamer.operators.hedging import Hedging
from streamer.providers.registry import Registry
from streamer.providers.simulated import Simulated
from streamer.tasks import Retry, Timeouts


def work() -> None:
    """Never called."""


def topology(**settings: Any) -> Topology:
    return Topology("in", "out", **settings)


def of_a_topology(**settings: Any) -> None:
    topology().function(**settings)(work)


def provider(**settings: Any) -> None:
    Registry().declare(lambda request: request, {"name": "model", **settings})


def raced(**settings: Any) -> Any:
    return race(work, work, **settings)


def voted(**settings: Any) -> Any:
    return consensus(work, work, **settings)


def mapped(**settings: Any) -> Any:
    return map(str, [1], **settings)


def in_pairs(max_size: Any = 2, max_wait: Any = 1, **settings: Any) -> Any:
    return batched(list, max_size, max_wait, **settings)


def positional(make: Any, name: str) -> Any:
    """The same with the field by name, for what is usually said without."""
    return lambda **settings: make(settings[name])


NUMBERS = (nan, True, "many", [3])
COUNT = ("at least 1|>= 1", (0, -1, 1.5, inf, *NUMBERS))
COUNT_OR_NONE = ("at least 0|>= 0", (-1, 1.5, inf, *NUMBERS))
SECONDS = ("> 0|above 0|more than 0", (0, -1, inf, *NUMBERS))
DELAY = (">= 0|at least 0", (-1, inf, *NUMBERS))
SHARE = ("0 to 1", (-0.1, 1.1, inf, *NUMBERS))

FIELDS: dict[str, tuple[Any, str, tuple[str, tuple[Any, ...]]]] = {
    "Limit limit": (positional(Limit, "concurrency"), "concurrency", COUNT),
    "parallel concurrency": (lambda **s: parallel(work, **s), "concurrency", COUNT),
    "map concurrency": (mapped, "concurrency", COUNT),
    "map batch_size": (mapped, "batch_size", COUNT),
    "consensus concurrency": (voted, "concurrency", COUNT),
    "consensus threshold": (voted, "threshold", SHARE),
    "consensus minimum_agreement": (voted, "minimum_agreement", SHARE),
    "concurrent_map limit": (lambda **s: concurrent_map(work, **s), "limit", COUNT),
    "concurrent_map bound": (lambda **s: concurrent_map(work, 1, **s), "bound", COUNT),
    "batched max_size": (in_pairs, "max_size", COUNT),
    "batched max_wait": (in_pairs, "max_wait", DELAY),
    "batched concurrency": (in_pairs, "concurrency", COUNT),
    "race hedge_delay": (raced, "hedge_delay", SECONDS),
    "retry max_attempts": (retry, "max_attempts", COUNT),
    "retry initial_delay": (retry, "initial_delay", DELAY),
    "retry max_delay": (retry, "max_delay", DELAY),
    "retry multiplier": (retry, "multiplier", (">= 1", (0, -1, inf, *NUMBERS))),
    "retry jitter": (retry, "jitter", ("0|1", (-0.1, 1.1, inf, *NUMBERS))),
    "Retry max_attempts": (Retry, "max_attempts", COUNT),
    "Retry initial_delay": (Retry, "initial_delay", DELAY),
    "Retry max_delay": (Retry, "max_delay", DELAY),
    "Retry multiplier": (Retry, "multiplier", (">= 1", (0, -1, inf, *NUMBERS))),
    "Retry jitter": (Retry, "jitter", ("0|1", (-0.1, 1.1, inf, *NUMBERS))),
    "Timeouts attempt": (Timeouts, "attempt", SECONDS),
    "Timeouts queue": (Timeouts, "queue", SECONDS),
    "timeout seconds": (lambda attempt: timeout(attempt), "attempt", SECONDS),
    "timeout queue": (timeout, "queue", SECONDS),
    "timeout connect": (timeout, "connect", SECONDS),
    "timeout first_token": (timeout, "first_token", SECONDS),
    "timeout between_tokens": (timeout, "between_tokens", SECONDS),
    "in_thread concurrency": (lambda **s: in_thread(work, **s), "concurrency", COUNT),
    "in_process concurrency": (lambda **s: in_process(work, **s), "concurrency", COUNT),
    "@topology.function concurrency": (of_a_topology, "concurrency", COUNT),
    "@topology.stream answer_within": (
        lambda **s: topology().stream(**s),
        "answer_within",
        SECONDS,
    ),
    "provider concurrency": (provider, "concurrency", COUNT),
    "provider retry_budget": (provider, "retry_budget", SHARE),
    "ExtraCalls share": (ExtraCalls, "share", SHARE),
    "ExtraCalls minimum": (ExtraCalls, "minimum", COUNT_OR_NONE),
    "ExtraCalls window": (ExtraCalls, "window", SECONDS),
    "Engine concurrency": (Engine, "concurrency", COUNT),
    "Engine retry": (Engine, "retry", COUNT),
    "Engine retry_budget": (Engine, "retry_budget", COUNT_OR_NONE),
    "Engine cancel_grace": (Engine, "cancel_grace", DELAY),
    "Engine park_after": (Engine, "park_after", DELAY),
    "Engine.stream concurrency": (lambda **s: Engine().stream([], **s), "concurrency", COUNT),
    "Engine.stream bound": (lambda **s: Engine().stream([], **s), "bound", COUNT),
    "Engine.answers concurrency": (lambda **s: Engine().answers([], **s), "concurrency", COUNT),
    "Engine.answers bound": (lambda **s: Engine().answers([], **s), "bound", COUNT),
    "Pool workers": (Pool, "workers", COUNT),
    "Pool queue": (Pool, "queue", COUNT),
    "Pool retry": (Pool, "retry", COUNT),
    "Pool timeout": (Pool, "timeout", SECONDS),
    "Progress weight": (lambda **s: Progress("all", **s), "weight", ("above 0", (0, -1, inf, *NUMBERS))),
    "Progress total": (lambda **s: Progress("all", **s), "total", DELAY),
    "Progress advance": (lambda **s: Progress("all").advance(**s), "amount", DELAY),
    "Progress values": (
        lambda **s: Progress("all").values(**s),
        "every",
        ("above 0", (0, -1, inf, *NUMBERS)),
    ),
    "Topology concurrency": (topology, "concurrency", COUNT),
    "Topology outstanding": (topology, "outstanding", COUNT),
    "Topology partitions": (topology, "partitions", COUNT),
    "Topology retry": (topology, "retry", COUNT),
    "Topology retry_budget": (topology, "retry_budget", COUNT_OR_NONE),
    "Topology drain_timeout": (topology, "drain_timeout", DELAY),
    "Topology park_after": (topology, "park_after", DELAY),
    "Topology workflow_timeout": (topology, "workflow_timeout", DELAY),
    "llm timeout": (lambda **s: llm("?", **s), "timeout", SECONDS),
    "llm priority": (lambda **s: llm("?", **s), "priority", ("int", (1.5, *NUMBERS))),
    "function timeout": (lambda **s: function("f", **s), "timeout", SECONDS),
    "Simulated error_rate": (Simulated, "error_rate", SHARE),
    "Simulated latency": (Simulated, "latency", ("0", (-1, inf, *NUMBERS))),
}
CASES = [
    pytest.param(make, field, says, value, id=f"{name}={value!r}")
    for name, (make, field, (says, values)) in FIELDS.items()
    for value in values
]


@pytest.mark.parametrize(("make", "field", "says", "value"), CASES)
def test_x29_a_number_out_of_its_range(make, field, says, value):
    with pytest.raises(ValueError) as caught:
        make(**{field: value})
    assert field in str(caught.value)


@pytest.mark.parametrize(
    ("make", "field", "says", "value"),
    [case for case in CASES if type(case.values[3]) is int],
)
def test_x29_and_the_range_is_named(make, field, says, value):
    with pytest.raises(ValueError, match=says):
        make(**{field: value})


CHOICES = {
    "parallel require": (lambda **s: parallel(work, **s), {"require": "most"}, "'all', 'any', 'none'"),
    "parallel require, too many": (lambda **s: parallel(work, **s), {"require": 2}, "at most .* 1, not 2"),
    "parallel require, negative": (lambda **s: parallel(work, **s), {"require": -1}, "at least 0"),
    "map require": (mapped, {"require": True}, "'all', 'any', 'none'"),
    "parallel reduce": (lambda **s: parallel(work, **s), {"reduce": "average"}, "sum, count, concat, merge"),
    "map reduce": (mapped, {"reduce": "average"}, "sum, count, concat, merge"),
    "race win_on": (raced, {"win_on": "failure"}, "'success' or 'completion'"),
    "race hedge_delay": (raced, {"hedge_delay": "p99"}, "'p95'"),
    "sequence on_error": (lambda **s: sequence(work, **s), {"on_error": "ignore"}, "'stop' or 'continue'"),
    "fallback on": (
        lambda **s: fallback(work, **s),
        {"on": ["errors"]},
        "on: .*error categories are network,",
    ),
    "consensus strategy": (voted, {"strategy": "mode"}, "majority, unanimous, weighted, best, merge"),
    "consensus compare": (voted, {"compare": "loosely"}, "exact, normalized, json, number, similarity"),
    "retry backoff": (retry, {"backoff": "quadratic"}, "backoff"),
    "retry retry_on": (retry, {"retry_on": ["errors"]}, "error categories are network,"),
    "retry retry_on, no Exception": (retry, {"retry_on": (BaseException,)}, "is no Exception"),
    "retry random": (retry, {"random": 7}, "random.Random"),
    "Pool when_full": (Pool, {"when_full": "drop"}, "'wait' or 'refuse'"),
    "Pool fallbacks": (Pool, {"fallbacks": work}, "fallbacks is a list"),
    "Pool metadata": (Pool, {"metadata": [1]}, "metadata is a mapping"),
    "Pool engine": (Pool, {"engine": "mine"}, "engine is an Engine"),
    "Pool on_event": (Pool, {"on_event": 3}, "on_event is a function"),
    "Topology delivery": (topology, {"delivery": "at-most-once"}, "at-least-once or exactly-once"),
    "Topology ordering": (topology, {"ordering": "total"}, "none or key"),
    "Topology hedging": (topology, {"hedging": 0.1}, "Hedging"),
    "Engine retry": (Engine, {"retry": "exponential"}, "streamer.Retry"),
    "Engine functions": (Engine, {"functions": {"double": 2}}, "'double' is 2, which can't be called"),
    "Engine hedging": (Engine, {"hedging": 0.1}, "Hedging"),
    "Topology retry": (topology, {"retry": {"max_attempts": 3}}, "streamer.Retry"),
    "@topology.function run_in": (of_a_topology, {"run_in": "gpu"}, "'thread', 'process' or 'loop'"),
    "@topology.function retry_on": (of_a_topology, {"retry_on": (3,)}, "exception types"),
    "limited": (positional(limited, "limit"), {"limit": 5}, "takes a Limit"),
    "hooks of parallel": (lambda **s: parallel(work, **s), {"on_progress": 3}, "on_progress is a function"),
    "hooks of map": (mapped, {"on_error": "log"}, "on_error is a function"),
    "hooks of race": (raced, {"on_error": 3}, "on_error is a function"),
    "hooks of fallback": (lambda **s: fallback(work, **s), {"on_error": 3}, "on_error is a function"),
    "hooks of retry": (retry, {"on_retry": 3}, "on_retry is a function"),
    "predicates of retry": (retry, {"retry_if_result": True}, "retry_if_result is a function"),
    "batched journal": (in_pairs, {"journal": 1}, "true or false"),
    "provider parameters": (provider, {"parameters": "temperature=0"}, "a mapping of names"),
    "provider journal": (provider, {"journal": "yes"}, "true or false"),
}


@pytest.mark.parametrize(("make", "given", "says"), CHOICES.values(), ids=CHOICES)
def test_x29_a_name_that_nobody_knows(make, given, says):
    with pytest.raises(ValueError, match=says) as caught:
        make(**given)
    assert next(iter(given)) in str(caught.value)


CONFLICTS = {
    "Engine": (lambda: Engine(concurrency=3, slots=Limit(3)), "concurrency and slots"),
    "sequence": (lambda: sequence(work, on_error="stop", fail_fast=False), "on_error='stop' and fail_fast"),
    "retry, a Retry and settings": (
        lambda: retry(Retry(), initial_delay=1),
        "initial_delay belongs in the Retry",
    ),
    "retry, twice": (
        lambda: retry(Retry(retry_on=("timeout",)), retry_on=("quota",)),
        "retry_on is given twice",
    ),
    "race": (lambda: race(work, hedging=Hedging()), "hedging"),
    "consensus": (lambda: voted(weights=[1, 2]), "weights go with strategy"),
    "consensus, weighted": (lambda: voted(strategy="weighted"), "needs weights"),
    "sequence, a word for fail_fast": (lambda: sequence(work, fail_fast="no"), "fail_fast is True or False"),
    "Limit, a name that is none": (lambda: Limit(1, name=5), "name of a limit is a text"),
    "Progress, a name that is none": (lambda: Progress(5), "name is a text, not 5"),
    "Engine, functions without names": (lambda: Engine(functions=[work]), "a mapping of names to functions"),
    "consensus, weights of others": (lambda: voted(strategy="best", weights=[1]), "weights are 2"),
    "timeout without a clock": (timeout, "takes seconds, or a clock"),
    "timeout, a call's clock on anything else": (
        lambda: timeout(first_token=1)(parallel(work)),
        "first_token is a clock of a provider's",
    ),
    "llm, a prompt and messages": (lambda: llm("?", messages=[]), "either `messages` or `prompt`"),
    "llm, neither": (lambda: llm(), "either `messages` or `prompt`"),
    "function, arguments twice": (lambda: function("f", 1, arguments={}), "not both"),
    "a provider's name twice": (
        lambda: [r := Registry(), *(r.declare("echo:", {"name": "m", "concurrency": n}) for n in (1, 2))],
        "declared before",
    ),
    "a setting of a provider that there is already": (
        lambda: [r := Registry(), *(r.declare("echo:", {"name": "m", "concurrency": n}) for n in (1, 0))],
        "concurrency of provider 'm' is a whole number of at least 1",
    ),
    "sequence, a word for pass_result": (
        lambda: sequence(work, pass_result="no"),
        "pass_result is True or False, not 'no'",
    ),
    "parallel, a word for fail_fast": (lambda: parallel(work, fail_fast="no"), "fail_fast is True or False"),
    "Progress, weights of no path": (
        lambda: Progress("all", weights={"a": 1}),
        "such as '/0' or '/name', not 'a'",
    ),
    "Progress, weights that are none": (lambda: Progress("all", weights=5), "not 5"),
    "a function's name twice": (
        lambda: [t := topology(), t.function(work), t.function(work)],
        "two functions named 'work'",
    ),
    "an async function in a thread": (
        lambda: topology().function(run_in="thread")(test_x29_async),
        "is async",
    ),
    "input and output": (lambda: Topology("a", "a"), "the same topic"),
    "deadline": (lambda: deadline(datetime.now()), "offset from UTC"),
}


async def test_x29_async() -> None:
    """A deadline with an offset is one."""
    assert deadline(datetime.now(UTC))


@pytest.mark.parametrize(("make", "says"), CONFLICTS.values(), ids=CONFLICTS)
def test_x29_settings_that_contradict_each_other(make, says):
    with pytest.raises(ValueError, match=says):
        make()


POLICIES = {
    "max_attempts": 0,
    "initial_delay": nan,
    "max_delay": -1,
    "multiplier": 0.5,
    "jitter": 2,
    "backoff": "quadratic",
}


@pytest.mark.parametrize(("field", "wrong"), POLICIES.items(), ids=POLICIES)
def test_x29_a_policy_is_judged_when_it_is_made(field, wrong):
    with pytest.raises(ValueError, match=field):
        Retry(**{field: wrong})


@pytest.mark.parametrize("clock", ["attempt", "queue", "connect", "first_token", "between_tokens"])
@pytest.mark.parametrize("seconds", [0, -1, nan, inf, True])
def test_x29_so_are_clocks(seconds, clock):
    with pytest.raises(ValueError, match=clock):
        Timeouts(**{clock: seconds})


UNKNOWN = {
    "retry": (lambda: retry(attempts=3), "attempts"),
    "Topology": (lambda: topology(concurency=3), "concurency"),
    "provider": (lambda: provider(concurency=3), "concurency"),
    "simulated": (lambda: Registry().declare("simulated:m?latencies=1", {}), "latencies"),
    "llm": (lambda: llm("?", temprature=1), "temprature"),
    "function": (lambda: function("f", args=[1]), "args"),
    "parallel": (lambda: parallel(work, max_concurrency=3), "max_concurrency"),
    "map": (lambda: mapped(chunk=3), "chunk"),
    "race": (lambda: raced(hedge=3), "hedge"),
    "fallback": (lambda: fallback(work, retries=3), "retries"),
    "sequence": (lambda: sequence(work, stop=True), "stop"),
    "consensus": (lambda: voted(quorum=2), "quorum"),
    "timeout": (lambda: timeout(initial_token=3), "initial_token"),
    "batched": (lambda: in_pairs(size=3), "size"),
    "concurrent_map": (lambda: concurrent_map(work, 1, concurrency=3), "concurrency"),
    "Engine": (lambda: Engine(workers=3), "workers"),
    "Pool": (lambda: Pool(worker_count=3), "worker_count"),
    "Limit": (lambda: Limit(3, size=3), "size"),
}


@pytest.mark.parametrize(("make", "name"), UNKNOWN.values(), ids=UNKNOWN)
def test_x29_a_setting_that_does_not_exist_is_never_ignored(make, name):
    with pytest.raises((ValueError, TypeError), match=name):
        make()


OPERANDS = {
    "parallel": parallel,
    "race": race,
    "fallback": fallback,
    "sequence": sequence,
    "consensus": lambda operand: consensus(operand, operand),
    "retry": retry(2),
    "timeout": timeout(1),
    "limited": limited(Limit(1)),
    "map": lambda operand: map(operand, [1]),
    "in_thread": in_thread,
    "batched": lambda operand: batched(operand, 1, 1),
    "single": single,
}


@pytest.mark.parametrize("make", OPERANDS.values(), ids=OPERANDS)
@pytest.mark.parametrize("operand", [None, 3, "text"], ids=repr)
def test_x29_what_cannot_be_run_is_refused_before_anything_runs(make, operand):
    with pytest.raises((TypeError, ValueError)):
        make(operand)


VALUES = {"Chunk", "Message", "Result", "Retry", "Status", "Timeouts", "Totals", "__version__"}
"""What is made, and takes no settings; or is judged by whom it is given to."""
JUDGED = {case.split()[0] for case in (*FIELDS, *CHOICES, *CONFLICTS, *UNKNOWN, *OPERANDS)}


def test_x29_nothing_that_is_public_is_left_out():
    rest = set(streamer.__all__) - VALUES - {name.rstrip(",") for name in JUDGED}
    assert rest == {"Single", "aggregate", "run"}, "which take no settings either"
