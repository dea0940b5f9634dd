"""A retrieval that is not answered to why, for the reader: which part of the question nothing matched."""

from __future__ import annotations

from rag.text import parts, words
from rag.types import Retrieval

MOST = 3  # parts that are named
KINDS = {"name": "the name ", "number": "the number ", "date": "the date ", "word": ""}
NOTHING = "No sentence matches the question closely enough; these come nearest."
UNSAID = "Its words occur, but no sentence says what is asked; these come nearest."


def reason(retrieval: Retrieval) -> str:
    """A retrieval to a sentence: the names, numbers and dates of the question that no hit has, else its other words."""
    if not retrieval.hits:
        return NOTHING
    held = set(words(" ".join(hit.passage.text for hit in retrieval.hits)))
    missing = [part for part in parts(retrieval.question) if not part.stems & held]
    named = [part for part in missing if part.kind != "word"] or missing
    if not named:
        return UNSAID
    listed = [f"{KINDS[part.kind]}“{part.text}”" for part in named[:MOST]]
    said = listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} or {listed[-1]}"
    return f"No passage found has {said}; these come nearest."
