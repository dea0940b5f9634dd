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
    """The fitted model. threshold: answers with less confidence are withheld."""

    intercept: float
    weights: Mapping[str, float]
    threshold: float

    def __call__(self, features: Mapping[str, float]) -> float:
        """Features by name to the confidence that the shown answer is right, in [0, 1]."""
        total = self.intercept + sum(weight * features[name] for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


@cache
def load_confidence() -> Confidence:
    """The packaged coefficients, which `python -m eval.fit` writes."""
    data = json.loads(resources.files("rag").joinpath("confidence.json").read_text("utf-8"))
    return Confidence(data["intercept"], data["weights"], data["threshold"])
