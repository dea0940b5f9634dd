"""Fitting the checker: by hand where it can be, on made-up claims where it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from eval.fit_check import CHOSEN, Item, Model, Place, balanced, fit, main, measured, out_of_folds, regression
from eval.report import ROOT

NAMES = ("late",)


def item(number: int, supported: bool, *lates: float, vetoed: bool = False) -> Item:
    features = [{"late": late, "weakest": late, "order": late, "words": late} for late in lates]
    return Item(f"question {number}", supported, tuple(Place(found, vetoed) for found in features))


def test_balanced_accuracy_by_hand() -> None:
    supported = np.array([True, True, True, True, False])
    assert balanced(np.array([True, True, True, False, False]), supported) == (3 / 4 + 1) / 2


def test_a_claim_counts_by_its_best_place_without_a_veto() -> None:
    model = Model(NAMES, np.array([2.0]), -1.0)
    both = Item("q", True, (Place({"late": 0.9}, True), Place({"late": 0.2}, False)))
    assert model.scores([both, item(1, True, 0.1, 0.6), item(2, True)]).tolist() == pytest.approx([-0.6, 0.2, -np.inf])
    assert model.scores([both], veto=False).tolist() == pytest.approx([0.8])


def test_what_can_be_told_apart_is_told_apart() -> None:
    drawn = np.random.default_rng(3)
    items = [item(i, i % 2 == 0, (0.7 if i % 2 == 0 else 0.2) + 0.1 * drawn.random()) for i in range(120)]
    assert out_of_folds(items, NAMES, veto=True) == 1.0
    assert out_of_folds([*items, item(200, False)], NAMES, veto=True) == 1.0
    model = regression(items, NAMES)
    assert model.weights[0] > 0
    vetoed = [item(i, False, 0.75, vetoed=True) for i in range(300, 330)]
    assert (regression([*items, *vetoed], NAMES).scores(vetoed) == -np.inf).all()


def test_chance_is_a_half() -> None:
    drawn = np.random.default_rng(4)
    items = [item(i, bool(drawn.random() < 0.5), drawn.random()) for i in range(400)]
    assert 0.4 < out_of_folds(items, NAMES, veto=True) < 0.6


def test_what_is_written_is_what_is_measured() -> None:
    items = [item(i, i % 2 == 0, 0.7 if i % 2 == 0 else 0.2) for i in range(40)]
    data = json.loads(json.dumps(fit(items)))
    assert set(data) == {"intercept", "weights", "threshold", "words"}
    assert measured(items, data) == "balanced accuracy 1.000; of the words alone 1.000"


def test_the_packaged_coefficients_are_the_chosen_ones() -> None:
    data = json.loads((ROOT / "rag" / "check.json").read_text("utf-8"))
    assert tuple(data["weights"]) == CHOSEN
    assert 0 < data["threshold"] < 1


def test_a_missing_set_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path)]) == 2
    assert "items.jsonl" in capsys.readouterr().err
