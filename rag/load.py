"""A file, a folder or a string to Documents."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from rag.errors import DocumentError
from rag.folders import sha256_text
from rag.text import normalise, one_line
from rag.types import Document

SUFFIXES = (".txt", ".md")
TITLES = "titles.json"


def make_document(text: str, *, id: str, title: str = "", source: str = "") -> Document:
    """Any text to a Document: normalised once; a missing title is the id, a missing source too."""
    stored = normalise(text)
    return Document(
        id=normalise(id),
        title=one_line(normalise(title)) or normalise(id),
        source=normalise(source) or normalise(id),
        text=stored,
        sha256=sha256_text(stored),
    )


def read_folder(folder: Path | str, left_out: Callable[[str], None] | None = None) -> tuple[Document, ...]:
    """A folder (or one file) to its documents, in the order of their paths; empty files are left out.

    Reads the `.txt` and `.md` files below it as UTF-8, hidden ones apart, and no link that leads out of it (whoever
    made the folder could have what is elsewhere shown by it). An optional `titles.json` there maps a path to
    {"title": ..., "source": ...}. A document's id is its path below the folder.
    left_out: told in a line of each file, or folder below, that cannot be read, is not UTF-8 or is empty, and the
    others are read; without it, or when there are no others, the first that cannot be read raises.
    Raises DocumentError: nothing there, not readable, not UTF-8, nothing but white space.
    """
    folder = Path(folder)
    problems: list[DocumentError] = []
    empty: list[str] = []
    try:
        alone = folder.is_file()
    except OSError as error:
        raise _unreadable(folder, error) from error
    base, paths = (folder.parent, [folder]) if alone else (folder, _below(folder, problems))
    titles = _titles(base / TITLES) if paths else {}
    documents = []
    for path in paths:
        name = path.relative_to(base).as_posix()
        entry = titles.get(name, {})
        try:
            text = _read(path)
        except DocumentError as error:
            problems.append(error)
            continue
        made = make_document(text, id=name, title=entry.get("title", path.stem), source=entry.get("source", name))
        if made.text.strip():
            documents.append(made)
        else:
            empty.append(f"{path} holds no text")
    for problem in problems:
        if left_out is None or not documents:
            raise problem
        left_out(str(problem))
    if left_out and documents:
        for line in empty:
            left_out(line)
    if not documents:
        raise DocumentError(
            f"{folder} holds no text: give a folder with {' or '.join(SUFFIXES)} files that are not empty"
        )
    return tuple(documents)


def packaged_corpus() -> Path:
    """The folder of the sample corpus: in the installed package, or in a checkout."""
    installed = Path(str(resources.files("rag"))) / "corpus"
    return installed if installed.is_dir() else Path(__file__).resolve().parent.parent / "index" / "corpus"


def _below(folder: Path, problems: list[DocumentError]) -> list[Path]:
    """The text files below a folder, hidden ones apart, in the order of their paths; adds to the problems."""
    found = []

    def refuse(error: OSError) -> None:
        problems.append(_unreadable(f"the folder {error.filename}", error))

    for place, folders, names in os.walk(folder, onerror=refuse):  # unlike rglob, it tells what it cannot read
        folders[:] = [name for name in folders if not name.startswith(".")]
        texts = [name for name in names if not name.startswith(".") and name.lower().endswith(SUFFIXES)]
        away = {path for name in (*folders, *texts) if _leads_away(path := Path(place) / name, folder)}
        problems += [
            DocumentError(f"{path} is a link to {os.path.realpath(path)}, which is not in {folder}: copy it there")
            for path in sorted(away)
        ]
        found += [path for name in texts if (path := Path(place) / name) not in away]
    return sorted(found)


def _leads_away(path: Path, folder: Path) -> bool:
    """Whether a path below a folder is a link to what is not below it; not so of what may not be looked at."""
    return os.path.islink(path) and os.path.exists(path) and not path.resolve().is_relative_to(folder.resolve())


def _unreadable(what: Path | str, error: OSError) -> DocumentError:
    remedy = "; give yourself the right to read it" if isinstance(error, PermissionError) else ""
    return DocumentError(f"cannot read {what}: {error.strerror or error}{remedy}")


def _read(path: Path) -> str:
    """A file to its text; of what is no file (a pipe, a link to nothing), none."""
    try:
        return path.read_bytes().decode("utf-8") if path.is_file() else ""
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise _unreadable(path, error) from error


def _titles(path: Path) -> dict[str, dict[str, str]]:
    text = _read(path)
    try:
        titles = json.loads(text or "{}")
        return {str(name): {key: str(value) for key, value in entry.items()} for name, entry in titles.items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise DocumentError(f'{path} must map file names to {{"title": ..., "source": ...}}: {error}') from None
