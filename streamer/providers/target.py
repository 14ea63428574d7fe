"""A provider with its name and its limit, ready to be called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from streamer.clocks import unfit
from streamer.errors import CallFailed, Category, SettingsError
from streamer.limits import ExtraCalls, Joint, Limit, limit_of
from streamer.limits.ceiling import ceiling
from streamer.not_yet import refuse_fields
from streamer.providers.call import OwnCall, ProviderCall
from streamer.providers.conversation import conversation
from streamer.providers.protocol import Provider, Request
from streamer.step import current
from streamer.tasks import Llm, Message, Retry, Timeouts


class Wrapped:
    """Any SDK's call or stream as a provider."""

    def __init__(self, function: Callable[[Request], Any]) -> None:
        self.function = function

    def answer(self, request: Request) -> Any:
        """Call it with the Request."""
        return self.function(request)


class Target:
    """A provider with its name, its model and its limit. Called with a task, a text or messages: a Single.

    Messages are :class:`Message` or written as on the wire: ``{"role": "user", "content": "..."}``.
    """

    def __init__(self, name: str, provider: Provider, settings: dict[str, Any], source: Any = None) -> None:
        self.provider = provider
        self.source = name if source is None else source
        """What it was declared as."""
        self.settings = settings
        scheme, _, rest = name.partition(":")
        self.name = scheme
        self.model = rest.partition("?")[0] or None
        self.journaled: bool = settings.get("journal", not getattr(provider, "free", False))
        budget = settings.get("retry_budget")
        try:
            self.extra = budget if budget is None or isinstance(budget, ExtraCalls) else ExtraCalls(budget)
        except SettingsError as error:
            raise SettingsError(f"retry_budget of provider {name!r}: {error}") from error
        self.parameters: Mapping[str, Any] = settings.get("parameters") or {}
        """Of every call, where its task says nothing else."""
        if not isinstance(self.parameters, Mapping) or not all(
            isinstance(key, str) for key in self.parameters
        ):
            raise SettingsError(
                f"parameters of provider {name!r} is a mapping of names, not {self.parameters!r}."
            )
        limit = settings.get("concurrency")
        self.slots = None if limit is None else limit_of(limit, f"concurrency of provider {name!r}")
        every = ceiling()
        self.calls: Limit | Joint | None = self.slots
        """What a call takes: a slot of its own limit, and of the process's where there is one."""
        if every is not None:
            self.calls = every if self.slots is None or self.slots is every else Joint(self.slots, every)
        self.nests = isinstance(provider, Wrapped) and (isinstance(limit, Limit) or every is not None)

    def __call__(self, task: Any) -> ProviderCall:
        if isinstance(task, Llm):
            refuse_fields(task, "llm")
            return self.call(task, conversation(task), task.retry or default_retry())
        if isinstance(task, str):
            return self.call(None, (Message(role="user", content=task),))
        if isinstance(task, list | tuple):
            if all(isinstance(message, Message) for message in task):
                return self.call(None, tuple(task))
            if all(isinstance(message, Message | Mapping) for message in task):
                return self.call(None, messages_of(task, self.name))
        kind = getattr(type(task), "__struct_config__", None)
        raise CallFailed(
            Category.INVALID_REQUEST,
            f"Provider {self.name} answers llm tasks, texts and lists of messages, "
            f"not {kind.tag if kind is not None and kind.tag else type(task).__name__}.",
        )

    def call(
        self, task: Llm | None, messages: tuple[Message, ...], retry: Retry | None = None
    ) -> ProviderCall:
        """One call, with the task's parameters and clocks; ``retry`` holds where no other is nearer."""
        parameters = task.parameters if task is not None else None
        if self.parameters:
            parameters = {**self.parameters, **(parameters or {})}
        clocks = clocks_of(task) if task is not None else None
        if clocks is not None and (why := unfit(clocks, self.provider, self.name)) is not None:
            raise CallFailed(Category.INVALID_REQUEST, why, provider=self.name)
        own = retry is not None or (task is not None and task.deadline is not None)
        call = (OwnCall if own else ProviderCall)(
            self.provider,
            self.name,
            self.model,
            self.calls,
            messages,
            parameters or {},
            task,
            clocks,
            self.journaled,
            self.nests,
        )
        if self.extra is not None:
            call.extra = self.extra
        if retry is not None:
            call.retries = retry
        return call

    async def close(self) -> None:
        """Close what the provider keeps open."""
        close = getattr(self.provider, "close", None)
        if close is not None:
            await close()


def messages_of(given: Sequence[Any], name: str) -> tuple[Message, ...]:
    """Messages, written as they travel or as what they are."""
    try:
        return msgspec.convert(msgspec.to_builtins(given), tuple[Message, ...])
    except msgspec.ValidationError as error:
        raise CallFailed(Category.INVALID_REQUEST, f"The messages for provider {name}: {error}") from error


def clocks_of(task: Llm) -> Timeouts | None:
    """The clocks of each attempt that a task asks for."""
    timeout = task.timeout
    return timeout if timeout is None or isinstance(timeout, Timeouts) else Timeouts(attempt=timeout)


def default_retry() -> Retry | None:
    """What the topology whose function makes this call says for tasks that say nothing."""
    step = current.get()
    return None if step is None else step.scope.retry
