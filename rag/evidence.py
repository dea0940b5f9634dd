"""Claims and passages to what is compared of them: stems in order, the token rows of what tells, names.

The rows are the encoder's, a claim's as of a question, a sentence's in its passage; without them words are compared.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from rag.facts import cases, is_order
from rag.protocols import Encoder
from rag.text import STOP_WORDS, words
from rag.types import Floats, Ints, Passage, SentenceId, Span

NEAR = 5  # words apart that still count as neighbours
Truths = NDArray[np.bool_]
KEPT = 64  # passages whose token rows are kept


@dataclass(frozen=True, slots=True)
class Source:
    """A hit's sentences: texts, stems in order, token rows, which of them tell, the text before each; orders; names."""

    texts: list[str]
    stems: list[list[str]]
    rows: list[Floats]
    telling: list[Truths]
    before: list[str]
    orders: list[bool]
    upper: frozenset[str]
    lower: frozenset[str]


@dataclass(frozen=True, slots=True)
class Said:
    """A claim: its text, its stems, and the token rows of its content words; None when the encoder gives none."""

    text: str
    stems: list[str]
    rows: Floats | None

    @property
    def size(self) -> int:
        """How many of its words can be matched."""
        return len(self.stems if self.rows is None else self.rows)


class Evidence:
    """What an encoder makes of claims and passages; the last KEPT passages' are kept. Threads may share it."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._kept: OrderedDict[tuple[str, Span], Source] = OrderedDict()
        self._lock = Lock()

    def said(self, text: str) -> Said:
        """A text to what is matched of it; nothing of one that is longer than the encoder reads."""
        made, stems = self._encoder.encode_query(text), words(text)
        if made.length > self._encoder.limit:
            return Said(text, [], None)
        if made.tokens is None:
            return Said(text, stems, None)
        return Said(text, stems, made.tokens[_telling(text, made.offsets)])

    def source(self, passage: Passage) -> Source:
        """A passage to its sentences."""
        key = (passage.document.sha256, passage.span)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        source = self._read(passage)
        with self._lock:
            self._kept[key] = source
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return source

    def _read(self, passage: Passage) -> Source:
        text, first = passage.document.text, passage.span.start
        texts = [text[start:end] for start, end in passage.sentences]
        (made,) = self._encoder.encode_passages([passage.text])
        rows, telling = [], []
        for start, end in passage.sentences:
            if made.tokens is None:
                rows.append(np.empty((0, self._encoder.dimension), np.float32))
                telling.append(np.zeros(0, bool))
                continue
            here = (made.offsets[:, 0] >= start - first) & (made.offsets[:, 0] < end - first)
            rows.append(made.tokens[here])
            telling.append(_telling(passage.text, made.offsets[here]))
        before = [text[max(0, start - 300) : start] for start, _ in passage.sentences]
        stems, orders = [words(part) for part in texts], [is_order(part) for part in texts]
        return Source(texts, stems, rows, telling, before, orders, *cases(texts))


def _telling(text: str, offsets: Ints) -> Truths:
    """A text and its tokens' places to which of them tell something; if none does, those with a letter or digit."""
    parts = [text[start:end] for start, end in offsets]
    spoken = np.array([any(c.isalnum() for c in part) for part in parts], bool)
    content = spoken & np.array([part.casefold() not in STOP_WORDS for part in parts], bool)
    return content if content.any() else spoken


def matched(claim: Said, places: Sequence[SentenceId], sources: Sequence[Source]) -> Floats:
    """How well each word of a claim is matched in some sentences: its best cosine there; without rows, 1 or 0."""
    if claim.rows is None:
        held = {stem for hit, sentence in places for stem in sources[hit].stems[sentence]}
        return np.array([stem in held for stem in claim.stems], np.float32)
    rows = np.concatenate([sources[hit].rows[sentence] for hit, sentence in places])
    if not len(rows):
        return np.zeros(claim.size, np.float32)
    best: Floats = (rows @ claim.rows.T).max(axis=0)
    return best


def order_kept(claim: Sequence[str], evidence: Sequence[Sequence[str]]) -> float:
    """The share of a claim's neighbouring stems that are neighbours in the evidence."""
    pairs = list(pairwise(claim))
    near = {frozenset((s[i], other)) for s in evidence for i in range(len(s)) for other in s[i + 1 : i + NEAR]}
    return sum(frozenset(pair) in near for pair in pairs) / len(pairs) if pairs else 0.0


def known_names(sources: Sequence[Source]) -> frozenset[str]:
    """The stems that the sources write with a capital within a sentence, and never without one."""
    upper = set[str]().union(*(source.upper for source in sources))
    return frozenset(upper.difference(*(source.lower for source in sources)))
