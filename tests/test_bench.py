"""eval/bench.py over the scripted pipeline, against arithmetic by hand, and the loading of public sets."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval import bench
from eval.gold import Question
from eval.metrics import Place
from eval.sets import asked_elsewhere, load_set
from rag import Pipeline, RagError, Settings, build_index
from tests.fakes import HashEncoder
from tests.scripted import CAFE, DOCUMENTS, TOKYO, Scripted, scripted_index, write_rows


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "Pipeline", Scripted)
    monkeypatch.setattr(bench, "build_index", scripted_index)
    monkeypatch.setattr(Scripted, "built", {})


DOCS = [
    {"doc_id": document.id, "title": "", "text": text} for document, text in zip(DOCUMENTS, (CAFE, TOKYO), strict=True)
]
QA: list[dict[str, Any]] = [
    {"id": "1", "question": "What was opened, the café, in Paris?", "answers": ["Paris"], "doc_id": "cafe",
     "answer_start": CAFE.index("Paris"), "answerable": True},
    {"id": "2", "question": "Which readers?", "answers": ["readers"], "doc_id": "cafe",
     "answer_start": CAFE.index("readers"), "answerable": True},
    # the words of Tokyo's text, but it is the other one that is meant
    {"id": "3", "question": "What was opened, melon bakery?", "answers": ["café"], "doc_id": "cafe",
     "answer_start": CAFE.index("café"), "answerable": True},
    {"id": "4", "question": "Who painted the bakery in Tokyo?", "answers": [], "doc_id": "tokyo",
     "answer_start": None, "answerable": False},
]  # fmt: skip


def benched(tmp_path: Path, *arguments: str, qa: Sequence[dict[str, Any]] = QA) -> dict[str, Any]:
    write_rows(tmp_path / "tiny" / "docs.jsonl", DOCS)
    write_rows(tmp_path / "tiny" / "qa.jsonl", qa)
    out = tmp_path / "tiny.json"
    assert bench.main(["--data", str(tmp_path), "--set", "tiny", "--json", str(out), *arguments]) == 0
    found: dict[str, Any] = json.loads(out.read_text("utf-8"), parse_constant=pytest.fail)
    return found


def test_bench_gives_the_figures_of_arithmetic_by_hand(tmp_path: Path) -> None:
    found = benched(tmp_path, "--ablations")
    wanted = {
        "n": 4,
        "n_answerable": 3,
        "open.recall@1": 2 / 3,
        "open.recall@5": 1,
        "open.mrr": (1 + 1 + 1 / 2) / 3,
        "open.sentence_first": 2 / 3,
        "open.em": 2 / 3,
        "open.citation_precision": 2 / 3,  # whole sentences against the answers' whole sentences
        "open.citation_recall": 2 / 3,
        "open.quote_validity": 1,
        "open.answered_unanswerable": 1,  # two of three words
        "open.auroc": 2 / 3,  # 1, 1/2, 1 against 2/3
        "given.sentence_first": 1,
        "given.em": 2 / 3,  # the third has one of three words in its own text: refused
        "given.refused_answerable": 1 / 3,
        "given.answered_unanswerable": 1,
        "given.auroc": 1 / 3,  # 1, 1/2, 1/3 against 2/3
        "elsewhere.answered": 1 / 4,  # the third is about Tokyo's bakery
        "ablation.chosen.recall@1": 2 / 3,
        "ablation.bm25.recall@1": 2 / 3,
        "ablation.bm25.recall@1.lead": 0,
        "ablation.bm25.recall@1.mcnemar_p": 1,
        "ablation.dense.recall@1": 2 / 3,  # the worst passages first: right for the first and the third question
        "ablation.dense.recall@1.lead": 0,
        "ablation.dense+bm25.recall@1": 2 / 3,  # 1/61 + 1/63 > 1/62 + 1/62: the best of the hits, before the worst
        "ablation.dense+bm25.recall@5": 1,
    }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-6)
    assert found["ablation.dense.recall@1.lead.low"] < 0 < found["ablation.dense.recall@1.lead.high"]
    assert not found.keys() & {"given.recall@1", "given.mrr", "ablation.chosen.recall@1.lead"}
    assert (found["set"], found["forced"]) == ("tiny", False)


def test_bench_limits_forces_and_takes_the_folder_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = benched(tmp_path, "--limit", "3", "--forced")
    assert (found["n"], found["given.refused_answerable"]) == (3, 0)
    assert not found.keys() & {"open.auroc", "ablation.chosen.recall@1"}
    monkeypatch.setenv("FOOTNOTE_DATA", str(tmp_path))
    assert bench.main(["--set", "tiny"]) == 0
    assert re.search(r"^open\.recall@1 +0\.667  \[0\.000, 1\.000\]$", capsys.readouterr().out, re.MULTILINE)


def test_bench_takes_sets_without_documents_or_offsets(tmp_path: Path) -> None:
    both: dict[str, Any] = {
        "id": "5",
        "question": "Who opened the bakery?",
        "answers": ["Hiro"],
        "doc_ids": ["cafe", "tokyo"],
    }
    none: dict[str, Any] = {"id": "6", "question": "Who opened it?", "answers": [], "doc_id": None, "doc_ids": []}
    found = benched(tmp_path, "--ablations", qa=[both | {"answerable": True}, none | {"answerable": False}])
    assert found["open.recall@1"] == found["open.recall@5"] == 1
    assert found["open.answered_unanswerable"] == 1
    assert found["given.em"] == 0  # "Tokyo"; asked of its two texts
    assert not found.keys() & {"open.sentence_first", "open.citation_recall", "given.answered_unanswerable"}


def test_evidence_of_a_set_follows_a_text_that_storing_changed(tmp_path: Path) -> None:
    raw = "Rain in a cafe\u0301.\r\n\r\nNo rain in the cafe\u0301 😀. Rain, rain."
    write_rows(tmp_path / "docs.jsonl", [{"doc_id": "d", "text": raw}])
    about: dict[str, Any] = {"id": "1", "question": "Where?", "doc_id": "d", "answerable": True}
    rows = [
        about | {"answers": ["cafe\u0301"], "answer_start": raw.index("cafe\u0301 😀")},
        about
        | {"answers": ["Rain, rain", "x"], "answer_start": raw.index("Rain,"), "sentence": "No rain in the café 😀. "},
        about | {"answers": ["x"], "answer_start": None, "evidence": ["Rain in a café.", "Rain, rain."]},
    ]
    write_rows(tmp_path / "qa.jsonl", rows)
    documents, questions = load_set(tmp_path)
    text = documents[0].text
    assert text == "Rain in a café.\n\nNo rain in the café 😀. Rain, rain."
    found = [[(place.start, text[place.start : place.end]) for place in one.evidence] for one in questions]
    assert found == [
        [(32, "café")],  # 4 off; the first café is 25 off
        [(17, "No rain in the café 😀.")],
        [(0, "Rain in a café."), (40, "Rain, rain.")],
    ]


def test_a_set_tells_whether_it_is_tokenised_and_asks_for_long_answers(tmp_path: Path) -> None:
    write_rows(tmp_path / "docs.jsonl", [{"doc_id": "d", "text": "Rain , snow , hail ."}])
    answer = " ".join(["word"] * 16)
    row = {"id": "1", "question": "What?", "doc_id": "d", "answerable": True}
    write_rows(tmp_path / "qa.jsonl", [row | {"answers": [answer]}])
    assert [(q.tokenised, q.long) for q in load_set(tmp_path)[1]] == [(True, True)]
    write_rows(tmp_path / "docs.jsonl", [{"doc_id": "d", "text": "Rain, snow, hail."}])
    write_rows(tmp_path / "qa.jsonl", [row | {"answers": [answer[:-5]]}])
    assert [(q.tokenised, q.long) for q in load_set(tmp_path)[1]] == [(False, False)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"doc_id": "rome"}, 'qa.jsonl, line 1: docs.jsonl has no "rome"'),
        ({"answers": ["Rome"]}, "line 1: none of the answers is in its document"),
        ({"sentence": "Rome."}, 'line 1: the evidence "Rome." is not in its document'),
        ({"answers": "Paris"}, '"answers" must be a list of strings, not "Paris"'),
    ],
)
def test_a_mistake_in_a_set_is_one_line_that_names_it(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    write_rows(tmp_path / "docs.jsonl", DOCS)
    write_rows(tmp_path / "qa.jsonl", [QA[0] | change])
    with pytest.raises(RagError, match=re.escape(said)):
        load_set(tmp_path)


def test_a_question_is_asked_of_a_document_far_from_its_own() -> None:
    def about(*names: str) -> list[Question]:
        return [Question(name, "Who?", True, ("he",), (Place(name, 0, 1),), (name,)) for name in names]

    asked = asked_elsewhere([*about("d", "a", "c", "b"), *about("a"), replace(about("a")[0], documents=())])
    assert [(q.id, q.documents) for q in asked] == [
        ("d", ("c",)), ("a", ("b",)), ("c", ("d",)), ("b", ("a",)), ("a", ("b",))
    ]  # fmt: skip
    assert not any(q.answerable or q.answers or q.evidence for q in asked)
    assert asked_elsewhere(about("a", "a")) == []


def test_other_mistakes_of_bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    benched(tmp_path)
    (tmp_path / "attribution").mkdir()
    capsys.readouterr()
    for arguments, said in [
        (["--set", "tiny"], "--data DIR, or FOOTNOTE_DATA"),
        (["--set", "none", "--data", str(tmp_path)], "none; the sets with questions there: tiny"),
        (["--set", "attribution", "--data", str(tmp_path)], "there is no qa.jsonl in"),
    ]:
        assert bench.main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("eval.bench: ")
        assert said in error
    shutil.rmtree(tmp_path / "tiny")
    assert bench.main(["--set", "tiny", "--data", str(tmp_path)]) == 2
    assert "there is no set" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        bench.main(["--set", "tiny", "--limit", "0"])


def test_the_real_pipeline_fits(tmp_path: Path) -> None:
    settings, encoder = Settings(cache=tmp_path, threshold=0.0), HashEncoder()
    write_rows(tmp_path / "docs.jsonl", DOCS)
    write_rows(tmp_path / "qa.jsonl", QA)
    documents, questions = load_set(tmp_path)
    build_index(documents, tmp_path / "pool", settings=settings, encoder=encoder)
    pool = Pipeline.open(tmp_path / "pool", settings=settings, encoder=encoder)
    found = bench.open_figures(pool, questions, ablations=True)
    assert found["open.quote_validity"] == (1, 1, 1)
    assert found["open.recall@5"].value == 1
    assert found["open.refused_answerable"].value == 0
    rankings = {name.split(".")[1] for name in found if name.startswith("ablation.")}
    assert rankings == {"chosen", "retrieval", "dense", "bm25", "dense+bm25", "late_sentence", "late_passage"}
