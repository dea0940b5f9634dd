"""Drafted sentences and their sources to an answer's text and claims, each with exact spans and a verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rag.types import Citation, Claim, Draft, Excerpt, Hit, Passage, SentenceId, Span, Verdict


def cite(drafts: Iterable[Draft], hits: Sequence[Hit]) -> tuple[str, tuple[Claim, ...]]:
    """Drafts to the answer's text (the drafts joined by spaces) and its claims, checked against the hits.

    A draft that is, word for word, the sentences it points to is supported. One that is another sentence of the
    hits is misattributed, and cites that one instead. Any other is unsupported and cites nothing. A quote has
    one number in the answer, from 1 in order of appearance.
    """
    text, claims = "", []
    numbers: dict[tuple[str, Span], Citation] = {}
    for draft in drafts:
        start = len(text) + (1 if text else 0)
        text = f"{text} {draft.text}" if text else draft.text
        verdict, sources = _checked(draft, hits)
        citations = []
        for passage, quote in sources:
            key = (passage.document.id, quote)
            numbers.setdefault(key, Citation(len(numbers) + 1, passage.document, passage, quote))
            citations.append(numbers[key])
        claims.append(Claim(Span(start, start + len(draft.text)), verdict, tuple(citations)))
    return text, tuple(claims)


def exact_answers(drafts: Iterable[Draft], hits: Sequence[Hit]) -> tuple[Excerpt, ...]:
    """Drafts to the words that answer exactly, each of its draft's first source."""
    return tuple(
        Excerpt(place[0].document, draft.short)
        for draft in drafts
        if draft.short and draft.sources and (place := _place(draft.sources[0], hits))
    )


def _checked(draft: Draft, hits: Sequence[Hit]) -> tuple[Verdict, list[tuple[Passage, Span]]]:
    """A draft to its verdict and the places that support it."""
    named = [place for source in draft.sources if (place := _place(source, hits)) is not None]
    if named and " ".join(_words(place) for place in named) == draft.text:
        return Verdict.SUPPORTED, named
    for hit in hits:
        for quote in hit.passage.sentences:
            if _words((hit.passage, quote)) == draft.text:
                return Verdict.MISATTRIBUTED, [(hit.passage, quote)]
    return Verdict.UNSUPPORTED, []


def _place(source: SentenceId, hits: Sequence[Hit]) -> tuple[Passage, Span] | None:
    """A sentence's id to where it stands, or None when there is no such sentence."""
    if not 0 <= source.hit < len(hits):
        return None
    passage = hits[source.hit].passage
    if not 0 <= source.sentence < len(passage.sentences):
        return None
    return passage, passage.sentences[source.sentence]


def _words(place: tuple[Passage, Span]) -> str:
    passage, quote = place
    return passage.document.text[quote.start : quote.end]
