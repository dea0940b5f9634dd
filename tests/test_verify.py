"""The verifier: questions as claims, windows that support them or not, changed weights, and its verdicts."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rag.confidence import load_confidence
from rag.runtime import changed
from reader.claims import claim_of, draw_claims, shortened
from reader.examples import Corpus, Example
from tests.test_recipe import corpus, ids

__all__ = ["corpus"]  # a fixture


@pytest.mark.parametrize(
    ("question", "answer", "claim"),
    [
        ("Who founded the bakery?", "Maria", "Maria founded the bakery."),
        ("In what year was the Edict of Nantes issued?", "1685", "The Edict of Nantes was issued in 1685."),
        ("When was Dali defended by the Yuan?", "in 1253", "Dali was defended by the Yuan in 1253."),
        ("What is the name of the river?", "Rhine", "The name of the river is Rhine."),
        ("When did Rollo return?", "after the war", "Rollo return after the war."),
        ("How many maps does it have?", "two", "It have two maps."),
        ("How many maps burned?", "Two", "Two maps burned."),
        ("Why was it closed?", "rain", "It was closed because rain."),
        ("Prior to Rome, what city was the capital?", "Ravenna", "Prior to Rome, the capital was Ravenna."),
        ("Is there a delegate?", "yes", None),
        ("Who?", "Rollo", None),
    ],
)
def test_a_question_and_its_answer_become_a_claim(question: str, answer: str, claim: str | None) -> None:
    assert claim_of(question, answer, random.Random(2)) == claim


def test_a_shortened_sentence_keeps_its_words_order() -> None:
    sentence = "In 911 (or so), the Duke Rollo led the Normans, and he did not return to “Café” 😀."
    for seed in range(30):
        rest = iter(sentence.replace(" (or so)", "").replace(",", "").split())
        said = shortened(sentence, random.Random(seed)).replace(",", "").rstrip(".").split()
        assert said
        assert all(any(word == other.rstrip(".") for other in rest) for word in said)


def test_claims_are_drawn_with_windows_that_fit(corpus: Corpus) -> None:
    for asked in corpus.asked:
        asked.near = [(0, 3)]
    claims = draw_claims(corpus, 200, random.Random(1))
    assert len(claims) == 200
    assert {(claim.kind, claim.supported) for claim in claims} >= {("qa", True), ("drop", False), ("own", True)}
    assert ("unanswerable", False) in {(claim.kind, claim.supported) for claim in claims}
    assert max(Counter(claim.supported for claim in claims).values()) < 150
    text = corpus.texts[0]
    (william,) = (asked.answers[0][0] for asked in corpus.asked if asked.strings == ("William",) and asked.answers)
    for claim in claims:
        if claim.text == "William won at Hastings." and claim.kind in ("qa", "drop"):
            assert (text.ids[william] in claim.window) is claim.supported
    assert [c.text for c in claims] == [c.text for c in draw_claims(corpus, 200, random.Random(1))]


def test_weights_are_changed(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime import InferenceSession

    drawn = np.random.default_rng(1)
    weight, steps = drawn.integers(-127, 128, (6, 4)).astype(np.int8), np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    arrays: dict[str, NDArray[Any]] = {"w_quantized": weight, "w_scale": steps, "bias": np.zeros(4, np.float32)}
    nodes = [
        helper.make_node("DequantizeLinear", ["w_quantized", "w_scale"], ["w"], axis=1),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Add", ["y", "bias"], ["z"]),
    ]
    shape = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 6])
    out = helper.make_tensor_value_info("z", TensorProto.FLOAT, [2, 4])
    held = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "small", [shape], [out], held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "a.onnx")
    down, up = drawn.integers(-9, 9, (6, 2)).astype(np.int8), drawn.integers(-9, 9, (2, 4)).astype(np.int8)
    scale = np.array([0.05, 0.02], np.float32)
    change: dict[str, NDArray[Any]] = {
        "w.down": down,
        "w.scale": scale,
        "w.up": up,
        "bias": np.arange(4, dtype=np.float32),
    }
    np.savez_compressed(tmp_path / "b.npz", allow_pickle=False, **change)

    x = drawn.standard_normal((2, 6)).astype(np.float32)
    found = InferenceSession(changed(tmp_path / "a.onnx", tmp_path / "b.npz")).run(None, {"x": x})[0]
    weights = weight * steps + (down * scale) @ up
    lost = np.abs(x).sum(axis=1, keepdims=True) * np.abs(weights).max(axis=0) / 127 / 2  # half a step each, at the most
    assert (np.abs(found - (x @ weights + change["bias"])) <= lost + 1e-3).all()


@pytest.mark.model
def test_changes_begin_at_the_reader_and_are_written_as_they_were_trained(tmp_path: Path) -> None:
    import torch

    from rag.runtime import open_graph
    from reader.export import export
    from reader.model import Reader, collate
    from reader.verify import changeable, changes, train

    torch.manual_seed(1)
    reader = Reader().eval()
    export(reader, tmp_path / "reader.onnx")
    examples = [Example(ids([2040, 3004]), ids(range(3000, 3030)), ((0, 0),)), Example(ids([9]), ids(range(40)), ())]
    batch = collate(examples, np.array([3004]))
    embedded = reader.embed(batch["ids"], batch["kinds"])

    def verdicts() -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = reader.eval()(embedded, batch["matched"], batch["mask"])[2].numpy()
        return found

    before = verdicts()
    lows = changeable(reader)
    assert len(lows) == 36
    assert np.allclose(verdicts(), before, atol=1e-5)
    train(reader, [examples] * 12, np.array([3004]))
    after = verdicts()
    assert after[0] - after[1] > before[0] - before[1]

    np.savez_compressed(tmp_path / "changes.npz", allow_pickle=False, **changes(reader, lows, tmp_path / "reader.onnx"))
    fed = {"embedded": embedded.numpy(), "matched": batch["matched"].numpy(), "mask": batch["mask"].numpy()}
    graph = open_graph(tmp_path / "reader.onnx", tmp_path / "changes.npz")
    assert np.abs(graph.run(["answerable"], fed)[0] - after).max() < 0.5


@pytest.mark.model
def test_the_packaged_verifier_tells_what_a_text_supports() -> None:
    from rag.reader import open_verifier

    verifier = open_verifier(load_confidence().reader)
    text = "The library in Porto holds about 58,000 maps, which were collected by the sea captain Duarte Reis."
    claim = "Duarte Reis gathered the maps that the Porto library has."
    other = "The trains to Vigo were late because of the heavy snow that fell in January."
    first, second = verifier.verdicts(claim, [text, other])
    assert first > 0 > second
    assert verifier.verdicts(claim, [text, other]) == [first, second]
    assert len(verifier.verdicts(claim * 90, ["", text * 90, "中文 😀"])) == 3


def test_what_is_packaged_stays_small() -> None:
    folder = Path(__file__).resolve().parent.parent / "reader"
    assert sum((folder / name).stat().st_size for name in ("reader.onnx", "verifier.npz")) < 12_000_000
