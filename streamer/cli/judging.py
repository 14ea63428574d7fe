"""A file of tasks, judged as a worker would: what is decoded, and what the engine makes of it."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from streamer.decoding import Decoder
from streamer.engine.compile import Compiler
from streamer.errors import CallFailed, InvalidTask, SettingsError
from streamer.forms import FIELDS
from streamer.providers.function import FunctionTarget
from streamer.providers.registry import Registry
from streamer.tasks import KINDS, Retry, Task, TaskBase, Timeouts
from streamer.topology import Topology

UNKNOWN_FIELD = re.compile(r"unknown field `(.*?)`")
NAMES = sorted({name for fields in FIELDS.values() for name in fields} | set(Retry.__struct_fields__))


class AnyFunction(Mapping[str, FunctionTarget]):
    """Where no topology is named any function may exist; their names are kept."""

    def __init__(self) -> None:
        self.named: Counter[str] = Counter()

    def __getitem__(self, name: str) -> FunctionTarget:
        self.named[name] += 1
        return FunctionTarget(print, name, run_in="loop")

    def __iter__(self) -> Iterator[str]:
        return iter(self.named)

    def __len__(self) -> int:
        return len(self.named)


def judge(path: Path, module: str | None) -> int:
    """Print what is wrong with each task of a file, and a summary; how many are wrong."""
    topology = the_topology(module) if module is not None else None
    functions: Mapping[str, FunctionTarget] = AnyFunction() if topology is None else topology.functions
    decoder = Decoder() if topology is None else Decoder(topology.task_type)
    compiler = Compiler(declared(topology), functions)
    kinds: Counter[str] = Counter()
    wrong = 0
    for place, data in tasks(path):
        problem = None
        try:
            task = decoder.decode(data)
            kinds[str(getattr(type(task), "__struct_config__").tag or type(task).__name__)] += 1  # noqa: B009
            if isinstance(task, TaskBase) and (topology is None or topology.answer is None):
                problem = refused(compiler, task, "$")
        except InvalidTask as error:
            problem = f"{error.reason}: {error}{remedy(error, decoder.type)}"
        if problem is not None:
            wrong += 1
            print(f"{path}, {place}: {problem}", file=sys.stderr)
    total = sum(kinds.values())
    summary = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    if wrong:
        print(f"{path}: {wrong} wrong; decoded: {summary or 'none'}.", file=sys.stderr)
    else:
        print(
            f"{path}: {total} task{'' if total == 1 else 's'}, all right ({summary or 'the file is empty'})."
        )
    if isinstance(functions, AnyFunction) and functions.named:
        print(
            f"Functions {', '.join(functions.named)}: name their topology with --module to have them judged."
        )
    return wrong


def the_topology(module: str) -> Topology:
    from streamer.cli.loading import load

    found = load(module)
    if len(found) > 1:
        raise SettingsError(f"{module} has {len(found)} topologies; choose one with MODULE:ATTRIBUTE.")
    return found[0]


def declared(topology: Topology | None) -> Registry:
    """The providers that tasks may name: the module's and those of the known schemes."""
    from streamer.providers.registry import default_registry

    return Registry() if topology is None else default_registry


def tasks(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each task's bytes with its place: a file that is one JSON value as a whole is a task or an array of them."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}.") from error
    if path.suffix == ".json":
        try:
            msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass  # lines, then
        else:
            if data.lstrip().startswith(b"["):
                found = msgspec.json.decode(data, type=list[msgspec.Raw])
                yield from ((f"task {number}", bytes(task)) for number, task in enumerate(found, 1))
            else:
                yield "the task", data
            return
    for number, line in enumerate(data.splitlines(), 1):
        if line.strip():
            yield f"line {number}", line.strip()


def refused(compiler: Compiler, task: TaskBase, path: str) -> str | None:
    """What the engine refuses in a task or below it, with its path: a failed result."""
    below: Any = getattr(task, "tasks", ())
    for key, child in below.items() if isinstance(below, dict) else enumerate(below):
        place = f"{path}.tasks.{key}" if isinstance(below, dict) else f"{path}.tasks[{key}]"
        if (found := refused(compiler, child, place)) is not None:
            return found
    try:
        compiler.compile(task)
    except (CallFailed, ValueError) as error:
        return f"invalid_request: {error} - at `{path}`"
    return None


def remedy(error: InvalidTask, kind: Any) -> str:
    """What to write instead, where that can be told."""
    if error.reason == "unknown_kind" or "required field `kind`" in str(error):
        return (
            f"; kinds are {', '.join(KINDS)}"
            if kind is Task
            else f"; this topology takes {kind.__name__} alone"
        )
    if error.reason == "decode_error":
        return ". A task is one JSON object; in a .jsonl file each on a line of its own"
    if found := UNKNOWN_FIELD.search(str(error)):
        close = get_close_matches(found[1], [*NAMES, *Timeouts.__struct_fields__], 1)
        return f"; did you mean `{close[0]}`?" if close else "; leave it out, or put it into `metadata`"
    return ""
