"""A model's sentence and the hits to a verdict and the source sentences that support it.

A claim is supported by a source sentence when nothing in it contradicts that one (numbers, names, negations: see
`facts`), the sentence gives no orders to a model, and it covers the claim's content: how well late interaction matches
its words there, the worst matched among them, and how many of its neighbouring words are neighbours there. The
coefficients are data (`check.json`, by `python -m eval.fit_check`).

Words that are all there can still be put together to something false. So a claim must also keep to its sentence: say
it in its words and their order, or tell all of it in whatever words, take no `liberties`, and have the answer that was
read in it. Several sentences support a claim only part by part. The figures are in `eval/LOG.md`.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from rag.facts import another_does, cases, disagreements, is_order, numbers, statement, statements
from rag.liberties import liberties
from rag.protocols import Encoder
from rag.support import load_model
from rag.text import STOP_WORDS, plain, words
from rag.types import Draft, Floats, Hit, Ints, Passage, Retrieval, SentenceId, Span, Verdict

MOST = 3  # sentences that support a claim together
GAIN = 0.03  # what a further one must add to the mean match of the claim's words
TRIED = 4  # places that are looked at for a claim whose own pointers do not support it
SHORT = 3  # content words: a claim of fewer is only supported by a sentence that matches the question
NEAR = 5  # words apart that still count as neighbours
Truths = NDArray[np.bool_]
KEPT = 64  # passages whose token rows are kept
THERE = 0.6  # cosine from which a word counts as said
_YES_NO = re.compile(r"\W*(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should)\b", re.IGNORECASE)
# Of a claim that keeps to its sentence: how well its worst word is matched, and the share of neighbours that stay so.
WORST, NEIGHBOURS = 0.44, 0.7
# Of one that tells all of its sentence: the mean match of its words, of the sentence's, and how many of these it lacks.
SAID, TOLD, LACKS = 0.78, 0.82, 0.15


@dataclass(frozen=True, slots=True)
class _Source:
    """A hit's sentences: texts, stems in order, token rows, which of them tell, the text before each; orders; names."""

    texts: list[str]
    stems: list[list[str]]
    rows: list[Floats]
    telling: list[Truths]
    before: list[str]
    orders: list[bool]
    upper: frozenset[str]
    lower: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Claim:
    """A claim: its text, its stems, and the token rows of its content words; None when the encoder gives none."""

    text: str
    stems: list[str]
    rows: Floats | None

    @property
    def size(self) -> int:
        """How many of its words can be matched."""
        return len(self.stems if self.rows is None else self.rows)


@dataclass(frozen=True, slots=True)
class Judgement:
    """How well some sentences support a claim: a score in [0, 1], and what speaks against it."""

    score: float
    against: tuple[str, ...]
    features: Mapping[str, float] = field(default_factory=dict)


class Checker:
    """A check of claims against hits; threads may share it."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._kept: OrderedDict[tuple[str, Span], _Source] = OrderedDict()
        self._lock = Lock()
        self.model = load_model()

    def __call__(
        self, draft: Draft, hits: Sequence[Hit], asked: Retrieval | None = None
    ) -> tuple[Verdict, Sequence[SentenceId]]:
        """A draft to its verdict and its support: the sentences it names, else the best there are.

        A claim that named none, and is supported, is supported; one that named others is misattributed. asked: the
        retrieval that it answers, whose question and findings then count.
        """
        sources = [self._source(hit.passage) for hit in hits]
        said = statement(draft.text)
        if asked and not _YES_NO.match(asked.question) and set(words(said)) <= set(words(asked.question)):
            return Verdict.UNSUPPORTED, []  # the question said again answers nothing
        there = [s for s in draft.sources if 0 <= s.hit < len(hits) and 0 <= s.sentence < len(sources[s.hit].texts)]
        named = [s for s in there if not sources[s.hit].orders[s.sentence]]
        if self._claim(said).size:
            parts = [_verbatim(said, named, sources)]
            if not parts[0]:
                parts = [self._support(part, named, hits, sources, asked) for part in statements(said) or [said]]
            kept = list(dict.fromkeys(place for part in parts for place in part)) if all(parts) else []
            if kept:
                right = not draft.sources or set(kept) <= set(named)
                return (Verdict.SUPPORTED if right else Verdict.MISATTRIBUTED), kept
        return Verdict.UNSUPPORTED, []

    def _support(
        self,
        text: str,
        named: Sequence[SentenceId],
        hits: Sequence[Hit],
        sources: Sequence[_Source],
        asked: Retrieval | None,
    ) -> list[SentenceId]:
        """A statement to the one sentence that supports it: the first that it names, else the best; or none."""
        claim = self._claim(text)
        short = len(set(claim.stems)) < SHORT
        for place in [*named, *(places[0] for places in self.best(claim, sources) if len(places) == 1)]:
            if short and not _answers([place], hits):
                continue
            judgement = self._judge(claim, [place], sources)
            supported = not judgement.against and judgement.score >= self.model.threshold
            if supported and _keeps(claim, place, sources, asked):
                return [place]
        return []

    def judge(self, text: str, places: Sequence[SentenceId], hits: Sequence[Hit]) -> Judgement:
        """A claim and some of the hits' sentences to how well they support it."""
        sources = [self._source(hit.passage) for hit in hits]
        return self._judge(self._claim(text), places, sources)

    def places(self, text: str, hits: Sequence[Hit]) -> list[list[SentenceId]]:
        """A claim to the sentences of the hits that may support it, the likeliest first."""
        return self.best(self._claim(text), [self._source(hit.passage) for hit in hits])

    def _judge(self, claim: _Claim, places: Sequence[SentenceId], sources: Sequence[_Source]) -> Judgement:
        evidence = " ".join(sources[hit].texts[sentence] for hit, sentence in places)
        before = " ".join(sources[hit].before[sentence] for hit, sentence in places)
        matched = np.sort(_matched(claim, places, sources))
        features = {
            "late": float(matched.mean()) if len(matched) else 0.0,
            "weakest": float(matched[: max(1, len(matched) // 5)].mean()) if len(matched) else 0.0,
            "order": _order(claim.stems, [sources[hit].stems[sentence] for hit, sentence in places]),
            "words": len(set(claim.stems) & set(words(evidence))) / max(1, len(set(claim.stems))),
            "numbers": float(len(numbers(claim.text) - numbers(evidence))),
        }
        against = disagreements(claim.text, evidence, before, _known(sources))
        return Judgement(self.model(features), tuple(against), features)

    def best(self, claim: _Claim, sources: Sequence[_Source]) -> list[list[SentenceId]]:
        """A claim and the sources to places that may support it: single ones, then the best with what it lacks."""
        every = [
            SentenceId(i, j) for i, source in enumerate(sources) for j, order in enumerate(source.orders) if not order
        ]
        if not every or not claim.size:
            return []
        table = np.stack([_matched(claim, [place], sources) for place in every])
        order = np.argsort(-table.mean(axis=1), kind="stable")
        found = [[every[i]] for i in order[:TRIED]]
        chosen, covered = [int(order[0])], table[order[0]]
        while len(chosen) < MOST:
            gains = (np.maximum(table, covered) - covered).mean(axis=1)
            more = int(np.argmax(gains))
            if gains[more] < GAIN:
                break
            chosen.append(more)
            covered = np.maximum(covered, table[more])
            found.append([every[i] for i in chosen])
        return found

    def _claim(self, text: str) -> _Claim:
        """A text to what is matched of it; nothing of one that is longer than the encoder reads."""
        made, stems = self._encoder.encode_query(text), words(text)
        if made.length > self._encoder.limit:
            return _Claim(text, [], None)
        if made.tokens is None:
            return _Claim(text, stems, None)
        return _Claim(text, stems, made.tokens[_telling(text, made.offsets)])

    def _source(self, passage: Passage) -> _Source:
        key = (passage.document.sha256, passage.span)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        source = self._read(passage)
        with self._lock:
            self._kept[key] = source
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return source

    def _read(self, passage: Passage) -> _Source:
        text, first = passage.document.text, passage.span.start
        texts = [text[start:end] for start, end in passage.sentences]
        (made,) = self._encoder.encode_passages([passage.text])
        rows, telling = [], []
        for start, end in passage.sentences:
            if made.tokens is None:
                rows.append(np.empty((0, self._encoder.dimension), np.float32))
                telling.append(np.zeros(0, bool))
                continue
            here = (made.offsets[:, 0] >= start - first) & (made.offsets[:, 0] < end - first)
            rows.append(made.tokens[here])
            telling.append(_telling(passage.text, made.offsets[here]))
        before = [text[max(0, start - 300) : start] for start, _ in passage.sentences]
        stems, orders = [words(part) for part in texts], [is_order(part) for part in texts]
        return _Source(texts, stems, rows, telling, before, orders, *cases(texts))


def _telling(text: str, offsets: Ints) -> Truths:
    """A text and its tokens' places to which of them tell something; if none does, those with a letter or digit."""
    parts = [text[start:end] for start, end in offsets]
    spoken = np.array([any(c.isalnum() for c in part) for part in parts], bool)
    content = spoken & np.array([part.casefold() not in STOP_WORDS for part in parts], bool)
    return content if content.any() else spoken


def _verbatim(text: str, named: Sequence[SentenceId], sources: Sequence[_Source]) -> list[SentenceId]:
    """A claim to the sentence that it is, word for word; the first that it names, else the first there is."""
    every = [SentenceId(i, j) for i, source in enumerate(sources) for j, order in enumerate(source.orders) if not order]
    return [s for s in (*named, *every) if plain(sources[s.hit].texts[s.sentence]) == plain(text)][:1]


def _keeps(claim: _Claim, place: SentenceId, sources: Sequence[_Source], asked: Retrieval | None) -> bool:
    """Whether a claim keeps to a sentence: all its words are there and in its order, or it tells all of the sentence.

    One that does not do both must also have the answer to the question, where one was read in the sentence.
    """
    source, stems = sources[place.hit], sources[place.hit].stems[place.sentence]
    rows = source.rows[place.sentence][source.telling[place.sentence]]
    if claim.rows is None:
        there = np.array([stem in stems for stem in claim.stems], np.float32)
        told = np.array([stem in claim.stems for stem in stems], np.float32)
    elif len(rows):
        table = rows @ claim.rows.T
        there, told = table.max(axis=0), table.max(axis=1)
    else:
        return False
    text = source.texts[place.sentence]
    if another_does(claim.text, text) or liberties(claim.text, text):
        return False
    near = len(claim.stems) < 2 or _order(claim.stems, [stems]) >= NEIGHBOURS
    close = near and bool(there.min() >= WORST)
    whole = bool(there.mean() >= SAID and told.mean() >= TOLD and (told < THERE).mean() <= LACKS)
    return (close and whole) or ((close or whole) and _answering(claim, place, asked))


def _answering(claim: _Claim, place: SentenceId, asked: Retrieval | None) -> bool:
    """Whether a claim has half of what the answer that was read in a sentence adds to the question."""
    if asked is None:
        return True
    texts = [
        asked.hits[place.hit].passage.document.text[found.span.start : found.span.end]
        for found in asked.findings
        if found.place == place
    ]
    new = set(words(" ".join(texts))) - set(words(asked.question))
    return not new or 2 * len(new & set(claim.stems)) >= len(new)


def _matched(claim: _Claim, places: Sequence[SentenceId], sources: Sequence[_Source]) -> Floats:
    """How well each word of a claim is matched in some sentences: its best cosine there; without rows, 1 or 0."""
    if claim.rows is None:
        held = {stem for hit, sentence in places for stem in sources[hit].stems[sentence]}
        return np.array([stem in held for stem in claim.stems], np.float32)
    rows = np.concatenate([sources[hit].rows[sentence] for hit, sentence in places])
    if not len(rows):
        return np.zeros(claim.size, np.float32)
    best: Floats = (rows @ claim.rows.T).max(axis=0)
    return best


def _order(claim: Sequence[str], evidence: Sequence[Sequence[str]]) -> float:
    """The share of a claim's neighbouring stems that are neighbours in the evidence."""
    pairs = list(pairwise(claim))
    near = {frozenset((s[i], other)) for s in evidence for i in range(len(s)) for other in s[i + 1 : i + NEAR]}
    return sum(frozenset(pair) in near for pair in pairs) / len(pairs) if pairs else 0.0


def _known(sources: Sequence[_Source]) -> frozenset[str]:
    """The stems that the sources write with a capital within a sentence, and never without one."""
    upper = set[str]().union(*(source.upper for source in sources))
    return frozenset(upper.difference(*(source.lower for source in sources)))


def _answers(places: Sequence[SentenceId], hits: Sequence[Hit]) -> bool:
    """Whether one of the places is among the three sentences that match the question best."""
    ranked = sorted((-score, i, j) for i, hit in enumerate(hits) for j, score in enumerate(hit.sentence_scores))
    return any(SentenceId(i, j) in places for _, i, j in ranked[:3])
