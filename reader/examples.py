"""Training sets to examples: a question with a window of whole sentences, its answers' spans in it or none.

A set is a folder with `docs.jsonl` (doc_id, title, text) and `qa.jsonl` (id, question, answers, doc_id,
answer_start, answerable, plausible_answers). Each pass over the data draws other windows, so nothing is stored
but token ids. Negatives: questions that people wrote to be unanswerable; the window without the sentence that
answers; near passages that lack the answer, found by Footnote's own retriever; passages of any other text; swapped
questions (`reader.swap`).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from rag import Pipeline, build_index, make_document
from rag.reader import LONGEST, marked
from rag.text import normalise, sentences, words
from reader.swap import swapped

Ids = NDArray[np.int32]
HELD_OUT = frozenset({"Normans", "Scottish Parliament", "1973 oil crisis"})  # of squad2_train: for fitting and stopping
QUESTION, WINDOW = 40, 128  # tokens at most
ARTICLES = Path(__file__).resolve().parent / "articles"  # a set of our own: invented texts, many near misses


@dataclass(frozen=True, slots=True)
class Text:
    """A document in tokens: their ids and characters' offsets, and the token at which each sentence starts."""

    title: str
    text: str
    ids: Ids  # (n,)
    offsets: Ids  # (n, 2)
    starts: tuple[int, ...]  # a sentence's first token; the last entry is n

    def sentence_of(self, token: int) -> int:
        """The sentence in which a token lies."""
        return int(np.searchsorted(self.starts, token, side="right")) - 1


@dataclass(slots=True)
class Asked:
    """A question about a text: its answers as token ranges (first, last), and near misses as (text, sentence)."""

    question: str
    text: int
    strings: tuple[str, ...]
    answers: tuple[tuple[int, int], ...]
    answerable: bool
    place: int  # the token to read around when there is no answer
    source: str
    near: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Example:
    """What the model reads: question and window ids; the answers' token ranges in the window, none if there is none."""

    question: Ids
    window: Ids
    answers: tuple[tuple[int, int], ...]
    weight: float = 1.0


class Corpus:
    """The texts and questions of some sets, in tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.texts: list[Text] = []
        self.asked: list[Asked] = []
        self._tokenizer = tokenizer
        self._questions: dict[str, Ids] = {}
        self._done = (0, 0)  # texts and questions whose near misses are there

    def add(self, folder: Path, *, titles: Iterable[str] | None = None, without: Iterable[str] = ()) -> None:
        """Add a set's questions; of these titles only, or without those."""
        numbers: dict[str, int] = {}
        for row in _rows(folder / "docs.jsonl"):
            if row["title"] in without or (titles is not None and row["title"] not in titles):
                continue
            numbers[row["doc_id"]] = len(self.texts)
            self.texts.append(self._tokenised(row["title"], normalise(row["text"])))
        for row in _rows(folder / "qa.jsonl"):
            if row["doc_id"] in numbers:
                self.asked.append(self._located(row, numbers[row["doc_id"]], folder.name))

    def _tokenised(self, title: str, text: str) -> Text:
        ids, offsets, starts = [], [], [0]
        for start, end in sentences(text):
            entry = self._tokenizer.encode(text[start:end], add_special_tokens=False)
            ids += entry.ids
            offsets += [(start + a, start + b) for a, b in entry.offsets]
            if entry.ids:
                starts.append(len(ids))
        places = np.array(offsets, np.int32).reshape(-1, 2)
        return Text(title, text, np.array(ids, np.int32), places, tuple(starts))

    def _located(self, row: dict[str, Any], number: int, source: str) -> Asked:
        text = self.texts[number]
        at = row["answer_start"] if isinstance(row["answer_start"], int) else -1
        strings = tuple(dict.fromkeys(normalise(a) for a in row["answers"] or row.get("plausible_answers") or ()))
        found = []
        home = None
        for string in strings:
            start = at if at >= 0 and text.text.startswith(string, at) else -1
            starts = [start] if start >= 0 else list(_occurrences(text.text, string))
            for start in starts:
                tokens = np.flatnonzero((text.offsets[:, 1] > start) & (text.offsets[:, 0] < start + len(string)))
                if len(tokens):
                    sentence = text.sentence_of(int(tokens[0]))
                    home = sentence if home is None else home
                    if sentence == home:
                        found.append((int(tokens[0]), int(tokens[-1])))
        place = found[0][0] if found else -1
        answerable = bool(row.get("answerable", True))
        answers = tuple(dict.fromkeys(found)) if answerable else ()
        return Asked(normalise(row["question"]), number, strings, answers, answerable, place, source)

    def question_ids(self, question: str) -> Ids:
        """A question to at most QUESTION token ids."""
        if question not in self._questions:
            ids = self._tokenizer.encode(marked(question), add_special_tokens=False).ids[:QUESTION]
            self._questions[question] = np.array(ids, np.int32)
        return self._questions[question]

    def mine(self, keep: int = 6) -> list[list[tuple[int, int]]]:
        """Find near misses for the questions added since `put_near`, in the texts added since; see there.

        These are sentences that Footnote ranks high and that lack the answer; only answerable questions have any.
        """
        text, first = self._done
        documents = [make_document(t.text, id=str(i), title=t.title) for i, t in enumerate(self.texts[text:], text)]
        with TemporaryDirectory() as scratch:
            build_index(documents, Path(scratch))
            pipeline = Pipeline.open(Path(scratch))
            return [self._near(asked, pipeline, keep) if asked.answerable else [] for asked in self.asked[first:]]

    def put_near(self, near: list[list[tuple[int, int]]]) -> None:
        """Give the questions added since this was last called their near misses, as (text, sentence)."""
        for asked, places in zip(self.asked[self._done[1] :], near, strict=True):
            asked.near = [(number, sentence) for number, sentence in places]
        self._done = len(self.texts), len(self.asked)

    def _near(self, asked: Asked, pipeline: Pipeline, keep: int) -> list[tuple[int, int]]:
        answers = [f" {' '.join(words(string))} " for string in asked.strings]
        found: list[tuple[int, int]] = []
        for sentence in pipeline.retrieve(asked.question).sentences:
            number = int(sentence.document.id)
            text = self.texts[number]
            token = int(np.searchsorted(text.offsets[:, 0], sentence.span.start))
            place = (number, text.sentence_of(min(token, len(text.ids) - 1)))
            said = f" {' '.join(words(sentence.text))} "
            home = number == asked.text and asked.answers and place[1] == text.sentence_of(asked.answers[0][0])
            if not home and place not in found and not any(a in said for a in answers):
                found.append(place)
        return found[:keep]


def draw(corpus: Corpus, asked: Asked, kind: str, chance: random.Random) -> Example | None:
    """A question to an example of a kind (own, drop, near, far, swap); None where it has none."""
    question, text = corpus.question_ids(asked.question), corpus.texts[asked.text]
    limit = chance.choice((WINDOW, 104, 88, 64))
    if kind == "near":
        return _near(corpus, asked, limit, chance)
    if kind == "far":
        return _far(corpus, asked, limit, chance)
    place = asked.answers[0][0] if asked.answers else asked.place
    if place < 0:
        place = chance.randrange(len(text.ids))
    sentence = text.sentence_of(place)
    window = _window(text, sentence, limit, chance, place)
    if kind == "drop":
        return _dropped(question, text, asked, sentence, window)
    ids = text.ids[window]
    if kind == "swap":
        other = swapped(asked.question, text.text, chance)
        return Example(corpus.question_ids(other), ids, (), 0.5) if other else None
    answers = tuple(
        (first - window.start, last - window.start)
        for first, last in asked.answers
        if window.start <= first and last < window.stop and last - first < LONGEST
    )
    return Example(question, ids, answers) if answers or not asked.answerable else None


def _near(corpus: Corpus, asked: Asked, limit: int, chance: random.Random) -> Example | None:
    """A question to a window around one of its near misses, unless the answer lies in that too."""
    if not asked.near:
        return None
    number, sentence = chance.choice(asked.near)
    text = corpus.texts[number]
    window = _window(text, sentence, limit, chance)
    if number == asked.text and any(window.start <= first < window.stop for first, _ in asked.answers):
        return None
    return Example(corpus.question_ids(asked.question), text.ids[window], ())


def _far(corpus: Corpus, asked: Asked, limit: int, chance: random.Random) -> Example | None:
    """A question to a window of a text of another title."""
    text = chance.choice(corpus.texts)
    if text.title == corpus.texts[asked.text].title or len(text.starts) < 2:
        return None
    window = _window(text, chance.randrange(len(text.starts) - 1), limit, chance)
    return Example(corpus.question_ids(asked.question), text.ids[window], ())


def _dropped(question: Ids, text: Text, asked: Asked, sentence: int, window: slice) -> Example | None:
    """A window to what is left of it without the sentence that answers."""
    first, last = max(text.starts[sentence], window.start), min(text.starts[sentence + 1], window.stop)
    rest = np.concatenate([text.ids[window.start : first], text.ids[last : window.stop]])
    inside = any(first <= a and b < last for a, b in asked.answers)
    return Example(question, rest, ()) if inside and len(rest) > 12 else None


def _window(text: Text, sentence: int, limit: int, chance: random.Random, place: int | None = None) -> slice:
    """A sentence to the tokens of it and its neighbours, at most `limit`."""
    first, last = sentence, sentence + 1
    while True:
        sides = [
            side
            for side in (-1, 1)
            if (first > 0 if side < 0 else last < len(text.starts) - 1)
            and (text.starts[last + (side > 0)] - text.starts[first - (side < 0)] <= limit)
        ]
        if not sides:
            break
        side = chance.choice(sides)
        first, last = first - (side < 0), last + (side > 0)
    start, end = text.starts[first], text.starts[last]
    if end - start > limit:  # one long sentence: a part of it
        centre = place if place is not None else start
        start = max(start, min(centre - chance.randrange(limit // 4, 3 * limit // 4), end - limit))
        end = start + limit
    return slice(start, end)


def _occurrences(text: str, string: str) -> Iterator[int]:
    start = text.find(string)
    while string and start >= 0:
        yield start
        start = text.find(string, start + 1)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def batches(examples: Sequence[Example], tokens: int, chance: random.Random) -> list[list[Example]]:
    """Examples to batches of like length, in random order, of about so many tokens each."""
    lengths = [len(example.question) + len(example.window) + 3 for example in examples]
    order = sorted(range(len(examples)), key=lambda i: (lengths[i] - 3) // 4 + chance.random())
    made: list[list[Example]] = [[]]
    widest = 0
    for i in order:
        widest = max(widest, lengths[i])
        if made[-1] and widest * (len(made[-1]) + 1) > tokens:
            made.append([])
            widest = lengths[i]
        made[-1].append(examples[i])
    chance.shuffle(made)
    return made
