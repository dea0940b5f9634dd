"""What reading found, in the order of hits and sentences: against arithmetic by hand."""

from __future__ import annotations

from math import tanh

import numpy as np
import pytest

from rag import make_document
from rag.rerank import BEYOND, FLOOR, PASSAGE, SCALE, SENTENCE, rerank
from rag.text import sentences
from rag.types import Finding, Hit, Passage, Retrieval, SentenceId, Signal, Span

ALPHA, BETA = 0.6, 0.4
TEXTS = ("One here. Two here.", "Three here.", "Four here.")
SCORES = ((0.5, 0.45), (0.6,), (0.1,))
MATCHES = (((0.8, 0.2), (0.1, 0.9)), ((0.7, 0.1),), ((0.0, 0.3),))


def hit(number: int, score: float) -> Hit:
    document = make_document(TEXTS[number], id=str(number))
    passage = Passage(document, Span(0, len(document.text)), tuple(sentences(document.text)))
    return Hit(passage, score, SCORES[number], {"bm25": Signal(1.0, number + 1)})


def retrieved(*findings: Finding) -> Retrieval:
    return Retrieval(
        question="Who?",
        hits=tuple(hit(number, score) for number, score in enumerate((1.0, 0.5, -1.0))),
        matches=tuple(np.array(rows, np.float32) for rows in MATCHES),
        weights=np.array([ALPHA, BETA], np.float32),
        features={"words": 1.0},
        findings=findings,
    )


def found(hit: int, sentence: int, score: float, answerable: float = 0.0) -> Finding:
    return Finding(SentenceId(hit, sentence), Span(0, 3), score, answerable)


def gain(score: float, answerable: float = 0.0) -> float:
    return tanh((score + answerable / 2) / SCALE)


def test_scores_by_hand() -> None:
    read = rerank(retrieved(found(0, 1, 8.0, 4.0), found(1, 0, -3.0), found(0, 0, -5.0)))
    gains = [gain(-5.0), gain(8.0, 4.0), gain(-3.0), gain(-5.0)]  # the last was not read: as low as the lowest
    plain = [s + SENTENCE * g for s, g in zip((0.5, 0.45, 0.6, 0.1), gains, strict=True)]
    assert max(plain) == plain[1]  # the second sentence, against retrieval's order
    beyond = [
        ALPHA * 0.7,
        ALPHA * 0.7,
        ALPHA * 0.6,
        0.0,
    ]  # what they match of the first term; the first keeps its place
    wanted = [a + BEYOND * b for a, b in zip(plain, beyond, strict=True)]
    by_text = {e.passage.document.id: e for e in read.hits}
    scores = [score for number in "012" for score in by_text[number].sentence_scores]
    assert scores == pytest.approx(wanted, abs=1e-6)
    assert [by_text[n].score for n in "012"] == pytest.approx(
        [1.0 + PASSAGE * gains[1], 0.5 + PASSAGE * gains[2], -1.0 + PASSAGE * gains[3]]
    )
    assert by_text["0"].trace == {"bm25": Signal(1.0, 1), "reader": Signal(gains[1], 1)}
    assert by_text["2"].trace["reader"].rank == 3
    assert read.features == {"words": 1.0, "span": 8.0}


def test_a_hit_with_an_answer_rises_and_all_that_is_said_of_it_moves_along() -> None:
    before = retrieved(found(2, 0, 12.0), found(0, 0, -6.0), found(1, 0, -12.0))
    read = rerank(before)
    assert [e.passage.document.id for e in read.hits] == ["2", "0", "1"]
    assert read.sentences[0].text == "Three here."  # .6 against .1 is more than findings add and take
    for place, finding in ((0, read.findings[0]), (1, read.findings[1]), (2, read.findings[2])):
        assert finding.place == SentenceId(place, 0)
    for e, matches in zip(read.hits, read.matches, strict=True):
        assert np.array_equal(matches, before.matches[int(e.passage.document.id)])
    assert sorted((e.score for e in read.hits), reverse=True) == [e.score for e in read.hits]


def test_a_sentence_with_an_answer_rises_but_not_over_one_that_is_far_ahead() -> None:
    assert rerank(retrieved()).sentences[0].text == "Three here."
    assert rerank(retrieved(found(0, 0, 9.0), found(1, 0, 0.0))).sentences[0].text == "One here."
    assert rerank(retrieved(found(2, 0, 99.0), found(1, 0, 0.0))).sentences[0].text == "Three here."


def test_the_second_fact_of_a_question_is_second() -> None:
    """It matches what the first sentence does not, which another matches nearly as well as the first."""
    assert [e.text for e in rerank(retrieved()).sentences][:2] == ["Three here.", "Two here."]
    plain = sorted((-score, i, j) for i, rows in enumerate(SCORES) for j, score in enumerate(rows))
    assert plain[1][1:] == (0, 0)


def test_what_was_not_found_counts_as_little() -> None:
    assert rerank(retrieved()).features["span"] == FLOOR
    assert rerank(retrieved(found(1, 0, -99.0, -99.0))).features["span"] == FLOOR
    assert rerank(retrieved(found(0, 0, 50.0), found(1, 0, -1.0))).features["span"] == 50.0


def test_nothing_retrieved() -> None:
    nothing = Retrieval("Who?", (), (), np.ones(1, np.float32), {})
    assert rerank(nothing) is nothing
