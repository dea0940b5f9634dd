"""The kept sentences of a model, their labels, and the shares that are counted, by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from eval import served
from eval.served import FILE, GOLD, Written, figures, judged, main, write
from rag import Pipeline, Settings, packaged_corpus, read_folder
from tests.fakes import HashEncoder
from tests.modelserver import says, serving
from tests.scripted import write_rows

QUESTION = "For how long is rice cooked in water?"
TRUE = "Rice is cooked in water for twelve minutes."


def test_every_kept_sentence_is_judged_and_names_the_articles_own() -> None:
    (article,) = read_folder(packaged_corpus())
    gold = {row["id"]: row["question"] for row in map(json.loads, GOLD.read_text("utf-8").splitlines())}
    rows = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]
    assert len({row["id"] for row in rows}) == len(rows) == 100
    for row in rows:
        assert gold[row["id"]] == row["question"]
        for sentence in row["written"]:
            assert sentence["supported"] in (True, False)
            assert all(article.text.count(quote) == 1 for quote in sentence["named"])


def test_the_shares_are_counted_over_sentences_and_answers() -> None:
    so, not_so = Written("a", named=True, shown=True, supported=True), Written("b", True, shown=True, supported=False)
    struck, unseen = so._replace(shown=False), not_so._replace(shown=False, named=False)
    found = {name: value.value for name, value in figures([[so, not_so], [struck, unseen], []]).items()}
    assert found == {
        "unsupported_shown": 1 / 2,
        "unsupported_unchecked": 2 / 4,
        "supported_shown": pytest.approx(1 / 3),
        "struck": 1 / 2,
    }


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, built: Path, encoder: HashEncoder) -> Path:
    """The gold questions and the index replaced by small ones; the file that answers go to."""
    row = {"answerable": True, "short_answers": ["twelve minutes"], "evidence": [TRUE], "kind": "near", "split": "test"}
    rows = [{**row, "id": str(n), "question": QUESTION} for n in range(3)]
    monkeypatch.setattr(served, "GOLD", write_rows(tmp_path / "gold.jsonl", rows))
    opening = Pipeline.open
    monkeypatch.setattr(
        Pipeline, "open", lambda *, settings: opening(built, settings=replace(settings, threshold=0.0), encoder=encoder)
    )
    return tmp_path / "served.jsonl"


def test_what_a_server_writes_is_kept_with_what_it_named(asked: Path) -> None:
    with serving(says("Rice is cooked for twelve minutes [1.1]. It is good.")) as script:
        pipeline = Pipeline.open(settings=Settings(llm_url=script.url))
        answers = list(write(pipeline, 2))
    assert [answer["id"] for answer in answers] == ["0", "1"]
    first, second = answers[0]["written"]
    assert (first["text"], len(first["named"]), first["supported"]) == ("Rice is cooked for twelve minutes.", 1, None)
    assert (second["text"], second["named"]) == ("It is good.", [])
    rows = judged(pipeline, answers)
    assert [s.named for s in rows[0]] == [True, False]


def test_the_program_writes_keeps_judgements_and_counts(
    asked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(says(TRUE)) as script:
        monkeypatch.setenv("FOOTNOTE_LLM_URL", script.url)
        assert main(["--file", str(asked), "--write", "--count", "1"]) == 0
        assert main(["--file", str(asked)]) == 2
        assert "nobody judged yet" in capsys.readouterr().err
        asked.write_text(asked.read_text("utf-8").replace("null", "true"), "utf-8")
        assert main(["--file", str(asked), "--write", "--count", "2"]) == 0
    kept = [json.loads(line)["written"][0]["supported"] for line in asked.read_text("utf-8").splitlines()]
    assert kept == [True, None]
    asked.write_text(asked.read_text("utf-8").replace("null", "true"), "utf-8")
    assert main(["--file", str(asked), "--show"]) == 0
    assert "2 answers, 2 sentences, 2 supported in truth" in capsys.readouterr().out


def test_writing_needs_a_server(asked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--file", str(asked), "--write"]) == 2
    assert "FOOTNOTE_LLM_URL" in capsys.readouterr().err
