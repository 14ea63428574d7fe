"""What a task of the wire means, in terms of the Python operators: two doors to the same room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from streamer.errors import CallFailed, Category
from streamer.operators import fallback, parallel, race, retry, sequence, timeout
from streamer.operators.deadline import deadline
from streamer.providers.conversation import conversation
from streamer.providers.function import FunctionCall, FunctionTarget
from streamer.providers.registry import Registry
from streamer.single import Single
from streamer.tasks import Fallback, Function, Llm, Parallel, Race, Retry, Sequence, TaskBase, Timeouts

NOT_YET_KINDS = frozenset({"map", "consensus", "workflow", "plan"})
NOT_YET_EVERYWHERE = ("priority", "resources")
NOT_YET_FIELDS = {
    kind: (*NOT_YET_EVERYWHERE, *fields)
    for kind, fields in {
        "llm": ("response_schema", "tools", "guardrails", "stream"),
        "race": ("hedge_delay",),
        "function": (),
        "parallel": (),
        "fallback": (),
        "sequence": (),
    }.items()
}
NOT_YET_VALUES = {kind: attrgetter(*fields) for kind, fields in NOT_YET_FIELDS.items()}
NOT_YET_CLOCKS = ("queue", "connect", "first_token", "between_tokens")


class Compiler:
    """Makes Singles of tasks, with a topology's functions, providers and default retry."""

    def __init__(
        self, registry: Registry, functions: Mapping[str, FunctionTarget], default_retry: Retry | None = None
    ) -> None:
        self.registry = registry
        self.functions = functions
        self.default_retry = default_retry
        self.kinds: dict[type, Callable[[Any, Retry | None], Single[Any]]] = {
            Llm: self.llm,
            Function: self.function,
            Parallel: self.parallel,
            Race: self.race,
            Fallback: self.fallback,
            Sequence: self.sequence,
        }

    def compile(self, task: TaskBase) -> Single[Any]:
        """The Single that answers the task; what it lacks is ``invalid_request``, with the name."""
        return self.single(task, self.default_retry, root=True)

    def single(self, task: TaskBase, inherited: Retry | None, root: bool = False) -> Single[Any]:
        kind = str(type(task).__struct_config__.tag)
        refuse(task, kind)
        single = self.kinds[type(task)](task, task.retry or inherited)
        if task.deadline is not None and not root:
            single = deadline(task.deadline)(single)
        single.kind = kind
        single.task = task
        return single

    def llm(self, task: Llm, policy: Retry | None) -> Single[Any]:
        if task.model is None:
            raise CallFailed(
                Category.INVALID_REQUEST, "The task names no model, and this topology chooses none for it."
            )
        target = self.registry.resolve(task.model)
        clock = task.timeout.attempt if isinstance(task.timeout, Timeouts) else task.timeout
        call = target.call(task, conversation(task), clock)
        return call if policy is None else retry(policy)(call)

    def function(self, task: Function, policy: Retry | None) -> Single[Any]:
        target = self.functions.get(task.name)
        if target is None:
            known = ", ".join(sorted(self.functions)) or "none"
            raise CallFailed(
                Category.INVALID_REQUEST,
                f"The topology has no function {task.name!r}; registered with @topology.function: {known}.",
            )
        by_name = task.arguments if isinstance(task.arguments, dict) else {}
        by_position = () if isinstance(task.arguments, dict) else tuple(task.arguments)
        call: Single[Any] = FunctionCall(target, by_position, by_name, task, task.timeout)
        return call if policy is None else retry(policy)(call)

    def parallel(self, task: Parallel, policy: Retry | None) -> Single[Any]:
        children: list[Any]
        if isinstance(task.tasks, dict):
            children = [{name: self.single(child, policy) for name, child in task.tasks.items()}]
        else:
            children = [self.single(child, policy) for child in task.tasks]
        return self.timed(
            parallel(
                *children,
                concurrency=task.concurrency,
                fail_fast=task.fail_fast,
                require=task.require,
                reduce=task.reduce,
            ),
            task,
        )

    def race(self, task: Race, policy: Retry | None) -> Single[Any]:
        return self.timed(race(*(self.single(c, policy) for c in task.tasks), win_on=task.win_on), task)

    def fallback(self, task: Fallback, policy: Retry | None) -> Single[Any]:
        return self.timed(fallback(*(self.single(c, policy) for c in task.tasks), on=task.on), task)

    def sequence(self, task: Sequence, policy: Retry | None) -> Single[Any]:
        children = (self.single(c, policy) for c in task.tasks)
        return self.timed(sequence(*children, on_error=task.on_error, pass_result=task.pass_result), task)

    def timed(self, single: Single[Any], task: TaskBase) -> Single[Any]:
        return single if task.timeout is None else timeout(task.timeout)(single)


def refuse(task: TaskBase, kind: str) -> None:
    """Say of every field that has no effect yet that it has none; nothing pretends."""
    if kind in NOT_YET_KINDS:
        raise CallFailed(
            Category.INVALID_REQUEST,
            f"Tasks of kind {kind!r} are understood but not run yet by this version.",
        )
    for value in NOT_YET_VALUES[kind](task):
        if value is not None and value is not False:
            names = (name for name in NOT_YET_FIELDS[kind] if getattr(task, name) is value)
            raise no_effect(next(names))
    if isinstance(task.timeout, Timeouts):
        for name in NOT_YET_CLOCKS:
            if getattr(task.timeout, name) is not None:
                raise no_effect(f"timeout.{name}")


def no_effect(name: str) -> CallFailed:
    return CallFailed(Category.INVALID_REQUEST, f"`{name}` has no effect yet in this version; leave it out.")
