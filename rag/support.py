"""What was found of a claim, by name, to a score in [0, 1]: coefficients that are data, in `check.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources


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
def load_model() -> Support:
    """The packaged coefficients."""
    data = json.loads(resources.files("rag").joinpath("check.json").read_text("utf-8"))
    return Support(data["intercept"], data["weights"], data["threshold"])
