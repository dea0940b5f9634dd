"""An encoder that costs next to nothing: each token has a random row of its own, a text's row is their mean.

It stands in for the model where the cost of an index is measured, not the quality of its answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from zlib import crc32

import numpy as np

from rag import Encoding

TOKEN = re.compile(r"\w+|[^\w\s]")
VOCABULARY = 30_000  # as many as all-MiniLM-L6-v2 has
DIMENSION = 384
LIMIT = 254


class StandIn:
    """An Encoder of words and signs, the same on every machine."""

    def __init__(self) -> None:
        self.model = "stand-in"
        self.fingerprint = f"stand-in {VOCABULARY} {DIMENSION}"
        self.dimension, self.limit = DIMENSION, LIMIT
        rows = np.random.default_rng(1).standard_normal((VOCABULARY, DIMENSION), np.float32)
        self._rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Texts to their numbers of words and signs."""
        return [len(TOKEN.findall(text)) for text in texts]

    def encode_passages(self, texts: Sequence[str]) -> Iterator[Encoding]:
        """Texts to their encodings."""
        return map(self.encode_query, texts)

    def encode_query(self, text: str) -> Encoding:
        """A text to its encoding."""
        found = list(TOKEN.finditer(text))
        kept = found[:LIMIT]
        ids = np.array([crc32(match.group().lower().encode()) % VOCABULARY for match in kept], np.int64)
        tokens = self._rows[ids]
        mean = tokens.sum(axis=0) if len(ids) else self._rows[0]
        offsets = np.array([match.span() for match in kept], np.int64).reshape(-1, 2)
        return Encoding(mean / np.linalg.norm(mean), tokens, ids, offsets, len(found))
