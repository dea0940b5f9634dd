"""The dialogues' file, and the measuring of follow-ups, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.followups import DIALOGUES, SWITCH, dialogues, main, of_set, report, turns
from rag import Pipeline, packaged_corpus, read_folder
from tests.scripted import write_rows


def test_the_dialogues_are_thirty_and_quote_the_article() -> None:
    (article,) = read_folder(packaged_corpus())
    rows = [json.loads(line) for line in DIALOGUES.read_text("utf-8").splitlines()]
    assert len(rows) >= 30
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert len(row["turns"]) in (2, 3)
        assert [turn["kind"] == "first" for turn in row["turns"]] == [True] + [False] * (len(row["turns"]) - 1)
        for turn in row["turns"]:
            assert turn["evidence"]
            assert all(article.text.count(quote) == 1 for quote in turn["evidence"])


def test_turns_pair_questions_with_answers() -> None:
    assert turns([["user", "a"], ["agent", "b"], ["user", "c"]]) == [("a", "b"), ("c", "")]


def test_follow_ups_are_asked_in_their_dialogue(pipeline: Pipeline, tmp_path: Path) -> None:
    told = [
        {"question": "Who led the Normans?", "evidence": ["Rollo 😀 led them in the 10th century."], "kind": "first"},
        {"question": "When?", "evidence": ["Rollo 😀 led them in the 10th century."], "kind": "follow-up"},
    ]
    path = write_rows(tmp_path / "d.jsonl", [{"id": "1", "turns": told}])
    (asked,) = dialogues(pipeline, path)
    assert asked.understood.startswith("When? (led Normans")
    assert len(asked.found) == 3


def test_a_sets_follow_ups_are_those_with_an_answer_and_a_history(pipeline: Pipeline, tmp_path: Path) -> None:
    row = {"question": "When?", "answerable": True, "doc_ids": ["mixed.txt"], "history": [["user", "Who led them?"]]}
    rows = [{**row, "id": "1"}, {**row, "id": "2", "history": []}, {**row, "id": "3", "answerable": False}]
    write_rows(tmp_path / "qa.jsonl", rows)
    (asked,) = of_set(pipeline, tmp_path)
    assert asked.found == (True, True, True)
    assert report([asked]) == {"rule": 1.0, "as it is": 1.0, "concatenated": 1.0}


def test_a_first_question_is_asked_after_another_conversation(pipeline: Pipeline, tmp_path: Path) -> None:
    other = {"question": "Why?", "answerable": False, "doc_ids": None, "history": [["user", "What is cheese?"]]}
    first = {"question": "Which region in France has their name?", "answerable": True, "doc_ids": ["mixed.txt"]}
    write_rows(tmp_path / "qa.jsonl", [{**other, "id": "1"}, {**first, "id": "2", "history": []}])
    (asked,) = of_set(pipeline, tmp_path)
    assert (asked.kind, asked.found) == (SWITCH, (True, True, True))
    assert report([asked])["switch.rule"] == 1.0


def test_a_set_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path), "--set", "none"]) == 2
    assert "none" in capsys.readouterr().err
