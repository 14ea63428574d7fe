"""What arrives: a task of one of ten kinds, immutable, judged while it is decoded."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct, field

from streamer.errors import Category

YEAR = 31_536_000
Seconds = Annotated[float, Meta(gt=0, le=YEAR, description="Seconds, at most a year.")]
Delay = Annotated[float, Meta(ge=0, le=YEAR, description="Seconds, at most a year; may be 0.")]
Count = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(min_length=1)]
StepId = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$(?!\n)")]
Require = Literal["all", "any", "none"] | Annotated[int, Meta(ge=0)]
Reduce = Literal["sum", "count", "concat", "merge"]
Backoff = Literal["fixed", "linear", "exponential", "jitter", "decorrelated"]
Role = Literal["system", "developer", "user", "assistant", "tool"]
ROLES = frozenset(get_args(Role))
PARTS = frozenset({tuple, type(None)})
BACKOFFS = frozenset(get_args(Backoff))
CATEGORIES = frozenset(Category)
NUMBERS = frozenset({int, float})


class Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a task: nothing that the wire does not know gets in."""


def judge(made: Strict) -> None:
    """Refuse what decoding refuses: made by hand, a Struct takes anything."""
    try:
        msgspec.convert(msgspec.structs.asdict(made), type(made))
    except msgspec.ValidationError as error:
        raise ValueError(f"{type(made).__name__}: {error}") from None


class Retry(Strict, frozen=True, kw_only=True):
    """How often and when a call is made again. ``max_attempts`` includes the first; delays are seconds."""

    max_attempts: Count = 3
    initial_delay: Delay = 1.0
    max_delay: Delay = 60.0
    backoff: Backoff = "exponential"
    multiplier: Annotated[float, Meta(ge=1, le=1_000)] = 2.0
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.1
    retry_on: tuple[Category, ...] | None = None

    def __post_init__(self) -> None:
        if not (
            type(self.max_attempts) is int
            and self.max_attempts >= 1
            and type(self.initial_delay) in NUMBERS
            and 0 <= self.initial_delay <= YEAR
            and type(self.max_delay) in NUMBERS
            and 0 <= self.max_delay <= YEAR
            and type(self.multiplier) in NUMBERS
            and 1 <= self.multiplier <= 1_000
            and type(self.jitter) in NUMBERS
            and 0 <= self.jitter <= 1
            and self.backoff in BACKOFFS
            and ((type(self.retry_on) is tuple and CATEGORIES.issuperset(self.retry_on)) or not self.retry_on)
        ):
            judge(self)


class Timeouts(Strict, frozen=True, kw_only=True):
    """The five clocks of a model call, in seconds."""

    attempt: Seconds | None = None
    queue: Seconds | None = None
    connect: Seconds | None = None
    first_token: Seconds | None = None
    between_tokens: Seconds | None = None

    def __post_init__(self) -> None:
        for clock in (self.attempt, self.queue, self.connect, self.first_token, self.between_tokens):
            if clock is not None and not (type(clock) in NUMBERS and 0 < clock <= YEAR):
                judge(self)


class Message(Strict, frozen=True, kw_only=True):
    """One turn of a conversation."""

    role: Role
    content: str | tuple[dict[str, Any], ...] | None = None
    tool_calls: tuple[dict[str, Any], ...] | None = None
    tool_call_id: str | None = None

    def __post_init__(self) -> None:
        if self.role not in ROLES or (type(self.content) is not str and type(self.content) not in PARTS):
            judge(self)


class TaskBase(Strict, tag_field="kind", frozen=True, kw_only=True):
    """What every kind has."""

    id: Name | None = None
    tag: str | None = None
    timeout: Seconds | None = None
    deadline: Annotated[datetime, Meta(tz=True)] | None = None
    retry: Retry | None = None
    priority: int | None = None
    resources: dict[str, Count] | None = None
    metadata: dict[str, Any] | None = None


class Llm(TaskBase, tag="llm", frozen=True, kw_only=True):
    """One question to a model: either ``messages``, or a ``prompt`` with perhaps a ``system``."""

    timeout: Seconds | Timeouts | None = None  # type: ignore[assignment]
    model: Name | None = None
    messages: tuple[Message, ...] | None = None
    prompt: str | None = None
    system: str | None = None
    parameters: dict[str, Any] | None = None
    response_schema: dict[str, Any] | None = None
    tools: tuple[dict[str, Any], ...] | None = None
    guardrails: tuple[Any, ...] | None = None
    stream: bool = False

    def __post_init__(self) -> None:
        if (self.messages is None) == (self.prompt is None):
            raise ValueError("An llm task has either `messages` or `prompt`")
        if self.messages is not None:
            if not self.messages:
                raise ValueError("`messages` holds at least one message")
            if self.system is not None:
                raise ValueError("`system` goes with `prompt`; in `messages` it is a message of its own")


class Function(TaskBase, tag="function", frozen=True, kw_only=True):
    """A call of a function that the topology registered."""

    name: Name
    arguments: dict[str, Any] | tuple[Any, ...] = {}


class Parallel(TaskBase, tag="parallel", frozen=True, kw_only=True):
    """All of them at once; values in input order, or by name."""

    tasks: tuple[Task, ...] | dict[str, Task]
    concurrency: Count | None = None
    fail_fast: bool = False
    require: Require = "all"
    reduce: Reduce | None = None

    def __post_init__(self) -> None:
        if isinstance(self.require, int) and self.require > len(self.tasks):
            raise ValueError(f"`require` is {self.require}, more than there are `tasks` ({len(self.tasks)})")


class Race(TaskBase, tag="race", frozen=True, kw_only=True):
    """The first success wins."""

    tasks: Annotated[tuple[Task, ...], Meta(min_length=1)]
    win_on: Literal["success", "completion"] = "success"
    hedge_delay: Seconds | Literal["p95"] | None = None


class Fallback(TaskBase, tag="fallback", frozen=True, kw_only=True):
    """One after another until one succeeds."""

    tasks: Annotated[tuple[Task, ...], Meta(min_length=1)]
    on: tuple[Category, ...] | None = None


class Sequence(TaskBase, tag="sequence", frozen=True, kw_only=True):
    """One after another, all of them."""

    tasks: tuple[Task, ...]
    on_error: Literal["stop", "continue"] = "stop"
    pass_result: bool = False


class Map(TaskBase, tag="map", frozen=True, kw_only=True):
    """One task for every item; ``task`` is a template, so its types are judged when it is rendered."""

    items: tuple[Any, ...] | str
    task: dict[str, Any]
    concurrency: Count | None = None
    batch_size: Count | None = None
    require: Require = "all"
    reduce: Reduce | None = None

    def __post_init__(self) -> None:
        if isinstance(self.require, int) and isinstance(self.items, tuple) and self.require > len(self.items):
            raise ValueError(f"`require` is {self.require}, more than there are `items` ({len(self.items)})")


class Consensus(TaskBase, tag="consensus", frozen=True, kw_only=True):
    """What the children agree on."""

    tasks: Annotated[tuple[Task, ...], Meta(min_length=2)]
    strategy: Literal["majority", "unanimous", "weighted", "best", "merge"] = "majority"
    weights: tuple[Annotated[float, Meta(ge=0, le=1e9)], ...] | None = None
    compare: Literal["exact", "normalized", "json", "number", "similarity"] = "exact"
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.8
    minimum_agreement: Annotated[float, Meta(ge=0, le=1)] = 0.6

    def __post_init__(self) -> None:
        if self.strategy not in ("weighted", "best"):
            if self.weights is not None:
                raise ValueError(f"`weights` go with `strategy` weighted and best, not with {self.strategy}")
        elif self.weights is None or len(self.weights) != len(self.tasks):
            raise ValueError(f"`strategy` {self.strategy} needs `weights`, one for each of `tasks`")
        elif not any(self.weights):
            raise ValueError("`weights` are not all 0")


class Instead(Strict, frozen=True, kw_only=True):
    """What a step that failed counts as."""

    value: Any


class Step(Strict, frozen=True, kw_only=True):
    """One node of a workflow; ``task`` is a template."""

    id: StepId
    task: dict[str, Any]
    depends_on: tuple[StepId, ...] = ()
    require: Require = "all"
    when: str | None = None
    on_error: Literal["stop", "continue"] | Instead = "stop"
    description: str | None = None


class If(Strict, frozen=True, kw_only=True):
    """A branch; an ``elif`` is an ``if`` step in ``else``."""

    id: StepId
    condition: Annotated[str, Meta(min_length=1)] = field(name="if")
    then: Annotated[tuple[dict[str, Any], ...], Meta(min_length=1)]
    otherwise: tuple[dict[str, Any], ...] = field(name="else", default=())
    depends_on: tuple[StepId, ...] = ()
    description: str | None = None


class For(Strict, frozen=True, kw_only=True):
    """A round per element."""

    id: StepId
    each: Annotated[str, Meta(min_length=1)] = field(name="for")
    as_: StepId = field(name="as", default="item")
    steps: Annotated[tuple[dict[str, Any], ...], Meta(min_length=1)]
    concurrency: Count | None = None
    max_iterations: Count = 100
    depends_on: tuple[StepId, ...] = ()
    description: str | None = None


class While(Strict, frozen=True, kw_only=True):
    """Rounds while a condition holds."""

    id: StepId
    condition: Annotated[str, Meta(min_length=1)] = field(name="while")
    steps: Annotated[tuple[dict[str, Any], ...], Meta(min_length=1)]
    max_iterations: Count = 100
    depends_on: tuple[StepId, ...] = ()
    description: str | None = None


class Workflow(TaskBase, tag="workflow", frozen=True, kw_only=True):
    """Steps that depend on each other: each a :class:`Step`, :class:`If`, :class:`For` or :class:`While`."""

    steps: Annotated[tuple[dict[str, Any], ...], Meta(min_length=1)]
    inputs: dict[str, Any] = {}
    output: Any = None
    concurrency: Count | None = None
    on_error: Literal["stop", "continue"] = "stop"


class Plan(TaskBase, tag="plan", frozen=True, kw_only=True):
    """A goal; a model writes the workflow."""

    goal: Name
    model: Name | None = None
    functions: tuple[Name, ...] | None = None
    inputs: dict[str, Any] = {}
    max_steps: Count | None = None


Task = Llm | Function | Parallel | Race | Fallback | Sequence | Map | Consensus | Workflow | Plan
KINDS: dict[str, type[TaskBase]] = {
    "llm": Llm,
    "function": Function,
    "parallel": Parallel,
    "race": Race,
    "fallback": Fallback,
    "sequence": Sequence,
    "map": Map,
    "consensus": Consensus,
    "workflow": Workflow,
    "plan": Plan,
}
KIND_OF: dict[type, str] = {kind: name for name, kind in KINDS.items()}


def priority_of(task: Any) -> int | None:
    """The priority of what waits to begin, where it has one."""
    return task.priority if isinstance(task, TaskBase) else None
