"""A retrieval's features to a confidence: a logistic model whose coefficients are data (`confidence.json`)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Confidence:
    """The fitted model. reader: the hash of the reader's graph that it is of.

    curve: rows (threshold, wrong, shown), thresholds rising: of the answers with at least that confidence the share
        that is wrong, and their share of all, where a third of the questions is unanswerable (the risk-coverage curve).
    """

    intercept: float
    weights: Mapping[str, float]
    reader: str
    curve: tuple[tuple[float, float, float], ...]

    def __call__(self, features: Mapping[str, float]) -> float:
        """Features by name to the confidence that the shown answer is right, in [0, 1]."""
        total = self.intercept + sum(weight * features.get(name, 0.0) for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))

    def threshold(self, max_wrong: float) -> float:
        """At most this many percent of the answers shown wrong to the least confidence that an answer needs.

        1, which no answer reaches, where no threshold keeps them so few; 0 for 100 %.
        """
        if max_wrong >= 100:
            return 0.0
        return next((threshold for threshold, wrong, _ in self.curve if 100 * wrong <= max_wrong), 1.0)


@cache
def load_confidence() -> Confidence:
    """The packaged coefficients, which `python -m eval.fit` writes."""
    data = json.loads(resources.files("rag").joinpath("confidence.json").read_text("utf-8"))
    return Confidence(data["intercept"], data["weights"], data["reader"], tuple(map(tuple, data["curve"])))
