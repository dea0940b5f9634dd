"""The growth program on small sizes with its stand-in, and its slopes by hand."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from eval import growth
from eval.growth import documents, exponents
from eval.standin import DIMENSION, StandIn
from rag import Encoder, Settings
from tests.scripted import write_rows


def test_slopes_by_hand() -> None:
    costs = [
        {"passages": 10, "build_s": 1.0, "ask_p50_ms": 3.0},
        {"passages": 1000, "build_s": 100.0, "ask_p50_ms": 30.0},
        {"passages": 2000, "build_s": 100.0, "ask_p50_ms": 60.0},
    ]
    assert exponents(costs) == {
        "10-1000.build_exponent": 1, "10-1000.ask_exponent": 0.5,
        "1000-2000.build_exponent": 0, "1000-2000.ask_exponent": 1,
    }  # fmt: skip


def folder_of(tmp_path: Path) -> Path:
    """A folder with a set of 40 sentences."""
    text = " ".join(f"Sentence number {n} is about thing{n} and nothing else." for n in range(40))
    write_rows(tmp_path / "xquad" / "docs.jsonl", [{"doc_id": "d", "text": text}])
    write_rows(tmp_path / "xquad" / "qa.jsonl", [{"question": f"What is thing{n}?"} for n in range(30)])
    return tmp_path


def test_texts_are_real_sentences_in_order_then_drawn_ones(tmp_path: Path) -> None:
    folders = [folder_of(tmp_path) / "xquad"]
    made = [document.text for document in islice(documents(folders), 12)]
    assert made == [document.text for document in islice(documents(folders), 12)]
    assert made[0].startswith("Sentence number 0 is about thing0 and nothing else. Sentence number 1 ")
    assert all(90 <= len(text.split()) < 100 for text in made)
    assert "number 39 " in made[3] + made[4]
    assert len(set(made)) == 12


def test_the_stand_in_is_an_encoder() -> None:
    encoder: Encoder = StandIn()
    one, same = encoder.encode_passages(["Rice, rice 😀.", "Rice, rice 😀."])
    assert one.tokens is not None
    assert one.tokens.shape == (encoder.count_tokens(["Rice, rice 😀."])[0], DIMENSION) == (5, DIMENSION)
    assert (one.tokens[0] == one.tokens[2]).all()
    assert np.linalg.norm(one.vector) == pytest.approx(1, abs=1e-5)
    assert (one.vector == same.vector).all()


@pytest.mark.laws
def test_costs_are_written_for_every_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(growth, "_model", lambda scratch: StandIn())
    out = tmp_path / "growth.json"
    call = ["--data", str(folder_of(tmp_path)), "--sizes", "20", "10", "--real", "10", "--json", str(out)]
    monkeypatch.setattr(Settings, "from_environment", lambda: Settings(cache=tmp_path / "cache"))
    assert growth.main(call) == 0
    found = json.loads(out.read_text("utf-8"))
    assert (found["standin.10.passages"], found["standin.20.passages"], found["questions"]) == (10, 20, 30)
    assert found["standin.20.bytes"] > found["standin.10.bytes"] > 10 * DIMENSION
    assert "model.10.build_s" in found
    assert "model.20.build_s" not in found
    assert "standin.10-20.ask_exponent" in found
    assert growth.main(["--data", str(tmp_path / "none")]) == 2
    assert "none of the sets" in capsys.readouterr().err
