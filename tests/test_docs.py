"""What the documentation shows is true: its Python runs, its JSON parses, its commands are one line."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FENCE = re.compile(r"^(?P<indent> *)(?P<marks>`{3,}|~{3,}) *(?P<language>[\w+-]*)[ ,]*(?P<rest>.*?) *$")


class Block(NamedTuple):
    """A fenced block; ``rest`` is what stands behind its language and keeps Python from being run."""

    path: Path
    line: int
    heading: str
    language: str
    rest: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def blocks(path: Path) -> Iterator[Block]:
    heading, opening, line, body = "", None, 0, []
    for number, text in enumerate(path.read_text().splitlines(), start=1):
        fence = FENCE.match(text)
        if opening is None:
            if fence:
                opening, line, body = fence, number, []
            elif text.startswith("#"):
                heading = text.lstrip("#").strip()
        elif fence and fence["marks"].startswith(opening["marks"]) and not fence["language"] + fence["rest"]:
            yield Block(path, line, heading, opening["language"], opening["rest"], "\n".join(body) + "\n")
            opening = None
        else:
            body.append(text.removeprefix(opening["indent"]))
    assert opening is None, f"{path}:{line}: the block is never closed"


def documentation() -> list[Block]:
    pages = [README, *sorted((ROOT / "docs").rglob("*.md"))]
    return [block for page in pages if page.exists() for block in blocks(page)]


def in_language(*languages: str) -> list[object]:
    return [pytest.param(block, id=block.place) for block in documentation() if block.language in languages]


@pytest.mark.parametrize("block", in_language("python", "py"))
def test_python_blocks_run(block: Block, tmp_path: Path) -> None:
    compile(block.text, block.place, "exec")
    if block.rest:
        return
    script = tmp_path / "block.py"
    script.write_text("\n" * block.line + block.text)  # so that a traceback shows the line of the page
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{block.place}\n{done.stderr}"


@pytest.mark.parametrize("block", in_language("json"))
def test_json_blocks_parse(block: Block) -> None:
    json.loads(block.text)


LINK = re.compile(r"\]\((?!\w+:)([^)\s#]*)#?([^)\s]*)\)")


def links() -> list[object]:
    pages = [README, *sorted((ROOT / "docs").rglob("*.md"))]
    found = [(page, *link.groups()) for page in pages for link in LINK.finditer(page.read_text())]
    return [
        pytest.param(*link, id=f"{link[0].relative_to(ROOT)}: {link[1]}#{link[2]}")
        for link in dict.fromkeys(found)
    ]


def anchors(page: Path) -> set[str]:
    """What a link to a heading is called, as the usual hosts name it."""
    heads = re.findall(r"^#+ +(.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize(("page", "path", "anchor"), links())
def test_links_lead_somewhere(page: Path, path: str, anchor: str) -> None:
    target = page.parent / path if path else page
    assert target.exists()
    if anchor:
        assert anchor in anchors(target)


@pytest.mark.parametrize("heading", ["Run it", "Test it"])
def test_the_readme_says_how_in_one_command_line(heading: str) -> None:
    if not README.exists() or not README.read_text().strip():
        pytest.skip("there is no README yet")
    assert [len(block.text.splitlines()) for block in blocks(README) if block.heading == heading] == [1]
    assert f"\n## {heading}\n" in README.read_text()


def test_a_block_is_found_with_its_line_language_and_heading(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n\n```python {.no-run}\n# B\n```\n- item\n\n  ~~~json\n  {\n  }\n  ~~~\n")
    assert list(blocks(page)) == [
        Block(page, 3, "A", "python", "{.no-run}", "# B\n"),
        Block(page, 8, "A", "json", "", "{\n}\n"),
    ]
