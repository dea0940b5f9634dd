"""Places, answers and scores to figures with intervals: pure functions, no files, no clock.

A figure of n questions is computed at once for all resamples: `resampled(n)` gives a row of question weights a
resample, the first row being the questions as they are, and a statistic gives a number a row.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

RESAMPLES = 2000
SEED = 20240601
RRF = 60  # the constant of reciprocal-rank fusion (Cormack et al., 2009)

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_SPACED = (
    (r"``|''", '"'),
    (r"\s+([,.;:!?%)\]}])", r"\1"),
    (r"([(\[{$£€])\s+", r"\1"),
    (r"\s+('(?:s|re|ve|d|ll|m)|n't)\b", r"\1"),
    (r"(?<=\w) - (?=\w)", "-"),
)


class Place(NamedTuple):
    """A half-open range of a document's code points."""

    document: str
    start: int
    end: int


class Figure(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


# -- places --


def characters(places: Iterable[Place]) -> set[tuple[str, int]]:
    """Places to the characters they cover, each once however often it is covered."""
    return {(place.document, at) for place in places for at in range(place.start, place.end)}


def lies_in(quote: Place, places: Iterable[Place]) -> bool:
    """Whether at least half of the quote's characters lie in the places together."""
    return 2 * len(characters([quote]) & characters(places)) >= quote.end - quote.start


def overlaps(one: Place, other: Place) -> bool:
    """Whether two places share a character."""
    return one.document == other.document and max(one.start, other.start) < min(one.end, other.end)


def agrees(one: Place, other: Place) -> bool:
    """Whether two places share at least half of the shorter one."""
    shared = min(one.end, other.end) - max(one.start, other.start)
    return overlaps(one, other) and 2 * shared >= min(one.end - one.start, other.end - other.start)


def precision_recall(cited: Iterable[Place], evidence: Iterable[Place]) -> tuple[float, float]:
    """Cited and evidence places to the shares of the cited and of the evidence characters that are in both."""
    given, wanted = characters(cited), characters(evidence)
    shared = len(given & wanted)
    return shared / len(given) if given else 0.0, shared / len(wanted) if wanted else 0.0


# -- short answers --


def detokenised(text: str) -> str:
    """Text with the spaces that a tokeniser put before commas, `'s`, `n't` and round hyphens taken out."""
    for pattern, kept in _SPACED:
        text = re.sub(pattern, kept, text)
    return text


def squad_normalised(text: str) -> str:
    """Text as SQuAD's official script compares it: lower case, no ASCII punctuation, no articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(predicted: str, answers: Iterable[str]) -> float:
    """1.0 when the predicted answer equals one of the answers after SQuAD's normalisation, else 0.0."""
    return float(squad_normalised(predicted) in {squad_normalised(answer) for answer in answers})


def contained(predicted: str, answers: Iterable[str]) -> float:
    """1.0 when the answer's normalised words lie in one of the gold answers', or those in it; else 0.0."""
    said = f" {squad_normalised(predicted)} "
    gold = [f" {squad_normalised(answer)} " for answer in answers]
    return float(any(said.strip() and other.strip() and (said in other or other in said) for other in gold))


def f1(predicted: str, answers: Iterable[str]) -> float:
    """The best F1 of the predicted answer's words with those of one of the answers (SQuAD's; counted words)."""
    return max((_f1(squad_normalised(predicted).split(), squad_normalised(a).split()) for a in answers), default=0.0)


def _f1(predicted: Sequence[str], wanted: Sequence[str]) -> float:
    if not predicted or not wanted:
        return float(predicted == wanted)
    shared = (Counter(predicted) & Counter(wanted)).total()
    return 2 * shared / (len(predicted) + len(wanted))


# -- rankings --


def ranking_scores(ranked: Sequence[Sequence[str]], relevant: Sequence[Collection[str]]) -> list[tuple[float, float]]:
    """Each question's ranked ids (distinct) and relevant ids (at least one) to its reciprocal rank and nDCG@5."""
    import ir_measures
    from ir_measures import RR, nDCG

    wanted = [ir_measures.Qrel(str(i), name, 1) for i, names in enumerate(relevant) for name in names]
    run = [ir_measures.ScoredDoc(str(i), name, -at) for i, names in enumerate(ranked) for at, name in enumerate(names)]
    found = {(m.query_id, str(m.measure)): m.value for m in ir_measures.iter_calc([RR, nDCG @ 5], wanted, run)}
    return [(found.get((str(i), "RR"), 0.0), found.get((str(i), "nDCG@5"), 0.0)) for i in range(len(ranked))]


def first_distinct(names: Iterable[str]) -> list[str]:
    """Names to the same without repetition, in the order of their first place."""
    return list(dict.fromkeys(names))


def fused(rankings: Iterable[Sequence[int]]) -> list[int]:
    """Rankings (each item's rank from 1, items in one order) to the items by reciprocal-rank fusion, best first."""
    scores = [sum(1 / (RRF + rank) for rank in ranks) for ranks in zip(*rankings, strict=True)]
    return sorted(range(len(scores)), key=lambda item: -scores[item])


# -- figures over questions --


def resampled(n: int) -> Floats:
    """A number of questions to weights (1 + RESAMPLES, n): all ones, then how often each draw took each question."""
    draws = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    return np.concatenate([np.ones((1, n)), draws])


def figure(estimates: Floats) -> Figure:
    """A statistic's numbers, that of the questions as they are first, to its figure; a resample may have none."""
    rest = estimates[1:][np.isfinite(estimates[1:])]
    low, high = np.percentile(rest, [2.5, 97.5]) if len(rest) else (math.nan, math.nan)
    return Figure(float(estimates[0]), float(low), float(high))


def ratio(weights: Floats, parts: ArrayLike, wholes: ArrayLike) -> Floats:
    """Weights (m, n) and n parts of n wholes to m shares: the weighted parts over the weighted wholes."""
    with np.errstate(invalid="ignore"):
        return np.asarray(weights @ np.asarray(parts, float) / (weights @ np.asarray(wholes, float)))


def auroc(weights: Floats, scores: ArrayLike, positive: ArrayLike) -> Floats:
    """Weights (m, n), n scores and which are positive to m areas under the ROC curve.

    The share of the pairs of a positive and a negative in which the positive has the higher score; equal ones
    count half (Mann and Whitney's U).
    """
    listed, for_positive = np.asarray(scores, float), np.asarray(positive, float)
    order = np.argsort(listed)
    groups = np.flatnonzero(np.diff(listed[order], prepend=np.nan) != 0)  # where each run of equal scores starts
    ones, zeros = (
        np.add.reduceat((weights * part)[:, order], groups, axis=1) for part in (for_positive, 1 - for_positive)
    )
    below = np.cumsum(zeros, axis=1) - zeros / 2
    with np.errstate(invalid="ignore"):
        return np.asarray((ones * below).sum(axis=1) / (ones.sum(axis=1) * zeros.sum(axis=1)))


def calibration_error(weights: Floats, confidences: ArrayLike, right: ArrayLike, bins: int = 10) -> Floats:
    """Weights (m, n), n confidences and who was right to m expected calibration errors, over bins of equal width."""
    p, y = np.asarray(confidences, float), np.asarray(right, float)
    place = np.minimum((p * bins).astype(int), bins - 1)
    gaps = sum((np.abs((weights * (place == b)) @ (p - y)) for b in range(bins)), np.zeros(len(weights)))
    return np.asarray(gaps / weights.sum(axis=1))


def risk_coverage_area(weights: Floats, confidences: ArrayLike, wrong: ArrayLike) -> Floats:
    """Weights (m, n), n confidences and who was wrong to m areas under the risk-coverage curve, the surest first."""
    order = np.argsort(-np.asarray(confidences, float), kind="stable")
    shown = weights[:, order]
    covered = np.cumsum(shown, axis=1)
    risks = np.cumsum(shown * np.asarray(wrong, float)[order], axis=1) / np.maximum(covered, 1e-12)
    return np.asarray((risks * shown).sum(axis=1) / shown.sum(axis=1))


def best_f1(weights: Floats, confidences: ArrayLike, f1s: ArrayLike, answerable: ArrayLike) -> Floats:
    """Weights (m, n), n confidences, the F1 of each question's answer, and which have one, to m best mean F1s.

    Best over all thresholds: an answer that is withheld counts 1 where there is none to give, else 0 (SQuAD 2).
    """
    listed, none = np.asarray(confidences, float), 1 - np.asarray(answerable, float)
    order = np.argsort(-listed, kind="stable")
    last = np.flatnonzero(np.diff(listed[order], append=np.nan) != 0)  # equal ones are shown together
    gains = np.cumsum((weights * (np.asarray(f1s, float) - none))[:, order], axis=1)[:, last]
    return np.asarray((weights @ none + np.maximum(gains.max(axis=1), 0)) / weights.sum(axis=1))


def percentile(weights: Floats, values: ArrayLike, share: float) -> Floats:
    """Weights (m, n) and n values to m percentiles: the least value that at least `share` of the weight is up to."""
    listed = np.asarray(values, float)
    order = np.argsort(listed)
    reached = np.cumsum(weights[:, order], axis=1)
    # the slack keeps rounding from deciding
    return np.asarray(listed[order][(reached >= share * reached[:, -1:] - 1e-9).argmax(axis=1)])


def mcnemar(one: Sequence[bool], other: Sequence[bool]) -> float:
    """Two systems' successes on the same questions to the exact two-sided p of McNemar's test."""
    wins = sum(a and not b for a, b in zip(one, other, strict=True))
    losses = sum(b and not a for a, b in zip(one, other, strict=True))
    tail = sum(math.comb(wins + losses, k) for k in range(min(wins, losses) + 1))
    return min(1.0, float(2 * tail / 2 ** (wins + losses)))
