"""A model's sentence and the hits to a verdict and the source sentences that support it.

A claim is supported by a few source sentences when nothing in it contradicts them (numbers, names, negations: see
`facts`), none of them gives orders to a model, and they cover its content: how well late interaction matches its
words there, the worst matched among them, how many of its neighbouring words are neighbours there, and what the
reader that was trained on claims says of them. The coefficients are data (`check.json`, by `python -m eval.fit_check`);
the figures are in `eval/LOG.md`.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import pairwise
from threading import Lock

import numpy as np

from rag.facts import disagreements, is_order, numbers
from rag.protocols import Encoder
from rag.text import STOP_WORDS, words
from rag.types import Draft, Floats, Hit, Passage, SentenceId, Span, Verdict

MOST = 3  # sentences that support a claim together
GAIN = 0.03  # what a further one must add to the mean match of the claim's words
TRIED = 4  # places that are looked at for a claim whose own pointers do not support it
SHORT = 3  # content words: a claim of fewer is only supported by a sentence that matches the question
NEAR = 5  # words apart that still count as neighbours
KEPT = 64  # passages whose token rows are kept

Verdicts = Callable[[str, Sequence[str]], Sequence[float]]  # a claim and texts to log odds that each supports it


@dataclass(frozen=True, slots=True)
class _Source:
    """A hit's sentences: texts, stems in order, token rows, the text before each; orders; names."""

    texts: list[str]
    stems: list[list[str]]
    rows: list[Floats]
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
    """A check of claims against hits; threads may share it.

    verdicts: what reads a claim with its evidence; without it, the coefficients that were fitted without it count.
    """

    def __init__(self, encoder: Encoder, verdicts: Verdicts | None = None) -> None:
        self._encoder, self._verdicts = encoder, verdicts
        self._kept: OrderedDict[tuple[str, Span], _Source] = OrderedDict()
        self._lock = Lock()
        self.model = load_model("plain" if verdicts is None else "read")

    def __call__(self, draft: Draft, hits: Sequence[Hit]) -> tuple[Verdict, Sequence[SentenceId]]:
        """A draft to its verdict and its support: the sentences it names, else the best there are.

        A claim that named none, and is supported, is supported; one that named others is misattributed.
        """
        sources = [self._source(hit.passage) for hit in hits]
        claim = self._claim(draft.text)
        named = [s for s in draft.sources if 0 <= s.hit < len(hits) and 0 <= s.sentence < len(sources[s.hit].texts)]
        named = [s for s in named if not sources[s.hit].orders[s.sentence]]
        short = len(set(claim.stems)) < SHORT
        for places in ([named] if named else []) + self.best(claim, sources):
            if short and not _answers(places, hits):
                continue
            judgement = self._judge(claim, places, sources)
            if not judgement.against and judgement.score >= self.model.threshold:
                kept = self._needed(claim, places, sources)
                right = places is named or not draft.sources or set(kept) <= set(named)
                return (Verdict.SUPPORTED if right else Verdict.MISATTRIBUTED), kept
        return Verdict.UNSUPPORTED, []

    def judge(self, text: str, places: Sequence[SentenceId], hits: Sequence[Hit]) -> Judgement:
        """A claim and some of the hits' sentences to how well they support it."""
        sources = [self._source(hit.passage) for hit in hits]
        return self._judge(self._claim(text), places, sources, always=True)

    def places(self, text: str, hits: Sequence[Hit]) -> list[list[SentenceId]]:
        """A claim to the sentences of the hits that may support it, the likeliest first."""
        return self.best(self._claim(text), [self._source(hit.passage) for hit in hits])

    def _judge(
        self, claim: _Claim, places: Sequence[SentenceId], sources: Sequence[_Source], *, always: bool = False
    ) -> Judgement:
        """A claim and places to their judgement; what disagrees is read only if `always`."""
        evidence = " ".join(sources[hit].texts[sentence] for hit, sentence in places)
        before = " ".join(sources[hit].before[sentence] for hit, sentence in places)
        against = tuple(disagreements(claim.text, evidence, before, _known(sources)))
        matched = np.sort(_matched(claim, places, sources))
        features = {
            "late": float(matched.mean()) if len(matched) else 0.0,
            "weakest": float(matched[: max(1, len(matched) // 5)].mean()) if len(matched) else 0.0,
            "order": _order(claim.stems, [sources[hit].stems[sentence] for hit, sentence in places]),
            "words": len(set(claim.stems) & set(words(evidence))) / max(1, len(set(claim.stems))),
            "numbers": float(len(numbers(claim.text) - numbers(evidence))),
        }
        if self._verdicts is not None and (always or not against):
            features["verdict"] = self._verdicts(claim.text, [evidence])[0]
        return Judgement(self.model(features), against, features)

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

    def _needed(self, claim: _Claim, named: Sequence[SentenceId], sources: Sequence[_Source]) -> list[SentenceId]:
        """Of the sentences that a claim names, at most MOST, those that match the most of it."""
        if len(named) <= MOST:
            return list(named)
        scores = [float(_matched(claim, [place], sources).sum()) for place in named]
        kept = sorted(np.argsort(-np.array(scores), kind="stable")[:MOST])
        return [named[i] for i in kept]

    def _claim(self, text: str) -> _Claim:
        """A text to what is matched of it; nothing of one that is longer than the encoder reads."""
        made, stems = self._encoder.encode_query(text), words(text)
        if made.length > self._encoder.limit:
            return _Claim(text, [], None)
        if made.tokens is None:
            return _Claim(text, stems, None)
        parts = [text[start:end] for start, end in made.offsets]
        spoken = np.array([any(c.isalnum() for c in part) for part in parts], bool)
        content = spoken & np.array([part.casefold() not in STOP_WORDS for part in parts], bool)
        return _Claim(text, stems, made.tokens[content if content.any() else spoken])

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
        rows = []
        for start, end in passage.sentences:
            if made.tokens is None:
                rows.append(np.empty((0, self._encoder.dimension), np.float32))
                continue
            here = (made.offsets[:, 0] >= start - first) & (made.offsets[:, 0] < end - first)
            rows.append(made.tokens[here])
        before = [text[max(0, start - 300) : start] for start, _ in passage.sentences]
        return _Source(
            texts, [words(part) for part in texts], rows, before, [is_order(part) for part in texts], *_cases(texts)
        )


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


def _cases(texts: Sequence[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Sentences to the stems of their words with a capital, and without; the first words do not count."""
    bare = [word.strip("“”\"'‘’()[],.;:!?") for text in texts for word in text.split()[1:]]
    upper = words(" ".join(word for word in bare if word[:1].isupper()))
    return frozenset(upper), frozenset(words(" ".join(word for word in bare if not word[:1].isupper())))


def _answers(places: Sequence[SentenceId], hits: Sequence[Hit]) -> bool:
    """Whether one of the places is among the three sentences that match the question best."""
    ranked = sorted((-score, i, j) for i, hit in enumerate(hits) for j, score in enumerate(hit.sentence_scores))
    return any(SentenceId(i, j) in places for _, i, j in ranked[:3])


@dataclass(frozen=True, slots=True)
class Support:
    """The fitted model. threshold: a claim that scores less is unsupported."""

    intercept: float
    weights: Mapping[str, float]
    threshold: float

    def __call__(self, features: Mapping[str, float]) -> float:
        """Features by name to a score in [0, 1]."""
        total = self.intercept + sum(weight * features.get(name, 0.0) for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


@cache
def load_model(name: str) -> Support:
    """The packaged coefficients: `plain`, or `read` for a checker that reads."""
    data = json.loads(resources.files("rag").joinpath("check.json").read_text("utf-8"))[name]
    return Support(data["intercept"], data["weights"], data["threshold"])
