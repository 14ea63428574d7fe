"""What a pool's tasks have in common, and what one of them has instead."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from streamer.engine import Engine
from streamer.engine.asked import kind_of
from streamer.errors import CallFailed, Category, SettingsError
from streamer.failures import said
from streamer.operand import Compiled, again, as_single
from streamer.operators import fallback, timeout
from streamer.operators.retry import Operator, checked, retried
from streamer.providers.call import ProviderCall
from streamer.providers.target import Target
from streamer.single import Operand, Single
from streamer.step import Step
from streamer.tasks import Llm, Retry, TaskBase, Timeouts

Again = Retry | int | Operator | None
Clocks = float | Timeouts | None
ONCE = Retry(max_attempts=1)


class Policy(Struct, frozen=True):
    """How a task is run: its retry, its clocks, what is tried when it fails; and the metadata of its result."""

    retry: Retry | Operator | None = None
    clocks: Clocks = None
    fallbacks: tuple[Operand, ...] = ()
    metadata: dict[str, Any] | None = None

    def but(
        self,
        *,
        retry: Again | UnsetType = UNSET,
        timeout: Clocks | UnsetType = UNSET,
        fallbacks: Sequence[Operand] | UnsetType | None = UNSET,
        metadata: Mapping[str, Any] | UnsetType | None = UNSET,
    ) -> Policy:
        """The same with what is given instead; None, or nothing in it, switches off."""
        changed: dict[str, Any] = {}
        if retry is not UNSET:
            changed["retry"] = ONCE if retry is None else judged_retry(retry)
        if timeout is not UNSET:
            changed["clocks"] = judged_clocks(timeout)
        if fallbacks is not UNSET:
            changed["fallbacks"] = judged_fallbacks(fallbacks)
        if metadata is not UNSET:
            changed["metadata"] = judged_metadata(metadata)
        return replace(self, **changed) if changed else self

    def plan(self, operand: Operand, engine: Engine) -> Single[Any]:
        """All that is to be done for an operand, as one Single."""
        single = self.candidate(operand, engine)
        if self.fallbacks:
            others = (self.candidate(asked(other, operand), engine) for other in self.fallbacks)
            single = fallback(single, *others)
        return single

    def candidate(self, operand: Operand, engine: Engine) -> Single[Any]:
        """One of those to try, with its clock and its retries."""
        if isinstance(operand, Single):
            return guarded(self.around(operand))
        if engine.answer is not None and not callable(operand):
            plan = Single(again(lambda step: engine.run_plan(step, operand)), kind_of(operand))
            return self.around(guarded(plan))
        if isinstance(operand, TaskBase):
            task = self.within(operand)
            single = guarded(Compiled(task))
            # a Retry is the task's own by now
            return single if task.retry is not None or self.retry is None else self.again(single)
        return self.around(guarded(as_single(operand)))

    def within(self, task: TaskBase) -> TaskBase:
        """A task of the wire with the retry and the clocks that it doesn't name itself."""
        changed: dict[str, Any] = {}
        if task.retry is None and isinstance(self.retry, Retry):
            changed["retry"] = self.retry
        if task.timeout is None and self.clocks is not None:
            changed["timeout"] = self.clocks if isinstance(task, Llm) else self.seconds
        return replace(task, **changed) if changed else task

    def around(self, single: Single[Any]) -> Single[Any]:
        """The same with a clock for each attempt."""
        if self.seconds is not None:
            single = timeout(self.seconds)(single)
        return self.again(single)

    def again(self, single: Single[Any]) -> Single[Any]:
        if self.retry is None or self.retry is ONCE:
            return single
        return retried(self.retry)(single) if isinstance(self.retry, Retry) else self.retry(single)

    @property
    def seconds(self) -> float | None:
        """What an attempt may take."""
        return self.clocks.attempt if isinstance(self.clocks, Timeouts) else self.clocks


def asked(other: Operand, operand: Operand) -> Operand:
    """A fallback; a provider is asked what the operand asks."""
    if not isinstance(other, Target):
        return other
    question = operand
    if isinstance(operand, ProviderCall):
        question = operand.messages if operand.task is None else operand.task
    elif not isinstance(operand, Llm):
        raise TypeError(
            f"fallbacks: provider {other.name!r} is asked what an llm task or a provider's call asks, and "
            f"{type(operand).__name__} is neither; pass other fallbacks, or () for none."
        )
    return other(question)


def guarded(single: Single[Any]) -> Single[Any]:
    """The same; what is meant to end the program, and isn't Ctrl-C, ends as its failure instead."""

    async def run(step: Step) -> Any:
        try:
            return await single.at(step)
        except (Exception, asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            raise CallFailed(Category.INTERNAL, said(error)) from error

    return single.like(run, guarded)


def judged_retry(given: Again) -> Retry | Operator | None:
    if given is None or (callable(given) and not isinstance(given, type)):
        return given
    settings = msgspec.structs.asdict(given) if isinstance(given, Retry) else {"max_attempts": given}
    return checked(settings)


def judged_clocks(given: Clocks) -> Clocks:
    if isinstance(given, Timeouts):
        try:
            return msgspec.convert(msgspec.structs.asdict(given), Timeouts)
        except msgspec.ValidationError as error:
            raise SettingsError(f"timeout: {error}; in seconds.") from error
    if given is not None:
        timeout(given)  # which says what is wrong with it
    return given


def judged_fallbacks(given: Sequence[Operand] | None) -> tuple[Operand, ...]:
    if given is not None and not isinstance(given, list | tuple):
        raise SettingsError(f"fallbacks is a list of Singles, Tasks, callables or providers, not {given!r}.")
    for other in given or ():
        try:
            as_single(other)
        except TypeError as error:
            raise SettingsError(f"fallbacks: {error}") from error
    return tuple(given or ())


def judged_metadata(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise SettingsError(f"metadata is a mapping with text as keys, not {given!r}.")
    return dict(given) or None
