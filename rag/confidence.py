"""A retrieval's features to a confidence: a logistic model whose coefficients are data (`confidence.json`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from rag.logistic import Logistic, packaged


@dataclass(frozen=True, slots=True)
class Confidence(Logistic):
    """How sure it is that the shown answer is right. reader: the hash of the reader's graph that it is of.

    curve: rows (threshold, wrong, shown), thresholds rising: of the answers with at least that confidence the share
        that is wrong, and their share of all, where a third of the questions is unanswerable (the risk-coverage curve).
    """

    reader: str
    curve: tuple[tuple[float, float, float], ...]

    def threshold(self, max_wrong: float) -> float:
        """At most this many percent of the answers shown wrong to the least confidence that an answer needs.

        1, which no answer reaches, where no threshold keeps them so few; 0 for 100 %.
        """
        if max_wrong >= 100:
            return 0.0
        return next((threshold for threshold, wrong, _ in self.curve if 100 * wrong <= max_wrong), 1.0)


@cache
def load_confidence() -> Confidence:
    """The packaged coefficients, which `python -m eval.fit` writes. Raises ModelError."""
    return packaged(
        "confidence.json",
        lambda d: Confidence(d["intercept"], d["weights"], d["reader"], tuple(map(tuple, d["curve"]))),
    )
