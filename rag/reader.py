"""A retrieval to what reading it found: the exact answer in each of the best sentences, and how sure that is.

The reader is a span extractor trained for Footnote on the packaged embedder's own trunk; `reader/README.md` is its
model card. Its graph starts behind the embedding layer, whose tables are read from the embedder's own file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rag.errors import ModelError
from rag.folders import sha256_file
from rag.models import MEND, packaged_model
from rag.runtime import open_graph, open_tokenizer
from rag.text import STOP_WORDS, addresses, past_marks
from rag.types import Finding, Floats, Hit, Ints, Retrieval, SentenceId, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

QUESTION, WINDOW = 128, 104  # tokens that are read at most, of the question and around a sentence
LONGEST = 20  # tokens of an answer
MOST = 3  # windows
AT_ONCE = 2  # questions that are read at a time: each takes some 50 MB, and uses every core
CLS, SEP = 101, 102


class Tokens(NamedTuple):
    """A sentence's tokens: ids (n,), and code-point ranges in the document (n, 2)."""

    ids: Ints
    offsets: Ints


def windows_of(hits: Sequence[Hit], tokens: Callable[[SentenceId], Tokens]) -> list[list[SentenceId]]:
    """Hits to what is read at once: windows of consecutive sentences around the best ones, MOST at the most."""
    ranked = sorted((-score, i, j) for i, hit in enumerate(hits) for j, score in enumerate(hit.sentence_scores))
    found: list[list[SentenceId]] = []
    covered: set[SentenceId] = set()
    for _, hit, sentence in ranked:
        if len(found) == MOST:
            break
        if (place := SentenceId(hit, sentence)) not in covered:
            found.append(_around(place, len(hits[hit].passage.sentences), tokens))
            covered.update(found[-1])
    return found


def _around(place: SentenceId, count: int, tokens: Callable[[SentenceId], Tokens]) -> list[SentenceId]:
    """A sentence of a passage of so many to it and its neighbours, the one before first, in WINDOW tokens or so."""
    found, room, sides = [place], WINDOW - len(tokens(place).ids), [-1, 1]
    while sides:
        side = sides.pop(0)
        other = SentenceId(place.hit, (found[0] if side < 0 else found[-1]).sentence + side)
        if 0 <= other.sentence < count and len(tokens(other).ids) <= room:
            room -= len(tokens(other).ids)
            found = [other, *found] if side < 0 else [*found, other]
            sides.append(side)
    return found


def found_in(
    windows: Sequence[Sequence[tuple[SentenceId, Tokens]]], start: int, spans: Floats, none: Floats, answerable: Floats
) -> tuple[Finding, ...]:
    """Windows, the position at which they start, and their scores, to each sentence's best span, the best first."""
    best: dict[SentenceId, Finding] = {}
    for window, scores, silence, verdict in zip(windows, spans, none, answerable, strict=True):
        at = start
        for place, part in window:
            block = scores[at : at + len(part.ids), at : at + len(part.ids)]
            at += len(part.ids)
            if not block.size:
                continue
            first, last = np.unravel_index(int(block.argmax()), block.shape)
            span = Span(int(part.offsets[first, 0]), int(part.offsets[last, 1]))
            found = Finding(place, span, float(block[first, last] - silence), float(verdict))
            if place not in best or best[place].score < found.score:
                best[place] = found
    return tuple(sorted(best.values(), key=lambda finding: -finding.score))


class Reader:
    """The opened reader; threads may share it."""

    def __init__(self, session: InferenceSession, tokenizer: Tokenizer, tables: Sequence[Floats]) -> None:
        self._session, self._tokenizer, self._tables = session, tokenizer, tables
        self._running = BoundedSemaphore(AT_ONCE)

    @cached_property
    def _common(self) -> Ints:
        return common_ids(self._tokenizer)

    def read(self, retrieval: Retrieval) -> Retrieval:
        """A retrieval to the same with its findings."""
        hits = retrieval.hits

        @cache
        def tokens(place: SentenceId) -> Tokens:
            passage = hits[place.hit].passage
            start, end = passage.sentences[place.sentence]
            text = passage.document.text[start:end]
            entry = self._tokenizer.encode(text, add_special_tokens=False)
            offsets = np.array([(a, past_marks(text, b)) for a, b in entry.offsets], np.int64).reshape(-1, 2)
            if len(wholes := np.array(list(addresses(text)), np.int64).reshape(-1, 2)):  # none is cut
                at = np.searchsorted(wholes[:, 0], offsets[:, 0], side="right") - 1
                inside = (at >= 0) & (offsets[:, 0] < wholes[at, 1])
                offsets[inside] = wholes[at[inside]]
            return Tokens(np.array(entry.ids, np.int64), offsets + start)

        windows = [[(place, tokens(place)) for place in window] for window in windows_of(hits, tokens)]
        if not windows:
            return retrieval
        ids = self._tokenizer.encode(marked(retrieval.question), add_special_tokens=False).ids
        question = np.array(ids[:QUESTION], np.int64)
        scores = self._run(question, [np.concatenate([part.ids for _, part in window]) for window in windows])
        findings = found_in(windows, len(question) + 2, *scores)
        warnings = retrieval.warnings
        if len(ids) > QUESTION:
            warnings += (f"The question has {len(ids)} tokens; the reader read only its first {QUESTION}.",)
        return replace(retrieval, findings=findings, warnings=warnings)

    def _run(self, question: Ints, windows: Sequence[Ints]) -> tuple[Floats, Floats, Floats]:
        """Question ids and n windows' ids to spans (n, length, length), none and answerable (n,): see `reader.model`.

        Spans that end before they start, or are longer than LONGEST, are -inf.
        """
        width = len(question) + max(len(window) for window in windows) + 3
        ids, kinds, matched, mask = (np.zeros((len(windows), width), np.int64) for _ in range(4))
        for i, window in enumerate(windows):
            end = len(question) + 2 + len(window)
            ids[i, : end + 1] = np.concatenate([[CLS], question, [SEP], window, [SEP]])
            kinds[i, len(question) + 2 : end + 1] = 1
            mask[i, : end + 1] = 1
            matched[i, len(question) + 2 : end] = matches(question, window, self._common)
        fed = {"embedded": self._embedded(ids, kinds), "matched": matched, "mask": mask}
        with self._running:
            spans, none, answerable = self._session.run(None, fed)
        steps = np.arange(width)
        near = (steps[None, :] >= steps[:, None]) & (steps[None, :] < steps[:, None] + LONGEST)
        return np.where(near, spans, -np.inf), none, answerable

    def _embedded(self, ids: Ints, kinds: Ints) -> Floats:
        """Token ids and types (n, length) to the embedding layer's rows (n, length, d)."""
        words, places, types, scale, shift = self._tables
        rows = words[ids] + places[: ids.shape[1]] + types[kinds]
        rows -= rows.mean(axis=-1, keepdims=True)
        rows /= np.sqrt((rows * rows).mean(axis=-1, keepdims=True) + 1e-12)
        return np.asarray(rows * scale + shift, np.float32)


def marked(question: str) -> str:
    """A question to the same with its mark, as all that the reader was trained on have it: people leave it out."""
    return question if "?" in question else question.rstrip(" !.") + "?"


def common_ids(tokenizer: Tokenizer) -> Ints:
    """A tokenizer to the ids of stop words and of tokens without a letter or digit."""
    words = tokenizer.get_vocab().items()
    return np.array([i for word, i in words if word in STOP_WORDS or not any(c.isalnum() for c in word)], np.int64)


def matches(question: NDArray[np.integer], window: NDArray[np.integer], common: Ints) -> Ints:
    """Question and window ids to the window's marks: 0 not in the question, 1 a common id, 2 one that tells."""
    return np.where(np.isin(window, question), np.where(np.isin(window, common), 1, 2), 0)


def embedding_tables(weights: Path) -> tuple[Floats, ...]:
    """A safetensors file to the embedding layer's tables, mapped from the disk: words, positions, types, norm."""
    names = ("word_embeddings", "position_embeddings", "token_type_embeddings")
    with weights.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))

    def table(name: str) -> Floats:
        entry = header[f"embeddings.{name}"]
        offset = 8 + length + entry["data_offsets"][0]
        return np.memmap(weights, np.float32, "r", offset, tuple(entry["shape"]))

    words, places, types = (table(f"{name}.weight") for name in names)
    return words, places, types, table("LayerNorm.weight"), table("LayerNorm.bias")


def packaged_reader(sha256: str) -> Path:
    """The hash of the reader's graph to its file: in the installed package, or in a checkout. Raises ModelError."""
    installed = Path(str(resources.files("rag"))) / "reader.onnx"
    checkout = Path(__file__).resolve().parent.parent / "reader" / "reader.onnx"
    path = installed if installed.is_file() else checkout
    if not path.is_file():
        raise ModelError(f"the packaged reader is missing ({path}); {MEND}")
    if sha256_file(path) != sha256:
        raise ModelError(f"{path} is not the reader that the confidence was fitted with; {MEND}")
    return path


@cache
def open_reader(sha256: str) -> Reader:
    """The hash of the packaged reader's graph to the reader, opened once. Raises ModelError."""
    model = packaged_model()
    tables = embedding_tables(model / "model.safetensors")
    return Reader(open_graph(packaged_reader(sha256)), open_tokenizer(model / "tokenizer.json"), tables)
