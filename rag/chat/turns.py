"""Answers to turns of a conversation, and to the places in the documents that they point to, each with a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rag.show import nearest
from rag.types import Answer, Document, Span


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and what came of it: an answer, or else the message of a problem. Turns are counted from 1."""

    question: str
    answer: Answer | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Pointer:
    """A place that a turn points to. key: `a2c1` is citation 1 of turn 2, `a2n1` its first nearest passage.

    number: what the reader sees, from 1 in its turn. cited: False for a nearest passage, which supports nothing.
    """

    key: str
    number: int
    document: Document
    span: Span
    cited: bool

    @property
    def text(self) -> str:
        """The words pointed to."""
        return self.document.text[self.span.start : self.span.end]


def pointers(answer: Answer, turn: int) -> tuple[Pointer, ...]:
    """An answer and its turn's number to its pointers: its citations, or when it abstained the nearest passages."""
    if answer.abstained:
        return tuple(
            Pointer(f"a{turn}n{number}", number, near.document, near.span, cited=False)
            for number, near in enumerate(nearest(answer), start=1)
        )
    return tuple(Pointer(f"a{turn}c{c.number}", c.number, c.document, c.quote, cited=True) for c in answer.citations)


def all_pointers(turns: Sequence[Turn]) -> list[tuple[int, Pointer]]:
    """Turns to the pointers of them all, each with its turn's number."""
    return [
        (number, pointer)
        for number, turn in enumerate(turns, start=1)
        if turn.answer is not None
        for pointer in pointers(turn.answer, number)
    ]


def paragraph(document: Document, place: int) -> int:
    """A place in a document to the number of its paragraph (a line that is not blank), from 1."""
    before = document.text[:place].split("\n")[:-1]
    return 1 + sum(1 for line in before if line.strip())
