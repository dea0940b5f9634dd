"""Why nothing was answered: the part of the question that no passage has."""

from __future__ import annotations

import numpy as np
import pytest

from rag.reason import NOTHING, UNSAID, reason
from rag.text import parts, past_marks
from rag.types import Retrieval
from tests.test_reader import hit

TEXT = "Rollo led the Normans in May 911, with 1,040 ships. The café in Ann Arbor is old. The U.S. saw 日本の猫."


def said(question: str, *texts: str) -> str:
    return reason(Retrieval(question, tuple(hit(text) for text in texts), (), np.ones(1, np.float32), {}))


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("Who is Pierre Curie?", "the name “Pierre Curie”"),
        ("Did Rollo meet Pierre in Ann Arbor?", "the name “Pierre”"),
        ("Who is Frederick Arbor?", "the name “Frederick”"),  # half of a name is there
        ("Did Rollo have 41 ships?", "the number “41”"),
        ("What happened in June 1566?", "the date “June 1566”"),
        ("Who led 41 Danes in June?", "the number “41”, the name “Danes” or the date “June”"),
        ("What did Rollo eat for breakfast?", "“breakfast”"),  # "eat" is looked for in any word: "meat" has it
        ("did rollo's ships sink, or sink?", "“sink”"),
        ("Welche Schiffe hatte Élan?", "“Schiffe” or “Élan”"),  # not English: capitals make no name
    ],
)
def test_what_no_passage_has_is_named(question: str, named: str) -> None:
    assert said(question, f"{TEXT} Meat is eaten.") == f"None of the nearest passages has {named}."


@pytest.mark.parametrize(
    "question",
    [
        "Is the US old?",
        "Is the U.S. old?",
        "Who has 1040 ships?",
        "CAFE led ships?",
        "猫 old?",
        "Is Nor\u00admans old?",
    ],
)
def test_what_a_passage_has_is_not_named(question: str) -> None:
    assert said(question, TEXT) == UNSAID


def test_names_numbers_and_dates_are_named_before_other_words() -> None:
    assert "breakfast" not in said("What did Pierre eat for breakfast?", TEXT)
    assert said("a bb1 cc2 dd3 ee4 ff5", TEXT).count("“") == 3


@pytest.mark.parametrize("question", ["Who?", "???", "🎉", "who are you?", "x"])
def test_nothing_that_tells_is_asked(question: str) -> None:
    assert said(question, TEXT) == NOTHING
    assert said("Were the ships old?") == NOTHING


def test_the_parts_of_a_question() -> None:
    question = "How many dogs did Ann Arbor’s mayor, Zoë, buy for 3,000 dollars on 2 May 2031? 😀"
    assert [(part.kind, question[slice(*part.span)]) for part in parts(question)] == [
        ("word", "dogs"), ("name", "Ann"), ("name", "Arbor"), ("word", "mayor"), ("name", "Zoë"), ("word", "buy"),
        ("number", "3,000"), ("word", "dollars"), ("number", "2"), ("date", "May"), ("date", "2031"),
    ]  # fmt: skip
    assert parts("") == parts("of the and?!") == parts("the x of a") == []


def test_marks_belong_to_what_stands_before_them() -> None:
    for word in ("שָׁלוֹםְ", "Jonas\u0303", "♟\ufe0f", "किताबें"):
        text = f"a {word} b"
        base = next(i for i in range(len(text) - 3, 1, -1) if past_marks(text, i) != i or i == len(text) - 2)
        assert past_marks(text, base) == len(text) - 2
    assert past_marks("ab", 1) == 1
    assert past_marks("ab", 2) == 2
