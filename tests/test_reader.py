"""The reader: what it is given to read, what it finds and where; the packaged one on the article."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import BertPreTokenizer

from rag import Pipeline, make_document
from rag.reader import LONGEST, MOST, QUESTION, WINDOW, Reader, marked
from rag.text import sentences
from rag.types import Floats, Hit, Passage, Retrieval, SentenceId, Span

TEXT = "Rollo 😀 led them.\r\nThe “Café” is in Élan. It opened in 1911, they say! 中文 ends it."
WIDTH = 4
Score = Callable[[list[int], int, int], float]  # a row's ids, the span's first and last position -> its score


def tokenizer_of(*texts: str) -> Tokenizer:
    made = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    made.pre_tokenizer = BertPreTokenizer()
    words = {word for text in texts for word, _ in made.pre_tokenizer.pre_tokenize_str(text)}
    table = {"[UNK]": 0} | {word: number for number, word in enumerate(sorted(words), start=1000)}
    made.model = WordLevel(table, unk_token="[UNK]")
    return made


class Scripted:
    """A session that scores spans by a function, and keeps what it was fed."""

    def __init__(self, score: Score, none: float = 0.0) -> None:
        self.score, self.none = score, none
        self.fed: dict[str, Any] = {}

    def run(self, names: None, fed: Mapping[str, Any]) -> list[Floats]:
        self.fed = dict(fed)
        ids = fed["embedded"][:, :, 0].astype(int)
        n, width = ids.shape
        spans = np.zeros((n, width, width), np.float32)
        for i in range(n):
            row = ids[i].tolist()
            for a in range(width):
                for b in range(width):
                    spans[i, a, b] = self.score(row, a, b)
        return [spans, np.full(n, self.none, np.float32), np.arange(n, dtype=np.float32)]


class Plain(Reader):
    """A Reader whose embedding of a token is its id."""

    def _embedded(self, ids: Any, kinds: Any) -> Any:
        return np.repeat(ids[:, :, None].astype(np.float32), WIDTH, axis=2)


def hit(text: str, scores: tuple[float, ...] | None = None, id: str = "d") -> Hit:
    document = make_document(text, id=id)
    spans = tuple(sentences(document.text))
    passage = Passage(document, Span(0, len(document.text)), spans)
    return Hit(passage, 1.0, scores or tuple(1.0 - 0.1 * i for i in range(len(spans))))


def retrieved(question: str, *hits: Hit) -> Retrieval:
    return Retrieval(question, hits, (), np.ones(1, np.float32), {"margin": 1.0})


def word_score(tokenizer: Tokenizer, first: str, last: str, value: float = 9.0) -> Score:
    a, b = (tokenizer.token_to_id(word) for word in (first, last))
    return lambda row, i, j: value if (row[i], row[j]) == (a, b) else -1.0


def test_a_finding_is_the_exact_words_of_the_document() -> None:
    tokenizer = tokenizer_of(TEXT, "When was it opened?")
    for first, last, words, place in (
        ("1911", "1911", "1911", 2),
        ("Café", "Élan", "Café” is in Élan", 1),
        ("😀", "led", "😀 led", 0),
        ("中文", "ends", "中文 ends", 3),
    ):
        one = hit(TEXT)
        reader = Plain(Scripted(word_score(tokenizer, first, last)), tokenizer, ())
        found = reader.read(retrieved("When was it opened?", one)).findings
        assert found[0].place == SentenceId(0, place)
        assert one.passage.document.text[slice(*found[0].span)] == words
        assert found[0].score == 9.0
        assert len(found) == 4  # one for each sentence that was read
        assert [finding.score for finding in found[1:]] == [-1.0] * 3


def test_a_score_is_against_no_answer() -> None:
    tokenizer = tokenizer_of(TEXT, "Who?")
    reader = Plain(Scripted(word_score(tokenizer, "Rollo", "Rollo"), none=2.5), tokenizer, ())
    assert reader.read(retrieved("Who?", hit(TEXT))).findings[0].score == 6.5


def test_no_span_crosses_sentences_runs_backwards_or_is_too_long() -> None:
    text = " ".join(f"w{i}" for i in range(LONGEST + 5)) + ". Then comes more of it."
    tokenizer = tokenizer_of(text, "What?")
    one = hit(text)
    longest = Plain(Scripted(lambda row, a, b: float(b - a)), tokenizer, ())
    for finding in longest.read(retrieved("What?", one)).findings:
        start, end = one.passage.sentences[finding.place.sentence]
        assert start <= finding.span.start < finding.span.end <= end
        assert finding.score <= LONGEST - 1
    back = Plain(Scripted(lambda row, a, b: float(a - b)), tokenizer, ())
    assert all(finding.score == 0.0 for finding in back.read(retrieved("What?", one)).findings)


def test_what_is_read_is_around_the_best_sentences() -> None:
    filler = [" ".join([f"s{n}"] * 29) + "." for n in range(12)]  # 30 tokens each
    texts = [" ".join(filler[:6]), " ".join(filler[6:])]
    tokenizer = tokenizer_of(*texts, "Which one?")
    low = (0.0,) * 6
    hits = [hit(texts[0], (0.1, 0.2, 0.3, 0.9, 0.2, 0.1), "a"), hit(texts[1], low, "b")]
    session = Scripted(lambda row, a, b: 0.0)
    reader = Plain(session, tokenizer, ())
    places = {finding.place for finding in reader.read(retrieved("Which one?", *hits)).findings}
    assert {SentenceId(0, 2), SentenceId(0, 3), SentenceId(0, 4)} <= places
    ids = session.fed["embedded"][:, :, 0].astype(int)
    assert len(ids) <= MOST
    first = [token for token in ids[0].tolist() if token not in (0, 101, 102)]
    names = [tokenizer.id_to_token(token) for token in dict.fromkeys(first)]
    assert names == ["Which", "one", "?", "s2", ".", "s3", "s4"]  # the best, the one before it, the one after it
    assert session.fed["mask"].sum(axis=1).max() <= 3 + QUESTION + WINDOW
    assert session.fed["matched"].max() == 0


def test_a_very_long_sentence_and_question_are_read_as_far_as_they_fit() -> None:
    text = " ".join(f"w{i}" for i in range(150)) + "."
    question = " ".join(f"q{i}" for i in range(QUESTION + 40)) + "?"
    tokenizer = tokenizer_of(text, question)
    session = Scripted(lambda row, a, b: float(row[a]) if a == b else -1.0)
    found = Plain(session, tokenizer, ()).read(retrieved(question, hit(text))).findings
    assert len(found) == 1
    assert session.fed["embedded"].shape[1] == 3 + QUESTION + 151


def test_the_tokens_of_the_question_are_marked_in_the_window() -> None:
    tokenizer = tokenizer_of(TEXT, "is Café it?")
    session = Scripted(lambda row, a, b: 0.0)
    Plain(session, tokenizer, ()).read(retrieved("is Café it?", hit(TEXT)))
    ids, matched = session.fed["embedded"][0, :, 0].astype(int), session.fed["matched"][0]
    marks = {tokenizer.id_to_token(int(i)): int(m) for i, m in zip(ids, matched, strict=True) if m}
    assert marks == {"is": 1, "Café": 2, "it": 1}
    assert not matched[: list(ids).index(102) + 1].any()  # the question's own tokens are not


def test_an_address_is_marked_whole() -> None:
    text = "Write to (press@uni-bonn.de), or see <https://uni-bonn.de/press?a=1>. Ask Press at Bonn."
    for first, last, whole in (
        ("press", "uni", "press@uni-bonn.de"),
        ("@", "bonn", "press@uni-bonn.de"),
        ("https", "uni", "https://uni-bonn.de/press?a=1"),
        ("Press", "Bonn", "Press at Bonn"),
    ):
        tokenizer = tokenizer_of(text, "w ?")
        finding = Plain(Scripted(word_score(tokenizer, first, last)), tokenizer, ()).read(retrieved("w", hit(text)))
        assert text[slice(*finding.findings[0].span)] == whole


def test_a_question_without_its_mark_is_read_with_it() -> None:
    for asked, read in (
        ("who is merz", "who is merz?"),
        ("Who is Merz?", "Who is Merz?"),
        ("Tell me who.", "Tell me who?"),
        ("who (Merz)", "who (Merz)?"),
        ("Where is he? (Merz)", "Where is he? (Merz)"),
    ):
        assert marked(asked) == read
    tokenizer = tokenizer_of(TEXT, "who opened it ?")
    session = Scripted(word_score(tokenizer, "1911", "1911"))
    fed = []
    for asked in ("who opened it", "who opened it?"):
        Plain(session, tokenizer, ()).read(retrieved(asked, hit(TEXT)))
        fed.append(session.fed["embedded"].tolist())
    assert fed[0] == fed[1]


def test_nothing_to_read() -> None:
    reader = Plain(Scripted(lambda row, a, b: 0.0), tokenizer_of("Who?"), ())
    nothing = retrieved("Who?")
    assert reader.read(nothing) is nothing


# -- the packaged one --


@pytest.mark.model
def test_its_embedding_layer_is_the_models_own() -> None:
    import torch
    from transformers import BertModel

    from rag.confidence import load_confidence
    from rag.models import packaged_model
    from rag.reader import open_reader

    ids = np.random.default_rng(3).integers(0, 30_000, (2, 40))
    kinds = np.repeat([[0] * 15 + [1] * 25], 2, axis=0)
    model = BertModel.from_pretrained(str(packaged_model()), add_pooling_layer=False).eval()
    with torch.inference_mode():
        wanted = model.embeddings(torch.from_numpy(ids), torch.from_numpy(kinds)).numpy()
    assert np.abs(open_reader(load_confidence().reader)._embedded(ids, kinds) - wanted).max() < 1e-5


@pytest.mark.model
def test_padding_is_not_read() -> None:
    from rag.confidence import load_confidence
    from rag.reader import open_reader

    reader = open_reader(load_confidence().reader)
    question, window = np.array([2040, 2001, 2009]), np.arange(3000, 3040)
    same = reader._run(question, [window, window])
    padded = reader._run(question, [window, np.concatenate([window, window])])
    width = same[0].shape[1] - 1  # the last one closes the window
    one, other = same[0][0, :width, :width], padded[0][0, :width, :width]
    where = np.isfinite(one)
    assert np.array_equal(where, np.isfinite(other))
    # int8 products are scaled by all that is computed together, so that some noise is left
    assert np.corrcoef(one[where], other[where])[0, 1] > 0.98
    assert np.array_equal(same[0][0], same[0][1])


@pytest.mark.model
def test_the_exact_answer_is_marked(article: Pipeline) -> None:
    answers = {}
    for question in ("Who visited Ukraine's president?", "Where did they meet?"):
        answer = article.ask(question, max_wrong=100)
        assert answer.short
        for excerpt in answer.short:
            assert excerpt.text
            assert any(
                citation.document == excerpt.document
                and citation.quote.start <= excerpt.span.start < excerpt.span.end <= citation.quote.end
                for citation in answer.citations
            )
        answers[question] = answer.short
    assert len(set(answers.values())) == 2


@pytest.mark.model
def test_threads_share_it(article: Pipeline) -> None:
    questions = [f"What happened on day {number}?" for number in range(12)]
    alone = [article.ask(question).confidence for question in questions]
    found: dict[int, float] = {}

    def ask(number: int) -> None:
        found[number] = article.ask(questions[number]).confidence

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(questions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(len(questions))] == pytest.approx(alone)


def test_an_answer_keeps_its_marks_and_a_long_question_says_what_was_read() -> None:
    text = "The piece is ♟️ here. Jonas̃ wrote it."
    tokenizer = tokenizer_of(text, "w")
    one = hit(text)
    for word, whole in (("♟️", "♟️"), ("Jonas̃", "Jonas̃")):
        reader = Plain(Scripted(word_score(tokenizer, word, word)), tokenizer, ())
        finding = reader.read(retrieved("w", one)).findings[0]
        assert one.passage.document.text[slice(*finding.span)] == whole
    long = " ".join(["w"] * (QUESTION + 4)) + "?"
    read = Plain(Scripted(lambda row, a, b: 0.0), tokenizer, ()).read(retrieved(long, one))
    assert read.warnings == (f"The question has {QUESTION + 5} tokens; the reader read only its first {QUESTION}.",)
    assert retrieved("w", one).warnings == ()
