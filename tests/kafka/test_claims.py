"""Where large values wait, and what may be read from there."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from streamer.decoding import Decoder
from streamer.errors import InvalidTask, SettingsError
from streamer.kafka import claiming
from streamer.kafka.claims import ClaimRefused, Directory, Remote, open_store

OUTSIDE = [
    "../secret",
    "a/../../secret",
    "/etc/passwd",
    "{root}/../secret",
    "{root}x/secret",
    "link/secret",
    "link",
    "a\0b",
]


def test_what_is_put_is_got_by_its_location(tmp_path: Path) -> None:
    """And by the name alone, where the directory is mounted elsewhere; nothing else is left behind."""
    store = Directory(str(tmp_path))
    location = store.put("tasks/0-1.json", b"value")
    assert location == str(tmp_path / "tasks" / "0-1.json")
    assert store.get(location) == store.get("tasks/0-1.json") == b"value"
    assert [path.name for path in (tmp_path / "tasks").iterdir()] == ["0-1.json"]


def test_what_could_not_be_written_whole_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, say, in the middle."""

    def full(_: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Directory(str(tmp_path)).put("0-1.json", b"value")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("location", OUTSIDE)
def test_nothing_outside_is_read(tmp_path: Path, location: str) -> None:
    """Whatever a producer writes into the header."""
    root = tmp_path / "root"
    for directory in (root, tmp_path / "rootx"):
        directory.mkdir()
        (directory / "secret").write_text("secret")
    (tmp_path / "secret").write_text("secret")
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(ClaimRefused):
        Directory(str(root)).get(location.format(root=root))


def test_what_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    """Neither a missing file nor a directory is a value, nor what can't be a name."""
    (tmp_path / "directory").mkdir()
    for location in ("nowhere", "directory", "", "x" * 5_000):
        with pytest.raises(OSError):
            Directory(str(tmp_path)).get(location)


def test_what_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory depends on the limits."""
    monkeypatch.setattr("streamer.kafka.claims.LARGEST", 4)
    store = Directory(str(tmp_path))
    with pytest.raises(ClaimRefused, match="at most 4"):
        store.get(store.put("a", b"value"))


def test_a_directory_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    """A mistyped one is not made."""
    with pytest.raises(SettingsError, match="no directory that can be written to"):
        open_store(str(tmp_path / "nowhere"))
    assert isinstance(open_store(f"file://{tmp_path}"), Directory)


def test_without_fsspec_a_url_is_a_wrong_setting_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One clear error."""
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(SettingsError, match=r"pip install .streamer\[claim-check\]"):
        open_store("s3://bucket/claims")


def test_an_object_store_keeps_what_is_below_its_prefix() -> None:
    """And nothing else is read from it."""
    pytest.importorskip("fsspec")
    store = open_store("memory://claims/")
    assert isinstance(store, Remote)
    location = store.put("tasks/0-1.json", b"value")
    assert location == "memory://claims/tasks/0-1.json"
    assert store.get(location) == b"value"
    store.files.pipe_file("/secret", b"secret")
    for outside in (
        "memory://secret",
        "memory://claims/../secret",
        "memory://claims/a/../../secret",
        "memory://claims/%2e%2e/secret",
        "memory://claims//secret",
        "memory://claims",
        "/secret",
        "file:///etc/passwd",
        "memory://claims/a::file:///etc/passwd",
        "",
    ):
        with pytest.raises(ClaimRefused):
            store.get(outside)
    with pytest.raises(SettingsError, match="can't be reached"):
        open_store("nosuch://claims")


async def test_a_store_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount that hangs, say: the task is a dead letter, and its partition goes on."""
    monkeypatch.setattr(claiming, "PATIENCE", 0.01)
    answered = threading.Event()

    class Hanging:
        def put(self, name: str, data: bytes) -> str:
            raise NotImplementedError

        def get(self, location: str) -> bytes:
            answered.wait()
            return b""

    message = SimpleNamespace(headers=[("streamer-claim-check", b"a")], value=b"")
    found = await claiming.Claiming(Hanging(), 10, Decoder()).task(message)
    answered.set()
    assert (type(found), found.reason) == (InvalidTask, "decode_error")
    assert "TimeoutError" in str(found)
