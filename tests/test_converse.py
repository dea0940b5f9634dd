"""Follow-ups made to stand alone, without and with a model server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag import Pipeline, QuestionError, Settings
from rag.converse import depends, stand_alone, turns_of
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
