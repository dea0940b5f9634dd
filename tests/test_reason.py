"""Why nothing was answered: the part of the question that no passage has."""

from __future__ import annotations

import numpy as np
import pytest

from rag.reason import NOTHING, UNSAID, reason
from rag.text import parts
from rag.types import Retrieval
from tests.test_reader import hit

TEXT = "Rollo led the Normans in May 911, with 40 ships. The café in Ann Arbor is old."


def said(question: str, *texts: str) -> str:
    return reason(Retrieval(question, tuple(hit(text) for text in texts), (), np.ones(1, np.float32), {}))


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("Who is Pierre Curie?", "the name “Pierre Curie”"),
        ("Did Rollo meet Pierre in Ann Arbor?", "the name “Pierre”"),
        ("Did Rollo have 41 ships?", "the number “41”"),
        ("What happened in June 1066?", "the date “June 1066”"),
        ("Who led 41 Danes in June?", "the number “41”, the name “Danes” or the date “June”"),
        ("What did Rollo eat for breakfast?", "“eat” or “breakfast”"),
        ("did rollo's ships sink?", "“sink”"),
        ("Welche Schiffe hatte Élan?", "the name “Schiffe” or the name “Élan”"),
    ],
)
def test_what_no_passage_has_is_named(question: str, named: str) -> None:
    assert said(question, TEXT) == f"No passage found has {named}; these come nearest."


def test_names_numbers_and_dates_are_named_before_other_words() -> None:
    assert "breakfast" not in said("What did Pierre eat for breakfast?", TEXT)
    assert said("a b1 c2 d3 e4 f5", TEXT).count("“") == 3


def test_all_words_are_there() -> None:
    assert said("Were the ships of Rollo old?", TEXT) == UNSAID
    assert said("Who?", TEXT) == UNSAID
    assert said("Were the ships old?") == NOTHING


def test_the_parts_of_a_question() -> None:
    found = parts("How many dogs did Ann Arbor’s mayor, Zoë, buy for 3,000 dollars on 2 May 2031? 😀")
    assert [(part.kind, part.text) for part in found] == [
        ("word", "dogs"), ("name", "Ann Arbor"), ("word", "mayor"), ("name", "Zoë"), ("word", "buy"),
        ("number", "3,000"), ("word", "dollars"), ("number", "2"), ("date", "May 2031"),
    ]  # fmt: skip
    assert parts("") == parts("of the and?!") == []
    assert [part.text for part in parts("中文句子 rice")] == ["中文句子", "rice"]
