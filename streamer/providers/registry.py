"""Providers by name: one object, and one limit, for all who name it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from streamer.errors import CallFailed, Category, SettingsError
from streamer.providers.protocol import Provider, Request
from streamer.providers.target import Target as Target
from streamer.providers.target import Wrapped

FORGOTTEN_AFTER = 600.0
OF_ALL = ("concurrency", "journal", "parameters", "retry_budget")
"""Settings that every provider has."""
UNDECLARED = 1_000
"""How many models that only tasks name are kept; a task's text must not decide what memory a worker needs."""


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
            named = isinstance(source, str) and source == name  # whatever it was declared as
            if (named or source == known.source) and (settings == known.settings or not settings):
                return known
            Target(name, known.provider, settings, source)  # what is wrong with them goes first
            raise SettingsError(
                f"provider {name!r} was declared before as something else ({known.settings or 'no settings'}); "
                "give this one a name of its own: provider(..., name='...')."
            )
        provider, rest = (
            build(source, dict(settings)) if isinstance(source, str) else (adapt(source), settings)
        )
        unknown = set(rest) - set(OF_ALL)
        if unknown:
            raise SettingsError(f"provider {name!r} has no setting {', '.join(sorted(unknown))}.")
        if not isinstance(rest.get("journal", True), bool):
            raise SettingsError(f"journal of provider {name!r} is true or false, not {rest['journal']!r}.")
        target = self.declared[name] = Target(name, provider, settings, source)
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
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # where no loop runs, nothing was opened

        def close() -> None:
            task = loop.create_task(target.close())
            self.closing.add(task)
            task.add_done_callback(self.closing.discard)

        loop.call_later(FORGOTTEN_AFTER, close)

    async def close(self) -> None:
        """Close all providers; they open again when called again."""
        for target in (*self.declared.values(), *self.undeclared.values()):
            try:
                await target.close()
            except Exception as error:  # the others are to be closed all the same
                context = {"message": f"Provider {target.name} could not be closed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)

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
    of_all = {setting: settings.pop(setting) for setting in OF_ALL if setting in settings}
    if not colon or scheme not in SCHEMES:
        raise SettingsError(
            f"No provider {name!r} is known. A model is 'PROVIDER:MODEL' with one of "
            f"{', '.join(f'{known}:' for known in SCHEMES)} or a name that the topology declared."
        )
    try:
        return SCHEMES[scheme](rest, settings), of_all
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

    ``concurrency`` is how many of its calls run at once, over all who name it; ``parameters`` are those of its calls, of
    which a task's own go before, name by name; ``retry_budget`` is the share of its calls
    within a minute that may be retries, over all tasks (10 always may; or an ``ExtraCalls``); ``name`` renames it; ``journal`` says
    whether its answers are remembered across crashes, as those of all but free ones are; further settings are the
    provider's own. The same name again is the same provider; with other settings it is an error.
    """
    return default_registry.declare(source, settings)
