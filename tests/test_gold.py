"""The gold set keeps what the README says of it, and every quote is where it says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from rag.text import sentences

ROOT = Path(__file__).resolve().parent.parent
ARTICLE = (ROOT / "index" / "corpus" / "article.txt").read_text("utf-8")
GOLD = [json.loads(line) for line in (ROOT / "eval" / "gold.jsonl").read_text("utf-8").splitlines()]
ANSWERABLE = [row for row in GOLD if row["answerable"]]
KEYS = ["id", "question", "answerable", "short_answers", "evidence", "kind", "split"]
KINDS = {"near", "reworded", "short", "two_sentences", "near_miss", "related", "off_topic"}


def test_every_line_has_the_form() -> None:
    for row in GOLD:
        assert list(row) == KEYS
        assert row["kind"] in KINDS
        assert bool(row["evidence"]) == bool(row["short_answers"]) == row["answerable"]
    assert len({row["id"] for row in GOLD}) == len({row["question"].casefold() for row in GOLD}) == len(GOLD)


def test_the_counts() -> None:
    kinds = Counter(row["kind"] for row in GOLD)
    assert len(GOLD) >= 120
    assert len(ANSWERABLE) >= 80
    assert len(GOLD) - len(ANSWERABLE) >= 45
    assert kinds["near_miss"] >= 30
    assert sum(len(row["evidence"]) == 2 for row in ANSWERABLE) >= 10


def test_half_is_test_in_every_kind() -> None:
    assert sum(row["split"] == "test" for row in GOLD) * 2 == len(GOLD)
    for kind in KINDS:
        splits = Counter(row["split"] for row in GOLD if row["kind"] == kind)
        assert abs(splits["test"] - splits["train"]) <= 1


def test_each_quote_occurs_once_and_holds_a_short_answer() -> None:
    for row in ANSWERABLE:
        for quote in row["evidence"]:
            assert ARTICLE.count(quote) == 1, row["id"]
        together = " ".join(row["evidence"]).casefold()
        assert all(short.casefold() in together for short in row["short_answers"]), row["id"]


def test_each_of_the_19_sentences_is_asked_near_reworded_and_shortly() -> None:
    found = [ARTICLE[start:end] for start, end in sentences(ARTICLE)]
    assert len(found) == 19
    asked = Counter((row["evidence"][0], row["kind"]) for row in ANSWERABLE if len(row["evidence"]) == 1)
    for sentence in found:
        assert min(asked[sentence, kind] for kind in ("near", "reworded", "short")) >= 1, sentence
