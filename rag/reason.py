"""A retrieval that is not answered to why, for the reader: which part of the question nothing near it has."""

from __future__ import annotations

from itertools import pairwise

from rag.text import STOP_WORDS, Part, parts, plain, words
from rag.types import Retrieval

MOST = 3  # parts that are named
KINDS = {"name": "the name ", "number": "the number ", "date": "the date ", "word": ""}
NOTHING = "No sentence matches the question closely enough; these come nearest."
UNSAID = "Its words occur, but no sentence answers it surely enough; these come nearest."


def reason(retrieval: Retrieval) -> str:
    """A retrieval to a sentence: the names, numbers and dates of the question that no hit has, else its other words."""
    question, asked = retrieval.question, parts(retrieval.question)
    if not retrieval.hits or not asked:
        return NOTHING
    text = " ".join(hit.passage.text for hit in retrieval.hits)
    held, said = set(words(text)), plain(text)
    missing = [part for part in asked if not part.stems & held and plain(_words(question, [part])) not in said]
    named = [part for part in missing if part.kind != "word"] or missing
    if not named:
        return UNSAID
    english = any(word in STOP_WORDS for word in question.casefold().split())  # elsewhere other words have capitals
    listed = list(
        dict.fromkeys(
            f"{KINDS[run[0].kind] if english else ''}“{_words(question, run)}”" for run in _runs(question, named)
        )
    )[:MOST]
    line = listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} or {listed[-1]}"
    return f"None of the nearest passages has {line}."


def _runs(question: str, named: list[Part]) -> list[list[Part]]:
    """Parts to those that stand side by side: the words of a name or of a date."""
    found = [named[:1]]
    for one, other in pairwise(named):
        beside = not question[one.span.end : other.span.start].strip()
        if beside and one.kind == other.kind in {"name", "date"}:
            found[-1].append(other)
        else:
            found.append([other])
    return found


def _words(question: str, run: list[Part]) -> str:
    return question[run[0].span.start : run[-1].span.end]
