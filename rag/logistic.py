"""Named figures to a number in [0, 1]: logistic models, whose coefficients are data in this package."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, TypeVar

from rag.errors import ModelError
from rag.models import MEND

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Logistic:
    """The fitted model."""

    intercept: float
    weights: Mapping[str, float]

    def __call__(self, features: Mapping[str, float]) -> float:
        """Features by name to a number in [0, 1]."""
        total = self.intercept + sum(weight * features.get(name, 0.0) for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


@dataclass(frozen=True, slots=True)
class Support(Logistic):
    """How well what was found of a claim supports it. threshold: a claim that scores less is unsupported."""

    threshold: float


def packaged(name: str, make: Callable[[Any], Made]) -> Made:
    """The name of a packaged JSON file, and what makes a model of it, to that model. Raises ModelError."""
    file = resources.files("rag").joinpath(name)
    try:
        return make(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{file} cannot be used ({type(error).__name__}: {error}); {MEND}") from error
