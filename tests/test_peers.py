"""The comparison with the peers, on a program that needs nothing: processes, figures, table."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from eval.gold import Question
from eval.metrics import Place
from eval.peers import __main__ as program
from eval.peers import report
from eval.peers.__main__ import PEERS, _pool, main
from eval.peers.figures import costs, quality, sizes
from eval.peers.measure import Pool, System, measure
from eval.peers.program import Found, by_cosine, peak_bytes
from eval.report import ROOT
from rag import RagError, make_document
from tests.scripted import write_rows

TEXTS = ("Rollo led the Normans. They came by sea.", "Rice is cooked in water.  It must  not boil 😀 over. Salt it.")
DOCUMENTS = [make_document(text, id=name) for name, text in zip("ab", TEXTS, strict=True)]
QUESTIONS = [
    Question("1", "Who led the normans?", True, ("Rollo",), (Place("a", 0, 5),), ("a",)),
    Question("2", "What must not boil?", True, ("It",), (Place("b", 26, 28),), ("b",)),
    Question("3", "Who came by sea?", True, ("They",), (Place("a", 23, 27),), ("a",)),
]
HERE = Path(sys.executable)


def measured(folder: Path, rounds: int = 2) -> dict[str, Any]:
    """A folder to the figures of two systems that are the same program."""
    folder.mkdir()
    systems = [System(name, HERE, "tests.peer", "") for name in (report.OURS, "Other")]
    said: list[str] = []
    found = measure(Pool("tiny", DOCUMENTS, QUESTIONS, 2), systems, folder, rounds=rounds, say=said.append)
    assert [line.partition(": ")[2] for line in said[: 2 * rounds]] == [
        f"{name} builds" for turn in range(rounds) for name in ((report.OURS, "Other") * 2)[turn : turn + 2]
    ]
    return found


def test_systems_are_run_measured_and_judged(tmp_path: Path) -> None:
    found = measured(tmp_path / "scratch")
    for figures in found.values():
        assert all(len(values) == 2 for values in figures["rounds"].values())
        assert all(figures[name] == median(values) for name, values in figures["rounds"].items())
        assert 0 < figures["warm_p50_ms"] <= figures["warm_p95_ms"] < 1000 * figures["start_s"]
        assert 1 < figures["ask_peak_mb"] < 200
        assert figures["answer_read_p50_ms"] == 1
        assert (figures["recall@1"], figures["recall@5"], figures["sentence_first"]) == (1, 1, 1)
        assert figures["index_parts"] == {"texts.json": figures["index_bytes"]}


def test_quality_by_hand() -> None:
    lines: list[dict[str, Any]] = [
        {"documents": ["b", "b", "a"], "first": ["a", "Rollo led the Normans."]},
        {"documents": ["b"], "first": ["b", "It must not boil 😀 over."]},  # its spaces were changed
        {"documents": [], "first": None},
    ]
    found = quality(DOCUMENTS, QUESTIONS, lines)
    assert found == {"recall@1": round(1 / 3, 4), "recall@5": round(2 / 3, 4), "sentence_first": round(2 / 3, 4)}
    unknown = [replace(question, evidence=()) for question in QUESTIONS]
    assert "sentence_first" not in quality(DOCUMENTS, unknown, lines)


def test_costs_by_hand() -> None:
    runs: dict[str, list[Any]] = {
        "ask.first_s": [2.0, 1.0, 9.0],
        "ask.warm_ms": [[1.0, 2.0, 30.0], [2.0, 2.0, 2.0], [4.0, 5.0, 6.0]],
        "build.build_s": [1.0, 2.0, 4.0],
        "build.process_s": [3.0, 3.0, 5.0],
        "build.peak_bytes": [1e6, 2e6, 3e6],
        "ask.peak_bytes": [1e6, 1e6, 4e6],
    }
    found = costs(runs, 100)
    assert (found["start_s"], found["warm_p50_ms"], found["warm_p95_ms"]) == (2, 2, 6)
    assert (found["build_bytes_per_s"], found["build_process_s"], found["ask_peak_mb"]) == (50, 3, 1)


def test_sizes_are_counted_by_file(tmp_path: Path) -> None:
    (tmp_path / "x" / "y").mkdir(parents=True)
    for name, count in (("x/a", 3), ("x/y/a", 4), ("b", 5)):
        (tmp_path / name).write_bytes(b"." * count)
    assert sizes(tmp_path, 6) == {"index_bytes": 12, "index_per_byte": 2, "index_parts": {"b": 5, "a": 7}}


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    systems = [System("Broken", HERE, "tests.no_such_peer", "")]
    with pytest.raises(RagError, match=r"Broken failed to build \(exit status 1\): .*No module named tests.no_such"):
        measure(Pool("tiny", DOCUMENTS, QUESTIONS, 2), systems, tmp_path, rounds=1, say=lambda line: None)


def test_the_best_sentence_is_of_the_first_passage() -> None:
    found = [Found("a", "One two. Three (four.) Five six?"), Found("b", "Three four")]
    rows = {"Q": [1.0, 0.0], "One two.": [0.0, 1.0], "Three (four.)": [2.0, 0.1], "Five six?": [1.0, 1.0]}
    assert by_cosine(lambda texts: [rows[text] for text in texts], "Q", found) == ("a", "Three (four.)")
    assert 5e6 < peak_bytes() < 1e11


def test_pools_take_a_text_once(tmp_path: Path) -> None:
    for name, texts in (("one", TEXTS), ("two", (TEXTS[0], "Other words."))):
        write_rows(tmp_path / name / "docs.jsonl", [{"doc_id": str(n), "text": text} for n, text in enumerate(texts)])
        write_rows(tmp_path / name / "qa.jsonl", [
            {"id": "q", "question": "Who led them?", "answers": ["Rollo"], "answerable": True, "doc_id": "0",
             "answer_start": 0},
            {"id": "r", "question": "Who sang?", "answers": [], "answerable": False, "doc_id": "0"},
        ])  # fmt: skip
    pool = _pool("both", [tmp_path / "one", tmp_path / "two"], None, 5)
    assert [document.id for document in pool.documents] == ["one/0", "one/1", "two/1"]
    assert [(q.documents, q.evidence) for q in pool.questions] == 2 * [(("one/0",), (Place("one/0", 0, 5),))]
    assert pool.bytes == sum(len(text.encode()) for text in (*TEXTS, "Other words."))


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "name the folder of the question sets" in capsys.readouterr().err
    assert main(["--data", str(tmp_path), "--only", "Nobody"]) == 2
    assert f"there is no peer 'Nobody'; there are {', '.join(PEERS)}" in capsys.readouterr().err
    assert main(["--data", str(tmp_path), "--peers", str(tmp_path / "gone")]) == 2
    assert "make the peers' environment: make peers" in capsys.readouterr().err


def test_the_table_is_made_of_the_figures(tmp_path: Path) -> None:
    figures = {column.name: 2.0 for column in report.COLUMNS} | {"answer_read_p50_ms": 3.0}
    ours = {**figures, "index_parts": {"tokens.i8": 300, "token_scales.npy": 100, "indices.npy": 50}}
    peers = {"A": {**figures, "start_s": 9.0, "build_bytes_per_s": 1.0}, "B": {**figures, "start_s": 5.0}}
    pool = {"sets": ["x"], "documents": 3, "bytes": 100, "questions": 7, "timed": 5}
    found = {
        "pools": {"tiny": {**pool, "systems": {report.OURS: ours, **peers}}},
        "rounds": 3, "export_s": 9.0, "export_bytes": 9e7, "model_bytes": 9e7, "date": "today", "machine": "a machine",
        "packages": {"footnote": {"numpy": "2"}, "peers": {"txtai": "9"}},
    }  # fmt: skip
    text = report.table(found)
    lead = next(line for line in text.splitlines() if "ahead of" in line)
    assert lead.startswith("| *ahead of the best peer* | 2.50 × | 1.00 × |")
    assert lead.endswith("| +0.000 | +0.000 | +0.000 |")
    assert "| A | 9.00 | 2.0 |" in text
    assert "by stage (p50): read 3.0 ms. Its index: token vectors 4.00, BM25 and places 0.50." in text
    assert "3 texts of x (0.00 MB), 7 questions, 5 of them timed; medians of 3 rounds." in text
    assert "Measured on today, commit unknown, a machine. txtai 9;" in text


def test_the_program_puts_it_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fake(pool: Pool, systems: list[System], folder: Path, *, rounds: int, say: object) -> dict[str, Any]:
        assert (pool.name, len(pool.documents), rounds, folder.is_dir()) == ("tiny", 1, 2, True)
        assert [system.name for system in systems] == [report.OURS, "Haystack"]
        assert Path(systems[1].model, "model.safetensors").exists()
        return {system.name: {"start_s": 1.0, "index_parts": {}} for system in systems}

    monkeypatch.setattr(program, "measure", fake)
    monkeypatch.setattr(program, "_prepared", lambda system, scratch: {"export_s": 9.0, "export_bytes": 9})
    monkeypatch.setattr("eval.results.README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text("Before\n<!-- peers -->\nold\n<!-- end of peers -->\nAfter\n", "utf-8")
    write_rows(tmp_path / "one" / "docs.jsonl", [{"doc_id": str(n), "text": text} for n, text in enumerate(TEXTS)])
    rows = [{"id": "q", "question": "Who?", "answers": ["Rollo"], "answerable": True, "doc_id": "0"}]
    write_rows(tmp_path / "one" / "qa.jsonl", rows)
    out = tmp_path / "peers.json"
    call = ["--data", str(tmp_path), "--pool", "tiny", "one", "--limit", "1", "--rounds", "2", "--only", "Haystack"]
    assert main([*call, "--peers", sys.executable, "--json", str(out)]) == 0
    found = json.loads(out.read_text("utf-8"))
    assert found["packages"]["peers"]["numpy"] == np.__version__
    assert found["model_bytes"] > 80e6
    assert "| Haystack | 1.00 |" in capsys.readouterr().out
    assert "| Haystack |" not in (tmp_path / "README.md").read_text("utf-8")  # a try leaves it as it is
    drawn: list[object] = []
    monkeypatch.setattr(report, "draw", drawn.append)
    monkeypatch.setattr(program, "JSON", out)
    assert main(["--report", "--json", str(out)]) == 0
    readme = (tmp_path / "README.md").read_text("utf-8")
    assert re.fullmatch(
        r"Before\n<!-- peers -->\n.*\| Haystack \| 1.00 \|.*<!-- end of peers -->\nAfter\n", readme, re.S
    )
    assert drawn == [found]


def test_growth_and_load_are_told_too() -> None:
    place = {"date": "today", "machine": "a machine"}
    text = report.growth_text({"model.10-1000.build_exponent": 0.986, "standin.10-1000.ask_exponent": 0.2, **place})
    assert "build 10 to 1,000: 0.99; ask 10 to 1,000, the encoder left out: 0.20. Measured on today" in text
    parts = {"per_second": 31.4, "p50_ms": 9.6, "p95_ms": 20.0, "p99_ms": 30.0, "failed": 0.0}
    load = {f"{way}.8.{part}": value for way in ("ask", "chat") for part, value in parts.items()}
    load |= {"ask.growth_mb": 1.2, "chat.growth_mb": -3.0, "crowd.answered": 204.0, "crowd.busy": 96.0}
    load["ask.growth_second_half_mb"] = 0.4
    text = report.load_text({"questions": 2000, "crowd.failed": 0.0, **load, **place})
    assert "| 8, `ask` from threads | 31 | 10 | 20 | 30 | 0 |" in text
    assert "| 8, the chat's endpoint | 31 | 10 | 20 | 30 | 0 |" in text
    assert "ask +1 MB (+0 in its second half), chat -3 MB. 300 callers at once: 204 answered, 96 told that" in text
    assert "it is busy, 0 failed." in text


def test_the_committed_figures_fit_the_readme() -> None:
    found = json.loads(report.JSON.read_text("utf-8"))
    assert report.whole(found) in (ROOT / "README.md").read_text("utf-8")
