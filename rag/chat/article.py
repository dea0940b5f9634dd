"""Documents and the turns that point into them to the article panel's HTML, everything escaped.

Every place that a turn points to becomes one or more `mark` elements that carry the pointers' keys, so that
the page finds them by key and no offset ever reaches JavaScript.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from rag.chat.turns import Pointer, Turn, all_pointers
from rag.text import one_line, segments
from rag.types import Document, Span

LONG = 150_000  # characters; of a longer document only the lines around the pointers are shown
AROUND = 30  # lines
GAP = '<p class="fn-gap"><span class="fn-hidden">Part of the document is left out here.</span>⋯</p>'
_SPACED = re.compile(r"^\s|\s\s|\t")


def article(documents: Sequence[Document], turns: Sequence[Turn]) -> str:
    """An index's documents and a conversation to the panel: the documents pointed to, or else the first."""
    if not documents:
        return ""
    placed = all_pointers(turns)
    wanted = {pointer.document.id for _, pointer in placed}
    shown = [document for document in documents if document.id in wanted] or list(documents[:1])
    parts = [_bar(len(documents), len(shown), bool(wanted))]
    latest = max((number for number, turn in enumerate(turns, start=1) if turn.answer is not None), default=0)
    for document in shown:
        here = [(pointer, number == latest) for number, pointer in placed if pointer.document.id == document.id]
        parts.append(_document(document, here))
    return "".join(parts)


def _bar(total: int, shown: int, wanted: bool) -> str:
    """How many documents there are and are shown to the bar above them, with the way back to the answer."""
    if total == 1:
        label = "The article"
    elif wanted:
        label = f"{shown} of {total} documents, those this conversation points to"
    else:
        label = f"The first of {total} documents"
    back = '<button type="button" class="fn-return" data-return hidden>Back to the answer</button>'
    return f'<div class="fn-bar"><span class="fn-bar-label">{label}</span>{back}</div>'


def _document(document: Document, here: Sequence[tuple[Pointer, bool]]) -> str:
    title, source = one_line(document.title), one_line(document.source)
    parts = [f'<article class="fn-document"><h2 class="fn-title" dir="auto">{escape(title)}</h2>']
    if source != title:
        parts.append(f'<p class="fn-from" dir="auto">{escape(source)}</p>')
    parts.extend(_lines(document, here))
    return "".join([*parts, "</article>"])


def _lines(document: Document, here: Sequence[tuple[Pointer, bool]]) -> Iterator[str]:
    """A document and its pointers to its lines as paragraphs; a blank line, where there are any, opens a wider gap."""
    lines, start = [], 0
    for words in document.text.split("\n"):
        lines.append(Span(start, start + len(words)))
        start += len(words) + 1
    kept = _kept(document, lines, here)
    blocks = "\n\n" in document.text.strip()
    wide, skipped = True, False
    for position, line in enumerate(lines):
        if kept is not None and position not in kept:
            skipped = True
            continue
        if skipped:
            yield GAP
            skipped = False
        if not document.text[line.start : line.end].strip():
            wide = True
            continue
        look = _look(document, line, tight=blocks and not wide)
        wide = False
        yield f'<p dir="auto" class="{look}">{"".join(_pieces(document, line, here))}</p>'
    if skipped:
        yield GAP


def _look(document: Document, line: Span, *, tight: bool) -> str:
    """A line to its paragraph's classes: close to the line before it, its spaces kept as they are."""
    spaced = _SPACED.search(document.text[line.start : line.end]) is not None
    return " ".join(name for name, given in (("fn-line", True), ("fn-tight", tight), ("fn-spaced", spaced)) if given)


def _kept(document: Document, lines: Sequence[Span], here: Sequence[tuple[Pointer, bool]]) -> set[int] | None:
    """A long document's lines to the positions of those that are shown; None when all are."""
    if len(document.text) <= LONG:
        return None
    kept = set() if here else set(range(2 * AROUND))
    for pointer, _ in here:
        for position, line in enumerate(lines):
            if line.start < pointer.span.end and line.end > pointer.span.start:
                kept.update(range(position - AROUND, position + AROUND + 1))
    return kept


def _pieces(document: Document, line: Span, here: Sequence[tuple[Pointer, bool]]) -> Iterator[str]:
    """A line to its pieces: words that nothing points to as they are, others as marks, each followed by its numbers."""
    inside = [(p, now) for p, now in here if p.span.start < line.end and p.span.end > line.start]
    local = [
        Span(max(p.span.start, line.start) - line.start, min(p.span.end, line.end) - line.start) for p, _ in inside
    ]
    for piece, over in segments(line.end - line.start, local):
        words = escape(document.text[line.start + piece.start : line.start + piece.end])
        if not over:
            yield words
            continue
        names = {_name(*inside[position]) for position in over}
        name = next(kind for kind in ("now", "then", "near") if kind in names)
        keys = " ".join(inside[position][0].key for position in over)
        yield f'<mark class="{name}" data-cites="{keys}" tabindex="-1">{words}</mark>'
        for position in over:
            pointer, now = inside[position]
            if now and pointer.cited and pointer.span.end == line.start + piece.end:
                yield _back(pointer)


def _name(pointer: Pointer, now: bool) -> str:
    """A pointer to how its words look: cited by the latest answer, by one before, or only near to an answer."""
    return "near" if not pointer.cited else "now" if now else "then"


def _back(pointer: Pointer) -> str:
    label = f"Back to the answer, source {pointer.number}"
    return (
        f'<button type="button" class="fn-back" data-back="{pointer.key}" aria-label="{label}" '
        f'title="{label}">{pointer.number}</button>'
    )
