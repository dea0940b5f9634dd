"""Questions that ask several things: where they are cut, and which sentence each of them gets."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag import Pipeline, Settings, build_index, make_document
from rag.extract import ExtractiveAnswerer
from rag.several import joined, questions
from rag.types import Asked, Finding, Hit, Passage, Retrieval, SentenceId, Span
from tests.fakes import HashEncoder

TEXTS = ("Rollo led them to Normandy in 911.", "Salt is added at the end.", "Boats pass below the bridge.")


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Who led the Normans, and when did they come?", ("Who led the Normans", "when did they come? (led Normans)")),
        ("who led the Normans and is it true?", ("who led the Normans", "is it true? (led Normans)")),
        ("Who led the Normans? Where did they go?", ("Who led the Normans?", "Where did they go? (led Normans)")),
        ("Who led the Normans as well as on what day?", ("Who led the Normans", "on what day? (led Normans)")),
        (
            "What pressure and what scandal trouble Kyiv?",  # the first says too little
            ("What pressure and what scandal trouble Kyiv?", "what scandal trouble Kyiv?"),
        ),
        (
            "Who led the Normans, when did Normans come to Rome and where did they settle?",
            ("Who led the Normans", "when did Normans come to Rome", "where did they settle? (led Normans)"),
        ),
        ("Who led the Normans, and in what year?", ("Who led the Normans", "in what year? (led Normans)")),
        ("Who led the Normans, and why?", ("Who led the Normans", "why? (led Normans)")),
        ("Who led the Normans?When is the call?", ("Who led the Normans?", "When is the call?")),
        ("WHO LED THE NORMANS & WHEN IS THE CALL", ("WHO LED THE NORMANS", "WHEN IS THE CALL")),
        ("who led the Normans;when is the call", ("who led the Normans", "when is the call")),
        ("1. Who led the Normans?\n2) When is the call?", ("Who led the Normans?", "When is the call?")),
        ("What is a call and when is a call?", ("What is a call", "when is a call?")),
        ("Who led them? Who led them? When is it? Be brief.", ("Who led them?", "When is it? (led)")),
        ("Who led the Normans? Why? How?", ("Who led the Normans?", "Why? (led Normans)", "How? (led Normans)")),
        ("who led the Normans; when is the call", ("who led the Normans", "when is the call")),
        ("Who is Rollo, who was Harald, and who is Wace?", ("Who is Rollo", "who was Harald", "who is Wace?")),
        ("Who led the Normans? And when is the call?", ("Who led the Normans?", "when is the call?")),
        (
            "And why is he in trouble, and when does he come? (Rollo Normandy)",  # made to stand alone
            ("why is he in trouble (Rollo Normandy)", "when does he come? (trouble Rollo Normandy)"),
        ),
    ],
)
def test_a_question_is_cut_where_another_begins(question: str, expected: tuple[str, ...]) -> None:
    assert tuple(alone for _, alone in questions(question)) == expected


@pytest.mark.parametrize(
    "question",
    [
        "Who led the Normans and the Saxons?",
        "When and where was Rollo born?",
        "Who led the Normans, who came from Rome?",
        "What family distilled brandy and were Huguenots?",
        "Which law was the first and was the harshest?",
        "Who led the Normans? Answer in one word.",
        "What is the difference between what Rollo said and what Harald did?",
        "What does the text say about how and why they came?",
        "Did Rollo lead them or did he follow?",
        "Who said [who led them and who fell]?",
        "Who led the Normans? Thanks!",
        "Rock and roll",
        "and what",
        "?" * 50,
        "Who led the Normans? Who led the Normans?",
        "When the Normans came, what did the Saxons do?",
        "What did the man say who said “who led them and who fell”?",
        "What does https://example.org/?what=1 say?",
        "Who is it that decides if and when a vote is held?",
        "Who is the man (and what is his name) that led them?",
        "",
        "who and what and " * 2000,
    ],
)
def test_one_question_is_left_whole(question: str) -> None:
    assert questions(question) == ()


@pytest.mark.parametrize("text", ["Who was it" + " " * 100_000 + "x", "a" + "\t\n" * 50_000 + "b?", "and " * 25_000])
def test_white_space_costs_no_more_than_its_length(text: str) -> None:
    start = time.process_time()
    assert questions(text) == ()
    assert time.process_time() - start < 1


def test_a_short_first_question_stands_alone() -> None:
    assert questions("Who was fired, and when is the call?")[0] == ("Who was fired", "Who was fired")


def read(question: str, scores: Sequence[float], spans: Sequence[Span | None], kept: Sequence[int]) -> Retrieval:
    """Scores and exact answers of TEXTS' sentences to the retrieval of some of them."""
    documents = [make_document(text, id=str(number)) for number, text in enumerate(TEXTS)]
    hits = []
    for number in kept:
        whole = Span(0, len(TEXTS[number]))
        hits.append(Hit(Passage(documents[number], whole, (whole,)), float(scores[number]), (scores[number],)))
    found = [Finding(SentenceId(at, 0), span, 1.0, 0.0) for at, n in enumerate(kept) if (span := spans[n])]
    rows = tuple(np.ones((1, 2), np.float32) for _ in kept)
    return Retrieval(question, tuple(hits), rows, np.full(2, 0.5, np.float32), {}, findings=tuple(found))


def drafts(found: Retrieval) -> list[tuple[str, tuple[Span, ...]]]:
    return [(draft.text, draft.short) for draft in ExtractiveAnswerer().answer(found)]


def test_each_gets_its_sentence_in_the_order_asked() -> None:
    whole = read("Q and R?", (0.9, 0.8, 0.1), (None,) * 3, (0, 1))
    one = read("Q", (0.2, 0.9, 0.1), (None, Span(0, 4), None), (1, 0, 2))
    other = read("R (Q)", (0.1, 0.2, 0.9), (None, None, Span(0, 5)), (2, 0))
    found = joined(whole, [one, other], ["Q", "R?"])
    assert found.asked == (
        Asked("Q", {}, SentenceId(1, 0), Span(0, 4)),
        Asked("R?", {}, SentenceId(2, 0), Span(0, 5)),
    )
    assert [sentence.document.id for sentence in found.sentences] == ["1", "2", "0"]  # those that answer come first
    assert [(f.place, f.span) for f in found.findings] == [(a.place, a.span) for a in found.asked]
    assert [hit.passage.document.id for hit in found.hits] == ["0", "1", "2"]  # what only one found comes last
    assert found.hits[2].score == whole.hits[1].score
    assert found.matches[2].shape == (1, 2)
    assert drafts(found) == [(TEXTS[1], (Span(0, 4),)), (TEXTS[2], (Span(0, 5),))]


def test_no_two_have_the_same_exact_answer() -> None:
    one = read("Q", (0.9, 0.2, 0.1), (Span(0, 5), None, None), (0, 1, 2))
    same = read("R", (0.9, 0.8, 0.1), (Span(0, 5), None, None), (0, 1, 2))
    far = read("R", (0.9, 0.5, 0.1), (Span(0, 5), None, None), (0, 1, 2))
    apart = read("R", (0.9, 0.5, 0.1), (Span(30, 33), None, None), (0, 1, 2))
    found = joined(one, [one, same], ["Q", "R"])
    assert [asked.place.hit for asked in found.asked] == [0, 1]
    found = joined(one, [one, apart], ["Q", "R"])
    assert [asked.place.hit for asked in found.asked] == [0, 0]
    assert drafts(found) == [(TEXTS[0], (Span(0, 5), Span(30, 33)))]  # one sentence, both marked
    alone = read("Q", (0.9, 0.2, 0.1), (Span(0, 5), None, None), (0,))
    found = joined(one, [one, far], ["Q", "R"])
    assert [asked.place.hit for asked in found.asked] == [0, 0]  # another would be far worse: both have this one
    found = joined(one, [alone, alone], ["Q", "R"])  # there is no other
    assert drafts(found) == [(TEXTS[0], (Span(0, 5),))]


@pytest.fixture
def three(tmp_path: Path, encoder: HashEncoder, settings: Settings) -> Pipeline:
    documents = [make_document(text, id=str(number)) for number, text in enumerate(TEXTS)]
    folder = build_index(documents, tmp_path / "three", settings=settings, encoder=encoder).folder
    return Pipeline.open(folder, settings=settings, encoder=encoder)


def test_a_question_for_two_things_is_answered_by_both(three: Pipeline) -> None:
    question = "Who led them to Normandy, and what do boats pass below?"
    answer = three.ask(question)
    assert answer.text == f"{TEXTS[0]} {TEXTS[2]}"
    assert answer.question == answer.understood == question
    assert [citation.text for citation in answer.citations] == [TEXTS[0], TEXTS[2]]
    assert answer.warnings == ()


def test_those_beyond_the_first_five_are_told_of(three: Pipeline) -> None:
    asked = [f"what do {thing} pass below?" for thing in ("boats", "ships", "rafts", "ducks", "geese", "swans")]
    found = three.read(three.retrieve(" ".join(asked)))
    assert [part.question for part in found.asked] == asked[:5]
    told = "The question asks 6 things; the first 5 were read: ask the others by themselves."
    assert three.ask(" ".join(asked)).warnings == (told,)
    assert not three.read(three.retrieve(" ".join(asked[:5]))).warnings


def test_each_is_judged_alone(three: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    question = "Who led them to Normandy, and what do boats pass below?"
    found = three.read(three.retrieve(question))
    sure = [replace(one, features={"sure": own}) for one, own in zip(found.asked, (0.2, 0.7), strict=True)]
    told = replace(found, asked=tuple(sure))
    monkeypatch.setattr(three, "_confidence", lambda features: features["sure"])
    monkeypatch.setattr(three, "read", lambda retrieval: told)
    monkeypatch.setattr(three, "_threshold", lambda max_wrong: 0.75)
    monkeypatch.setattr(three, "threshold", 0.5)
    answer = three.ask(question)
    assert answer.text == TEXTS[2]
    assert answer.confidence == 0.7
    assert answer.warnings == ("The sources do not say: “Who led them to Normandy”",)
    same = replace(told, asked=tuple(replace(asked, place=told.asked[1].place) for asked in told.asked))
    monkeypatch.setattr(three, "read", lambda retrieval: same)
    assert three.ask(question).warnings == ()  # the sentence of the one that is less sure is shown anyway
    monkeypatch.setattr(three, "read", lambda retrieval: told)
    monkeypatch.setattr(three, "threshold", 0.1)
    both = three.ask(question)
    assert (both.text, both.confidence, both.warnings) == (f"{TEXTS[0]} {TEXTS[2]}", 0.2, ())
    monkeypatch.setattr(three, "threshold", 0.8)
    silent = three.ask(question)
    assert silent.abstained
    assert (silent.confidence, silent.warnings, silent.claims) == (0.7, (), ())
    assert silent.reason
