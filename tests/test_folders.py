"""Versioned folders: what is written, what CURRENT says, what is kept, what is refused."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rag import IndexDamagedError, IndexMissingError, StorageError
from rag.folders import SMALL, current, locked, publish, sha256_file, sha256_text, storing

MEND = "mend it so"


def writing(text: str, size: int = 0) -> Callable[[Path], Mapping[str, Any]]:
    """Text to a `write` that puts it in two files, and a third of so many bytes."""

    def write(folder: Path) -> Mapping[str, Any]:
        (folder / "é.txt").write_text(text, "utf-8")
        (folder / "sub").mkdir()
        (folder / "sub" / "b").write_bytes(b"\r\n")
        if size:
            (folder / "large").write_bytes(b"x" * size)
        return {"text": text}

    return write


def put(folder: Path, text: str, **more: Any) -> Path:
    """Publish a version; its path."""
    with locked(folder):
        return publish(folder, writing(text, **more)).path


def named(folder: Path) -> list[str]:
    """The names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_hashes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes("é 😀\r\n".encode())
    assert sha256_file(tmp_path / "f") == sha256_text("é 😀\r\n") == hashlib.sha256("é 😀\r\n".encode()).hexdigest()
    assert sha256_text("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_version_with_its_manifest(tmp_path: Path) -> None:
    path = put(tmp_path / "made" / "deep", "中文 😀")
    assert path == tmp_path / "made" / "deep" / "v1"
    raw = (path / "manifest.json").read_bytes()
    assert json.loads(raw) == {
        "text": "中文 😀",
        "files": {
            "sub/b": {"bytes": 2, "sha256": hashlib.sha256(b"\r\n").hexdigest()},
            "é.txt": {"bytes": 11, "sha256": hashlib.sha256("中文 😀".encode()).hexdigest()},
        },
    }
    assert (path.parent / "CURRENT").read_bytes() == f"v1 {hashlib.sha256(raw).hexdigest()}\n".encode()
    version = current(path.parent, mend=MEND, deep=True)
    assert (version.path, version.manifest) == (path, json.loads(raw))


def test_one_version_before_is_kept(tmp_path: Path) -> None:
    for number in range(1, 4):
        assert put(tmp_path, f"text {number}").name == f"v{number}"
        assert current(tmp_path, mend=MEND).manifest["text"] == f"text {number}"
    assert named(tmp_path) == [".lock", "CURRENT", "v2", "v3"]
    assert (tmp_path / "v2" / "é.txt").read_text("utf-8") == "text 2"


def test_the_next_number_is_after_the_highest(tmp_path: Path) -> None:
    for name in ("v7", "v10"):
        (tmp_path / name).mkdir()
    assert put(tmp_path, "text").name == "v11"
    assert named(tmp_path) == [
        ".lock",
        "CURRENT",
        "v10",
        "v11",
        "v7",
    ]  # without a manifest, they are nobody's to remove


def test_the_steps_in_order(tmp_path: Path) -> None:
    steps: list[tuple[str, list[str]]] = []
    with locked(tmp_path):
        publish(tmp_path, writing("x"), reached=lambda step: steps.append((step, named(tmp_path))))
    assert steps == [
        ("made", [".lock", ".new-v1"]),
        ("written", [".lock", ".new-v1"]),
        ("synced", [".lock", ".new-v1"]),
        ("renamed", [".lock", "v1"]),
        ("pointed", [".lock", ".new-CURRENT", "v1"]),
        ("swapped", [".lock", "CURRENT", "v1"]),
    ]


@pytest.mark.parametrize("stop", ["made", "written", "synced", "renamed", "pointed"])
def test_an_exception_at_any_step_leaves_the_version_before(tmp_path: Path, stop: str) -> None:
    put(tmp_path, "first")

    def reached(step: str) -> None:
        if step == stop:
            raise RuntimeError(step)

    with pytest.raises(RuntimeError, match=stop), locked(tmp_path):
        publish(tmp_path, writing("second"), reached=reached)
    assert current(tmp_path, mend=MEND, deep=True).manifest["text"] == "first"
    assert not [name for name in named(tmp_path) if name.startswith(".new-")]
    put(tmp_path, "third")
    assert current(tmp_path, mend=MEND, deep=True).manifest["text"] == "third"


def test_locking_removes_what_was_left(tmp_path: Path) -> None:
    (tmp_path / ".new-v4").mkdir()
    (tmp_path / ".new-v4" / "part").write_bytes(b"half")
    (tmp_path / ".new-CURRENT").write_bytes(b"v4")
    with locked(tmp_path):
        assert named(tmp_path) == [".lock"]


def test_locks_exclude_each_other(tmp_path: Path) -> None:
    inside, most = 0, 0
    counting = threading.Lock()

    def build() -> None:
        nonlocal inside, most
        with locked(tmp_path):
            with counting:
                inside += 1
                most = max(most, inside)
            publish(tmp_path, writing("x"))
            with counting:
                inside -= 1

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert current(tmp_path, mend=MEND).path.name == "v4"


def test_an_exception_releases_the_lock(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    assert put(tmp_path, "after").name == "v1"


@pytest.mark.parametrize("make", ["nothing", "empty folder", "file"])
def test_nothing_there(tmp_path: Path, make: str) -> None:
    folder = tmp_path / "é"
    if make == "empty folder":
        folder.mkdir()
    elif make == "file":
        folder.write_bytes(b"x")
    with pytest.raises(IndexMissingError) as caught:
        current(folder, mend=MEND)
    assert str(caught.value) == f"there is nothing built in {folder}; build it: {MEND}"


@pytest.mark.parametrize(
    "line", [b"", b"v1", b"v1 0", b"v1 0\n", b"../v1 0\n", b"v1  0\n", b"v1 0\n\n", b"\xff\xfe", "中 文\n".encode()]
)
def test_a_current_that_is_not_ours(tmp_path: Path, line: bytes) -> None:
    put(tmp_path, "x")
    (tmp_path / "CURRENT").write_bytes(line)
    with pytest.raises(IndexDamagedError, match=rf"damaged.*; rebuild: {MEND}"):
        current(tmp_path, mend=MEND)


def test_the_size_of_every_file_is_checked(tmp_path: Path) -> None:
    path = put(tmp_path, "x", size=SMALL + 1)
    with (path / "large").open("ab") as file:
        file.write(b"y")
    with pytest.raises(IndexDamagedError) as caught:
        current(tmp_path, mend=MEND)
    assert str(caught.value) == (
        f"the index in {tmp_path} is damaged: v1/large has {SMALL + 2} bytes, not {SMALL + 1}; rebuild: {MEND}"
    )


def test_the_bytes_of_small_files_are_checked_and_of_large_ones_with_deep(tmp_path: Path) -> None:
    path = put(tmp_path, "x", size=SMALL + 1)
    (path / "large").write_bytes(b"y" * (SMALL + 1))
    assert current(tmp_path, mend=MEND).path == path
    with pytest.raises(IndexDamagedError, match="the bytes of v1/large are not those that were written"):
        current(tmp_path, mend=MEND, deep=True)
    (path / "é.txt").write_bytes(b"y")
    with pytest.raises(IndexDamagedError, match=r"the bytes of v1/é\.txt are not those that were written"):
        current(tmp_path, mend=MEND)


def test_a_missing_file_and_a_changed_manifest(tmp_path: Path) -> None:
    path = put(tmp_path, "x")
    (path / "sub" / "b").unlink()
    with pytest.raises(IndexDamagedError, match="damaged: b is missing"):
        current(tmp_path, mend=MEND)
    (path / "manifest.json").write_bytes(b"{}")
    with pytest.raises(IndexDamagedError, match=r"v1/manifest\.json is not the one that CURRENT names"):
        current(tmp_path, mend=MEND)
    (path / "manifest.json").unlink()
    with pytest.raises(IndexDamagedError, match=r"manifest\.json is missing"):
        current(tmp_path, mend=MEND)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space, or name another folder"),
        (errno.EDQUOT, "free some space, or name another folder"),
        (errno.EACCES, "name another folder"),
        (errno.EROFS, "name another folder"),
    ],
)
def test_the_disks_refusals_name_the_folder_and_the_remedy(tmp_path: Path, number: int, remedy: str) -> None:
    with pytest.raises(StorageError) as caught, storing(tmp_path):
        raise OSError(number, os.strerror(number))
    assert str(caught.value) == (
        f"cannot write to {tmp_path}: {os.strerror(number)}; {remedy} "
        "(--out for an index, FOOTNOTE_CACHE for the cache)"
    )
    assert isinstance(caught.value.__cause__, OSError)


def test_a_write_that_numpy_found_cut_short_is_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="4 requested and 0 written; free some space"), storing(tmp_path):
        raise OSError("4 requested and 0 written")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(StorageError, match=r"/file/below: Not a directory; name another"),
        locked(tmp_path / "file" / "below"),
    ):
        pytest.fail("it was locked")
    with (
        pytest.raises(StorageError, match=r"cannot write to .*/file: File exists; name another"),
        locked(tmp_path / "file"),
    ):
        pytest.fail("it was locked")


@pytest.mark.parametrize("name", ["videos", ".new-stuff", "notes.txt", "v1x"])
def test_a_folder_with_other_things_is_refused_and_left_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine.txt").write_text("é 😀", "utf-8")
    with (
        pytest.raises(StorageError, match=f"holds other things than an index .{name}.: name an empty"),
        locked(tmp_path),
    ):
        raise AssertionError("a folder of somebody's was taken")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "mine.txt").read_text("utf-8") == "é 😀"


def test_a_folder_that_only_looks_like_a_version_is_kept(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "mine.txt").write_text("mine", "utf-8")
    for _ in range(3):
        with locked(tmp_path):
            publish(tmp_path, lambda path: {"format": 0})
    assert (tmp_path / "v1" / "mine.txt").read_text("utf-8") == "mine"


def test_the_next_builder_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    for number in range(1, 5):
        put(tmp_path, f"{number}")
    shutil.copytree(tmp_path / "v4", tmp_path / "v2")  # killed after the swap, before the older ones went
    shutil.copytree(tmp_path / "v4", tmp_path / "v9")  # killed after it was renamed, before CURRENT named it
    with locked(tmp_path):
        assert named(tmp_path) == [".lock", "CURRENT", "v3", "v4"]
    shutil.copytree(tmp_path / "v4", tmp_path / ".new-v2")  # killed while the older one went
    (tmp_path / ".new-v2" / "manifest.json").unlink()
    with locked(tmp_path):
        assert named(tmp_path) == [".lock", "CURRENT", "v3", "v4"]
