"""A topology as a stream: an Observable of tasks becomes one of answers, and no task is without a result."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import reactivex as rx
from reactivex import Observable
from reactivex import operators as ops
from reactivex.scheduler import NewThreadScheduler

from streamer import Engine, Result, Status, Topology, parallel, race, retry, timeout
from streamer.errors import Category, SettingsError
from streamer.limits import Limit
from streamer.operators import concurrent_map
from streamer.providers import Registry, Response
from streamer.providers.function import FunctionTarget
from streamer.results import Usage
from streamer.streams import Stream, intake
from streamer.tasks import Function, Llm, Retry, Task
from tests.engine.memory import Memory
from tests.operators.doubles import Work, now, others, passing

pytestmark = pytest.mark.virtual_time

Answers = Callable[[Observable[Any]], Observable[Any]]


def engine_of(function: Answers, answer_within: float = 30, **settings: Any) -> Engine:
    return Engine(Stream(function, answer_within, "tests"), **settings)


async def run(engine: Engine, *tasks: Any) -> list[Result]:
    return list(await asyncio.gather(*(engine.run(task) for task in tasks)))


def model(answer: Any = None, seconds: float = 5.0, **settings: Any) -> Any:
    """A model that says what it is asked in capitals, or something else."""

    async def call(request: Any) -> Any:
        await asyncio.sleep(seconds)
        if isinstance(answer, Exception):
            raise answer
        return request.prompt.upper() if answer is None else answer

    return Registry().declare(call, {"name": "model", **settings})


def later(seconds: float) -> Callable[[Observable[Any]], Observable[Any]]:
    """Each value after so many seconds. The stock ``delay`` reads the time of day, which does not jump."""
    return ops.flat_map(lambda value: rx.timer(seconds).pipe(ops.map(lambda _: value)))


@dataclass(eq=False)
class Told:
    """What the loop was told of by whoever could tell nobody else."""

    messages: list[str]


@pytest.fixture
async def told() -> Told:
    """For tests in which something is reported; in others a report would be printed."""
    told = Told([])
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: told.messages.append(context["message"])
    )
    return told


async def test_each_task_has_its_own_answer():
    engine = engine_of(lambda tasks: tasks.pipe(ops.map(lambda task: (task, task.upper()))))
    assert [result.value for result in await run(engine, "a", "b")] == ["A", "B"]


async def test_tasks_are_gathered_by_count_and_answered_in_any_order():
    def answers(tasks):
        return tasks.pipe(
            ops.buffer_with_count(2),
            ops.flat_map(lambda pair: rx.from_iterable([(task, pair) for task in reversed(pair)])),
        )

    results = await run(engine_of(answers), *"abcd")
    assert [result.value for result in results] == [["a", "b"], ["a", "b"], ["c", "d"], ["c", "d"]]


async def test_by_time_on_the_loops_own_clock():
    def answers(tasks):
        return tasks.pipe(
            ops.buffer_with_time_or_count(4, 100),
            ops.flat_map(lambda batch: rx.from_iterable([(task, len(batch)) for task in batch])),
        )

    results = await run(engine_of(answers), *"abc")
    assert [(result.value, result.duration) for result in results] == [(3, 4)] * 3


async def test_grouped_and_debounced():
    """Of each kind the latest is answered; the ones before it were overtaken."""

    def answers(tasks):
        return tasks.pipe(
            ops.group_by(lambda task: task[0]),
            ops.flat_map(ops.debounce(3)),
            ops.map(lambda task: (task, "latest")),
        )

    results = await run(engine_of(answers, 10), "a1", "b1", "a2")
    assert [result.value for result in results] == [None, "latest", "latest"]
    assert [result.duration for result in results] == [10, 3, 3]


async def test_what_comes_before_the_stream_has_subscribed_waits_for_it():
    """``merge`` and ``concat`` subscribe to their sources later than they are subscribed to."""

    def answers(tasks):
        kinds = rx.merge(tasks.pipe(ops.filter(str.isupper)), tasks.pipe(ops.filter(str.islower)))
        return rx.concat(rx.timer(3).pipe(ops.ignore_elements()), kinds).pipe(
            ops.map(lambda task: (task, task * 2))
        )

    engine = engine_of(answers)
    waiting = asyncio.ensure_future(run(engine, "a", "B", "c"))
    await asyncio.sleep(1)
    engine.complete()
    assert [result.value for result in await waiting] == ["aa", "BB", "cc"]
    assert now() == 3


async def test_a_task_that_is_left_out_is_failed_in_time():
    engine = engine_of(
        ops.compose(ops.filter(lambda task: task > "a"), ops.map(lambda task: (task, "kept"))), 7
    )
    left, kept = await run(engine, "a", "b")
    assert kept.value == "kept"
    assert (left.status, left.error.category, left.duration) == (Status.FAILED, Category.INTERNAL, 7)
    assert "within 7 s" in left.error.message


async def test_an_exception_is_a_tasks_failure():
    failures = {"a": passing("busy"), "b": ValueError("odd"), "c": asyncio.CancelledError("by itself")}
    engine = engine_of(lambda tasks: tasks.pipe(ops.map(lambda task: (task, failures[task]))))
    results = await run(engine, *failures)
    assert [result.status for result in results] == [Status.FAILED, Status.FAILED, Status.CANCELLED]
    assert [result.error.category for result in results] == ["overloaded", "internal", "cancelled"]
    assert results[1].error.exception is failures["b"]


async def test_an_answer_may_be_a_call_which_then_is_the_tasks_own():
    ask = model()
    memory = Memory()
    engine = engine_of(lambda tasks: tasks.pipe(ops.map(lambda task: (task, race(ask(task), Work(60))))))
    result = await engine.run(Llm(prompt="hello", id="t"), journal=memory)
    assert (result.value, result.winner, result.kind) == ("HELLO", 0, "llm")
    assert [attempt.id for child in result.each_child() for attempt in child.attempts] == ["t/0#1"]
    assert [outcome.path for outcome in memory.noted if outcome.number > 0] == ["/0"]
    assert not others()


async def test_or_a_task_or_an_awaitable():
    double = FunctionTarget(lambda number: 2 * number, "double")
    engine = engine_of(
        lambda tasks: tasks.pipe(ops.map(lambda task: (task, Function(name="double", arguments=(task,))))),
        functions={"double": double},
    )
    assert (await engine.run(4)).value == 8
    engine = engine_of(lambda tasks: tasks.pipe(ops.map(lambda task: (task, asyncio.sleep(1, task)))))
    assert (await engine.run(4)).value == 4


async def test_a_call_with_the_task_inside_of_the_stream_is_the_tasks_own_too():
    ask = model()
    memory = Memory()

    def answers(tasks):
        return tasks.pipe(
            ops.flat_map(
                lambda task: ask(task).pipe(timeout(9), retry(2)).pipe(ops.map(lambda answer: (task, answer)))
            )
        )

    result = await engine_of(answers).run(Llm(prompt="hello", id="t"), journal=memory)
    assert (result.value, [attempt.id for attempt in result.attempts]) == ("HELLO", ["t#1"])
    assert len(memory.noted) == 1
    assert not others()


async def test_a_call_for_many_ends_with_none_of_them():
    """What is asked once the last of a batch came in is not cut off when that one is answered, or gives up."""
    ask = model()

    def answers(tasks):
        def each(batch):
            return rx.merge(
                *(ask(str(n) + task.prompt).pipe(ops.map(lambda a, t=task: (t, a))) for n, task in batch)
            )

        return tasks.pipe(
            ops.map_indexed(lambda task, n: (n, task)), ops.buffer_with_count(3), ops.flat_map(each)
        )

    soon = datetime.now(UTC) + timedelta(seconds=2)
    results = await run(engine_of(answers), Llm(prompt="a"), Llm(prompt="b"), Llm(prompt="c", deadline=soon))
    assert [result.status for result in results] == [Status.SUCCEEDED, Status.SUCCEEDED, Status.TIMED_OUT]
    assert [result.value for result in results[:2]] == ["0A", "1B"]


@pytest.mark.parametrize(
    "answers",
    [
        lambda ask: ops.map(lambda task: (task, ask(task))),
        lambda ask: ops.flat_map(lambda task: ask(task).pipe(ops.map(lambda answer: (task, answer)))),
        lambda ask: ops.flat_map(
            lambda task: ask(Llm(prompt="b")).pipe(ops.map(lambda answer: (task, answer)))
        ),
    ],
    ids=["as the answer", "of the task", "of nobody"],
)
async def test_the_topologys_retry_holds_for_calls_of_a_stream(answers):
    failures = [passing()]

    async def call(request):
        if failures:
            raise failures.pop()
        return request.prompt

    ask = Registry().declare(call, {"name": "model"})
    engine = engine_of(answers(ask), retry=Retry(max_attempts=2, initial_delay=1))
    assert (await engine.run(Llm(prompt="b"))).value == "b"


async def test_what_a_task_calls_ends_with_it_and_the_stream_goes_on():
    work = Work(60, "late")
    slow = Registry().declare(lambda request: work(), {"name": "slow"})

    def answers(tasks):
        return tasks.pipe(ops.flat_map(lambda task: slow(task).pipe(ops.map(lambda answer: (task, answer)))))

    engine = engine_of(answers, 600)
    soon = datetime.now(UTC) + timedelta(seconds=2)
    first, second = await run(engine, Llm(prompt="a", deadline=soon), Llm(prompt="b"))
    assert (first.status, second.value) == (Status.TIMED_OUT, "late")
    assert (work.cancelled, work.alive) == (1, 0)


async def test_an_error_fails_whoever_waits_and_the_next_task_finds_a_new_subscription():
    subscribed = []

    def answers(tasks):
        subscribed.append(now())
        return tasks.pipe(later(2), ops.map(lambda task: (task, 1 / task)))

    engine = engine_of(answers)
    results = await run(engine, 0, 1, 2)
    assert [result.error.category for result in results] == [Category.INTERNAL] * 3
    assert "ZeroDivisionError" in results[2].error.message
    assert isinstance(results[2].error.exception, ZeroDivisionError)
    assert [result.value for result in await run(engine, 1, 2)] == [1, 0.5]
    assert len(subscribed) == 2


async def test_so_does_its_completion():
    engine = engine_of(lambda tasks: tasks.pipe(ops.take(1), later(1), ops.map(lambda task: (task, "taken"))))
    results = await run(engine, "a", "b")
    assert [result.value for result in results] == ["taken", None]
    assert "completed without an answer" in results[1].error.message
    assert (await engine.run("c")).value == "taken"


async def test_an_operator_that_raises_fails_whoever_waits():
    def raising(source):
        def subscribe(observer, scheduler=None):
            return source.subscribe(lambda task: 1 / task, observer.on_error, observer.on_completed)

        return Observable(subscribe)

    engine = engine_of(raising)
    (result,) = await run(engine, 0)
    assert "ZeroDivisionError" in result.error.message
    assert "ZeroDivisionError" in (await engine.run(0)).error.message


@pytest.mark.parametrize("wrong", [lambda tasks: None, lambda tasks: 1 / 0])
async def test_a_function_that_makes_no_stream_fails_every_task(wrong):
    results = await run(engine_of(wrong), "a", "b")
    assert [(result.status, result.error.category) for result in results] == [(Status.FAILED, "internal")] * 2


async def test_the_end_of_the_tasks_is_the_streams_to_see():
    """What was gathered is answered, and the Observable completes."""
    completed = []

    def answers(tasks):
        return tasks.pipe(
            ops.buffer_with_count(10),
            ops.flat_map(lambda batch: rx.from_iterable([(task, len(batch)) for task in batch])),
            ops.do_action(on_completed=lambda: completed.append(now())),
        )

    engine = engine_of(answers)
    waiting = asyncio.ensure_future(run(engine, *"abc"))
    await asyncio.sleep(3)
    engine.complete()
    assert [result.value for result in await waiting] == [3, 3, 3]
    assert completed == [3]
    waiting = asyncio.ensure_future(run(engine, "d"))
    await asyncio.sleep(3)
    engine.complete()
    assert (await waiting)[0].value == 1


@pytest.mark.parametrize("source", [range, lambda n: rx.from_iterable(range(n)), lambda n: counting(n)])
async def test_many_tasks_end_the_stream_with_the_last_of_them(source):
    """The tasks of the last batch wait for no others, those that have deadlines neither."""
    sizes = []

    def answers(tasks):
        def each(batch):
            sizes.append(len(batch))
            return rx.from_iterable([(task, task) for task in batch])

        return tasks.pipe(ops.buffer_with_count(10), ops.flat_map(each))

    engine = engine_of(answers)
    run_one, tasks = intake(engine.answer, engine.run, source(24))
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    seen: list[Result] = []
    concurrent_map(run_one, 100)(tasks).subscribe(
        seen.append, done.set_exception, lambda: done.set_result(None)
    )
    await done
    assert sorted(result.value for result in seen) == list(range(24))
    assert (sizes, now()) == ([10, 10, 4], pytest.approx(0, abs=0.1))


async def counting(end: int) -> Any:
    for number in range(end):
        yield number


async def test_a_task_that_comes_after_the_end_is_answered_alone():
    """As one does that was on its way: its deadline made it begin later."""
    engine = engine_of(
        ops.compose(ops.buffer_with_count(10), ops.flat_map(lambda batch: [(batch[0], len(batch))]))
    )
    engine.complete()
    assert (await engine.run(Llm(prompt="a", deadline=datetime.now(UTC) + timedelta(seconds=5)))).value == 1


async def test_what_never_completes_is_disposed_of_when_nobody_waits_any_more():
    disposed = []

    def answers(tasks):
        ticks = rx.interval(1).pipe(ops.ignore_elements(), ops.finally_action(lambda: disposed.append(now())))
        return rx.merge(tasks.pipe(later(5), ops.map(lambda task: (task, task))), ticks)

    engine = engine_of(answers)
    waiting = asyncio.ensure_future(run(engine, "a"))
    await asyncio.sleep(1)
    engine.complete()
    assert (await waiting)[0].value == "a"
    assert disposed == [5]


async def test_an_answer_nobody_waits_for_is_told_of_once_and_dropped(told):
    def answers(tasks):
        return tasks.pipe(ops.flat_map(lambda task: rx.of((task, 1), (task, 2), ("other", 3), "no pair", 7)))

    assert [result.value for result in await run(engine_of(answers), ["a"], ["b"])] == [1, 1]
    assert len(told.messages) == 3
    assert [message for message in told.messages if "waits for no answer" in message]


async def test_an_equal_task_is_another_one():
    engine = engine_of(lambda tasks: tasks.pipe(ops.scan(lambda n, task: (task, n[1] + 1), (None, 0))))
    assert [result.value for result in await run(engine, ["a"], ["a"])] == [1, 2]
    same = ["a"]
    assert sorted(result.value for result in await run(engine, same, same)) == [3, 4]


def test_an_answer_may_come_from_another_thread():
    engine = engine_of(
        lambda tasks: tasks.pipe(
            ops.observe_on(NewThreadScheduler()), ops.map(lambda task: (task, task.upper()))
        )
    )
    assert [result.value for result in asyncio.run(run(engine, "a", "b"))] == ["A", "B"]


async def test_a_task_in_the_stream_holds_no_run_slot():
    """Else a batch larger than the concurrency would never be full."""
    engine = engine_of(
        lambda tasks: tasks.pipe(
            ops.buffer_with_count(50),
            ops.flat_map(lambda batch: rx.from_iterable([(task, ask(str(task))) for task in batch])),
        ),
        slots=Limit(4),
    )
    running = peak = 0

    async def count(request):
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(1)
        running -= 1
        return request.prompt

    ask = Registry().declare(count, {"name": "count"})
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    seen: list[Result] = []
    concurrent_map(engine.run, engine.slots)(range(100)).subscribe(
        seen.append, done.set_exception, lambda: done.set_result(None)
    )
    await done
    assert sorted(int(result.value) for result in seen) == list(range(100))
    assert (peak, engine.slots.active, engine.slots.peak) == (4, 0, 4)


async def test_who_is_let_go_leaves_the_stream(told):
    engine = engine_of(lambda tasks: tasks.pipe(later(5), ops.map(lambda task: (task, task))))
    gone = asyncio.ensure_future(engine.run(["gone"]))
    stays = asyncio.ensure_future(engine.run(["stays"]))
    await asyncio.sleep(1)
    gone.cancel()
    assert (await stays).value == ["stays"]
    assert gone.cancelled()
    assert len(told.messages) == 1


async def test_who_is_cancelled_by_id_has_that_as_its_result():
    engine = engine_of(lambda tasks: tasks.pipe(later(5), ops.map(lambda task: (task, task.prompt))))
    waiting = asyncio.gather(*(engine.run(Llm(prompt=name, id=name)) for name in "ab"))
    await asyncio.sleep(1)
    assert engine.cancel("a")
    cancelled, answered = await waiting
    assert (cancelled.status, answered.value) == (Status.CANCELLED, "b")


async def test_what_a_call_in_the_stream_cost_is_in_the_tasks_result():
    ask = model(Response(text="x", usage=Usage(output_tokens=7), cost=0.5))
    engine = engine_of(
        lambda tasks: tasks.pipe(
            ops.flat_map(lambda t: ask(t).pipe(ops.map(lambda a: (t, parallel(lambda: a)))))
        )
    )
    result = await engine.run(Llm(prompt="a"))
    assert (result.usage.output_tokens, result.cost, result.value) == (7, 0.5, ["x"])


class Question(msgspec.Struct):
    text: str


def test_a_topology_names_its_kind_of_task_by_the_observables():
    topology = Topology(input="questions", output="answers")

    @topology.stream(answer_within=5)
    def answers(tasks: Observable[Question]) -> Observable[Any]:
        return tasks.pipe(ops.map(lambda task: (task, task.text.upper())))

    assert topology.task_type is Question
    assert asyncio.run(topology.engine().run(Question("a"))).value == "A"
    assert topology.engine().answer is not topology.engine().answer


def test_without_an_annotation_it_is_any_task_of_the_wire():
    for annotated in (Observable, Observable[Any]):
        topology = Topology(input="questions", output="answers")

        @topology.stream(answer_within=5)
        def answers(tasks: annotated) -> Observable[Any]:
            return tasks

        assert topology.task_type is Task
    topology = Topology(input="questions", output="answers")
    topology.stream(answer_within=5)(lambda tasks: tasks)
    assert topology.task_type is Task


@pytest.mark.parametrize("seconds", [None, 0, -1, float("nan"), float("inf"), True, "5"])
def test_the_time_for_an_answer_is_named_with_its_range(seconds):
    topology = Topology(input="questions", output="answers")
    with pytest.raises(SettingsError, match=r"answer_within=\.\.\.\): the seconds"):
        topology.stream(answer_within=seconds)
    with pytest.raises(SettingsError, match="answer_within"):

        @topology.stream
        def answers(tasks):
            return tasks


def test_a_topology_answers_by_task_or_as_a_stream():
    topology = Topology(input="questions", output="answers")
    topology.task(lambda task: task)
    with pytest.raises(SettingsError, match=r"@topology\.task or @topology\.stream"):
        topology.stream(answer_within=5)(lambda tasks: tasks)


def test_a_wrong_signature_is_refused():
    topology = Topology(input="questions", output="answers")
    with pytest.raises(SettingsError, match="exactly one parameter, the Observable"):
        topology.stream(answer_within=5)(lambda: None)

    def of_task(task: Llm) -> Any:
        return task

    with pytest.raises(SettingsError, match="an Observable of tasks"):
        topology.stream(answer_within=5)(of_task)
