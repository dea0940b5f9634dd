"""Law 1 on random Unicode: 2,000 cases of build, ask, cite; 1,950 with an encoder that hashes, 50 with the real one.

A case is one to four documents and some questions, made out of every plane, of what breaks offsets (combining marks,
joined emoji, right-to-left, Chinese, control characters, lone surrogates, every line break), and of real sentences.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag import (
    Answer,
    Document,
    DocumentError,
    Encoder,
    IndexMissingError,
    Passage,
    Pipeline,
    QuestionError,
    Settings,
    Verdict,
    build_index,
    make_document,
)
from rag.encode import open_encoder
from rag.index import Index
from tests.fakes import HashEncoder, RowlessEncoder

HASHED, REAL = 650, 50  # cases: three tests of 650, one of 50

# What each of these has broken somewhere: offsets in UTF-16 or bytes, splitting, BM25's words, terminals, JSON.
pytestmark = pytest.mark.laws
PIECES = (
    "e\u0301",  # composes to é: offsets must be those after NFC
    "\u0301",
    "a\u0316\u0301\u0323",  # marks that NFC puts in another order
    "ﬁ ① ½",
    "\u212b \u2126",  # Å and Ω, which NFC replaces
    "각\u1100\u1161\u11a8",  # Hangul, whole and in parts
    "\ufb2c \u0958",  # composed letters that NFC takes apart: the text grows
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽",
    "😀" * 9,
    "שלום עולם. مرحبا بالعالم!",
    "\u202eabc\u202c \u2066x\u2069",
    "中文句子在这里。第二句也在这里！还有吗？",
    "日本語の文。カタカナ",
    "ไม่มีช่องว่าง",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 \U0010ffff",
    "\x00",
    "\x00\x01\x02\x1f\x7f\x9f",
    "\x1b[31m",
    "\ud800",
    "\udfff\ud83d",
    "\ufffe\uffff\ufeff",
    "“Curly quotes,” she said. ‘Yes.’",
    "...",
    "?!?! -- ;;; ,,,",
    "。！？",
    "(((",
    "<|endoftext|>",
    "<b>bold</b> & [1] `code`",
    "3.14 1,000,000 v1.2.3 U.S. e.g. Dr. No.",
    "it’s they're",
    "_ __ _a_",
)
SENTENCES = (
    "The Normans gave their name to Normandy, a region in France.",
    "Rollo led them in the 10th century!",
    "Who were they?",
    "Rice is cooked in water for twelve minutes; it must not boil over.",
    "Dr. Smith paid $3.50 to J. R. Jones at 5 p.m. on Monday.",
    "“Café” is spelled with an é, he wrote: “not an e.”",
    "Salt is added at the end",
    "中文句子在这里。",
    "The, of and to.",
    "A sentence that goes on and on, clause after clause, " * 15 + "until it ends.",
)
GAPS = (
    "",
    " ",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "\t",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x85",
    "\u00a0",
    "\u2028",
    "\u3000",
)

anything = st.text(st.characters(exclude_categories=()), max_size=25)
odd_word = st.builds(lambda part, count: part * count, st.sampled_from("a中😀\u0301.^\x00ß"), st.integers(1, 200))
odd = st.one_of(st.sampled_from(PIECES), anything, st.sampled_from(PIECES), odd_word)
plain = st.sampled_from(SENTENCES)
gap = st.sampled_from(GAPS)


def texts_of(piece: st.SearchStrategy[str], most: int) -> st.SearchStrategy[str]:
    """Pieces, each followed by white space or by nothing, to a text."""
    return st.lists(st.tuples(piece, gap), max_size=most).map(lambda pairs: "".join(p + g for p, g in pairs))


class Case(NamedTuple):
    """Documents as (title, text), and what is asked of them."""

    documents: tuple[tuple[str, str], ...]
    questions: tuple[str, ...]


@st.composite
def cases(draw: st.DrawFn, text: st.SearchStrategy[str]) -> Case:
    """Random documents, with questions of any characters, cut out of a document, or of a document's words."""
    documents = tuple(draw(st.lists(st.tuples(st.sampled_from(PIECES), text), min_size=1, max_size=4)))
    source = draw(st.sampled_from([written for _, written in documents]))
    start = draw(st.integers(0, max(0, len(source) - 1)))
    words = source.split() or [""]
    chosen = draw(st.lists(st.sampled_from(words), min_size=1, max_size=6))
    return Case(documents, (" ".join(chosen)[:300], source[start : start + draw(st.integers(1, 60))], draw(odd)))


examples = settings(
    max_examples=HASHED,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # it measures seconds, so that a busy machine fails it
)


@given(cases(texts_of(odd, 10)))
@examples
def test_law_1_holds_for_any_characters(case: Case) -> None:
    keeps_law_1(case, HashEncoder())


@given(cases(texts_of(st.one_of(plain, odd), 12)))
@examples
def test_law_1_holds_for_sentences_among_any_characters(case: Case) -> None:
    keeps_law_1(case, HashEncoder())


@given(cases(texts_of(plain, 18)), st.sampled_from([HashEncoder(), HashEncoder(limit=7), RowlessEncoder()]))
@examples
def test_law_1_holds_for_long_texts_small_encoders_and_those_without_token_rows(case: Case, encoder: Encoder) -> None:
    keeps_law_1(case, encoder)


@pytest.fixture(scope="module")
def real() -> Encoder:
    """The packaged model's encoder, exported to the user's own cache."""
    own = Settings.from_environment()
    return open_encoder(own.model, own.cache)


@pytest.mark.model
@given(case=cases(texts_of(st.one_of(plain, odd), 12)))
@settings(examples, max_examples=REAL)
def test_law_1_holds_with_the_real_encoder(case: Case, real: Encoder) -> None:
    keeps_law_1(case, real)


@pytest.mark.model
@pytest.mark.parametrize(
    "text",
    ["\x00\x01", "\u200d", "\ufffd", "\u0301" * 50, "\ue000"],
    ids="control joiner replacement marks private".split(),
)
def test_law_1_holds_for_a_text_in_which_the_real_encoder_finds_no_token(text: str, real: Encoder) -> None:
    keeps_law_1(Case((("", text),), ("Who?", text, "\u0301", "[PAD]")), real)


@pytest.mark.parametrize(
    "texts", [(), ("",), (" \t\r\n\u2028\u3000\x85",), ("\n", " ")], ids="none empty spaces two".split()
)
def test_documents_of_white_space_alone_are_refused_and_leave_nothing(texts: tuple[str, ...], tmp_path: Path) -> None:
    documents = [make_document(text, id=str(number)) for number, text in enumerate(texts)]
    own = Settings(cache=tmp_path, threshold=0.0)
    with pytest.raises(DocumentError, match="no text"):
        build_index(documents, tmp_path / "i", settings=own, encoder=HashEncoder())
    with pytest.raises(IndexMissingError):
        Pipeline.open(tmp_path / "i", settings=own, encoder=HashEncoder())


def test_a_document_of_white_space_beside_one_of_words_is_kept_and_never_cited(tmp_path: Path) -> None:
    keeps_law_1(Case((("", " \n "), ("", "Salt is added."), ("", "")), ("Is salt added?", "x")), HashEncoder())


def test_the_check_itself_sees_a_hand_made_case(tmp_path: Path) -> None:
    """The offsets of one answer by hand: `e` and its accent are one character, CRLF is one, the emoji is one."""
    document = make_document("Cafe\u0301 😀 is open.\r\nSalt is added. \ud800", id="d")
    assert document.text == "Café 😀 is open.\nSalt is added. \ufffd"
    own = Settings(cache=tmp_path, threshold=0.0)
    build_index([document], tmp_path / "i", settings=own, encoder=HashEncoder())
    answer = Pipeline.open(tmp_path / "i", settings=own, encoder=HashEncoder()).ask("salt is added .")
    assert (answer.citations[0].quote, answer.citations[0].text) == ((16, 30), "Salt is added.")


def keeps_law_1(case: Case, encoder: Encoder) -> None:
    """Build an index of the case, ask it everything, and check every offset that comes out."""
    documents = [make_document(text, id=f"{n}.txt", title=title) for n, (title, text) in enumerate(case.documents)]
    for document in documents:
        is_stored_form(document)
    with tempfile.TemporaryDirectory(dir=_fast()) as name:
        own = Settings(cache=Path(name) / "cache", threshold=0.0)
        if not any(document.text.strip() for document in documents):
            with pytest.raises(DocumentError):
                build_index(documents, Path(name) / "index", settings=own, encoder=encoder)
            return
        folder = Path(name) / "index"
        if not any(document.text.strip() for document in documents):
            with pytest.raises(DocumentError, match="no text"):
                build_index(documents, folder, settings=own, encoder=encoder)
            return
        build_index(documents, folder, settings=own, encoder=encoder)
        index = Index.open(folder)
        assert list(index.documents) == documents
        passages = [index.passage(number) for number in range(len(index))]
        for document in documents:
            covers(document, [p for p in passages if p.document.id == document.id])
        pipeline = Pipeline.open(folder, settings=own, encoder=encoder)
        for question in case.questions:
            try:
                answer = pipeline.ask(question)
            except QuestionError:
                assert not any(c.isprintable() and not c.isspace() for c in question.replace("\ud800", "?"))
                assert not any("\ud800" <= c <= "\udfff" for c in question)  # they are asked as U+FFFD
                continue
            is_exact(answer, {d.id: d.text for d in documents}, set(passages))


def _fast() -> str | None:
    """A folder in memory, where syncing costs nothing, if there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def is_stored_form(document: Document) -> None:
    """NFC, no carriage return, no lone surrogate, and the hash of just that."""
    assert unicodedata.is_normalized("NFC", document.text)
    assert not any(c == "\r" or "\ud800" <= c <= "\udfff" for c in document.text + document.title + document.source)
    assert document.sha256 == hashlib.sha256(document.text.encode("utf-8")).hexdigest()


def covers(document: Document, passages: list[Passage]) -> None:
    """Every character but white space lies in exactly one passage and one of its sentences, all in order."""
    inside = [0] * len(document.text)
    end = 0
    for passage in passages:
        assert passage.span == (passage.sentences[0].start, passage.sentences[-1].end)
        for sentence in passage.sentences:
            assert end <= sentence.start < sentence.end <= len(document.text)
            words = document.text[sentence.start : sentence.end]
            assert words == words.strip()
            end = sentence.end
            for place in range(*sentence):
                inside[place] += 1
    assert all(count == 1 or (count == 0 and c.isspace()) for count, c in zip(inside, document.text, strict=True))


def is_exact(answer: Answer, texts: dict[str, str], passages: set[Passage]) -> None:
    """Every span of an answer, against the texts that were given."""
    assert not answer.abstained
    assert answer.claims
    assert len({hit.passage for hit in answer.hits}) == len(answer.hits)
    for hit in answer.hits:
        assert hit.passage in passages
        assert len(hit.sentence_scores) == len(hit.passage.sentences)
        assert all(math.isfinite(score) for score in (hit.score, *hit.sentence_scores))
    assert [hit.score for hit in answer.hits] == sorted((hit.score for hit in answer.hits), reverse=True)
    end = -1
    for claim in answer.claims:
        assert claim.verdict is Verdict.SUPPORTED
        assert claim.span.start == end + 1
        assert claim.citations
        end = claim.span.end
        quotes = []
        for citation in claim.citations:
            start, stop = citation.quote
            quote = texts[citation.document.id][start:stop]
            assert citation.text == citation.document.text[start:stop] == quote != ""
            assert citation.passage in {hit.passage for hit in answer.hits}
            assert citation.quote in citation.passage.sentences
            quotes.append(quote)
        assert answer.text[slice(*claim.span)] == " ".join(quotes)
    assert end == len(answer.text)
    assert [c.number for c in answer.citations] == list(range(1, len(answer.citations) + 1))
    _is_exact_as_json(json.loads(json.dumps(answer.to_dict(), allow_nan=False, ensure_ascii=False).encode()), texts)
    for shown in (answer.to_markdown(), answer._repr_html_()):
        shown.encode("utf-8")


def _is_exact_as_json(answer: dict[str, object], texts: dict[str, str]) -> None:
    for entry in _entries(answer["citations"]):
        assert entry["quote"] == texts[str(entry["document"])][int(str(entry["start"])) : int(str(entry["end"]))]
    for entry in _entries(answer["hits"]):
        assert entry["text"] == texts[str(entry["document"])][int(str(entry["start"])) : int(str(entry["end"]))]
    text = str(answer["text"])
    for entry in _entries(answer["claims"]):
        assert entry["text"] == text[int(str(entry["start"])) : int(str(entry["end"]))]


def _entries(value: object) -> Iterator[dict[str, object]]:
    assert isinstance(value, list)
    yield from value
