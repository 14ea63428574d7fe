"""What a user writes: a named way from an input topic to an output topic."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from inspect import signature
from math import isfinite
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from reactivex import Observable

from streamer.engine import Engine
from streamer.engine.judging import judged_hedging
from streamer.errors import SettingsError
from streamer.events import Listener
from streamer.limits import Limit
from streamer.operators.hedging import Hedging
from streamer.operators.retry import by_default
from streamer.providers.function import FunctionTarget
from streamer.settings import resolve
from streamer.spending import affordable
from streamer.streams import Stream
from streamer.tasks import Retry, Task, TaskBase

F = TypeVar("F", bound=Callable[..., Any])
TopicName = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9._-]{1,249}\Z")]
ALLOWED = (
    "claim_check",
    "claim_check_bytes",
    "concurrency",
    "dead_letter_failed",
    "delivery",
    "drain_timeout",
    "group",
    "max_message_bytes",
    "ordering",
    "outstanding",
    "park_after",
    "partitions",
    "revoke_timeout",
    "workflow_timeout",
)


class Topology:
    """A way from ``input`` to ``output``, both topics.

    ``name`` (by default the input's) names the group and the topics of its own, such as ``NAME.dead-letters``.
    ``concurrency`` is how many tasks run at once in a worker, a number or a Limit that topologies share, ``ordering``
    is ``none`` or ``key``, ``retry`` holds for calls whose tasks say nothing of it, unless a ``retry`` is put around
    them; ``retry_budget`` is how many attempts beyond the first all calls of one task may make together, ``hedging``
    the budget of its hedged races. With ``dead_letter_failed`` a task that fails or times out is a dead letter besides.
    Further settings are those of :class:`streamer.settings.Settings`.
    Without ``@topology.task`` or ``@topology.stream`` a task means what it says on the wire.
    """

    def __init__(
        self,
        input: str,
        output: str,
        *,
        name: str | None = None,
        retry: Retry | int | None = None,
        retry_budget: int | None = None,
        hedging: Hedging | None = None,
        **settings: Any,
    ) -> None:
        for field, topic in (("input", input), ("output", output), ("name", name or input)):
            try:
                msgspec.convert(topic, TopicName)
            except msgspec.ValidationError as error:
                raise SettingsError(
                    f"Topology {field}: {topic!r} is no topic name; letters, digits, '.', '_' and '-', at most 249."
                ) from error
        if input == output:
            raise SettingsError(
                f"Topology {name or input!r}: input and output are the same topic, {input!r}."
            )
        self.name = name or input
        self.input = input
        self.output = output
        self.retry = by_default(retry, f"Topology {name or input!r}")
        self.retry_budget = affordable(retry_budget)
        self.hedging = judged_hedging(hedging, f"Topology {name or input!r}")
        limit = settings.get("concurrency")
        self.limit = limit if isinstance(limit, Limit) else None
        """What it shares with others of its process, where it was given a Limit."""
        if self.limit is not None:
            settings["concurrency"] = self.limit.limit
        self.settings = {"input": input, "output": output, "group": self.name, **settings}
        self.functions: dict[str, FunctionTarget] = {}
        self.answer: Callable[[Any], Any] | None = None
        self.task_type: Any = Task
        unknown = set(settings) - set(ALLOWED)
        if unknown:
            raise SettingsError(
                f"Topology {self.name!r} has no setting {', '.join(sorted(unknown))}; there are {', '.join(ALLOWED)}."
            )
        resolve({}, self.settings, {})

    def task(self, function: F) -> F:
        """Register how a task is answered: a function that returns a Single, a Task, a value or an awaitable.

        Its parameter is a task of the wire, or the msgspec Struct that its annotation names.
        """
        annotated = self.parameter(function, "@topology.task", "the task")
        self.task_type = judged(annotated, f"@topology.task: the parameter of {function.__name__}")
        self.answer = function
        return function

    def stream(self, *given: Any, answer_within: Any = None) -> Callable[[F], F]:
        """Register how tasks are answered as a stream: a function from an Observable of tasks to one of pairs.

        A pair is ``(task, answer)``: the very task that came in, and a value, an exception, or a Single or Task
        to be run as the task's own. A task without an answer within ``answer_within`` seconds, or by the end of the
        Observable, is failed. What the parameter's annotation names in ``Observable[...]`` is what a task is.
        """
        number = isinstance(answer_within, int | float) and not isinstance(answer_within, bool)
        if given or not number or not isfinite(answer_within) or answer_within <= 0:
            raise SettingsError(
                "@topology.stream(answer_within=...): the seconds within which a task has its answer, "
                f"more than 0, not {answer_within!r}."
            )

        def register(function: F) -> F:
            annotated = self.parameter(function, "@topology.stream", "the Observable of tasks")
            if annotated is Observable or get_origin(annotated) is Observable:
                annotated = next(
                    (kind for kind in get_args(annotated) if not isinstance(kind, TypeVar)), Task
                )
            elif annotated is not Task:
                raise SettingsError(
                    f"@topology.stream: the parameter of {function.__name__} is an Observable of tasks, "
                    f"not {annotated!r}."
                )
            self.task_type = judged(annotated, f"@topology.stream: a task of {function.__name__}")
            self.answer = Stream(function, float(answer_within), self.name)
            return function

        return register

    def parameter(self, function: Callable[..., Any], what: str, takes: str) -> Any:
        """The annotation of its only parameter."""
        if self.answer is not None:
            raise SettingsError(
                f"Topology {self.name!r} has two functions marked @topology.task or @topology.stream."
            )
        if len(signature(function).parameters) != 1:
            raise SettingsError(f"{what}: {function.__name__} takes exactly one parameter, {takes}.")
        parameter = next(iter(signature(function).parameters))
        try:
            return get_type_hints(function).get(parameter, Task)
        except NameError as error:
            raise SettingsError(
                f"{what}: the annotation of {function.__name__} names {error.name!r}, which is not defined."
            ) from error

    def function(
        self,
        function: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        retry_on: type[Exception] | tuple[type[Exception], ...] = (),
        run_in: str | None = None,
        concurrency: int | Limit | None = None,
        journal: bool = False,
    ) -> Any:
        """Register a function that tasks of kind ``function`` call by name.

        A plain one runs in a thread, or with ``run_in="process"`` in a process, an async one on the loop. ``retry_on`` names exceptions that may pass by
        themselves; ``concurrency`` is how many of its calls run at once, a number or a Limit that others share; ``journal`` has what it returns, a plain
        value, remembered across crashes, so that it is not called again.
        """

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            known_as = name or function.__name__
            if known_as in self.functions:
                raise SettingsError(f"Topology {self.name!r} has two functions named {known_as!r}.")
            types = (retry_on,) if isinstance(retry_on, type) else tuple(retry_on)
            self.functions[known_as] = FunctionTarget(
                function, known_as, retry_on=types, run_in=run_in, concurrency=concurrency, journal=journal
            )
            return function

        return register if function is None else register(function)

    def slots(self, concurrency: int) -> Limit:
        """The run slots of a worker: those that it shares, unless a flag or the environment set another number."""
        shared = self.limit
        return shared if shared is not None and shared.limit == concurrency else Limit(concurrency)

    def engine(
        self,
        slots: Limit | None = None,
        listener: Listener | None = None,
        park_after: float | None = None,
    ) -> Engine:
        """What answers its tasks, in this process; ``park_after``, in seconds, by default as it is set."""
        return Engine(
            copy(self.answer) if isinstance(self.answer, Stream) else self.answer,
            functions=self.functions,
            retry=self.retry,
            retry_budget=self.retry_budget,
            hedging=self.hedging,
            slots=slots,
            listener=listener,
            park_after=resolve({}, self.settings, {}).settings.park_after
            if park_after is None
            else park_after,
        )


def judged(annotated: Any, what: str) -> Any:
    """The type of task that an annotation means; a SettingsError where it can't be decoded."""
    if annotated is Any or annotated is TaskBase:
        return Task
    kinds = get_args(annotated) if get_origin(annotated) in (Union, UnionType) else (annotated,)
    wanted = TaskBase if len(kinds) > 1 else msgspec.Struct
    if not all(isinstance(kind, type) and issubclass(kind, wanted) for kind in kinds):
        raise SettingsError(f"{what} is a task of the wire or one msgspec Struct, not {annotated!r}.")
    try:
        msgspec.json.Decoder(annotated)
    except TypeError as error:
        raise SettingsError(f"{what} can't be decoded: {error}") from error
    return annotated
