"""Stand-ins for the heavy parts: an encoder that hashes words, so that tests need no model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

from rag.protocols import Encoding
from rag.types import Floats, Retrieval

DIMENSION = 32
_TOKEN = re.compile(r"\w+|[^\w\s]")


def token_id(token: str) -> int:
    """A token to its number, the same for the same letters."""
    return int.from_bytes(hashlib.sha256(token.casefold().encode("utf-8", "replace")).digest()[:4], "big")


@cache
def token_row(token: str) -> Floats:
    """A token to its unit row: the same for the same letters, nearly orthogonal for others."""
    row = np.random.default_rng(token_id(token)).standard_normal(DIMENSION).astype(np.float32)
    unit: Floats = row / np.linalg.norm(row)
    return unit


class HashEncoder:
    """An Encoder of words and signs; a text's vector is the mean of its tokens', made unit."""

    def __init__(self, name: str = "hash", limit: int = 254) -> None:
        self.model = name
        self.fingerprint = hashlib.sha256(name.encode()).hexdigest()
        self.dimension = DIMENSION
        self.limit = limit

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(_TOKEN.findall(text)) for text in texts]

    def encode_passages(self, texts: Sequence[str]) -> Iterator[Encoding]:
        return (self.encode_query(text) for text in texts)

    def encode_query(self, text: str) -> Encoding:
        found = list(_TOKEN.finditer(text))
        kept = found[: self.limit]
        tokens = np.array([token_row(m.group()) for m in kept], np.float32).reshape(-1, DIMENSION)
        mean = tokens.sum(axis=0) if kept else token_row("")
        vector = mean / max(float(np.linalg.norm(mean)), 1e-9)
        offsets = np.array([m.span() for m in kept], np.int64).reshape(-1, 2)
        ids = np.array([token_id(m.group()) for m in kept], np.int64)
        return Encoding(vector.astype(np.float32), tokens, ids, offsets, len(found))


class Unread:
    """A reader that reads nothing."""

    def read(self, retrieval: Retrieval) -> Retrieval:
        return retrieval


class RowlessEncoder(HashEncoder):
    """A HashEncoder that gives no token rows."""

    def encode_query(self, text: str) -> Encoding:
        made = super().encode_query(text)
        return Encoding(made.vector, None, np.empty(0, np.int64), np.empty((0, 2), np.int64), made.length)


def opens(monkeypatch: pytest.MonkeyPatch, opener: Any) -> None:
    """Whoever opens an encoder gets what `opener` gives."""
    for module in ("build", "pipeline"):
        monkeypatch.setattr(f"rag.{module}.open_encoder", opener)
