"""A retrieval that was read to the order in which its hits and their sentences are shown.

Neither retrieval's order nor the reader's is good alone; their sum is. The figures behind the constants are in
`eval/LOG.md`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rag.types import Floats, Retrieval, SentenceId, Signal

SENTENCE = 0.15  # the most that a finding adds to its sentence's score, or takes from it
PASSAGE = 3.0  # the same of the best finding in a hit, for the hit's score, which is in standard deviations
SCALE = 6.0  # log odds that give three quarters of it
BEYOND = 1.5  # what a sentence matches beyond the first one, in its score
FLOOR = -10.0  # log odds of an answer that was not found


@np.errstate(invalid="ignore")  # see `retrieve`
def rerank(retrieval: Retrieval) -> Retrieval:
    """A retrieval with its findings to the same in the order of what retrieval and reader say together.

    A sentence in which an answer was found ranks higher, and so does its passage. Those that come after the first are
    also ranked by what they match of the question and it does not, so that the second fact of a question is near.
    The feature `span` is the score of the first sentence's exact answer.
    """
    hits, findings = retrieval.hits, retrieval.findings
    counts = [len(hit.sentence_scores) for hit in hits]
    if not sum(counts):
        return retrieval
    matched = np.array([score for hit in hits for score in hit.sentence_scores])
    gains = {found.place: float(np.tanh((found.score + found.answerable / 2) / SCALE)) for found in findings}
    lowest = min(gains.values(), default=0.0)  # for what was not read
    places = [SentenceId(i, j) for i, count in enumerate(counts) for j in range(count)]
    read = np.array([gains.get(place, lowest) for place in places])
    scores = matched + SENTENCE * read
    first = int(np.argmax(scores))
    matches = np.concatenate([part for part in retrieval.matches if len(part)])
    span = next((found.score for found in findings if found.place == places[first]), FLOOR)
    beyond: Floats = np.maximum(matches - matches[first], 0) @ retrieval.weights
    beyond[first] = beyond.max()
    scores += BEYOND * beyond
    ends = np.cumsum(counts)[:-1]
    best = [max(of_hit, default=lowest) for of_hit in np.split(read, ends)]
    totals = np.array([hit.score for hit in hits]) + PASSAGE * np.array(best)
    order = np.argsort(-totals, kind="stable").tolist()
    now = {before: after for after, before in enumerate(order)}
    ranks = np.argsort(np.argsort(-np.array(best), kind="stable")) + 1
    told = [
        replace(
            hit,
            score=float(total),
            sentence_scores=tuple(of_hit.tolist()),
            trace={**hit.trace, "reader": Signal(float(found), int(rank))},
        )
        for hit, total, of_hit, found, rank in zip(hits, totals, np.split(scores, ends), best, ranks, strict=True)
    ]
    return replace(
        retrieval,
        hits=tuple(told[i] for i in order),
        matches=tuple(retrieval.matches[i] for i in order),
        features={**retrieval.features, "span": max(FLOOR, span)},
        findings=tuple(replace(f, place=SentenceId(now[f.place.hit], f.place.sentence)) for f in findings),
    )
