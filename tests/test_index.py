"""The index against brute force, BM25 against its formula written out, and every file that it writes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from rag import (
    Document,
    Encoding,
    IndexDamagedError,
    IndexMissingError,
    Passage,
    Settings,
    Span,
    build_index,
    codes,
    index,
    make_document,
)
from rag.folders import locked, publish
from rag.index import BM25, FORMAT, Index, inputs_hash, write
from rag.split import split
from rag.text import words
from tests.fakes import DIMENSION, HashEncoder, RowlessEncoder, token_id, token_row

DOCUMENTS = (
    make_document(
        "The Normans came to Normandy 😀. Rollo led the Normans.\r\n“Café” has an é. 中文句子在这里。",
        id="a",
        title="é",
    ),
    make_document(
        "Rice is cooked in water. Cook the rice for twelve minutes.\u2028Salt the water.", id="b", source="x"
    ),
    make_document("Rollo ate rice in Normandy, with water and salt.", id="c"),
)
QUESTIONS = [
    "Normandy, rice and water",
    "Who led the Normans?",
    "rice 😀 water",
    "中文 句子 é",
    "“twelve” minutes",
    "Rollo Rollo rice",
]


def one_sentence_each(documents: Sequence[Document]) -> list[Passage]:
    """Documents to passages of a single sentence."""
    from rag.text import sentences

    return [Passage(document, span, (span,)) for document in documents for span in sentences(document.text)]


def build(folder: Path, passages: Sequence[Passage], encoder: HashEncoder) -> Index:
    """Passages to an open index of them."""
    encodings = encoder.encode_passages([passage.text for passage in passages])
    with locked(folder):
        write(folder, DOCUMENTS, passages, encodings, encoder, inputs="the inputs")
    return Index.open(folder, deep=True)


@pytest.fixture
def passages(encoder: HashEncoder) -> list[Passage]:
    return [passage for document in DOCUMENTS for passage in split(document, encoder.count_tokens, 12)]


@pytest.fixture
def opened(tmp_path: Path, passages: list[Passage], encoder: HashEncoder) -> Index:
    return build(tmp_path / "made", passages, encoder)


def test_documents_and_passages_come_back_equal(opened: Index, passages: list[Passage]) -> None:
    assert opened.documents == DOCUMENTS
    assert len(opened) == len(passages) > len(DOCUMENTS)
    assert [opened.passage(number) for number in range(len(opened))] == passages
    assert any(len(passage.sentences) > 1 for passage in passages)
    for number in range(len(opened)):
        passage = opened.passage(number)
        assert passage.document in opened.documents
        assert passage.document.text[slice(*passage.span)] == passage.text


def test_the_manifest(opened: Index, passages: list[Passage], encoder: HashEncoder) -> None:
    manifest = opened.manifest
    assert (manifest["format"], manifest["inputs"]) == (FORMAT, "the inputs")
    assert manifest["encoder"] == {"model": "hash", "fingerprint": encoder.fingerprint, "dimension": DIMENSION}
    assert manifest["code"] == {"bits": 8, "width": DIMENSION}
    assert manifest["counts"] == {
        "documents": 3,
        "passages": len(passages),
        "sentences": sum(len(passage.sentences) for passage in passages),
        "tokens": sum(encoder.count_tokens([passage.text for passage in passages])),
        "characters": sum(len(document.text) for document in DOCUMENTS),
    }


def test_its_files_are_those_that_are_documented(opened: Index) -> None:
    names = {name.partition("/")[0] for name in opened.manifest["files"]}
    assert names == {
        "documents.jsonl", "passages.npy", "sentences.npy", "dense.faiss", "bm25", "tokens.codes",
        "token_places.npy", "frequencies.npy",
    }  # fmt: skip
    assert all(name in (index.__doc__ or "") for name in names)


def test_nothing_that_is_written_is_pickled(opened: Index) -> None:
    (folder,) = (path for path in opened.folder.iterdir() if path.is_dir())
    for path in folder.rglob("*.npy"):
        np.load(path, allow_pickle=False)
    for path in folder.rglob("*"):
        assert not path.is_file() or not path.read_bytes().startswith(b"\x80"), path  # pickle's first byte


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("count", [1, 3, 1000])
def test_dense_equals_brute_force(
    opened: Index, passages: list[Passage], encoder: HashEncoder, question: str, count: int
) -> None:
    rows = np.stack([made.vector for made in encoder.encode_passages([passage.text for passage in passages])])
    vector = encoder.encode_query(question).vector
    expected = rows.astype(np.float16).astype(np.float32) @ vector  # as they are stored
    found = opened.dense(vector, count)
    assert list(found) == list(np.argsort(-expected)[:count])
    assert [found[number] for number in found] == pytest.approx([float(expected[number]) for number in found], abs=1e-6)


def test_a_search_leaves_the_threads_to_others(opened: Index, encoder: HashEncoder) -> None:
    import faiss

    before = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(3)
        assert opened.dense(encoder.encode_query("Who?").vector, 1)
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("count", [1, 3, 1000])
def test_bm25_equals_its_formula(opened: Index, passages: list[Passage], question: str, count: int) -> None:
    corpus = [words(passage.text) for passage in passages]
    k1, b = float(str(BM25["k1"])), float(str(BM25["b"]))
    average = sum(map(len, corpus)) / len(corpus)

    def score(held: list[str]) -> float:  # Lucene's, as in "Which BM25 do you mean?" (Kamphuis et al., 2020)
        total = 0.0
        for word in words(question):
            holding = sum(word in other for other in corpus)
            idf = math.log(1 + (len(corpus) - holding + 0.5) / (holding + 0.5))
            times = held.count(word)
            total += idf * times / (times + k1 * (1 - b + b * len(held) / average))
        return total

    expected = [score(held) for held in corpus]
    best, scores = opened.bm25(words(question), count)
    assert scores.tolist() == pytest.approx(expected, abs=1e-6)
    assert max(expected) > 0
    wanted = sorted((value for value in expected if value > 0), reverse=True)[:count]
    assert sorted(best.values(), reverse=True) == pytest.approx(wanted, abs=1e-6)
    assert all(best[number] == pytest.approx(expected[number], abs=1e-6) for number in best)


def test_bm25_by_hand(tmp_path: Path, encoder: HashEncoder) -> None:
    passages = one_sentence_each((make_document("Cat dog dog. Cat.", id="a"),))
    found = build(tmp_path / "made", passages, encoder)
    # two passages of 3 and 1 words, 2 on average. dog: in one; log(1 + 1.5/1.5) = .6931; 2 / (2 + 1.2 (.25 + .75 1.5))
    assert found.bm25(["dog"], 9)[0] == {0: pytest.approx(0.693147 * 2 / (2 + 1.2 * 1.375), abs=1e-6)}
    # cat: in both; log(1 + .5/2.5) = .1823
    best, scores = found.bm25(["cat"], 9)
    assert best == {
        0: pytest.approx(0.182322 / (1 + 1.2 * 1.375), abs=1e-6),
        1: pytest.approx(0.182322 / (1 + 1.2 * 0.625), abs=1e-6),
    }
    assert scores.tolist() == [best[0], best[1]]


@pytest.mark.parametrize("asked", [[], ["zebra"], ["zebra", "中", "😀"]])
def test_words_that_are_nowhere_find_nothing(opened: Index, asked: list[str]) -> None:
    best, scores = opened.bm25(asked, 5)
    assert best == {}
    assert scores.tolist() == [0.0] * len(opened)


def test_cosines_are_those_of_the_passages_codes(opened: Index, passages: list[Passage], encoder: HashEncoder) -> None:
    asked = encoder.encode_query("Rollo ate rice 😀").tokens
    assert asked is not None
    for number, passage in enumerate(passages):
        found = opened.cosines(asked, [number])
        made = encoder.encode_query(passage.text).tokens
        assert found is not None
        assert made is not None
        assert str(found[0].dtype) == "float32"
        assert found[0].tolist() == codes.cosines(codes.encode(made, 8), asked, 8).tolist()
        assert np.abs(found[0] - made @ asked.T).max() < 0.02  # of eight bits a dimension


def test_cosines_by_sentence(opened: Index, passages: list[Passage], encoder: HashEncoder) -> None:
    several = 0
    for number, passage in enumerate(passages):
        found = opened.cosines(token_row("rice")[None], [number])
        assert found is not None
        offsets = (encoder.encode_query(passage.text).offsets + passage.span.start).tolist()
        expected = [sum(span.start <= s < e <= span.end for s, e in offsets) for span in passage.sentences]
        assert found[1].tolist() == expected
        assert found[0].shape == (sum(expected), 1)
        several += len(expected) > 1
    assert several


def test_cosines_of_several_passages_follow_one_another(opened: Index, encoder: HashEncoder) -> None:
    numbers, rows = [3, 0, 1], encoder.encode_query("Who led 中文?").tokens
    assert rows is not None
    together = opened.cosines(rows, numbers)
    alone = [found for number in numbers if (found := opened.cosines(rows, [number])) is not None]
    assert together is not None
    for position in range(2):
        assert together[position].tolist() == np.concatenate([found[position] for found in alone]).tolist()


def test_a_tokens_code_is_that_of_its_word(opened: Index) -> None:
    found = opened.cosines(token_row("Rollo")[None], [len(opened) - 1])
    assert found is not None
    assert found[0][0, 0] == pytest.approx(1, abs=0.01)
    assert found[0][1:].max() < 0.9


def test_sizes_by_part(opened: Index) -> None:
    (folder,) = (path for path in opened.folder.iterdir() if path.is_dir())
    text = sum(len(document.text.encode()) for document in DOCUMENTS)
    sizes = opened.sizes()
    assert list(sizes) == ["text", "places", "dense", "bm25", "tokens", "all"]
    assert sizes["text"] == (folder / "documents.jsonl").stat().st_size / text
    held = [folder / name for name in ("tokens.codes", "frequencies.npy")]
    assert sizes["tokens"] == sum(path.stat().st_size for path in held) / text
    assert sum(sizes[part] for part in index.PARTS) == pytest.approx(sizes["all"])  # every file has its part


def test_an_encoder_without_token_rows(tmp_path: Path, passages: list[Passage]) -> None:
    encoder = RowlessEncoder("rowless")
    found = build(tmp_path / "made", passages, encoder)
    assert found.cosines(token_row("rice")[None], [0]) is None
    assert found.manifest["counts"]["tokens"] == 0
    assert not [name for name in found.manifest["files"] if name.startswith("token")]
    assert list(found.dense(encoder.encode_query(passages[2].text).vector, 1)) == [2]


def test_frequencies_are_of_passages(opened: Index, passages: list[Passage], encoder: HashEncoder) -> None:
    asked = ["rollo", "rice", "中文句子在这里", "é", "😀", "the", "zebra", "."]
    held = [{token.casefold() for token in re.findall(r"\w+|[^\w\s]", passage.text)} for passage in passages]
    expected = [sum(word in tokens for tokens in held) for word in asked]
    assert expected[6] == 0 < expected[1] < expected[7]
    assert opened.frequencies(np.array([token_id(word) for word in asked], np.int64)).tolist() == expected
    assert opened.frequencies(np.array([-1, 2**62], np.int64)).tolist() == [0, 0]
    assert opened.frequencies(np.empty(0, np.int64)).tolist() == []


def test_passages_without_a_single_token(tmp_path: Path) -> None:
    class Deaf(HashEncoder):
        """Gives token rows, but of no token: as a real one does for signs that it drops."""

        def encode_query(self, text: str) -> Encoding:
            made = super().encode_query(text)
            rows = np.empty((0, DIMENSION), np.float32)
            return Encoding(made.vector, rows, np.empty(0, np.int64), np.empty((0, 2), np.int64), 0)

    passages = one_sentence_each(DOCUMENTS)
    found = build(tmp_path / "made", passages, Deaf("deaf"))
    assert found.cosines(token_row("rice")[None], [1]) is None
    assert found.frequencies(np.array([token_id("rice")], np.int64)).tolist() == [0]
    assert found.passage(1) == passages[1]


@pytest.mark.parametrize("text", ["The of and.", "😀 … !?", "。"])
def test_a_corpus_without_a_word_has_no_bm25(tmp_path: Path, encoder: HashEncoder, text: str) -> None:
    document = make_document(text, id="d")
    span = Span(0, len(document.text))
    folder = tmp_path / "made"
    with locked(folder):
        made = encoder.encode_passages([text])
        write(folder, [document], [Passage(document, span, (span,))], made, encoder, inputs="")
    found = Index.open(folder)
    assert not [name for name in found.manifest["files"] if name.startswith("bm25")]
    assert found.bm25(["rice"], 5)[0] == {}
    assert found.bm25(["rice"], 5)[1].tolist() == [0.0]
    assert found.passage(0).text == text


def test_encodings_must_match_the_passages(tmp_path: Path, passages: list[Passage], encoder: HashEncoder) -> None:
    folder = tmp_path / "made"
    with pytest.raises(ValueError, match="zip"), locked(folder):
        write(folder, DOCUMENTS, passages, encoder.encode_passages(["one"]), encoder, inputs="")
    with pytest.raises(IndexMissingError):
        Index.open(folder)


def test_steps_are_told(tmp_path: Path, passages: list[Passage], encoder: HashEncoder) -> None:
    steps: list[str] = []
    folder = tmp_path / "made"
    encodings = encoder.encode_passages([passage.text for passage in passages])
    with locked(folder):
        write(folder, DOCUMENTS, passages, encodings, encoder, inputs="", reached=steps.append)
    assert steps == "made texts bm25 vectors written synced renamed pointed swapped".split()


def test_opening_nothing_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(IndexMissingError) as caught:
        Index.open(tmp_path / "gone")
    assert str(caught.value).endswith(f"build it: footnote index [FOLDER] --out {tmp_path / 'gone'}")


@pytest.mark.parametrize("format", [FORMAT + 1, "1", None])
def test_another_format_is_refused(tmp_path: Path, format: object) -> None:
    with locked(tmp_path):
        publish(tmp_path, lambda folder: {} if format is None else {"format": format})
    with pytest.raises(IndexDamagedError) as caught:
        Index.open(tmp_path)
    assert str(caught.value) == (
        f"the index in {tmp_path} has format {format}, this version reads {FORMAT}; "
        f"rebuild: footnote index [FOLDER] --out {tmp_path}"
    )


def test_the_inputs_hash_depends_on_every_input(encoder: HashEncoder) -> None:
    recipe = {"target": 1, "cap": 2}
    same = inputs_hash(DOCUMENTS, encoder, recipe)
    assert same == inputs_hash(tuple(make_document(d.text, id=d.id, title=d.title, source=d.source) for d in DOCUMENTS),
                               HashEncoder(), {"cap": 2, "target": 1})  # fmt: skip
    first, *others = DOCUMENTS
    different = {
        inputs_hash(DOCUMENTS[::-1], encoder, recipe),
        inputs_hash(others, encoder, recipe),
        inputs_hash(DOCUMENTS, HashEncoder("other"), recipe),
        inputs_hash(DOCUMENTS, encoder, {**recipe, "cap": 3}),
        inputs_hash([make_document(first.text + "!", id="a", title=first.title), *others], encoder, recipe),
        inputs_hash([make_document(first.text, id="z", title=first.title, source="a"), *others], encoder, recipe),
        inputs_hash([make_document(first.text, id="a", title="other"), *others], encoder, recipe),
        inputs_hash([make_document(first.text, id="a", title=first.title, source="y"), *others], encoder, recipe),
    }
    assert len(different | {same}) == 9


# -- by size --


def clustered(count: int, seed: int = 1) -> np.ndarray:
    """A number to unit rows (count, 32) of many overlapping groups, as texts' rows are."""
    drawn = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((400, 32))
    rows = centres[drawn.integers(400, size=count)] + 0.7 * drawn.standard_normal((count, 32))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def test_many_rows_are_kept_in_lists_and_few_of_the_nearest_are_missed() -> None:
    rows, asked = clustered(index.FLAT + 1), clustered(50, seed=2)
    flat = faiss.IndexScalarQuantizer(32, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    flat.add(rows[:-1])
    assert index.by_size(flat) is flat
    flat.add(rows[-1:])
    made: Any = faiss.deserialize_index(faiss.serialize_index(index.by_size(flat)))
    assert (made.ntotal, made.nprobe) == (index.FLAT + 1, index.PROBES)
    assert made.nlist == int(2 * (index.FLAT + 1) ** 0.5)
    scores, numbers = made.search(asked, 100)
    expected = asked @ rows.T
    assert scores == pytest.approx(np.take_along_axis(expected, numbers, axis=1), abs=1e-3)
    best = np.argsort(-expected, axis=1)
    for depth, least in ((10, 0.99), (100, 0.97)):
        held = [len(set(a[:depth]) & set(b[:depth])) / depth for a, b in zip(numbers, best, strict=True)]
        assert np.mean(held) >= least, depth


def test_lists_are_the_same_each_time() -> None:
    flat = faiss.IndexFlatIP(32)
    flat.add(clustered(index.FLAT + 1))
    assert (faiss.serialize_index(index.by_size(flat)) == faiss.serialize_index(index.by_size(flat))).all()


def test_an_index_in_lists_is_searched_as_any(
    tmp_path: Path, passages: list[Passage], encoder: HashEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat = build(tmp_path / "flat", passages, encoder)
    monkeypatch.setattr(index, "FLAT", 3)
    lists = build(tmp_path / "lists", passages, encoder)
    for question in QUESTIONS:
        vector = encoder.encode_query(question).vector
        assert lists.dense(vector, 4) == pytest.approx(flat.dense(vector, 4), abs=1e-6)


def test_a_small_index_keeps_exact_token_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: HashEncoder
) -> None:
    asked: list[bool] = []

    def bits(dimension: int, *, exact: bool = False) -> int:
        asked.append(exact)
        return 8 if exact else 4

    monkeypatch.setattr(codes, "bits", bits)
    text = make_document("Rice is cooked in water.\n\nSalt is added.", id="d")
    for most, number in ((index.EXACT, 8), (0, 4)):
        monkeypatch.setattr(index, "EXACT", most)
        folder = tmp_path / str(most)
        build_index([text], folder, settings=Settings(cache=tmp_path), encoder=encoder)
        opened = Index.open(folder)
        assert opened.manifest["code"] == {"bits": number, "width": codes.width(DIMENSION, number)}
        found = opened.cosines(token_row("rice")[None], [0])
        assert found is not None
        assert found[0].max() == pytest.approx(1, abs=0.01 if number == 8 else 0.2)
    assert asked == [True, False]
