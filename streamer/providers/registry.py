"""Providers by name: one object, and one limit, for all who name it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from streamer.call import ProviderCall
from streamer.errors import CallFailed, Category, SettingsError
from streamer.limits import Slots
from streamer.providers.conversation import conversation
from streamer.providers.protocol import Provider, Request
from streamer.tasks import Llm, Message

FORGOTTEN_AFTER = 600.0
UNDECLARED = 1_000
"""How many models that only tasks name are kept; a task's text must not decide what memory a worker needs."""


class Wrapped:
    """Any SDK's call or stream as a provider."""

    def __init__(self, function: Callable[[Request], Any]) -> None:
        self.function = function

    def answer(self, request: Request) -> Any:
        """Call it with the Request."""
        return self.function(request)


class Target:
    """A provider with its name, its model and its limit. Called with a task, a text or messages: a Single."""

    def __init__(self, name: str, provider: Provider, settings: dict[str, Any]) -> None:
        self.provider = provider
        self.settings = settings
        scheme, _, rest = name.partition(":")
        self.name = scheme
        self.model = rest.partition("?")[0] or None
        limit = settings.get("concurrency")
        self.slots = Slots(limit, f"concurrency of provider {name!r}") if limit is not None else None

    def __call__(self, task: Any) -> ProviderCall:
        if isinstance(task, Llm):
            return self.call(task, conversation(task))
        if isinstance(task, str):
            return self.call(None, (Message(role="user", content=task),))
        if isinstance(task, list | tuple) and all(isinstance(message, Message) for message in task):
            return self.call(None, tuple(task))
        kind = getattr(type(task), "__struct_config__", None)
        raise CallFailed(
            Category.INVALID_REQUEST,
            f"Provider {self.name} answers llm tasks, texts and lists of Message, "
            f"not {kind.tag if kind is not None and kind.tag else type(task).__name__}.",
        )

    def call(
        self, task: Llm | None, messages: tuple[Message, ...], clock: float | None = None
    ) -> ProviderCall:
        """One call; ``clock`` is the attempt's, in seconds."""
        parameters = task.parameters if task is not None else None
        return ProviderCall(
            self.provider, self.name, self.model, self.slots, messages, parameters or {}, task, clock
        )

    async def close(self) -> None:
        """Close what the provider keeps open."""
        close = getattr(self.provider, "close", None)
        if close is not None:
            await close()


class Registry:
    """All providers of a process, by name; conflicting settings for one name are an error."""

    def __init__(self) -> None:
        self.declared: dict[str, Target] = {}
        self.undeclared: OrderedDict[str, Target] = OrderedDict()
        self.closing: set[asyncio.Task[None]] = set()

    def declare(self, source: str | Provider | Callable[[Request], Any], settings: dict[str, Any]) -> Target:
        """The provider of that name with these settings."""
        name = settings.pop("name", None)
        if isinstance(source, str):
            name = name or source
        elif name is None:
            name = getattr(source, "__name__", type(source).__name__.lower())
        known = self.declared.get(name)
        if known is not None:
            same = settings == known.settings or not settings
            if same and (
                isinstance(source, str)
                or source in (known.provider, getattr(known.provider, "function", None))
            ):
                return known
            raise SettingsError(
                f"provider {name!r} was declared before as something else ({known.settings or 'no settings'}); "
                "give this one a name of its own: provider(..., name='...')."
            )
        provider, rest = (
            build(source, dict(settings)) if isinstance(source, str) else (adapt(source), settings)
        )
        unknown = set(rest) - {"concurrency"}
        if unknown:
            raise SettingsError(f"provider {name!r} has no setting {', '.join(sorted(unknown))}.")
        target = self.declared[name] = Target(name, provider, settings)
        if isinstance(source, str) and name != source:
            target.model = source.partition(":")[2].partition("?")[0] or None
        self.undeclared.pop(name, None)
        return target

    def resolve(self, model: str) -> Target:
        """The provider that a task names; one nobody declared has no limit but the topology's."""
        target = self.declared.get(model) or self.undeclared.get(model)
        if target is None:
            try:
                provider, _ = build(model, {})
            except SettingsError as error:
                raise CallFailed(Category.INVALID_REQUEST, str(error)) from error
            target = self.undeclared[model] = Target(model, provider, {})
            if len(self.undeclared) > UNDECLARED:
                self.forget(self.undeclared.popitem(last=False)[1])
        return target

    def forget(self, target: Target) -> None:
        """Close what has not been named for long, once its last calls must have ended."""
        loop = asyncio.get_running_loop()

        def close() -> None:
            task = loop.create_task(target.close())
            self.closing.add(task)
            task.add_done_callback(self.closing.discard)

        loop.call_later(FORGOTTEN_AFTER, close)

    async def close(self) -> None:
        """Close all providers; they open again when called again."""
        for target in (*self.declared.values(), *self.undeclared.values()):
            await target.close()

    def clear(self) -> None:
        """Forget all, for tests."""
        self.declared.clear()
        self.undeclared.clear()


def adapt(source: Any) -> Provider:
    """A provider as it is, or a callable as one."""
    if isinstance(source, Provider):
        return source
    if callable(source):
        return Wrapped(source)
    raise SettingsError(
        f"provider() takes a name such as 'openai:gpt-4o-mini', a callable, or an object with `answer(request)`, "
        f"not {type(source).__name__}."
    )


def build(name: str, settings: dict[str, Any]) -> tuple[Provider, dict[str, Any]]:
    """The provider that ``scheme:rest`` names, and the settings that are not its own."""
    scheme, colon, rest = name.partition(":")
    concurrency = {"concurrency": settings.pop("concurrency")} if "concurrency" in settings else {}
    if not colon or scheme not in SCHEMES:
        raise SettingsError(
            f"No provider {name!r} is known. A model is 'PROVIDER:MODEL' with one of "
            f"{', '.join(f'{known}:' for known in SCHEMES)} or a name that the topology declared."
        )
    try:
        return SCHEMES[scheme](rest, settings), concurrency
    except TypeError as error:
        raise SettingsError(f"provider {name!r}: {error}") from error


def echo(rest: str, settings: dict[str, Any]) -> Provider:
    from streamer.providers.echo import Echo

    del rest
    return Echo(**settings)


def simulated(rest: str, settings: dict[str, Any]) -> Provider:
    from streamer.providers.simulated import Simulated

    return Simulated.parse(rest, **settings)


def openai(rest: str, settings: dict[str, Any]) -> Provider:
    from streamer.providers.openai import OpenAI

    if not rest:
        raise SettingsError("provider 'openai:' needs a model, such as 'openai:gpt-4o-mini'.")
    return OpenAI(rest, **settings)


SCHEMES: dict[str, Callable[[str, dict[str, Any]], Provider]] = {
    "echo": echo,
    "openai": openai,
    "simulated": simulated,
}

default_registry = Registry()


def provider(source: str | Provider | Callable[[Request], Any], **settings: Any) -> Target:
    """A provider by its name (``openai:gpt-4o-mini``), or of a callable or object with ``answer(request)``.

    ``concurrency`` is how many of its calls run at once, over all who name it; ``name`` renames it; further
    settings are the provider's own. The same name again is the same provider; with other settings it is an error.
    """
    return default_registry.declare(source, settings)
