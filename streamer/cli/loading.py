"""From what the user typed to the topologies of a module; what is wrong is one sentence."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from streamer.errors import SettingsError
from streamer.topology import Topology


def load(target: str) -> list[Topology]:
    """The topologies of ``MODULE[:ATTRIBUTE]``, in the order the module names them; at least one."""
    place, colon, attribute = target.rpartition(":")
    if not colon or not attribute.isidentifier():
        place, attribute = target, ""
    module = imported(place)
    found = {name: item for name, item in vars(module).items() if isinstance(item, Topology)}
    if attribute:
        if attribute not in found:
            there = f"its topologies are {', '.join(found)}" if found else "it has no topology at all"
            wrong = "is no Topology" if hasattr(module, attribute) else "does not exist"
            raise SettingsError(f"{place}: {attribute!r} {wrong}; {there}.")
        return [found[attribute]]
    if not found:
        raise SettingsError(
            f"{place} has no topology. Give it one: topology = streamer.Topology(input=..., output=...)."
        )
    return distinct(place, found)


def distinct(place: str, found: dict[str, Topology]) -> list[Topology]:
    """Each once; two of one name would share group, dead letters and metrics."""
    topologies: dict[str, tuple[str, Topology]] = {}
    for attribute, topology in found.items():
        first, known = topologies.setdefault(topology.name, (attribute, topology))
        if known is not topology:
            raise SettingsError(
                f"{place}: {first} and {attribute} are two topologies of one name, {topology.name!r}. "
                f"Give one another name: Topology(..., name=...)."
            )
    return [topology for _, topology in topologies.values()]


def imported(place: str) -> ModuleType:
    """The module of that name or path."""
    path = Path(place)
    if path.suffix == ".py" or path.is_file() or len(path.parts) > 1 or os.sep in place:
        return from_file(place, path)
    if not all(part.isidentifier() for part in place.split(".")):
        raise SettingsError(f"{place!r} is neither a module's name nor a path ending in .py.")
    reach(Path.cwd())
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
            raise SettingsError(f"There is no module {place!r} here. {similar(place)}") from error
        raise broken(place, error) from error
    except (Exception, SystemExit) as error:
        raise broken(place, error) from error


def from_file(place: str, path: Path) -> ModuleType:
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise SettingsError(f"{place} {what}. {similar(place)}")
    if path.suffix != ".py":
        raise SettingsError(f"{place} is no Python module; its name ends in .py.")
    reach(Path.cwd())
    reach(path.resolve().parent)
    name = path.stem if path.stem not in sys.modules else f"topology_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # annotations are looked up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise broken(place, error) from error
    return module


def reach(directory: Path) -> None:
    """Let a module import its neighbours, as ``python FILE`` does."""
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


def similar(place: str) -> str:
    """What was perhaps meant."""
    for guess in (Path(f"{place}.py"), Path(*place.split(".")).with_suffix(".py")):
        if guess.is_file():
            return f"Did you mean {guess}?"
    return f"Give a module that can be imported from {Path.cwd()}, or a path such as topologies/tasks.py."


def broken(place: str, error: BaseException) -> SettingsError:
    """Why a module can't be loaded, with the line of the user's own code."""
    if isinstance(error, SyntaxError):
        return SettingsError(
            f"{shorter(str(error.filename))}, line {error.lineno}: {type(error).__name__}: {error.msg}."
        )
    streamers = str(Path(__file__).parents[1])
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((streamers, "<", sys.prefix, sys.base_prefix))
    ]
    where = f"{shorter(frames[-1].filename)}, line {frames[-1].lineno}" if frames else place
    if isinstance(error, SettingsError):
        return SettingsError(f"{where}: {error}")
    if isinstance(error, SystemExit):
        return SettingsError(f"{where}: the module ends the program when it is imported.")
    said = f"{where}: {type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError):
        said += f". Install what it needs for {sys.executable}."
    return SettingsError(said)


def shorter(name: str) -> str:
    try:
        return str(Path(name).relative_to(Path.cwd()))
    except ValueError:
        return name
