"""Fitting the confidence, and the README's table: the arithmetic, and that mistakes are said in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eval import fit, results
from rag.confidence import load_confidence
from rag.retrieve import retrieve
from tests.fakes import HashEncoder


def test_the_calibration_error_by_hand() -> None:
    # two bins: .12 and .18 hold 0 of 2 (sum .30), .95 and .85 fall in bins of their own (gaps .05 and .85)
    assert fit.calibration_error([0.12, 0.18, 0.95, 0.85], [0, 0, 1, 0]) == pytest.approx((0.30 + 0.05 + 0.85) / 4)
    assert fit.calibration_error([1.0, 0.0], [1, 0]) == 0.0


def test_a_confidence_by_hand() -> None:
    model = load_confidence()
    assert 0 < model.threshold < 1
    none = dict.fromkeys(model.weights, 0.0)
    assert model(none) == pytest.approx(1 / (1 + 2.718281828459045**-model.intercept))
    assert model({**none, "names": 5.0}) < model(none) < model({**none, "weakest": 1.0})


def test_the_coefficients_are_of_the_features_that_there_are(built: Path) -> None:
    from rag.index import Index

    found = retrieve("Who led the Normans?", Index.open(built), HashEncoder())
    assert set(found.features) == set(load_confidence().weights)


def test_a_set_that_is_not_there_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit.main(["--data", str(tmp_path), "--out", str(tmp_path / "out.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out.json").exists()


def test_the_table_says_what_the_figures_say() -> None:
    names = [*results.GOLD_FORCED, *results.GOLD]
    gold: dict[str, Any] = {
        f"{name}{end}": value for name in names for end, value in (("", 0.5), (".low", 0.25), (".high", 0.75))
    }
    gold |= {"n": 82, "n_answerable": 55, "date": "2026-01-02", "commit": "abc", "machine": "a machine"}
    squad: dict[str, Any] = {f"open.recall@1{end}": value for end, value in (("", 0.9), (".low", 0.8), (".high", 0.95))}
    for name in ("dense", "bm25", "dense+bm25", "late_sentence", "late_passage"):
        key = f"ablation.{name}.recall@1"
        squad |= {key: 0.7, f"{key}.low": 0.6, f"{key}.high": 0.8, f"{key}.lead": 0.2, f"{key}.mcnemar_p": 1e-9}
    text = results.table(gold, gold, {**squad, "n_answerable": 876})
    assert "| `sentence_first`, abstention off | 0.500 | 0.250 to 0.750 |" in text
    assert "| `recall@1` | 0.900 | 0.800 to 0.950 |" in text
    assert "leads by 0.200 (McNemar p < 0.001) | 0.700 | 0.600 to 0.800 |" in text
    assert "Measured on 2026-01-02, commit abc, a machine." in text
