"""What docs/GUARANTEES.md names as evidence is there, and is none of what is known to fail."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "GUARANTEES.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")
FILE = re.compile(r"\btests/[\w/]+\.py\b")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
NOT_KEPT = "Not kept yet"
INVARIANTS = (
    "one_result",
    "no_commit_ahead",
    "holes_survive",
    "key_order",
    "rebalance_keeps_work",
    "paid_once",
    "exactly_once",
    "whole_answers",
    "slots_are_real",
    "bounded",
    "nothing_leaks",
)


class Named(NamedTuple):
    """A test that the page names below a heading."""

    heading: str
    file: str
    name: str


def sections() -> Iterator[tuple[str, str]]:
    """Each heading of the page with the text below it."""
    _, *parts = HEADING.split(PAGE.read_text())
    return zip(parts[::2], parts[1::2], strict=True)


def named() -> list[Named]:
    return [Named(heading, *found) for heading, text in sections() for found in NAMED.findall(text)]


@cache
def found_in(file: str) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """The tests of a file, those of classes as ``Class::test``."""
    path = ROOT / file
    return dict(functions(ast.parse(path.read_text()))) if path.exists() else {}


def functions(
    node: ast.Module | ast.ClassDef, prefix: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for below in node.body:
        if isinstance(below, ast.ClassDef):
            yield from functions(below, f"{prefix}{below.name}::")
        elif isinstance(below, ast.FunctionDef | ast.AsyncFunctionDef) and below.name.startswith("test"):
            yield prefix + below.name, below


def expected_to_fail(test: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(ast.unparse(decorator).startswith("pytest.mark.xfail") for decorator in test.decorator_list)


@pytest.mark.parametrize(("file", "name"), sorted({(test.file, test.name) for test in named()}))
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    assert name in found_in(file), f"{PAGE.name} names {file}::{name}, which is not there"


def test_a_file_of_tests_is_named_with_a_test_or_stands_for_itself() -> None:
    """So that no name is spelt in a way that is not looked up."""
    text = NAMED.sub("", PAGE.read_text())
    assert set(FILE.findall(text)) == {"tests/test_guarantees.py"}


def test_each_invariant_is_there_in_its_order() -> None:
    numbered = [heading for heading, _ in sections() if re.match(r"\d+\. ", heading)]
    assert numbered == [f"{number}. {name}" for number, name in enumerate(INVARIANTS, start=1)]


@pytest.mark.parametrize("invariant", INVARIANTS)
def test_each_invariant_names_a_test(invariant: str) -> None:
    assert [test for test in named() if test.heading.endswith(f". {invariant}")]


def test_what_is_expected_to_fail_shows_nothing_but_what_is_not_kept() -> None:
    for test in named():
        found = found_in(test.file).get(test.name)
        if found is not None and expected_to_fail(found):
            assert test.heading == NOT_KEPT, (
                f"{test.name} is expected to fail, and named for {test.heading!r}"
            )


@pytest.mark.parametrize("directory", ["chaos", "kafka"])
def test_what_is_expected_to_fail_is_told(directory: str) -> None:
    """All of it, so that the page is honest."""
    told = {(test.file, test.name) for test in named() if test.heading == NOT_KEPT}
    for path in sorted((ROOT / "tests" / directory).rglob("test_*.py")):
        file = path.relative_to(ROOT).as_posix()
        failing = {(file, name) for name, test in found_in(file).items() if expected_to_fail(test)}
        assert failing <= told
