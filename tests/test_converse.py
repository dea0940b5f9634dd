"""Follow-ups made to stand alone, without and with a model server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag import Pipeline, QuestionError, Settings
from rag.converse import depends, perhaps, stand_alone, turns_of
from rag.server import ModelServer
from tests.fakes import HashEncoder
from tests.modelserver import fails, says, serving

TURN = ("Which region did Rollo lead the Normans to?", "Rollo led them to Normandy.")


@pytest.mark.parametrize(
    "question", ["When was it?", "How soon?", "And in France?", "What about Paris?", "Who else?", "Why?"]
)
def test_a_follow_up_depends(question: str) -> None:
    assert depends(question)
    assert stand_alone(question, [TURN]).startswith(question)
    assert "Rollo" in stand_alone(question, [TURN])


@pytest.mark.parametrize(
    "question", ["For how many minutes is rice cooked in water?", "Which city did the soldiers of Rollo burn?"]
)
def test_a_question_that_stands_alone_is_left_as_it_is(question: str) -> None:
    assert stand_alone(question, [TURN]) == question


def test_without_turns_nothing_is_carried() -> None:
    assert stand_alone("How soon?", []) == "How soon?"


def test_words_are_carried_once_and_not_those_of_the_question() -> None:
    assert stand_alone("When did he lead them?", [TURN]) == "When did he lead them? (region Rollo Normans Normandy)"


def test_a_question_with_a_name_or_date_of_its_own_takes_none_of_the_answer() -> None:
    assert stand_alone("What about Paris?", [TURN]) == "What about Paris? (region Rollo lead Normans)"
    assert stand_alone("And in 1911?", [TURN]) == "And in 1911? (region Rollo lead Normans)"


def test_a_word_that_begins_a_sentence_is_taken_for_a_name_last() -> None:
    turn = ("Which region?", "Against that, he went there. “However,” said Rollo, it rained.")
    assert stand_alone("When did he?", [turn]) == "When did he? (region Rollo)"
    assert stand_alone("When did he?", [("Which region?", "Rollo led them.")]) == "When did he? (region Rollo)"


@pytest.mark.parametrize(("question", "may"), [("Who leads it?", False), ("And Rollo?", False), ("Who led?", True)])
def test_only_what_is_merely_short_may_stand_alone(question: str, may: bool) -> None:
    assert perhaps(question) is may


def test_a_short_question_is_read_both_ways_and_the_surer_one_is_taken(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    sure = {"Who led?": 0.2, "Who led? (region Rollo lead Normans Normandy)": 0.1}
    monkeypatch.setattr(Pipeline, "_sure", lambda _, retrieval, threshold: (retrieval, sure[retrieval.question]))
    assert pipeline.ask("Who led?", history=[TURN]).understood == "Who led?"
    sure["Who led?"] = 0.05
    assert pipeline.ask("Who led?", history=[TURN]).understood == "Who led? (region Rollo lead Normans Normandy)"
    sure["When did he? (region Rollo lead Normans Normandy)"] = 0.0
    assert pipeline.ask("When did he?", history=[TURN]).understood != "When did he?"  # it points back


def test_the_turn_before_counts_when_the_last_says_nothing() -> None:
    assert "Rollo" in stand_alone("And why?", [TURN, ("Thanks", "")])


def test_history_is_answers_or_texts(pipeline: Pipeline) -> None:
    first = pipeline.ask("Who led the Normans?")
    again = pipeline.ask("When did he?", history=[first])
    assert again.question == "When did he?"
    assert again.understood.startswith("When did he? (led Normans")
    assert pipeline.ask("When did he?", history=[(first.question, first.text)]).understood == again.understood
    assert turns_of([first, ("a", "b")]) == [(first.understood, first.text), ("a", "b")]


def test_a_server_rewrites_and_the_rule_stands_in_when_it_fails() -> None:
    with serving(says("Question: “When did Rollo lead the Normans?”\n")) as script:
        server = ModelServer(script.url, "m")
        script.replies = [says("<think>x</think>\n“When did Rollo lead the Normans?”")]
        assert stand_alone("When did he?", [TURN], server) == "When did Rollo lead the Normans?"
        assert "Rollo led them to Normandy." in script.prompts[-1]
        script.replies = [says("")]
        assert stand_alone("When did he?", [TURN], server) == "When did he?"
        script.replies = [fails(500)]
        assert stand_alone("When did he?", [TURN], server) == "When did he? (region Rollo lead Normans Normandy)"


def test_the_server_is_asked_once_for_a_follow_up_only(built: Path, encoder: HashEncoder, settings: Settings) -> None:
    with serving(says("Who led the Normans?"), says("NOT IN THE SOURCES")) as script:
        pipeline = Pipeline.open(built, settings=replace(settings, llm_url=script.url), encoder=encoder)
        answer = pipeline.ask("Who did?", history=[TURN])
        assert answer.understood == "Who led the Normans?"
        assert len(script.prompts) == 2


@pytest.mark.parametrize(
    "history", ["abc", [("Who?",)], ["Who?"], [(1, 2)], [("Who?", "He.", "More.")], [None], {"a": "b"}, 5, {}, 0, None]
)
def test_what_is_no_history_is_said(pipeline: Pipeline, history: Any) -> None:
    with pytest.raises(QuestionError, match=r"history .*give a list of Answers or of pairs"):
        pipeline.ask("Who led the Normans?", history=history)
