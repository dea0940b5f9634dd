"""A question to an Answer in one call, whose opened indexes are kept for the next one."""

from __future__ import annotations

import sys
import threading
from functools import lru_cache
from pathlib import Path

from rag.converse import History
from rag.pipeline import Pipeline
from rag.settings import Settings, folder_of
from rag.types import Answer


def ask(
    question: str, *, index: Path | str | None = None, history: History = (), max_wrong: float | None = None
) -> Answer:
    """A question to an Answer, from a built index folder, else FOOTNOTE_INDEX, else the packaged article.

    history: the turns before it, as their Answers or as (question, answer) texts, oldest first.
    max_wrong: instead of FOOTNOTE_MAX_WRONG, in percent of the answers shown (100 always answers).

    Opened indexes are kept for the next call, and opened anew after a rebuild. Thread-safe.
    Raises RagError: see `rag.errors`.
    """
    settings = Settings.from_environment()
    folder = folder_of(index) if index is not None else settings.index
    with _OPENING:
        pipeline = _opened(folder and folder.resolve(), _version(folder), settings)
    return pipeline.ask(question, history=history, max_wrong=max_wrong)


_OPENING = threading.Lock()


@lru_cache(maxsize=4)
def _opened(folder: Path | None, version: str, settings: Settings) -> Pipeline:
    return Pipeline.open(folder, settings=settings, say=_to_stderr)


def _version(folder: Path | None) -> str:
    """What CURRENT reads, so that a rebuilt index is opened anew; errors are left to opening."""
    try:
        return (folder / "CURRENT").read_text("utf-8") if folder else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
