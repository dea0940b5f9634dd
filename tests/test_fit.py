"""Fitting the confidence, and the README's table: the arithmetic, and that mistakes are said in a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval import fit, results
from eval.gold import Question, load_gold
from eval.metrics import Place
from rag import Pipeline, read_folder
from rag.confidence import load_confidence


def test_a_confidence_by_hand() -> None:
    model = load_confidence()
    none = dict.fromkeys(model.weights, 0.0)
    assert model(none) == pytest.approx(1 / (1 + 2.718281828459045**-model.intercept))
    assert model({**none, "names": 5.0}) < model(none) < model({**none, "span": 5.0})


def test_the_shipped_curve_falls_as_the_threshold_rises() -> None:
    curve = load_confidence().curve
    assert len(curve) > 20
    assert [row[0] for row in curve] == sorted(row[0] for row in curve)
    assert [row[2] for row in curve] == sorted((row[2] for row in curve), reverse=True)
    assert curve[0][2] == 1.0
    assert all(0 <= value <= 1 for row in curve for value in row)


def example(right: bool, answerable: bool, source: str, x: float) -> fit.Example:
    return fit.Example({"x": x}, right, answerable, source, f"{source} {x:.0f}")


def test_the_mix_has_a_third_that_is_unanswerable() -> None:
    examples = [example(True, True, "gold", 1), *[example(False, False, "gold", 0)] * 2]
    assert fit.mixed(examples) == pytest.approx([2 / 3, 1 / 6, 1 / 6])
    examples += [example(True, True, source, 1) for source in ("pool", "given") for _ in range(4)]
    weights = fit.weights_of(examples)
    assert weights.sum() == pytest.approx(len(examples))
    assert weights[:3].sum() / weights[3:].sum() == pytest.approx(
        fit.PLAIN_SHARE / (1 - fit.PLAIN_SHARE - fit.ELSEWHERE_SHARE)
    )
    examples.append(example(False, False, fit.ELSEWHERE, 0))
    assert fit.weights_of(examples)[-1] == pytest.approx(fit.ELSEWHERE_SHARE * len(examples))


def test_the_curve_says_how_many_are_expected_to_be_wrong() -> None:
    chance = np.random.default_rng(2)
    confidences = chance.random(4000) * 0.98 + 0.01
    right = chance.random(4000) < confidences  # calibrated: what is expected is what the confidences say
    own, other = np.full(4000, 1 / 4000), np.zeros(4000, bool)
    rows = fit.risk_coverage(confidences, fit.calibrated(confidences, right, own, other), own)
    assert rows[0][0] == 0.0
    assert rows[0][2] == 1.0
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    for threshold, wrong, shown in rows[:: len(rows) // 7]:
        over = confidences >= threshold - 1e-4
        assert shown == pytest.approx(over.mean(), abs=0.002)
        assert wrong == pytest.approx(1 - confidences[over].mean(), abs=0.03)


def test_a_fit_separates_what_its_features_separate(capsys: pytest.CaptureFixture[str]) -> None:
    chance = np.random.default_rng(1)
    examples = []
    for source in (*fit.DECEIVING, *fit.PLAIN, fit.ELSEWHERE):
        for i in range(60):
            x = float(chance.normal())
            right = bool(chance.random() < 1 / (1 + np.exp(-3 * x)))
            examples.append(fit.Example({"x": x}, right, right or i % 2 == 0, source, f"{source} {i % 3}"))
    data = fit.fit(examples)
    assert 1.5 < data["weights"]["x"] < 6
    assert [row[0] for row in data["curve"]] == sorted(row[0] for row in data["curve"])
    assert capsys.readouterr().out.count("out of folds") == 5


def test_the_file_names_the_reader_it_is_of(tmp_path: Path) -> None:
    out = tmp_path / "confidence.json"
    fit.write(
        out, {"intercept": 0.5, "weights": {"x": 1.0}, "reader": "old", "curve": [[0.0, 0.5, 1.0], [0.5, 0.1, 0.4]]}
    )
    assert fit.name_reader(out) == {"reader": load_confidence().reader}
    data = json.loads(out.read_text("utf-8"))
    assert data == {
        "intercept": 0.5,
        "weights": {"x": 1.0},
        "reader": load_confidence().reader,
        "curve": [[0.0, 0.5, 1.0], [0.5, 0.1, 0.4]],
    }


@pytest.mark.model
def test_the_coefficients_are_of_the_features_that_there_are(article: Pipeline) -> None:
    read = article.read(article.retrieve("Who led the talks?"))
    assert set(read.features) == set(load_confidence().weights)


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
    for name in results.ABLATIONS:
        key = f"ablation.{name}.recall@1"
        squad |= {key: 0.7, f"{key}.low": 0.6, f"{key}.high": 0.8, f"{key}.lead": 0.2, f"{key}.mcnemar_p": 1e-9}
    squad |= {"n": 1906, "n_answerable": 876, "date": "2026-01-03", "commit": "def"}
    squad |= {f"given.f1{end}": value for end, value in (("", 0.71), (".low", 0.69), (".high", 0.73))}
    xquad = {f"given.em{end}": value for end, value in (("", 0.61), (".low", 0.59), (".high", 0.63))}
    text = results.table(gold, gold, squad, xquad)
    assert "| `f1` | 0.710 | 0.690 to 0.730 |" in text
    assert "| XQuAD `given.em` | 0.610 | 0.590 to 0.630 |" in text
    assert "| `sentence_first`, abstention off | 0.500 | 0.250 to 0.750 |" in text
    assert "| `recall@1` | 0.900 | 0.800 to 0.950 |" in text
    assert "the chosen one +0.200 (McNemar p < 0.001) | 0.700 | 0.600 to 0.800 |" in text
    assert "Measured on 2026-01-02, commit abc, a machine; squad2_test on 2026-01-03, commit def." in text


def test_the_curve_is_as_sure_as_so_few_questions_allow() -> None:
    """Eight right and two wrong, told apart: Platt's targets are 9/10 and 1/4, which two groups are fitted with."""
    sure = np.array([0.1] * 2 + [0.9] * 8)
    own = np.full(10, 0.1)
    rows = fit.risk_coverage(sure, fit.calibrated(sure, sure > 0.5, own, np.zeros(10, bool)), own)
    assert rows[2] == pytest.approx([0.9, 0.1, 0.8], abs=1e-3)
    assert rows[0] == pytest.approx([0.0, (8 * 0.1 + 2 * 0.75) / 10, 1.0], abs=1e-3)


def test_two_sets_have_one_slope_and_each_its_own_offset() -> None:
    chance = np.random.default_rng(3)
    odds, other = chance.normal(size=20000), np.repeat([False, True], 10000)
    right = chance.random(20000) < 1 / (1 + np.exp(-(2 * odds + np.where(other, -1.5, 0.5))))
    chances = fit.calibrated(1 / (1 + np.exp(-odds)), right, np.full(20000, 1 / 20000), other)
    found = np.log(chances / (1 - chances)) - 2 * odds
    assert found[~other].mean() == pytest.approx(0.5, abs=0.1)
    assert found[other].mean() == pytest.approx(-1.5, abs=0.1)
    assert np.polyfit(odds[other], found[other], 1)[0] == pytest.approx(0, abs=0.1)


def test_the_articles_questions_have_their_evidence() -> None:
    texts = read_folder(fit.HERE / "articles")
    asked = load_gold(fit.HERE / "articles.jsonl", texts)
    assert {question.documents for question in asked} == {(text.id,) for text in texts}
    assert sum(question.answerable for question in asked) == 351
    assert {question.split for question in asked} == {"train"}
    assert all(place.document == q.documents[0] for q in asked for place in q.evidence)


def test_each_thing_that_a_question_asks_is_an_example(pipeline: Pipeline) -> None:
    evidence = (Place(pipeline.documents[0].id, *pipeline.retrieve("Who led the Normans?").sentences[0].span),)
    asked = [
        Question("a", text, True, (), evidence) for text in ("Who led the Normans?", "Who led them and why is it?")
    ]
    one, two = (fit._examples(pipeline, question, "gold", "gold 0") for question in asked)
    assert (len(one), len(two)) == (1, 2)
    assert {frozenset(example.features) for example in (*one, *two)} == {frozenset(one[0].features)}
    assert one[0].right
