"""Records: views that derive their text, what is computed from an Answer, and that nothing can be changed."""

from __future__ import annotations

import dataclasses
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rag
from rag import Answer, Citation, Claim, Excerpt, Hit, Passage, Span, Verdict, make_document, types

ROOT = Path(__file__).resolve().parent.parent
TEXT = "Ça va 😀. “Quoted” 中文。\r\nLast é."
DOCUMENT = make_document(TEXT, id="d")
FIRST, SECOND, THIRD = Span(0, 8), Span(9, 21), Span(22, 29)
PASSAGE = Passage(DOCUMENT, Span(9, 29), (SECOND, THIRD))


def answer(*claims: Claim, hits: tuple[Hit, ...] = ()) -> Answer:
    """Claims and hits to an Answer."""
    return Answer("Q?", "Q?", "text", (), claims, hits, 0.5, abstained=False)


def test_a_span_slices() -> None:
    assert DOCUMENT.text[slice(*SECOND)] == "“Quoted” 中文。"
    assert (SECOND.start, SECOND.end) == SECOND == (9, 21)


def test_text_is_derived_and_never_copied() -> None:
    assert Excerpt(DOCUMENT, THIRD).text == "Last é."
    assert PASSAGE.text == "“Quoted” 中文。\nLast é."
    assert isinstance(PASSAGE, Excerpt)
    assert Citation(1, DOCUMENT, PASSAGE, SECOND).text == "“Quoted” 中文。"
    stored = {field.name for record in (Excerpt, Passage, Citation) for field in dataclasses.fields(record)}
    assert "text" not in stored


def test_every_record_is_frozen_and_slotted() -> None:
    records: list[Any] = [kind for _, kind in inspect.getmembers(types, dataclasses.is_dataclass)]
    assert len(records) == 11
    for record in records:
        assert record.__dataclass_params__.frozen, record
        assert "__slots__" in vars(record), record
        assert not any("list" in str(field.type) for field in dataclasses.fields(record)), record
    with pytest.raises(dataclasses.FrozenInstanceError):
        DOCUMENT.text = "other"  # type: ignore[misc]  # that it may not be set is what is tested


def test_citations_are_flattened_once_by_number() -> None:
    one, two = Citation(1, DOCUMENT, PASSAGE, THIRD), Citation(2, DOCUMENT, PASSAGE, SECOND)
    made = answer(
        Claim(Span(0, 1), Verdict.SUPPORTED, (two, one)),
        Claim(Span(1, 2), Verdict.UNSUPPORTED, ()),
        Claim(Span(2, 3), Verdict.MISATTRIBUTED, (two,)),
    )
    assert made.citations == (one, two)
    assert answer().citations == ()


def test_sentences_are_the_hits_best_first() -> None:
    first = Passage(DOCUMENT, FIRST, (FIRST,))
    made = answer(hits=(Hit(PASSAGE, 2.0, (0.25, 0.75)), Hit(first, 1.0, (0.75,)), Hit(first, 0.5, (0.8,))))
    assert [(sentence.span, sentence.text) for sentence in made.sentences] == [
        (FIRST, "Ça va 😀."),  # .8
        (THIRD, "Last é."),  # .75, of the better hit
        (FIRST, "Ça va 😀."),  # .75
        (SECOND, "“Quoted” 中文。"),
    ]
    assert answer().sentences == ()


def test_the_faces_of_an_answer() -> None:
    cited = Claim(Span(0, 4), Verdict.SUPPORTED, (Citation(1, DOCUMENT, PASSAGE, THIRD),))
    made = answer(cited, hits=(Hit(PASSAGE, 1.0, (0.1, 0.2)),))
    assert made.to_dict()["citations"][0]["quote"] == "Last é."
    assert json.loads(json.dumps(made.to_dict())) == made.to_dict()
    assert made.to_markdown().startswith("text \\[1\\]\n")
    assert made._repr_html_().startswith('<div class="footnote-answer"><p><strong>Q?</strong></p>')


def test_verdicts_are_their_words() -> None:
    assert [str(verdict) for verdict in Verdict] == ["supported", "misattributed", "unsupported", "pending"]


def test_defaults_of_an_answer() -> None:
    made = answer()
    assert (made.reason, made.warnings, made.finished, dict(made.timings)) == ("", (), True, {})


def test_every_error_is_a_rag_error() -> None:
    names = [name for name in rag.__all__ if name.endswith("Error")]
    assert len(names) == 10
    for name in names:
        error = getattr(rag, name)
        assert issubclass(error, rag.RagError), name
        assert name in (inspect.getdoc(rag.errors) or ""), name


def test_records_need_no_numpy() -> None:
    code = "import sys, rag.types, rag.errors, rag.settings; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
