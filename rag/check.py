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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rag.evidence import Evidence, Said, Source, known_names, matched, order_kept
from rag.facts import another_does, disagreements, numbers, statement, statements
from rag.liberties import liberties
from rag.logistic import Support, packaged
from rag.protocols import Encoder
from rag.text import plain, words
from rag.types import Draft, Hit, Retrieval, SentenceId, Verdict

MOST = 3  # sentences that support a claim together
GAIN = 0.03  # what a further one must add to the mean match of the claim's words
TRIED = 4  # places that are looked at for a claim whose own pointers do not support it
SHORT = 3  # content words: a claim of fewer is only supported by a sentence that matches the question
THERE = 0.6  # cosine from which a word counts as said
_YES_NO = re.compile(r"\W*(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should)\b", re.IGNORECASE)
# Of a claim that keeps to its sentence: how well its worst word is matched, and the share of neighbours that stay so.
WORST, NEIGHBOURS = 0.44, 0.7
# Of one that tells all of its sentence: the mean match of its words, of the sentence's, and how many of these it lacks.
SAID, TOLD, LACKS = 0.78, 0.82, 0.15


@dataclass(frozen=True, slots=True)
class Judgement:
    """How well some sentences support a claim: a score in [0, 1], and what speaks against it."""

    score: float
    against: tuple[str, ...]
    features: Mapping[str, float] = field(default_factory=dict)


class Checker:
    """A check of claims against hits; threads may share it."""

    def __init__(self, encoder: Encoder) -> None:
        self._evidence = Evidence(encoder)
        self.model = packaged("check.json", lambda d: Support(d["intercept"], d["weights"], d["threshold"]))

    def __call__(
        self, draft: Draft, hits: Sequence[Hit], asked: Retrieval | None = None
    ) -> tuple[Verdict, Sequence[SentenceId]]:
        """A draft to its verdict and its support: the sentences it names, else the best there are.

        A claim that named none, and is supported, is supported; one that named others is misattributed. asked: the
        retrieval that it answers, whose question and findings then count.
        """
        sources = [self._evidence.source(hit.passage) for hit in hits]
        said = statement(draft.text)
        if asked and not _YES_NO.match(asked.question) and set(words(said)) <= set(words(asked.question)):
            return Verdict.UNSUPPORTED, []  # the question said again answers nothing
        there = [s for s in draft.sources if 0 <= s.hit < len(hits) and 0 <= s.sentence < len(sources[s.hit].texts)]
        named = [s for s in there if not sources[s.hit].orders[s.sentence]]
        if self._evidence.said(said).size:
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
        sources: Sequence[Source],
        asked: Retrieval | None,
    ) -> list[SentenceId]:
        """A statement to the one sentence that supports it: the first that it names, else the best; or none."""
        claim = self._evidence.said(text)
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
        sources = [self._evidence.source(hit.passage) for hit in hits]
        return self._judge(self._evidence.said(text), places, sources)

    def places(self, text: str, hits: Sequence[Hit]) -> list[list[SentenceId]]:
        """A claim to the sentences of the hits that may support it, the likeliest first."""
        return self.best(self._evidence.said(text), [self._evidence.source(hit.passage) for hit in hits])

    def _judge(self, claim: Said, places: Sequence[SentenceId], sources: Sequence[Source]) -> Judgement:
        evidence = " ".join(sources[hit].texts[sentence] for hit, sentence in places)
        before = " ".join(sources[hit].before[sentence] for hit, sentence in places)
        best = np.sort(matched(claim, places, sources))
        features = {
            "late": float(best.mean()) if len(best) else 0.0,
            "weakest": float(best[: max(1, len(best) // 5)].mean()) if len(best) else 0.0,
            "order": order_kept(claim.stems, [sources[hit].stems[sentence] for hit, sentence in places]),
            "words": len(set(claim.stems) & set(words(evidence))) / max(1, len(set(claim.stems))),
            "numbers": float(len(numbers(claim.text) - numbers(evidence))),
        }
        against = disagreements(claim.text, evidence, before, known_names(sources))
        return Judgement(self.model(features), tuple(against), features)

    def best(self, claim: Said, sources: Sequence[Source]) -> list[list[SentenceId]]:
        """A claim and the sources to places that may support it: single ones, then the best with what it lacks."""
        every = [
            SentenceId(i, j) for i, source in enumerate(sources) for j, order in enumerate(source.orders) if not order
        ]
        if not every or not claim.size:
            return []
        table = np.stack([matched(claim, [place], sources) for place in every])
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


def _verbatim(text: str, named: Sequence[SentenceId], sources: Sequence[Source]) -> list[SentenceId]:
    """A claim to the sentence that it is, word for word; the first that it names, else the first there is."""
    every = [SentenceId(i, j) for i, source in enumerate(sources) for j, order in enumerate(source.orders) if not order]
    return [s for s in (*named, *every) if plain(sources[s.hit].texts[s.sentence]) == plain(text)][:1]


def _keeps(claim: Said, place: SentenceId, sources: Sequence[Source], asked: Retrieval | None) -> bool:
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
    near = len(claim.stems) < 2 or order_kept(claim.stems, [stems]) >= NEIGHBOURS
    close = near and bool(there.min() >= WORST)
    whole = bool(there.mean() >= SAID and told.mean() >= TOLD and (told < THERE).mean() <= LACKS)
    return (close and whole) or ((close or whole) and _answering(claim, place, asked))


def _answering(claim: Said, place: SentenceId, asked: Retrieval | None) -> bool:
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


def _answers(places: Sequence[SentenceId], hits: Sequence[Hit]) -> bool:
    """Whether one of the places is among the three sentences that match the question best."""
    ranked = sorted((-score, i, j) for i, hit in enumerate(hits) for j, score in enumerate(hit.sentence_scores))
    return any(SentenceId(i, j) in places for _, i, j in ranked[:3])
