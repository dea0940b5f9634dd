"""A Document to passages: whole sentences, counted in tokens, cut in characters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rag.text import halves, sentences
from rag.tokens import count_tokens
from rag.types import Document, Passage, Span

TARGET = 140  # cl100k tokens of a passage
LONGEST = 2 * TARGET  # a sentence of more cl100k tokens is cut, however few wordpieces it has
CAP = 160  # the encoder's own tokens of a passage, at the most

Counter = Callable[[Sequence[str]], list[int]]


def split(document: Document, count: Counter, cap: int = CAP) -> tuple[Passage, ...]:
    """A document to its passages, in order; every character but white space lies in exactly one.

    Sentences are packed up to TARGET cl100k tokens; a passage ends early, from half the target on, where a
    paragraph does. count: texts to the encoder's numbers of tokens, of which a passage has `cap` at the most.
    A sentence that alone exceeds the cap (or LONGEST) is halved at a clause or a space until its parts fit.
    """
    pieces = _pieces(document.text, count, cap)
    texts = [document.text[start:end] for start, end in pieces]
    own, common = count(texts), count_tokens(texts)
    groups: list[list[Span]] = []
    sums = (0, 0)
    for piece, a, b in zip(pieces, own, common, strict=True):
        gap = document.text[groups[-1][-1].end : piece.start] if groups else ""
        full = sums[0] + a > cap or sums[1] + b > TARGET or ("\n" in gap and sums[1] >= TARGET // 2)
        if not groups or full:
            groups.append([])
            sums = (0, 0)
        groups[-1].append(piece)
        sums = (sums[0] + a, sums[1] + b)
    return tuple(
        Passage(document, Span(group[0].start, group[-1].end), tuple(group))
        for group in _checked(document.text, groups, count, cap)
    )


def _pieces(text: str, count: Counter, cap: int) -> list[Span]:
    """The text's sentences, those that are too long in parts."""
    waiting: list[Span] = sentences(text)
    done: list[Span] = []
    while waiting:
        texts = [text[start:end] for start, end in waiting]
        longer = []
        for span, own, common in zip(waiting, count(texts), count_tokens(texts), strict=True):
            if (own > cap or common > LONGEST) and span.end - span.start > 1:
                longer.extend(halves(text, span))
            else:
                done.append(span)
        waiting = longer
    return sorted(done)


def _checked(text: str, groups: list[list[Span]], count: Counter, cap: int) -> list[list[Span]]:
    """Groups of sentences, divided where the whole has more tokens than the sum of its parts allowed."""
    lengths = count([text[group[0].start : group[-1].end] for group in groups])
    fitting: list[list[Span]] = []
    for group, length in zip(groups, lengths, strict=True):
        if length <= cap or len(group) == 1:
            fitting.append(group)
        else:
            middle = len(group) // 2
            fitting.extend(_checked(text, [group[:middle], group[middle:]], count, cap))
    return fitting
