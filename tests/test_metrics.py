"""eval/metrics.py against arithmetic by hand."""

import math

import numpy as np
import pytest

from eval import metrics
from eval.metrics import Place


def span(start: int, end: int, document: str = "d") -> Place:
    return Place(document, start, end)


def test_half_of_a_quote_must_lie_in_the_places_each_character_counted_once() -> None:
    quote = span(10, 20)
    assert metrics.lies_in(quote, [span(0, 15)])  # 5 of 10
    assert not metrics.lies_in(quote, [span(0, 14)])  # 4 of 10
    assert metrics.lies_in(quote, [span(8, 13), span(18, 30)])  # 3 + 2
    assert not metrics.lies_in(quote, [span(10, 14), span(10, 14)])  # 4, not 8
    assert not metrics.lies_in(quote, [span(0, 30, "another")])
    assert not metrics.lies_in(quote, [])


def test_places_agree_by_half_of_the_shorter_one() -> None:
    assert metrics.agrees(span(0, 100), span(40, 44))  # the shorter lies in the longer
    assert metrics.agrees(span(0, 10), span(5, 105))  # 5 of 10
    assert not metrics.agrees(span(0, 10), span(6, 106))  # 4 of 10
    assert not metrics.agrees(span(0, 10), span(0, 10, "another"))
    assert not metrics.agrees(span(0, 10), span(10, 20))  # they touch


def test_citation_precision_and_recall_count_characters_once() -> None:
    # cited 0..15 = 15 characters, evidence 10..20 = 10, both 10..15 = 5
    assert metrics.precision_recall([span(0, 10), span(5, 15)], [span(10, 20)]) == (5 / 15, 5 / 10)
    assert metrics.precision_recall([], [span(0, 4)]) == (0, 0)
    assert metrics.precision_recall([span(0, 4, "another")], [span(0, 4)]) == (0, 0)


def test_squad_normalisation() -> None:
    assert metrics.squad_normalised("  The Cat's\n hat, an  apple!") == "cats hat apple"
    assert metrics.squad_normalised("Café 😀 中文 “oui”") == "café 😀 中文 “oui”"  # only ASCII punctuation goes
    assert metrics.exact_match("the Paris.", ["London", "paris"]) == 1
    assert metrics.exact_match("Paris, France", ["Paris"]) == 0
    assert metrics.exact_match("", ["Paris"]) == 0


def test_f1_is_the_best_over_the_answers() -> None:
    # big red dog / red dog barks: 2 shared, 2 * 2 / (3 + 3)
    assert metrics.f1("the big red dog", ["nothing", "red dog barks"]) == pytest.approx(4 / 6)
    assert metrics.f1("dog dog", ["dog"]) == pytest.approx(2 / 3)  # counted words: 2 * 1 / (2 + 1)
    assert metrics.f1("é 中文", ["中文 é"]) == 1
    assert metrics.f1("", ["Paris"]) == 0
    assert metrics.f1("Paris", []) == 0


def test_detokenised() -> None:
    spaced = "the `` Café '' did n't open , it 's ( nearly ) a one - year wait : $ 5 !"
    assert metrics.detokenised(spaced) == "the \" Café \" didn't open, it's (nearly) a one-year wait: $5!"
    assert metrics.detokenised("“Oui”, it's 😀 – a well-known one.") == "“Oui”, it's 😀 – a well-known one."


def test_reciprocal_rank_and_ndcg_at_5() -> None:
    ranked = [["a", "b"], ["a", "b"], ["x"], ["1", "2", "3", "4", "5", "six"], []]
    relevant = [{"b"}, {"b", "missed"}, {"y"}, {"six"}, {"z"}]
    scores = metrics.ranking_scores(ranked, relevant)
    second = 1 / math.log2(3)  # the gain of rank 2
    wanted = [(1 / 2, second), (1 / 2, second / (1 + second)), (0, 0), (1 / 6, 0), (0, 0)]
    assert scores == [pytest.approx(pair) for pair in wanted]


def test_fused_and_first_distinct() -> None:
    # 1/61 + 1/63 < 1/62 + 1/61, and 1/63 + 1/62 is least
    assert metrics.fused([[1, 2, 3], [3, 1, 2]]) == [1, 0, 2]
    assert metrics.first_distinct(["b", "a", "b", "c", "a"]) == ["b", "a", "c"]


def test_resampled_weights_draw_n_of_n_with_a_fixed_seed() -> None:
    weights = metrics.resampled(7)
    assert weights.shape == (1 + metrics.RESAMPLES, 7)
    assert (weights[0] == 1).all()
    assert (weights.sum(axis=1) == 7).all()
    assert (weights == metrics.resampled(7)).all()
    assert weights[1:].mean() == pytest.approx(1)


def test_interval_of_a_share_is_that_of_the_normal_approximation() -> None:
    half = metrics.figure(metrics.ratio(metrics.resampled(100), [1] * 50 + [0] * 50, [1] * 100))
    assert half.value == 0.5
    assert half.low == pytest.approx(0.5 - 1.96 * math.sqrt(0.25 / 100), abs=0.015)
    assert half.high == pytest.approx(0.5 + 1.96 * math.sqrt(0.25 / 100), abs=0.015)


def test_ratio_weighs_parts_and_wholes() -> None:
    weights = np.array([[1.0, 1, 1], [2, 0, 1], [0, 0, 3]])
    # (1 + 3) / (2 + 4); 2 * 1 / (2 * 2); nothing of nothing
    assert metrics.ratio(weights, [1, 3, 0], [2, 4, 0]) == pytest.approx([4 / 6, 2 / 4, math.nan], nan_ok=True)


def test_a_figure_leaves_out_resamples_without_a_number() -> None:
    assert metrics.figure(np.array([0.5, math.nan, 0.2, 0.2])) == pytest.approx((0.5, 0.2, 0.2))
    assert math.isnan(metrics.figure(np.array([math.nan, math.nan])).low)


def test_auroc_counts_pairs_and_halves_ties() -> None:
    weights = np.array([[1.0, 1, 1, 1], [2, 1, 1, 1], [0, 0, 1, 1]])
    # .9 over .5 and .1, .5 over .1, .5 with .5 half: 3.5 of 4; the first twice: (2 * 2 + 1.5) of 6; no positive
    found = metrics.auroc(weights, [0.9, 0.5, 0.5, 0.1], [True, True, False, False])
    assert found == pytest.approx([3.5 / 4, 5.5 / 6, math.nan], nan_ok=True)


def test_auroc_equals_counting_every_pair() -> None:
    random = np.random.default_rng(1)
    scores, positive = random.integers(0, 9, 60), random.random(60) < 0.4
    pairs = [np.sign(a - b) / 2 + 0.5 for a in scores[positive] for b in scores[~positive]]
    assert metrics.auroc(np.ones((1, 60)), scores, positive) == pytest.approx([np.mean(pairs)])


def test_percentile_is_the_least_value_that_enough_weight_is_up_to() -> None:
    weights = np.array([[1.0, 1, 1, 1], [1, 0, 0, 3]])
    assert metrics.percentile(weights, [40, 10, 30, 20], 0.5).tolist() == [20, 20]
    assert metrics.percentile(weights, [40, 10, 30, 20], 0.95).tolist() == [40, 40]
    assert metrics.percentile(np.ones((1, 20)), range(1, 21), 0.95).tolist() == [19]


def test_mcnemar_is_the_exact_binomial() -> None:
    # 5 won, 1 lost, 2 alike: 2 * (C(6, 0) + C(6, 1)) / 2**6 = 14 / 64
    one = [True] * 5 + [False] + [True, False]
    other = [False] * 5 + [True] + [True, False]
    assert metrics.mcnemar(one, other) == 14 / 64
    assert metrics.mcnemar(other, one) == 14 / 64
    assert metrics.mcnemar(one, one) == 1
    assert metrics.mcnemar([True] * 2000, [False] * 2000) == pytest.approx(0, abs=1e-300)


def test_the_calibration_error_by_hand() -> None:
    # two in one bin: .12 and .18 hold 0 of 2 (sum .30); .95 and .85 have bins of their own (gaps .05 and .85)
    weights = np.array([[1.0, 1, 1, 1], [1, 1, 2, 0]])
    found = metrics.calibration_error(weights, [0.12, 0.18, 0.95, 0.85], [0, 0, 1, 0])
    assert found == pytest.approx([(0.30 + 0.05 + 0.85) / 4, (0.30 + 0.10) / 4])
    assert metrics.calibration_error(np.ones((1, 2)), [1.0, 0.0], [1, 0]) == pytest.approx([0.0])
    assert metrics.calibration_error(np.ones((1, 2)), [0.55, 0.52], [1, 0])[0] == pytest.approx(0.07 / 2)


def test_the_area_under_the_risk_coverage_curve_by_hand() -> None:
    # surest first: right, wrong, right, wrong -> risks 0, 1/2, 1/3, 2/4
    found = metrics.risk_coverage_area(np.ones((1, 4)), [0.9, 0.1, 0.8, 0.2], [0, 1, 1, 0])
    assert found == pytest.approx([(0 + 1 / 2 + 1 / 3 + 2 / 4) / 4])
    assert metrics.risk_coverage_area(np.array([[1.0, 0, 0, 1]]), [0.9, 0.1, 0.8, 0.2], [0, 1, 1, 0]) == [0.0]


def test_the_best_f1_by_hand() -> None:
    # two are unanswerable; shown from the surest on: gains .5, -1, .8, -1: the best is to show one
    confidences, f1s, answerable = [0.9, 0.8, 0.7, 0.6], [0.5, 0, 0.8, 0], [True, False, True, False]
    assert metrics.best_f1(np.ones((1, 4)), confidences, f1s, answerable) == pytest.approx([(2 + 0.5) / 4])
    assert metrics.best_f1(np.ones((1, 4)), [0.9, 0.5, 0.9, 0.5], f1s, answerable) == pytest.approx([(2 + 1.3) / 4])
    assert metrics.best_f1(np.ones((1, 4)), [0.5] * 4, f1s, answerable) == pytest.approx([2 / 4])  # equal: none or all
    assert metrics.best_f1(np.array([[1.0, 0, 1, 0]]), confidences, f1s, answerable) == pytest.approx([1.3 / 2])


def test_an_answer_is_right_when_one_holds_the_other() -> None:
    assert metrics.contained("in the 10th century", ["10th century", "900s"]) == 1.0
    assert metrics.contained("Trump", ["President Donald Trump"]) == 1.0
    assert metrics.contained("The Kyiv!", ["Kyiv"]) == 1.0
    assert metrics.contained("12", ["112"]) == 0.0  # whole words
    assert metrics.contained("", ["x"]) == metrics.contained("the", ["x"]) == metrics.contained("x", []) == 0.0
