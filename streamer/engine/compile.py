"""What a task of the wire means, in terms of the Python operators: two doors to the same room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from streamer.engine.rendered import made
from streamer.engine.templates import Template
from streamer.errors import CallFailed, Category
from streamer.not_yet import refuse_fields, refuse_kind
from streamer.operators import consensus, fallback, parallel, race, sequence, timeout
from streamer.operators.deadline import deadline
from streamer.operators.map import Applied, mapped
from streamer.operators.policy import Policy
from streamer.operators.retry import retried
from streamer.operators.telling import NOBODY
from streamer.providers.conversation import conversation
from streamer.providers.function import FunctionCall, FunctionTarget
from streamer.providers.registry import Registry
from streamer.single import Single
from streamer.tasks import (
    KIND_OF,
    Consensus,
    Fallback,
    Function,
    Llm,
    Map,
    Parallel,
    Race,
    Retry,
    Sequence,
    TaskBase,
    Timeouts,
)

ITEM = frozenset({"item", "index"})
"""What a map's task may name."""


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
            Map: self.map,
            Consensus: self.consensus,
        }

    def compile(self, task: TaskBase) -> Single[Any]:
        """The Single that answers the task; what it lacks is ``invalid_request``, with the name."""
        return self.single(task, self.default_retry)

    def single(self, task: TaskBase, inherited: Retry | None) -> Single[Any]:
        kind = KIND_OF[type(task)]
        refuse_kind(kind)
        refuse_fields(task, kind)
        single = self.kinds[type(task)](task, task.retry or inherited)
        if task.deadline is not None:
            single = deadline(task.deadline)(single)
        if single.task is not task:
            single.kind = kind
            single.task = task
        return single

    def llm(self, task: Llm, policy: Retry | None) -> Single[Any]:
        if task.model is None:
            raise CallFailed(
                Category.INVALID_REQUEST, "The task names no model, and this topology chooses none for it."
            )
        target = self.registry.resolve(task.model)
        call = target.call(task, conversation(task))
        return call if policy is None else retried(policy)(call)

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
        clocks = None if task.timeout is None else Timeouts(attempt=task.timeout)
        call: Single[Any] = FunctionCall(target, by_position, by_name, task, clocks)
        return call if policy is None else retried(policy)(call)

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
        return self.timed(
            race(
                *(self.single(c, policy) for c in task.tasks),
                win_on=task.win_on,
                hedge_delay=task.hedge_delay,
            ),
            task,
        )

    def fallback(self, task: Fallback, policy: Retry | None) -> Single[Any]:
        return self.timed(fallback(*(self.single(c, policy) for c in task.tasks), on=task.on), task)

    def sequence(self, task: Sequence, policy: Retry | None) -> Single[Any]:
        children = (self.single(c, policy) for c in task.tasks)
        return self.timed(sequence(*children, on_error=task.on_error, pass_result=task.pass_result), task)

    def map(self, task: Map, policy: Retry | None) -> Single[Any]:
        items = task.items
        if isinstance(items, str):
            raise CallFailed(
                Category.INVALID_REQUEST,
                "`items` is an array; a template stands for one only in what is itself rendered, "
                "such as the task of another map - at `$.items`",
            )
        template = Template(task.task, ITEM, "$.task")

        def child(item: Any, index: int) -> Single[Any]:
            return self.single(made(template.render({"item": item, "index": index}), "$.task"), policy)

        return self.timed(
            mapped(
                lambda item, index: Applied(child, (item, index), task.task["kind"]),
                items,
                concurrency=task.concurrency,
                batch_size=task.batch_size,
                policy=Policy(task.require),
                reduce=task.reduce,
                callbacks=NOBODY,
            ),
            task,
        )

    def consensus(self, task: Consensus, policy: Retry | None) -> Single[Any]:
        return self.timed(
            consensus(
                *(self.single(c, policy) for c in task.tasks),
                strategy=task.strategy,
                weights=task.weights,
                compare=task.compare,
                threshold=task.threshold,
                minimum_agreement=task.minimum_agreement,
            ),
            task,
        )

    def timed(self, single: Single[Any], task: TaskBase) -> Single[Any]:
        return single if task.timeout is None else timeout(task.timeout)(single)
