"""Drafted sentences and their sources to an answer's text and claims, each with exact spans and a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from rag.types import Citation, Claim, Draft, Excerpt, Hit, Passage, SentenceId, Span, Verdict

Check = Callable[[Draft, Sequence[Hit]], tuple[Verdict, Sequence[SentenceId]]]


def cite(drafts: Iterable[Draft], hits: Sequence[Hit]) -> tuple[str, tuple[Claim, ...]]:
    """Drafts to the answer's text (the drafts joined by spaces) and its claims, checked against the hits.

    A draft that is, word for word, the sentences it points to is supported. One that is another sentence of the
    hits is misattributed, and cites that one instead. Any other is unsupported and cites nothing. A quote has
    one number in the answer, from 1 in order of appearance.
    """
    steps = list(cite_each(drafts, hits, verbatim))
    return steps[-1] if steps else ("", ())


def cite_each(
    drafts: Iterable[Draft], hits: Sequence[Hit], check: Check, *, drop: bool = False
) -> Iterator[tuple[str, tuple[Claim, ...]]]:
    """Drafts to the text and claims that they come to, after each of them.

    A draft that is not whole is pending, and the next one takes its place. check: a draft and the hits to its verdict
    and the sentences that support it. drop: leave out what is unsupported.
    """
    text, claims = "", list[Claim]()
    numbers: dict[tuple[str, Span], Citation] = {}
    for draft in drafts:
        start = len(text) + (1 if text else 0)
        longer, span = f"{text} {draft.text}" if text else draft.text, Span(start, start + len(draft.text))
        if not draft.whole:
            yield longer, (*claims, Claim(span, Verdict.PENDING, ()))
            continue
        verdict, sources = check(draft, hits)
        if not (drop and verdict is Verdict.UNSUPPORTED):
            text = longer
            claims.append(Claim(span, verdict, tuple(_numbered(sources, hits, numbers))))
        yield text, tuple(claims)


def exact_answers(drafts: Iterable[Draft], hits: Sequence[Hit]) -> tuple[Excerpt, ...]:
    """Drafts to the words that answer exactly, each of its draft's first source."""
    return tuple(
        Excerpt(place[0].document, draft.short)
        for draft in drafts
        if draft.short and draft.sources and (place := _place(draft.sources[0], hits))
    )


def cited_words(short: Iterable[Excerpt], claims: Iterable[Claim]) -> tuple[Excerpt, ...]:
    """Exact answers to those that stand in what the claims cite."""
    quotes = {(c.document.id, c.quote) for claim in claims for c in claim.citations}
    return tuple(
        words
        for words in short
        if any(id == words.document.id and q.start <= words.span.start and words.span.end <= q.end for id, q in quotes)
    )


def verbatim(draft: Draft, hits: Sequence[Hit]) -> tuple[Verdict, Sequence[SentenceId]]:
    """A draft to its verdict when only the sources' own words support it, and to the places that do."""
    named = [source for source in draft.sources if _place(source, hits) is not None]
    if named and " ".join(_words(source, hits) for source in named) == draft.text:
        return Verdict.SUPPORTED, named
    for position, hit in enumerate(hits):
        for index in range(len(hit.passage.sentences)):
            if _words(SentenceId(position, index), hits) == draft.text:
                return Verdict.MISATTRIBUTED, [SentenceId(position, index)]
    return Verdict.UNSUPPORTED, []


def _numbered(
    sources: Sequence[SentenceId], hits: Sequence[Hit], numbers: dict[tuple[str, Span], Citation]
) -> Iterator[Citation]:
    """Places to citations, each quote with one number."""
    for source in sources:
        passage, quote = hits[source.hit].passage, hits[source.hit].passage.sentences[source.sentence]
        key = (passage.document.id, quote)
        numbers.setdefault(key, Citation(len(numbers) + 1, passage.document, passage, quote))
        yield numbers[key]


def _place(source: SentenceId, hits: Sequence[Hit]) -> tuple[Passage, Span] | None:
    """A sentence's id to where it stands, or None when there is no such sentence."""
    if not 0 <= source.hit < len(hits):
        return None
    passage = hits[source.hit].passage
    if not 0 <= source.sentence < len(passage.sentences):
        return None
    return passage, passage.sentences[source.sentence]


def _words(source: SentenceId, hits: Sequence[Hit]) -> str:
    passage, quote = hits[source.hit].passage, hits[source.hit].passage.sentences[source.sentence]
    return passage.document.text[quote.start : quote.end]
