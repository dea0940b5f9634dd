"""The embedded answerer on matches written out by hand; its constants are the module's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from rag import Answerer, Hit, Passage, Retrieval, SentenceId, Span, Verdict, make_document
from rag.cite import cite
from rag.extract import GAIN, GAIN_IN_TWO, MOST, ExtractiveAnswerer, choose

WORDS = ("Ça va 😀.", "“Quoted” words.", "中文句子在这里。", "Line\r\nbreak é.", "Last one.")


def hit(name: str, scores: Sequence[float], id: str = "d") -> Hit:
    """A name and its sentences' scores to a Hit of so many sentences."""
    document = make_document(f"{name}: " + " ".join(WORDS[: len(scores)]), id=id)
    spans, place = [], len(name) + 2
    for words in WORDS[: len(scores)]:
        length = len(words.replace("\r\n", "\n"))
        spans.append(Span(place, place + length))
        place += length + 1
    return Hit(Passage(document, Span(spans[0].start, spans[-1].end), tuple(spans)), 1.0, tuple(scores))


def retrieval(
    *hits: tuple[Sequence[float], Sequence[Sequence[float]]], weights: Sequence[float], question: str = "Q?"
) -> Retrieval:
    """Each hit's sentence scores and matches, and the terms' weights, to a Retrieval."""
    return Retrieval(
        question=question,
        hits=tuple(hit(f"d{number}", scores) for number, (scores, _) in enumerate(hits)),
        matches=tuple(np.array(matches, np.float32).reshape(-1, len(weights)) for _, matches in hits),
        weights=np.array(weights, np.float32),
        features={},
    )


def places(found: Retrieval) -> list[SentenceId]:
    """The sentences that the answerer's drafts rest on, in the order in which they are read."""
    drafts = list(ExtractiveAnswerer().answer(found))
    assert all(len(draft.sources) == 1 for draft in drafts)
    return [draft.sources[0] for draft in drafts]


def test_it_is_an_answerer() -> None:
    answerer: Answerer = ExtractiveAnswerer()
    assert list(answerer.answer(retrieval(weights=[1.0]))) == []


def test_the_constants_are_sane() -> None:
    assert MOST >= 1
    assert 0 < GAIN_IN_TWO < GAIN < 1


def test_the_best_sentence_answers() -> None:
    found = retrieval(([0.2, 0.9, 0.4], [[0.2], [0.9], [0.9]]), ([0.8], [[0.8]]), weights=[1.0])
    assert choose(found) == places(found) == [SentenceId(0, 1)]


def test_the_best_may_be_in_any_hit() -> None:
    found = retrieval(([0.2], [[0.2]]), ([0.1, 0.1, 0.7], [[0.1], [0.1], [0.7]]), weights=[1.0])
    assert choose(found) == [SentenceId(1, 2)]


def test_drafts_are_the_sentences_word_for_word() -> None:
    found = retrieval(([0.1, 0.9, 0.2, 0.3], [[0, 0], [1, 0], [0, 0], [0, 1]]), ([0.1], [[0, 0]]), weights=[0.5, 0.5])
    drafts = list(ExtractiveAnswerer().answer(found))
    assert [draft.text for draft in drafts][:1] == ["“Quoted” words."]
    for draft in drafts:
        (source,) = draft.sources
        passage = found.hits[source.hit].passage
        assert draft.text == passage.document.text[slice(*passage.sentences[source.sentence])]
    _, claims = cite(drafts, found.hits)
    assert {claim.verdict for claim in claims} == {Verdict.SUPPORTED}


@pytest.mark.skipif(MOST < 2, reason="one sentence at the most")
def test_a_further_sentence_must_gain_enough() -> None:
    def gaining(gain: float) -> Retrieval:  # beside the best sentence's .5 of the question, another matches this share
        return retrieval(([0.5, 0.3], [[1, 0], [0, gain / 0.5]]), weights=[0.5, 0.5])

    assert choose(gaining(GAIN + 1e-3)) == [SentenceId(0, 0), SentenceId(0, 1)]
    assert choose(gaining(GAIN - 1e-3)) == [SentenceId(0, 0)]


@pytest.mark.parametrize(
    ("question", "two"),
    [
        ("Who led the Normans and who 😀?", True),
        ("BOTH of “them”?", True),
        ("Rice as well as é?", True),
        ("Who has the brandy 中文?", False),
        ("As well, who?", False),
    ],
)
@pytest.mark.skipif(MOST < 2, reason="one sentence at the most")
def test_a_question_for_two_things_asks_less_of_the_second(question: str, two: bool) -> None:
    def chosen(gain: float) -> int:
        return len(choose(retrieval(([0.5, 0.3], [[1, 0], [0, gain * 2]]), weights=[0.5, 0.5], question=question)))

    assert chosen(GAIN_IN_TWO - 1e-3) == 1
    assert chosen((GAIN_IN_TWO + GAIN) / 2) == (2 if two else 1)
    assert chosen(GAIN + 1e-3) == 2


@pytest.mark.skipif(MOST < 2, reason="one sentence at the most")
@pytest.mark.parametrize(("question", "two"), [("How many eggs?", False), ("Who and what?", True)])
def test_a_further_sentence_is_of_another_document_only_if_two_things_are_asked(question: str, two: bool) -> None:
    found = retrieval(([0.9], [[1, 0]]), ([0.5], [[0, 1]]), weights=[0.5, 0.5], question=question)
    assert len(choose(found)) == 2
    apart = replace(found, hits=(found.hits[0], hit("d1", [0.5], "other")))
    assert choose(apart) == [SentenceId(0, 0), SentenceId(1, 0)][: 1 + two]


@pytest.mark.skipif(MOST < 2, reason="one sentence at the most")
def test_what_is_covered_is_no_gain() -> None:
    # the second and third match the same term: the better one is taken, the other adds nothing
    found = retrieval(([0.9, 0.5, 0.6], [[1, 0], [1, 0.9], [1, 1]]), ([0.8], [[1, 1]]), weights=[0.5, 0.5])
    assert choose(found) == [SentenceId(0, 0), SentenceId(0, 2)]


def test_a_sentence_is_never_given_twice() -> None:
    found = retrieval(([0.9, 0.9], [[1, 1], [1, 1]]), ([0.9, 0.9], [[1, 1], [1, 1]]), weights=[0.5, 0.5])
    assert choose(found) == [SentenceId(0, 0)]


def test_no_more_than_most() -> None:
    count = len(WORDS)
    assert count > MOST
    found = retrieval(([0.9 - n / 10 for n in range(count)], np.eye(count).tolist()), weights=[1.0] * count)
    assert choose(found) == [SentenceId(0, n) for n in range(MOST)]
    assert len(places(found)) == MOST


@pytest.mark.skipif(MOST < 3, reason="two sentences at the most")
def test_they_are_read_in_the_documents_order_the_best_ones_passage_first() -> None:
    found = retrieval(
        ([0.1, 0.1], [[0, 0, 0.9], [0, 0, 0]]),
        ([0.1, 0.1, 0.9], [[0, 0.95, 0], [0, 0, 0], [1, 0, 0]]),
        weights=[1.0, 1.0, 1.0],
    )
    assert choose(found) == [SentenceId(1, 2), SentenceId(1, 0), SentenceId(0, 0)]
    assert places(found) == [SentenceId(1, 0), SentenceId(1, 2), SentenceId(0, 0)]


def test_the_best_sentence_is_always_among_them() -> None:
    numbers = np.random.default_rng(7)
    for _ in range(50):
        shapes = numbers.integers(1, len(WORDS) + 1, size=3)
        matches = [numbers.random((n, 4)) for n in shapes]
        weights = numbers.dirichlet(np.ones(4))
        found = retrieval(*(((m @ weights).tolist(), m.tolist()) for m in matches), weights=weights.tolist())
        scores = {
            SentenceId(h, s): score for h, one in enumerate(found.hits) for s, score in enumerate(one.sentence_scores)
        }
        chosen = choose(found)
        assert chosen[0] == max(scores, key=lambda place: scores[place])
        assert 1 <= len(set(chosen)) == len(chosen) <= MOST
        assert sorted(chosen) == sorted(places(found))
