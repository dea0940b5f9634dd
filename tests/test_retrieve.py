"""Retrieval by hand arithmetic, over a store whose every number is written out; its constants are the module's own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import numpy as np
import pytest

from rag import Encoding, Hit, Passage, Pipeline, Settings, Span, build_index, make_document
from rag.retrieve import CONTEXT, DEPTH, KEPT, WEIGHTS, WEIGHTS_WITHOUT_TOKENS, retrieve
from rag.text import sentences
from rag.types import Floats, Ints
from tests.fakes import DIMENSION, HashEncoder, RowlessEncoder

QUESTION = "alpha bétà?"
TEXTS = ("Alpha 😀 one. “Bétà” two.", "Alpha bétà three.", "中文 bétà four.")
# What each sentence holds: its tokens as rows over (alpha, bétà, ?).
ROWS: tuple[tuple[list[list[float]], ...], ...] = (
    ([[1, 0, 0], [0.5, 0, 0]], [[0, 0.6, 0.8]]),
    ([[0.8, 0.1, 0], [0, 0.6, 1]],),
    ([[-0.2, 1, 0]],),
)
MATCHES: tuple[list[list[float]], ...] = (
    [[1, 0], [0, 0.6]],
    [[0.8, 0.6]],
    [[-0.2, 1]],
)  # the best cosine for alpha and for bétà
DENSE = {0: 0.5, 1: 0.9}
BM25 = (3.0, 1.0, 0.5)
LEXICAL = {0: 3.0, 2: 0.5}
FREQUENCIES = {1: 1, 2: 2}  # alpha in one passage, bétà in two


def passages(texts: Sequence[str]) -> list[Passage]:
    """Texts to a passage each, of all its sentences."""
    made = []
    for number, text in enumerate(texts):
        document = make_document(text, id=str(number))
        made.append(Passage(document, Span(0, len(document.text)), tuple(sentences(document.text))))
    return made


@dataclass
class FakeStore:
    """A Store of given numbers; remembers what it was asked for."""

    held: list[Passage] = field(default_factory=lambda: passages(TEXTS))
    rows: Sequence[Sequence[list[list[float]]]] | None = ROWS
    nearest: Mapping[int, float] = field(default_factory=lambda: DENSE)
    lexical: Mapping[int, float] = field(default_factory=lambda: LEXICAL)
    scores: Sequence[float] = BM25
    asked: list[Any] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.held)

    def passage(self, number: int) -> Passage:
        return self.held[number]

    def dense(self, vector: Floats, count: int) -> dict[int, float]:
        self.asked.append(("dense", vector.tolist(), count))
        return dict(self.nearest)

    def bm25(self, words: Sequence[str], count: int) -> tuple[dict[int, float], Floats]:
        self.asked.append(("bm25", list(words), count))
        return dict(self.lexical), np.array(self.scores, np.float32)

    def frequencies(self, ids: Ints) -> Ints:
        return np.array([FREQUENCIES.get(number, 0) for number in ids.tolist()], np.int64)

    def cosines(self, rows: Floats, numbers: Sequence[int]) -> tuple[Floats, Ints] | None:
        if self.rows is None:
            return None
        by_sentence = [rows for number in numbers for rows in self.rows[number]]
        held = np.array([row for rows in by_sentence for row in rows], np.float32).reshape(-1, 3)
        return held @ rows.T, np.array([len(rows) for rows in by_sentence], np.int64)


class FakeEncoder(HashEncoder):
    """Encodes QUESTION as three tokens: alpha, bétà and the sign."""

    def __init__(self, *, rowless: bool = False) -> None:
        super().__init__("fake 😀")
        self.rowless = rowless

    def encode_query(self, text: str) -> Encoding:
        rows = None if self.rowless else np.eye(3, dtype=np.float32)
        offsets = np.array([(0, 5), (6, 10), (10, 11)], np.int64)
        assert [text[start:end] for start, end in offsets.tolist()] == ["alpha", "bétà", "?"]
        return Encoding(np.array([0, 1], np.float32), rows, np.array([1, 2, 3], np.int64), offsets, 3)


def standardised(values: Sequence[float]) -> list[float]:
    """Values to mean 0 and standard deviation 1."""
    spread = pstdev(values)
    return [(value - fmean(values)) / spread if spread else 0.0 for value in values]


def idf(held: int, total: int = 3) -> float:
    return math.log(1 + (total - held + 1) / (held + 1))


ALPHA = idf(1) / (idf(1) + idf(2))  # .9163 / (.9163 + .5108)
BETA = idf(2) / (idf(1) + idf(2))


def by_document(hits: Sequence[Hit]) -> list[Hit]:
    """Hits in the order of their documents."""
    return sorted(hits, key=lambda hit: hit.passage.document.id)


def test_the_terms_weights_are_their_rarity() -> None:
    found = retrieve(QUESTION, FakeStore(), FakeEncoder())
    shares = [ALPHA, BETA]  # .916291 and .510826 of their sum
    assert shares == pytest.approx([0.642057, 0.357943], abs=1e-6)
    assert found.weights.tolist() == pytest.approx([ALPHA, BETA], abs=1e-6)


def test_matches_are_each_terms_best_cosine_in_each_sentence() -> None:
    found = retrieve(QUESTION, FakeStore(), FakeEncoder())
    assert len(found.matches) == len(found.hits) == 3
    for hit, matches in zip(found.hits, found.matches, strict=True):
        assert matches.tolist() == [pytest.approx(row, abs=1e-6) for row in MATCHES[int(hit.passage.document.id)]]
        assert len(hit.sentence_scores) == len(hit.passage.sentences) == len(matches)


def late() -> tuple[list[list[float]], list[float]]:
    """Each passage's sentences' scores, and each passage's own, by hand."""
    paired = [
        [[max(pair) for pair in zip(row, rows[max(0, n - 1)], strict=True)] for n, row in enumerate(rows)]
        for rows in MATCHES
    ]  # each sentence together with the one before it
    by_sentence = [
        [(ALPHA * (row[0] + both[0]) + BETA * (row[1] + both[1])) / 2 for row, both in zip(rows, pairs, strict=True)]
        for rows, pairs in zip(MATCHES, paired, strict=True)
    ]
    by_passage = [ALPHA * max(a for a, _ in rows) + BETA * max(b for _, b in rows) for rows in MATCHES]
    return by_sentence, by_passage


def sentence_scores() -> list[list[float]]:
    """Each passage's sentences' scores with their passage's share, by hand."""
    by_sentence, by_passage = late()
    return [[row + CONTEXT * whole for row in rows] for rows, whole in zip(by_sentence, by_passage, strict=True)]


def test_late_interaction_by_hand() -> None:
    by_sentence, by_passage = late()
    assert by_sentence == [
        pytest.approx([0.642057, 0.535794], abs=1e-5),  # the second: 0 and .6, with the first 1 and .6; their mean
        pytest.approx([0.728411], abs=1e-5),
        pytest.approx([0.229531], abs=1e-5),
    ]
    assert by_passage[0] == pytest.approx(0.856823, abs=1e-5)
    hits = by_document(retrieve(QUESTION, FakeStore(), FakeEncoder()).hits)
    assert [hit.trace["late_sentence"].score for hit in hits] == pytest.approx([max(row) for row in by_sentence])
    assert [hit.trace["late_passage"].score for hit in hits] == pytest.approx(by_passage)
    assert [hit.trace["late_sentence"].rank for hit in hits] == [2, 1, 3]
    assert [hit.trace["late_passage"].rank for hit in hits] == [1, 2, 3]
    for hit, expected in zip(hits, sentence_scores(), strict=True):
        assert hit.sentence_scores == pytest.approx(expected, abs=1e-6)


def test_dense_and_bm25_are_the_stores() -> None:
    hits = by_document(retrieve(QUESTION, FakeStore(), FakeEncoder()).hits)
    assert [hit.trace["bm25"] for hit in hits] == [(3.0, 1), (1.0, 2), (0.5, 3)]
    # the last was found by BM25 alone: the lowest cosine of those that were near
    assert [hit.trace["dense"].score for hit in hits] == pytest.approx([0.5, 0.9, 0.5])
    assert [hit.trace["dense"].rank for hit in hits] == [2, 1, 3]


def test_fusion_sums_standardised_scores() -> None:
    by_sentence, by_passage = late()
    rankings = {
        "late_sentence": [max(row) for row in by_sentence],
        "late_passage": by_passage,
        "bm25": list(BM25),
        "dense": [0.5, 0.9, 0.5],
    }
    scaled = {name: standardised(values) for name, values in rankings.items()}
    expected = [sum(weight * scaled[name][number] for name, weight in WEIGHTS.items()) for number in range(3)]
    hits = retrieve(QUESTION, FakeStore(), FakeEncoder()).hits
    assert [hit.score for hit in by_document(hits)] == pytest.approx(expected, abs=1e-5)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert sum(hit.score for hit in hits) == pytest.approx(0, abs=1e-5)


def test_the_weights_name_rankings_and_are_positive() -> None:
    trace = retrieve(QUESTION, FakeStore(), FakeEncoder()).hits[0].trace
    for weights in (WEIGHTS, WEIGHTS_WITHOUT_TOKENS):
        assert set(weights) <= set(trace)
        assert min(weights.values()) > 0
    assert set(WEIGHTS_WITHOUT_TOKENS) <= {"dense", "bm25"}


def test_without_the_questions_token_rows_it_is_dense_and_bm25() -> None:
    found = retrieve(QUESTION, FakeStore(), FakeEncoder(rowless=True))
    scaled = {"bm25": standardised(BM25), "dense": standardised([0.5, 0.9, 0.5])}
    expected = [sum(weight * scaled[name][n] for name, weight in WEIGHTS_WITHOUT_TOKENS.items()) for n in range(3)]
    assert [hit.score for hit in by_document(found.hits)] == pytest.approx(expected, abs=1e-5)
    assert found.warnings == ("fake 😀 gives no token vectors: ranked by dense and BM25 only.",)
    # a sentence matches the words that it holds, in the order of the alphabet: alpha, bétà
    held = {0: [[1, 0], [0, 1]], 1: [[1, 1]], 2: [[0, 1]]}
    for hit, matches in zip(found.hits, found.matches, strict=True):
        assert matches.tolist() == held[int(hit.passage.document.id)]
    assert found.weights.tolist() == [0.5, 0.5]


def test_without_the_stores_token_rows_it_is_dense_and_bm25_too() -> None:
    hits = retrieve(QUESTION, FakeStore(rows=None), FakeEncoder()).hits
    rowless = retrieve(QUESTION, FakeStore(rows=None), FakeEncoder(rowless=True)).hits
    assert [(hit.passage, hit.score) for hit in hits] == [(hit.passage, hit.score) for hit in rowless]


def test_a_sentence_without_a_token_matches_nothing() -> None:
    rows: tuple[Any, ...] = (([[1, 0, 0]], []), ([],), ([[0, 1, 0]],))
    found = retrieve(QUESTION, FakeStore(rows=rows), FakeEncoder())
    matches = {hit.passage.document.id: m.round(6).tolist() for hit, m in zip(found.hits, found.matches, strict=True)}
    assert matches == {"0": [[1, 0], [0, 0]], "1": [[0, 0]], "2": [[0, 1]]}


def test_what_the_store_is_asked() -> None:
    store = FakeStore()
    retrieve(QUESTION, store, FakeEncoder())
    assert store.asked == [("dense", [0.0, 1.0], DEPTH), ("bm25", ["alpha", "bétà"], DEPTH)]


@pytest.mark.parametrize("keep", [0, 1, 2, KEPT])
def test_at_most_keep_hits(keep: int) -> None:
    every = retrieve(QUESTION, FakeStore(), FakeEncoder()).hits
    found = retrieve(QUESTION, FakeStore(), FakeEncoder(), keep)
    assert found.hits == every[:keep]
    assert len(found.matches) == len(found.hits)


def test_features_by_hand() -> None:
    scores = [score for rows in sentence_scores() for score in rows]
    best = max(scores)
    features = retrieve(QUESTION, FakeStore(), FakeEncoder()).features
    assert scores.index(best) in (0, 2)  # whose worst matches are 0 and .6
    assert features["weakest"] == pytest.approx(0.0 if scores.index(best) == 0 else 0.6, abs=1e-6)
    assert features["passage"] == pytest.approx(max(late()[1]), abs=1e-6)
    assert features["far"] == pytest.approx(10 * max(0.0, 0.4 - features["passage"]))
    assert features["far"] == 0.0
    quartered = [tuple([[x / 4 for x in row] for row in held] for held in of_passage) for of_passage in ROWS]
    other = retrieve(QUESTION, FakeStore(rows=quartered), FakeEncoder()).features
    assert other["passage"] == pytest.approx(features["passage"] / 4)
    assert other["far"] == pytest.approx(10 * (0.4 - other["passage"]))
    assert (features["names"], features["numbers"], features["words"]) == (0.0, 0.0, 2.0)


def test_candidates_are_those_that_either_found() -> None:
    found = retrieve(QUESTION, FakeStore(nearest={1: 0.9}, lexical={2: 0.5}), FakeEncoder())
    assert {hit.passage.document.id for hit in found.hits} == {"1", "2"}


def test_equal_scores_keep_the_documents_order() -> None:
    same = ([[1.0, 0.0, 0.0]],)
    scores = [float(number % 2) for number in range(50)]  # more than sorting does in one go
    store = FakeStore(passages(["One é."] * 50), (same,) * 50, dict.fromkeys(range(50), 0.5), {}, scores)
    hits = retrieve(QUESTION, store, FakeEncoder(), 50).hits
    assert [hit.passage.document.id for hit in hits] == [str(n) for n in (*range(1, 50, 2), *range(0, 50, 2))]
    assert [hit.score for hit in hits] == pytest.approx([WEIGHTS["bm25"]] * 25 + [-WEIGHTS["bm25"]] * 25)


def test_nothing_to_find() -> None:
    found = retrieve(QUESTION, FakeStore([], None, {}, {}, ()), FakeEncoder())
    assert (found.hits, found.matches, found.question) == ((), (), QUESTION)
    assert all(math.isfinite(value) for value in found.features.values())


def test_features_are_finite_and_the_same_names_always() -> None:
    cases = [
        retrieve(QUESTION, FakeStore(), FakeEncoder()),
        retrieve(QUESTION, FakeStore(), FakeEncoder(), 1),
        retrieve(QUESTION, FakeStore(), FakeEncoder(rowless=True)),
        retrieve(QUESTION, FakeStore(rows=None), FakeEncoder()),
        retrieve(QUESTION, FakeStore(passages(["One é."]), ROWS[2:], {0: 0.1}, {}, (0.0,)), FakeEncoder()),
    ]
    for found in cases:
        assert set(found.features) == set(cases[0].features)
        assert all(type(value) is float and math.isfinite(value) for value in found.features.values())


# -- over a real index --


def documents() -> Iterator[str]:
    for number, word in enumerate("apple bread cherry 中文 éclair".split()):
        yield f"{word} is the {number} thing 😀. “Nobody” has two of {word}.\r\nIt is kept in the cellar."


@pytest.fixture
def made(tmp_path: Path, settings: Settings, encoder: HashEncoder) -> Pipeline:
    texts = [make_document(text, id=str(number)) for number, text in enumerate(documents())]
    build_index(texts, tmp_path / "made", settings=settings, encoder=encoder)
    return Pipeline.open(tmp_path / "made", settings=settings, encoder=encoder)


@pytest.mark.parametrize(("word", "number"), [("apple", 0), ("cherry", 2), ("中文", 3), ("éclair", 4)])
def test_the_document_that_holds_the_rare_word_is_first(made: Pipeline, word: str, number: int) -> None:
    found = made.retrieve(f"Who has two of the {word}?")
    assert found.hits[0].passage.document.id == str(number)
    assert all(hit.trace.keys() == found.hits[0].trace.keys() for hit in found.hits)
    for name in found.hits[0].trace:
        assert sorted(hit.trace[name].rank for hit in found.hits) == [1, 2, 3, 4, 5]
        by_rank = sorted(found.hits, key=lambda hit: hit.trace[name].rank)
        scores = [hit.trace[name].score for hit in by_rank]
        assert scores == sorted(scores, reverse=True)


def test_features_count_what_the_passage_lacks(made: Pipeline) -> None:
    features = made.retrieve("Where in Zanzibar has Nobody put 7 of the cherry 😀 since 1999, not 2?").features
    assert features["names"] == 1  # Zanzibar; Nobody is in the passage
    assert features["numbers"] == 2  # 7 and 1999; "cherry is the 2 thing"
    assert features["words"] == 8  # zanzibar nobody put 7 cherry since 1999 2


def test_signs_of_the_question_have_no_say(made: Pipeline) -> None:
    bare, signed = made.retrieve("two of cherry"), made.retrieve("…“two”, of (cherry)?! 😀")
    assert signed.weights.tolist() == pytest.approx(bare.weights.tolist())
    assert [m.tolist() for m in signed.matches] != []
    first = {hit.passage: m for hit, m in zip(bare.hits, bare.matches, strict=True)}
    for hit, matches in zip(signed.hits, signed.matches, strict=True):
        assert matches == pytest.approx(first[hit.passage], abs=1e-6)


def test_a_question_of_signs_alone_is_matched_by_them(made: Pipeline) -> None:
    found = made.retrieve("😀")
    assert found.weights.tolist() == [1.0]
    for matches in found.matches:
        assert matches[0, 0] == pytest.approx(1, abs=0.01)  # the sentence with the emoji
        assert matches[1:].max() < 0.8


def test_a_long_question_is_cut_and_says_so(tmp_path: Path, settings: Settings) -> None:
    encoder = HashEncoder("short", limit=12)
    build_index([make_document("Rice é 😀.", id="d")], tmp_path / "made", settings=settings, encoder=encoder)
    pipeline = Pipeline.open(tmp_path / "made", settings=settings, encoder=encoder)
    assert pipeline.retrieve("rice " * 12).warnings == ()
    assert pipeline.retrieve("rice " * 13).warnings == ("The question has 13 tokens; only its first 12 were read.",)
    assert pipeline.ask("rice " * 13).warnings == pipeline.retrieve("rice " * 13).warnings


@pytest.mark.parametrize("kind", ["no rows", "no tokens"])
def test_an_index_without_a_token_row_answers(tmp_path: Path, settings: Settings, kind: str) -> None:
    class Deaf(HashEncoder):
        """Hears questions, but no passage: as a real encoder does, of a text of signs that it drops."""

        def encode_passages(self, texts: Sequence[str]) -> Iterator[Encoding]:
            for text in texts:
                made = self.encode_query(text)
                rows = None if kind == "no rows" else np.empty((0, DIMENSION), np.float32)
                yield Encoding(made.vector, rows, np.empty(0, np.int64), np.empty((0, 2), np.int64), 0)

    encoder = Deaf("deaf")
    build_index([make_document("Rice é 😀. Two.", id="d")], tmp_path / "made", settings=settings, encoder=encoder)
    answer = Pipeline.open(tmp_path / "made", settings=settings, encoder=encoder).ask("Who has rice?")
    assert answer.citations[0].text == "Rice é 😀."


def test_rowless_sentences_are_ranked_by_their_words(tmp_path: Path, settings: Settings) -> None:
    encoder = RowlessEncoder("rowless")
    texts = [make_document(text, id=str(number)) for number, text in enumerate(documents())]
    build_index(texts, tmp_path / "made", settings=settings, encoder=encoder)
    answer = Pipeline.open(tmp_path / "made", settings=settings, encoder=encoder).ask("Who has two of the cherry?")
    assert answer.sentences[0].text == "“Nobody” has two of cherry."


def test_a_long_question_gains_no_confidence_by_its_length() -> None:
    from rag.retrieve import _features

    found = retrieve(QUESTION, FakeStore(), FakeEncoder())
    assert _features("alpha bétà " * 2000, found.hits, found.matches, found.weights, 0.4)["words"] == 20.0
