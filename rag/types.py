"""The records that every stage and face shares; every offset rule is stated here, once.

Offsets. A `Span` is half-open and counts Unicode code points, as Python's `str` does: `text[start:end]`.
Spans of a document index `Document.text`, which was normalised once (NFC, newlines as `\\n`, no lone
surrogates) when the document was made and never changes after. Nothing is found again by searching.
Code that hands offsets to another world (JavaScript counts UTF-16 units) must convert them first.

Scores. Higher is always better. All records are frozen; sequences are tuples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]
else:  # numpy is not loaded for a name
    Floats = Ints = Any


class Span(NamedTuple):
    """A half-open range of code points: `text[start:end]`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Document:
    """The one owner of a source's text. `sha256` is of the UTF-8 bytes of `text`; `id` is unique in an index."""

    id: str
    title: str
    source: str
    text: str = field(repr=False)  # it may be long, and everything of an answer holds it
    sha256: str


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Exact words of a document: a view, its text is derived and never copied."""

    document: Document
    span: Span

    @property
    def text(self) -> str:
        """The exact words."""
        return self.document.text[self.span.start : self.span.end]


@dataclass(frozen=True, slots=True)
class Passage(Excerpt):
    """Whole consecutive sentences of a document; `sentences` are their spans, in the document, in order."""

    sentences: tuple[Span, ...] = ()


class Signal(NamedTuple):
    """One ranking's opinion of a hit: its score, and its rank from 1 among the candidates."""

    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A retrieved passage. `sentence_scores` match `passage.sentences`; `trace` says what led to `score`."""

    passage: Passage
    score: float
    sentence_scores: tuple[float, ...] = ()
    trace: Mapping[str, Signal] = field(default_factory=dict)


def ranked_sentences(hits: Sequence[Hit]) -> tuple[Excerpt, ...]:
    """Hits to their sentences, best first; equal ones in the hits' order."""
    ranked = [
        (-score, position, index, Excerpt(hit.passage.document, span))
        for position, hit in enumerate(hits)
        for index, (score, span) in enumerate(zip(hit.sentence_scores, hit.passage.sentences, strict=True))
    ]
    return tuple(entry[-1] for entry in sorted(ranked, key=lambda entry: entry[:3]))


class SentenceId(NamedTuple):
    """A source sentence by its place: the hit's position, and the sentence's within that hit, both from 0."""

    hit: int
    sentence: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A source sentence as it was read: the words in it that answer best, if any do.

    span: in the hit's document. score: log odds of the span against "no answer here", before calibration.
    answerable: log odds that what was read around it answers the question.
    """

    place: SentenceId
    span: Span
    score: float
    answerable: float


@dataclass(frozen=True, slots=True)
class Asked:
    """One of the questions that a question asks: its words, its features, its sentence, the exact answer."""

    question: str
    features: Mapping[str, float]
    place: SentenceId
    span: Span | None


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What retrieval found: hits in order, and how each of their sentences matches the question.

    matches: one float32 array of shape (sentences of the hit, terms of the question) a hit: how well each
        sentence matches each term, at most 1. weights: float32 (terms,), the terms' importance, summing to 1.
    features: named, scale-free figures, to judge whether it is answered. findings: what was read, the likeliest first.
    asked: the questions in it, when it asks several things.
    """

    question: str
    hits: tuple[Hit, ...]
    matches: tuple[Floats, ...]
    weights: Floats
    features: Mapping[str, float]
    warnings: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    asked: tuple[Asked, ...] = ()

    @property
    def sentences(self) -> tuple[Excerpt, ...]:
        """The hits' sentences, best first."""
        return ranked_sentences(self.hits)


@dataclass(frozen=True, slots=True)
class Draft:
    """What an answerer yields: one sentence of an answer, and the source sentences that it rests on.

    short: the first source's words that answer exactly, for each thing asked. whole: False while being written; the
        next replaces it.
    """

    text: str
    sources: tuple[SentenceId, ...]
    short: tuple[Span, ...] = ()
    whole: bool = True


class Verdict(StrEnum):
    """What checking a claim against its sources found."""

    SUPPORTED = "supported"
    MISATTRIBUTED = "misattributed"  # true, but of another place than it pointed to: the pointer is corrected
    UNSUPPORTED = "unsupported"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Citation:
    """A numbered pointer to exact words: `document.text[quote.start:quote.end]`, which lie in `passage`."""

    number: int
    document: Document
    passage: Passage
    quote: Span

    @property
    def text(self) -> str:
        """The exact words."""
        return self.document.text[self.quote.start : self.quote.end]


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer: its span in `Answer.text`, its verdict, and the citations it earned (maybe none)."""

    span: Span
    verdict: Verdict
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The one answer object, the same for the chat, the command, the eval and Python.

    question: as asked (normalised). understood: as it was retrieved with. text: the answer, or the sentence that says
    that the sources do not. short: the exact answer, as words of a document (may be empty). claims: the sentences of
    `text` with their citations; empty when abstained. hits: the passages, best first. confidence: in [0, 1], that the
    shown answer is right. reason: why it abstained, else empty. finished: False when the answer was cut off. timings:
    milliseconds by stage.
    """

    question: str
    understood: str
    text: str
    short: tuple[Excerpt, ...]
    claims: tuple[Claim, ...]
    hits: tuple[Hit, ...]
    confidence: float
    abstained: bool
    reason: str = ""
    warnings: tuple[str, ...] = ()
    finished: bool = True
    timings: Mapping[str, float] = field(default_factory=dict)

    @property
    def citations(self) -> tuple[Citation, ...]:
        """Every citation once, by number."""
        found = {citation.number: citation for claim in self.claims for citation in claim.citations}
        return tuple(found[number] for number in sorted(found))

    @property
    def sentences(self) -> tuple[Excerpt, ...]:
        """The hits' sentences, best first."""
        return ranked_sentences(self.hits)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; its form is `rag/answer.schema.json`."""
        from rag.show import to_dict

        return to_dict(self)

    def to_markdown(self) -> str:
        """The answer with numbered quotes, as Markdown in which source text cannot become markup."""
        from rag.show import to_markdown

        return to_markdown(self)

    def _repr_html_(self) -> str:
        """The answer for a notebook: escaped HTML."""
        from rag.show import to_html

        return to_html(self)
