"""What the stages ask of each other: an encoder, a store, a reader, an answerer; and what an encoder gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from rag.types import Draft, Floats, Ints, Passage, Retrieval


@dataclass(frozen=True, slots=True)
class Encoding:
    """One text, encoded. vector: unit float32 (d,). tokens: unit float32 (n, d), or None when the model gives none.

    ids: int64 (n,), each token's number in the encoder's vocabulary. offsets: int64 (n, 2), its code-point range
    in the text. length: the text's tokens before any truncation, without special ones.
    """

    vector: Floats
    tokens: Floats | None
    ids: Ints
    offsets: Ints
    length: int


class Encoder(Protocol):
    """Texts to unit rows and token rows. `fingerprint` names the weights by content; `limit` is in its own tokens."""

    model: str
    fingerprint: str
    dimension: int
    limit: int

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Texts to their numbers of tokens, special ones not counted."""

    def encode_passages(self, texts: Sequence[str]) -> Iterator[Encoding]:
        """Texts to their encodings, in order."""

    def encode_query(self, text: str) -> Encoding:
        """A question to its encoding; cut at `limit`, which `Encoding.length` shows."""


class Store(Protocol):
    """What retrieval asks of an index. Passages are numbered from 0 to len(store) - 1."""

    def __len__(self) -> int:
        """The number of passages."""

    def passage(self, number: int) -> Passage:
        """A passage by its number."""

    def dense(self, vector: Floats, count: int) -> dict[int, float]:
        """A unit row (d,) to the nearest passages, at most `count`: their cosines by number."""

    def bm25(self, words: Sequence[str], count: int) -> tuple[dict[int, float], Floats]:
        """Words to the best passages, at most `count` with a score above 0, by number, and all passages' scores."""

    def frequencies(self, ids: Ints) -> Ints:
        """Vocabulary numbers (n,) to the numbers of passages in which they occur (n,)."""

    def cosines(self, rows: Floats, numbers: Sequence[int]) -> tuple[Floats, Ints] | None:
        """Unit rows (t, d) to their cosines with passages' token rows; None when the index has none.

        Gives float32 (n, t), the tokens of one passage after another, and how many of them each of the passages'
        sentences has, int64 (sentences,). The cosines may be estimates, right on average.
        """


class Reader(Protocol):
    """Finds exact answers in the sentences that were retrieved."""

    def read(self, retrieval: Retrieval) -> Retrieval:
        """A retrieval to the same with what was found in its sentences."""


class Answerer(Protocol):
    """A retrieval to the sentences of an answer, each with the source sentences that it rests on."""

    def answer(self, retrieval: Retrieval) -> Iterator[Draft]:
        """A retrieval to drafts, in the order in which they are to be read."""
