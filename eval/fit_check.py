"""The checker's coefficients, fitted: `python -m eval.fit_check --data DIR` writes rag/check.json.

    python -m eval.fit_check [--data DIR] [--set attributionbench_tune] [--out FILE | --measure]

A set is a folder with `items.jsonl`: {"question", "claim", "evidence": [text, ...], "label"}; its label is "supported"
or another. Each claim's evidence is indexed and retrieved by the claim, and the places that the checker would try are
judged. Fits a logistic regression of "supported" on what was found at the place that matches best, and the threshold
with the best balanced accuracy when a claim counts as supported that reaches it at any place without a veto (something
there disagrees); that it must keep to a sentence to be shown as cited does not count here. Figures are of ten folds by
question, mean of five shuffles, neither coefficients nor threshold chosen on the fold; beside them the baseline, the
share of the claim's words that are in its best place. --measure: what is packaged, on a set that nothing was chosen on.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.gold import read
from eval.report import ROOT, data_folder, read_json, reported, write_json
from rag import Checker, Encoder, Pipeline, build_index, make_document

FILE = ROOT / "rag" / "check.json"
CHOSEN = ("late", "weakest", "order")
BASELINE = ("words",)
PASSAGES = 40  # of a claim's evidence, at most
FOLDS, SHUFFLES = 10, 5
MARK = re.compile(r"\s*\[\d+\]")  # a claim's own reference
ODDS = np.arange(-1.5, 1.5, 0.05)  # thresholds that are tried, in log odds

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Place:
    """What was found at a place, by name, and whether something there disagrees."""

    features: dict[str, float]
    vetoed: bool


@dataclass(frozen=True, slots=True)
class Item:
    """A claim that was judged: its question, whether it is supported, and its places, the best match first."""

    question: str
    supported: bool
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """Weights by feature, an intercept, and the log odds from which a claim counts as supported."""

    names: tuple[str, ...]
    weights: Floats
    intercept: float
    threshold: float = 0.0

    def scores(self, items: Sequence[Item], *, veto: bool = True) -> Floats:
        """Items to the log odds of their best place (n,); -inf when there is none without a veto."""
        return np.array(
            [
                max((self._score(place) for place in item.places if not (veto and place.vetoed)), default=-math.inf)
                for item in items
            ]
        )

    def _score(self, place: Place) -> float:
        return self.intercept + float(self.weights @ [place.features[name] for name in self.names])


def main(arguments: Sequence[str] | None = None) -> int:
    """Arguments to an exit status: 0, or 2 when something given is wrong (said in a line)."""
    parser = argparse.ArgumentParser(prog="python -m eval.fit_check", description="Fit the checker's coefficients.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the folder of the sets (else FOOTNOTE_DATA)")
    parser.add_argument("--set", default="attributionbench_tune", metavar="NAME", help="a set whose role is tuning")
    parser.add_argument("--out", type=Path, default=FILE, metavar="FILE")
    parser.add_argument("--measure", action="store_true", help="fit nothing: measure what is packaged")
    options = parser.parse_args(arguments)
    return reported("eval.fit_check", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    items = collect(data_folder(options.data) / options.set)
    if options.measure:
        print(measured(items, read_json(FILE)))
        return 0
    for names, veto in ((BASELINE, False), (CHOSEN, True)):
        print(f"{', '.join(names)}: balanced accuracy {out_of_folds(items, names, veto=veto):.3f}")
    write_json(options.out, fit(items))
    print(f"wrote {options.out}")
    return 0


def collect(folder: Path) -> list[Item]:
    """A set's folder to its claims, judged. Raises RagError."""
    lines = read(folder / "items.jsonl", {"question": str, "claim": str, "evidence": list, "label": str})
    print(f"judging {len(lines)} claims ...")
    pipeline = Pipeline.open()
    return [_item(line.entry, pipeline.checker, pipeline.encoder) for line in lines]


def _item(entry: Mapping[str, Any], checker: Checker, encoder: Encoder) -> Item:
    claim = MARK.sub("", entry["claim"])
    documents = [make_document(text, id=str(i)) for i, text in enumerate(entry["evidence"]) if text.strip()]
    judged = []
    if documents:
        with TemporaryDirectory() as scratch:
            build_index(documents, Path(scratch), encoder=encoder)
            hits = Pipeline.open(Path(scratch), encoder=encoder).retrieve(claim, PASSAGES).hits
        judged = [checker.judge(claim, places, hits) for places in checker.places(claim, hits)]
    judged.sort(key=lambda judgement: -judgement.features["late"])
    places = tuple(Place(dict(judgement.features), bool(judgement.against)) for judgement in judged)
    return Item(entry["question"], entry["label"] == "supported", places)


def balanced(said: Truths, supported: Truths) -> float:
    """The mean of the share of supported claims that are said to be so, and of the others that are not."""
    return float((said[supported].mean() + (~said[~supported]).mean()) / 2)


def regression(items: Sequence[Item], names: tuple[str, ...], *, veto: bool = True) -> Model:
    """Items to the logistic regression on their best places, and the threshold that serves them best."""
    from sklearn.linear_model import LogisticRegression

    judged = [item for item in items if item.places]
    x = np.array([[item.places[0].features[name] for name in names] for item in judged])
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-9
    fitted = LogisticRegression(C=1.0, max_iter=5000).fit((x - mean) / scale, [item.supported for item in judged])
    weights = fitted.coef_[0] / scale
    model = Model(names, weights, float(fitted.intercept_[0] - weights @ mean))
    scores, supported = model.scores(items, veto=veto), np.array([item.supported for item in items])
    threshold = max(ODDS, key=lambda odds: balanced(scores >= odds, supported))
    return Model(names, weights, model.intercept, float(threshold))


def out_of_folds(items: Sequence[Item], names: tuple[str, ...], *, veto: bool) -> float:
    """Items to the balanced accuracy on folds that neither coefficients nor threshold were chosen on."""
    questions = sorted({item.question for item in items})
    supported = np.array([item.supported for item in items])
    found = []
    for shuffle in range(SHUFFLES):
        drawn = np.random.default_rng(shuffle).integers(FOLDS, size=len(questions))
        fold_of = dict(zip(questions, drawn.tolist(), strict=True))
        folds = np.array([fold_of[item.question] for item in items])
        said = np.zeros(len(items), bool)
        for fold in set(folds.tolist()):
            model = regression([item for item in items if fold_of[item.question] != fold], names, veto=veto)
            here = np.flatnonzero(folds == fold)
            said[here] = model.scores([items[i] for i in here.tolist()], veto=veto) >= model.threshold
        found.append(balanced(said, supported))
    return float(np.mean(found))


def fit(items: Sequence[Item]) -> dict[str, Any]:
    """Items to what check.json holds."""
    model = regression(items, CHOSEN)
    found: dict[str, Any] = {
        "intercept": round(model.intercept, 4),
        "weights": {feature: round(float(w), 4) for feature, w in zip(CHOSEN, model.weights, strict=True)},
        "threshold": round(1 / (1 + math.exp(-model.threshold)), 4),
    }
    words = regression(items, BASELINE, veto=False)
    return found | {"words": round((words.threshold - words.intercept) / float(words.weights[0]), 4)}


def measured(items: Sequence[Item], data: dict[str, Any]) -> str:
    """Items and what check.json holds to a line on the balanced accuracy at its fixed thresholds."""
    supported = np.array([item.supported for item in items])
    model = Model(tuple(data["weights"]), np.array(list(data["weights"].values())), data["intercept"])
    said = model.scores(items) >= math.log(data["threshold"] / (1 - data["threshold"]))
    words = Model(BASELINE, np.ones(1), 0.0).scores(items, veto=False) >= data["words"]
    return f"balanced accuracy {balanced(said, supported):.3f}; of the words alone {balanced(words, supported):.3f}"


if __name__ == "__main__":
    sys.exit(main())
