"""Texts to unit rows and token rows: the two kinds of encoder, over a function that runs a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rag.graph import Run
from rag.protocols import Encoding
from rag.types import Floats, Ints

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

BATCH = 1536  # tokens run together, padding included: what the activations of still fit the cores' caches
CHUNK = 128  # texts sorted by length together, so that a batch needs little padding; some seconds' work


class _Tokens(NamedTuple):
    """A text's tokens: rows of number, start, end and whether special, cut to what the model reads; its prompt's
    characters; and how many tokens there were before."""

    row: Ints
    prompt: int
    length: int


class TokenEncoder:
    """An Encoder over a fast tokenizer and a function that runs the model; safe to share between threads."""

    def __init__(self, tokenizer: Tokenizer, run: Run, facts: Mapping[str, Any]) -> None:
        self.model: str = facts["model"]
        self.fingerprint: str = facts["fingerprint"]
        self.dimension: int = facts["dimension"]
        self._prompts: Mapping[str, str] = facts["prompts"]
        self._pad: int = facts["pad"]
        self._size: int = facts["max_seq_length"]
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer, self._run = tokenizer, run
        prompt = max(self._prompts.values(), key=len)
        self.limit = self._size - len(tokenizer.encode(prompt).ids)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Texts to their numbers of tokens, special ones not counted."""
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(entry.ids) for entry in encoded]

    def encode_passages(self, texts: Sequence[str]) -> Iterator[Encoding]:
        """Texts to their encodings, in order, made in batches of like length."""
        for start in range(0, len(texts), CHUNK):
            chunk = self._tokenized(texts[start : start + CHUNK], "document")
            order = sorted(range(len(chunk)), key=lambda i: len(chunk[i].row))
            found: dict[int, Encoding] = {}
            while order:
                count = 1
                while count < len(order) and (count + 1) * len(chunk[order[count]].row) <= BATCH:
                    count += 1
                batch, order = order[:count], order[count:]
                found.update(zip(batch, self._encoded([chunk[i] for i in batch]), strict=True))
            yield from (found[i] for i in range(len(chunk)))

    def encode_query(self, text: str) -> Encoding:
        """A question to its encoding; longer than the model reads, it is cut, which `Encoding.length` shows."""
        return self._encoded(self._tokenized([text], "query"))[0]

    def _tokenized(self, texts: Sequence[str], kind: str) -> list[_Tokens]:
        prompt = self._prompts.get(kind, "")
        made = []
        for entry in self._tokenizer.encode_batch([prompt + text for text in texts]):
            row = np.array(
                [(i, *o, s) for i, o, s in zip(entry.ids, entry.offsets, entry.special_tokens_mask, strict=True)]
            )
            if len(row) > self._size:
                tail = int(np.argmin(row[::-1, 3]))  # the special tokens that end it
                row = np.concatenate([row[: self._size - tail], row[len(row) - tail :]])
            made.append(_Tokens(row, len(prompt), len(entry.ids)))
        return made

    def _encoded(self, texts: Sequence[_Tokens]) -> list[Encoding]:
        width = max(len(text.row) for text in texts)
        ids = np.full((len(texts), width), self._pad, np.int64)
        mask = np.zeros((len(texts), width), np.int64)
        for i, (row, _, _) in enumerate(texts):
            ids[i, : len(row)], mask[i, : len(row)] = row[:, 0], 1
        vectors, states = self._run(ids, mask)
        made = []
        for (row, prompt, length), vector, state in zip(texts, vectors, states, strict=True):
            own = (row[:, 3] == 0) & (row[:, 2] > prompt)
            tokens = state[: len(row)][own]
            tokens = tokens / np.maximum(np.linalg.norm(tokens, axis=1, keepdims=True), 1e-12)
            offsets = np.maximum(row[own, 1:3] - prompt, 0).astype(np.int64)
            own_ids = row[own, 0].astype(np.int64)
            told = length - (len(row) - len(own_ids))
            made.append(Encoding(vector.astype(np.float32), tokens.astype(np.float32), own_ids, offsets, told))
        return made


class SentenceEncoder:
    """An Encoder over a model that gives no token rows: retrieval then does without late interaction."""

    def __init__(self, model: SentenceTransformer, facts: Mapping[str, Any]) -> None:
        self.model: str = facts["model"]
        self.fingerprint: str = facts["fingerprint"]
        self._model = model
        self.dimension = len(self.encode_query("size").vector)
        self.limit = int(min(getattr(model, "max_seq_length", None) or 256, 1_000_000))  # some are infinite

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Texts to their numbers of tokens, at the least one a character when the model does not tell."""
        tokenizer = self._model.tokenizer
        if hasattr(tokenizer, "encode_batch"):
            return [len(entry.ids) for entry in tokenizer.encode_batch(list(texts))]
        return [len(tokenizer.encode(text)) for text in texts]

    def encode_passages(self, texts: Sequence[str]) -> Iterator[Encoding]:
        """Texts to their encodings, in order."""
        for start in range(0, len(texts), CHUNK):
            chunk = list(texts[start : start + CHUNK])
            rows = self._model.encode_document(chunk, normalize_embeddings=True, show_progress_bar=False)
            for row, length in zip(rows, self.count_tokens(chunk), strict=True):
                yield _rowless(row, length)

    def encode_query(self, text: str) -> Encoding:
        """A question to its encoding."""
        row = self._model.encode_query([text], normalize_embeddings=True, show_progress_bar=False)[0]
        return _rowless(row, self.count_tokens([text])[0])


def _rowless(row: Floats, length: int) -> Encoding:
    return Encoding(np.asarray(row, np.float32), None, np.empty(0, np.int64), np.empty((0, 2), np.int64), length)
