"""Files to a versioned folder that is whole or absent, and back: law 5, for indexes and exported encoders.

    FOLDER/CURRENT             one line: the version's folder and the SHA-256 of its manifest
    FOLDER/<version>/manifest.json   what it holds, and every file's size and SHA-256
    FOLDER/<version>/...

A version is written under another name, synced and renamed; then `os.replace` swaps CURRENT. Whatever is
killed, CURRENT names a whole version or the one before. Builders hold FOLDER/.lock, so what an earlier one
left half-written can be removed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.errors import IndexDamagedError, IndexMissingError, StorageError

CURRENT = "CURRENT"
MANIFEST = "manifest.json"
OURS = re.compile(r"CURRENT|\.lock|v[0-9]+|\.new-(v[0-9]+|CURRENT)")  # the only names that a builder may replace
FULL = {errno.ENOSPC, errno.EDQUOT, None}  # numpy gives a write that was cut short no number
SMALL = 4_000_000  # bytes: files up to this size are checked whole at every opening, larger ones by size


@dataclass(frozen=True, slots=True)
class Version:
    """A checked version: where it lies, what its manifest says."""

    path: Path
    manifest: Mapping[str, Any]


def sha256_file(path: Path) -> str:
    """A file to the hex SHA-256 of its bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """Text to the hex SHA-256 of its UTF-8 bytes."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """Turn the disk's refusals into a StorageError that names the folder."""
    try:
        yield
    except OSError as error:
        remedy = "free some space, or name another folder" if error.errno in FULL else "name another folder"
        raise StorageError(
            f"cannot write to {folder}: {error.strerror or error}; {remedy} "
            "(--out for an index, FOOTNOTE_CACHE for the cache)"
        ) from error


def current(folder: Path, *, mend: str, deep: bool = False, what: str = "index") -> Version:
    """The folder's current version, checked: manifest, sizes, the small files' bytes; with `deep`, every byte.

    mend: the command that an error names; what: what it says is there.
    Raises IndexMissingError, IndexDamagedError, StorageError.
    """
    try:
        line = (folder / CURRENT).read_bytes().decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise IndexMissingError(f"there is nothing built in {folder}; build it: {mend}") from None
    except UnicodeDecodeError:
        raise IndexDamagedError(f"{folder / CURRENT} is damaged; rebuild: {mend}") from None
    except OSError as error:
        raise StorageError(f"cannot read {folder / CURRENT}: {error.strerror or error}") from error
    return _checked(folder, line, mend, deep, what)


def _checked(folder: Path, line: str, mend: str, deep: bool, what: str) -> Version:
    def damaged(how: str) -> IndexDamagedError:
        return IndexDamagedError(f"the {what} in {folder} is damaged: {how}; rebuild: {mend}")

    parts = line.split()
    if len(parts) != 2 or not re.fullmatch(r"v[0-9]+", parts[0]) or line != f"{parts[0]} {parts[1]}\n":
        raise damaged(f"{CURRENT} reads {line[:80]!r}")
    path = folder / parts[0]
    try:
        raw = (path / MANIFEST).read_bytes()
        if hashlib.sha256(raw).hexdigest() != parts[1]:
            raise damaged(f"{path.name}/{MANIFEST} is not the one that {CURRENT} names")
        manifest: dict[str, Any] = json.loads(raw)
        listed = [(name, entry["bytes"], entry["sha256"]) for name, entry in manifest["files"].items()]
    except FileNotFoundError as error:
        raise damaged(f"{Path(str(error.filename)).name} is missing") from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise damaged(f"{path.name}/{MANIFEST} has not the form of a manifest") from None
    try:
        for name, length, sha256 in listed:
            size = (path / name).stat().st_size
            if size != length:
                raise damaged(f"{path.name}/{name} has {size} bytes, not {length}")
            if (deep or size <= SMALL) and sha256_file(path / name) != sha256:
                raise damaged(f"the bytes of {path.name}/{name} are not those that were written")
    except FileNotFoundError as error:
        raise damaged(f"{Path(str(error.filename)).name} is missing") from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    return Version(path, manifest)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for building, made if need be; others wait. What a killed builder left is removed first."""
    from filelock import FileLock

    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        foreign = sorted(path.name for path in folder.iterdir() if not OURS.fullmatch(path.name))
        if foreign:
            raise StorageError(
                f"{folder} holds other things than an index ({foreign[0]}): name an empty or a new folder, "
                "so that nothing of yours is replaced"
            )
        lock = FileLock(folder / ".lock")
        lock.acquire()
    try:
        _sweep(folder)
        yield
    finally:
        lock.release()


def publish(
    folder: Path, write: Callable[[Path], Mapping[str, Any]], *, reached: Callable[[str], None] = lambda step: None
) -> Version:
    """Write the next version and make it the current one, all or nothing; the caller holds `locked(folder)`.

    write: fills the folder it is given with files and returns the manifest's other entries. reached: called with
    the name of each step, for tests that stop there. The version before is kept for readers that have it open;
    older ones go. Raises StorageError.
    """
    name = f"v{1 + max((int(path.name[1:]) for path in folder.glob('v*') if path.name[1:].isdecimal()), default=0)}"
    fresh, pointer = folder / f".new-{name}", folder / f".new-{CURRENT}"
    try:
        with storing(folder):
            fresh.mkdir()
            reached("made")
            manifest = {**write(fresh), "files": {}}
            reached("written")
            files = sorted(path for path in fresh.rglob("*") if path.is_file())
            for path in files:
                entry = {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
                manifest["files"][path.relative_to(fresh).as_posix()] = entry
            raw = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False).encode("utf-8")
            (fresh / MANIFEST).write_bytes(raw)
            for path in [*fresh.rglob("*"), fresh]:
                _sync(path)
            reached("synced")
            os.replace(fresh, folder / name)
            reached("renamed")
            pointer.write_text(f"{name} {hashlib.sha256(raw).hexdigest()}\n", "utf-8")
            _sync(pointer)
            reached("pointed")
            os.replace(pointer, folder / CURRENT)
            _sync(folder)
            reached("swapped")
    finally:
        _sweep(folder)
    return Version(folder / name, manifest)


def _sweep(folder: Path) -> None:
    """Remove what is half-written, and the versions that are neither the current one nor the one before it."""
    versions = {path.name: int(path.name[1:]) for path in folder.glob("v[0-9]*") if (path / MANIFEST).is_file()}
    named = _named(folder)
    if named in versions:
        before = max((number for number in versions.values() if number < versions[named]), default=0)
        for name, number in versions.items():
            if number not in {versions[named], before}:
                with suppress(OSError):
                    os.replace(folder / name, folder / f".new-{name}")  # killed in the middle, the next sweep goes on
    for left in folder.glob(".new-*"):
        if not OURS.fullmatch(left.name):
            continue
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _named(folder: Path) -> str:
    """The version that CURRENT names, or an empty string."""
    try:
        return (folder / CURRENT).read_text("utf-8").partition(" ")[0]
    except (OSError, UnicodeDecodeError):
        return ""


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
