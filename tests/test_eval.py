"""eval/run.py over the scripted pipeline, against arithmetic by hand."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval import run
from eval.gold import load_gold
from eval.measure import exact_citations
from eval.metrics import Figure, Place
from eval.report import ROOT, fallen, flat, provenance
from rag import Settings, Span, packaged_corpus, read_folder
from tests.scripted import DOCUMENTS, Scripted, write_rows


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "Pipeline", Scripted)


def question(
    id: str, text: str, answers: Sequence[str] = (), evidence: Sequence[str] = (), **more: str
) -> dict[str, Any]:
    entry = {"id": id, "question": text, "answerable": bool(evidence), "short_answers": list(answers)}
    return entry | {"evidence": list(evidence), "kind": "fact", "split": "test"} | more


GOLD = [
    # all three words in the first sentence: right
    question(
        "paris", "What was opened, the café, in Paris?", ["in Paris", "Paris"], ["Zoë opened the café 😀 in Paris."]
    ),
    # two of six words in each of Tokyo's sentences: the first one, which is the wrong one; four of six in the passage
    question(
        "melon", "Which melon bread did the Tokyo bakery sell?", ["melon bread"], ["It sells melon bread."],
        document="tokyo",
    ),
    # one of five words: the right sentence is first, but too little: refused
    question("rain", "Did anything drop from clouds, rain?", ["rain"], ["Rain fell all night."], kind="hard"),
    # three of four words: answered, though nothing answers it
    question("louvre", "Who painted the doors of the Louvre blue?", kind="trap"),
    question("radium", "Who invented radium?", kind="trap", split="train"),
    # two of four words in the third sentence, one ("were") in the second
    question(
        "readers", "Were readers told bonjour?", ["the readers"],
        ["The doors were painted blue.", "She said “bonjour” to 中文 readers."],
    ),
]  # fmt: skip


def measured(tmp_path: Path, *arguments: str, rows: Sequence[dict[str, Any]] = GOLD) -> dict[str, Any]:
    gold, out = write_rows(tmp_path / "gold.jsonl", rows), tmp_path / "out" / "run.json"
    assert run.main(["--gold", str(gold), "--json", str(out), *arguments]) == 0
    found: dict[str, Any] = json.loads(out.read_text("utf-8"), parse_constant=pytest.fail)
    return found


def test_run_gives_the_figures_of_arithmetic_by_hand(tmp_path: Path) -> None:
    found = measured(tmp_path)
    wanted = {
        "n": 6,
        "n_answerable": 4,
        "recall@1": (1 + 1 + 1 + 1 / 2) / 4,  # the readers' two quotes lie in two passages
        "recall@3": 1,
        "recall@5": 1,
        "mrr": 1,
        "ndcg@5": 1,
        "sentence_first": 3 / 4,
        "sentence_recall@3": 1,
        "em": 2 / 4,  # "Paris", "readers"; not "Tokyo"; the refused one's last word is "night"
        "f1": 2 / 4,
        "short_right": 2 / 4,
        "citation_precision": 2 / 4,
        "citation_precision_answered": 2 / 3,
        "citation_recall": (1 + 0 + 0 + 33 / (28 + 33)) / 4,  # the two quotes have 28 and 33 characters
        "citation_recall_answered": (1 + 0 + 33 / (28 + 33)) / 3,
        "quote_validity": 1,
        "refused_answerable": 1 / 4,
        "answered_unanswerable": 1 / 2,
        "auroc": 5 / 8,  # 1, 4/6, 1/5, 2/4 against 3/4 and 0: 2 + 1 + 1 + 1 of 8 pairs
        "ece": (2 / 3 + 4 / 5 + 3 / 4 + 1 / 2) / 6,  # each in a bin of its own; 1 and 0 are what they say
        "aurc": (0 + 1 / 2 + 2 / 3 + 2 / 4 + 2 / 5 + 3 / 6) / 6,  # right, wrong, wrong, right, right, wrong
        "f1_best": (2 + 1) / 6,  # only the first is answered
        "f1_shipped": 3 / 6,  # "Paris", "readers", and radium's silence
    }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-6)
    for name in set(wanted) - {"n", "n_answerable"}:
        assert found[f"{name}.low"] <= found[name] <= found[f"{name}.high"]
    assert 0 < found["latency_p50_ms"] <= found["latency_p95_ms"]
    assert found.keys() >= {"date", "machine", "versions"}
    assert all(isinstance(value, str | int | float) for value in found.values())


def test_forced_answers_everything(tmp_path: Path) -> None:
    found = measured(tmp_path, "--forced")
    assert (found["refused_answerable"], found["answered_unanswerable"]) == (0, 1)
    assert found["citation_precision"] == 3 / 4  # now the rain too
    assert found["em"] == 2 / 4
    assert found["f1_shipped"] == pytest.approx(2 / 6, abs=1e-6)
    assert found["auroc"] == 5 / 8


def test_splits_and_absent_figures(tmp_path: Path) -> None:
    assert measured(tmp_path, "--split", "test")["n"] == 5
    found = measured(tmp_path, "--split", "train")  # the radium alone: unanswerable, refused
    assert (found["n"], found["answered_unanswerable"]) == (1, 0)
    assert not found.keys() & {"auroc", "ece", "recall@1", "em", "quote_validity", "refused_answerable"}
    assert "auroc" not in measured(tmp_path, rows=GOLD[:1])


def test_run_prints_intervals_groups_and_what_went_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path, "--verbose")
    printed = capsys.readouterr().out
    assert re.search(r"^sentence_first +0\.750  \[0\.\d{3}, 1\.000\]$", printed, re.MULTILINE)
    kinds = {
        line.split()[0]: line.split()[1] for line in printed.splitlines() if line.startswith(("fact", "hard", "trap"))
    }
    assert kinds == {"fact": "3", "hard": "1", "trap": "2"}
    assert "melon (fact) Which melon bread did the Tokyo bakery sell?  <- not sentence_first, f1 0.00" in printed
    assert "confidence 0.67, wanted melon bread; got Tokyo" in printed
    assert "<- refused_answerable, f1 0.00" in printed
    assert "<- answered_unanswerable" in printed
    assert "paris (fact)" not in printed


def test_check_fails_when_a_figure_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gold, baseline = write_rows(tmp_path / "gold.jsonl", GOLD), tmp_path / "baseline.json"
    arguments = ["--gold", str(gold), "--baseline", str(baseline)]
    assert run.main([*arguments, "--write-baseline"]) == 0
    assert run.main([*arguments, "--check"]) == 0
    assert "no figure fell" in capsys.readouterr().out
    monkeypatch.setattr(Scripted, "broken", True)
    assert run.main([*arguments, "--check"]) == 1
    assert "sentence_first is 0.0, below the baseline's 0.75 by more than noise" in capsys.readouterr().out
    monkeypatch.setattr(Scripted, "broken", False)
    entries = json.loads(baseline.read_text("utf-8"))
    baseline.write_text(json.dumps(entries | {"recall@9": 0.9, "recall@9.low": 0.8, "recall@9.high": 1.0}), "utf-8")
    assert run.main([*arguments, "--check", "--split", "test"]) == 1
    printed = capsys.readouterr().out
    assert "recall@9 is missing" in printed
    assert "note: n is 5 here and 6 in the baseline" in printed


def test_fallen_knows_which_way_is_worse_and_what_is_noise() -> None:
    base: dict[str, Any] = {"f1": 0.7, "f1.low": 0.6, "f1.high": 0.8}
    base |= {"refused_answerable": 0.1, "refused_answerable.low": 0.05, "refused_answerable.high": 0.15}
    base |= {"latency_p50_ms": 10, "latency_p50_ms.low": 9, "latency_p50_ms.high": 11, "n": 9, "date": "today"}
    assert fallen({"f1": 0.6, "refused_answerable": 0.15, "latency_p50_ms": 99}, base) == []
    assert fallen({"f1": 0.99, "refused_answerable": 0.0}, base) == []
    assert [line.split()[0] for line in fallen({"f1": 0.59, "refused_answerable": 0.16}, base)] == [
        "f1",
        "refused_answerable",
    ]


def test_flat_has_no_nan_and_provenance_says_where_from() -> None:
    assert flat({"x": Figure(0.25, float("nan"), float("nan"))}, {"n": 3}) == {"n": 3, "x": 0.25}
    facts = provenance()
    assert facts["versions"].startswith("python 3.")
    assert re.fullmatch(r"[0-9a-f]{40}(\+dirty)?", facts.get("commit", "0" * 40))


def test_inexact_citations_are_counted() -> None:
    answer = Scripted(DOCUMENTS, Settings(threshold=0)).ask("What was opened, the café, in Paris?")
    texts = {document.id: document.text for document in DOCUMENTS}
    assert exact_citations(answer, texts) == (1, 1)
    assert exact_citations(answer, {"cafe": texts["cafe"].replace("😀", ":-)")}) == (0, 1)
    assert exact_citations(answer, {}) == (0, 1)
    claim, citation = answer.claims[0], answer.citations[0]
    outside = replace(citation, passage=replace(citation.passage, span=Span(5, 40)))
    empty = replace(citation, quote=Span(3, 3))
    for other in (outside, empty):
        assert exact_citations(replace(answer, claims=(replace(claim, citations=(other,)),)), texts) == (0, 1)
    torn = replace(claim, span=Span(0, len(answer.text) + 1))
    assert exact_citations(replace(answer, claims=(torn,)), texts) == (0, 1)


def test_gold_quotes_are_located_once_normalised_like_the_document(tmp_path: Path) -> None:
    rows = [question("q", "Blue?", [], ["painted blue.\r\nShe said", "cafe\u0301 😀"], document="cafe")]
    gold = write_rows(tmp_path / "gold.jsonl", rows)
    found = load_gold(gold, DOCUMENTS)[0].evidence
    text = DOCUMENTS[0].text
    assert [text[place.start : place.end] for place in found] == ["painted blue.\nShe said", "café 😀"]
    assert found[1] == Place("cafe", 15, 21)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (question("q", "Blue?", [], ["no such words"]), 'line 2: the evidence "no such words" does not occur in the'),
        (
            question("q", "Blue?", [], ["opened"]),
            'line 2: the evidence "opened" occurs 2 times in the index\'s 2 documents',
        ),
        (question("q", "Blue?", [], ["e"], document="tokyo"), 'occurs 6 times in the document "tokyo"'),
        (question("q", "Blue?", [], ["x"], document="rome"), 'the index has no document "rome"'),
        (question("paris", "Blue?"), 'line 2: a second question with the id "paris"'),
        (question("q", "Blue?") | {"answerable": True}, "an answerable question needs at least one quote"),
        (question("q", "Blue?") | {"answerable": "yes"}, '"answerable" must be true or false, not "yes"'),
        (question("q", "Blue?") | {"evidence": [1]}, '"evidence" must be a list of strings, not [1]'),
        (question("q", "Blue?", split="dev"), '"split" is "dev"'),
        ({"id": "q"}, 'line 2: "question" is missing'),
    ],
)
def test_a_mistake_in_the_gold_file_is_one_line_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], row: dict[str, Any], said: str
) -> None:
    gold = write_rows(tmp_path / "gold.jsonl", [GOLD[0], row])
    assert run.main(["--gold", str(gold)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("eval.run: ")
    assert error.count("\n") == 1
    assert said in error
    assert "gold.jsonl" in error or "split" in error


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "is empty"),
        (b"\n{nope}\n", "line 2: not JSON"),
        (b"[1]\n", "line 1: not a JSON object"),
        ('{"id": "é"}'.encode("latin-1"), "is not UTF-8 text (byte 8)"),
    ],
)
def test_a_gold_file_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], raw: bytes, said: str
) -> None:
    (tmp_path / "gold.jsonl").write_bytes(raw)
    assert run.main(["--gold", str(tmp_path / "gold.jsonl")]) == 2
    assert said in capsys.readouterr().err


def test_other_mistakes_of_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = str(write_rows(tmp_path / "gold.jsonl", GOLD[:1]))
    (tmp_path / "list.json").write_text("[]", "utf-8")
    for arguments, said in [
        (["--gold", str(tmp_path / "none.jsonl")], "cannot read"),
        (["--gold", gold, "--split", "train"], "no question of the split train"),
        (["--gold", gold, "--json", str(tmp_path / "list.json" / "x.json")], "cannot write"),
        (["--gold", gold, "--check", "--baseline", str(tmp_path / "none.json")], "cannot read"),
        (["--gold", gold, "--check", "--baseline", gold.replace("gold.jsonl", "list.json")], "not a JSON object"),
    ]:
        assert run.main(arguments) == 2, arguments
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        run.main(["--split", "dev"])


@pytest.mark.model
def test_the_program_asks_the_packaged_article(tmp_path: Path) -> None:
    text = read_folder(packaged_corpus())[0].text
    first = text[: text.index(". ") + 1].splitlines()[-1]
    gold = write_rows(
        tmp_path / "gold.jsonl",
        [question("1", f"Is it true? {first}", [first], [first]), question("2", "Who invented radium?")],
    )
    command = [sys.executable, "-m", "eval.run", "--gold", str(gold), "--json", str(tmp_path / "out.json"), "--forced"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(run.__file__).parent.parent)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert found["quote_validity"] == found["recall@1"] == found["sentence_first"] == found["citation_recall"] == 1


def test_a_reader_of_the_output_that_goes_away_makes_no_trace() -> None:
    code = (
        "import sys; from eval.report import reported; sys.exit(reported('x', lambda: print('line\\n' * 200_000) or 0))"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == "line\n"
        process.stdout.close()
        assert (process.stderr.read(), process.wait(30)) == ("", 1)
