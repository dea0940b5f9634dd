"""Passages and their encodings to an index folder, and an index folder to search: FAISS, BM25, token vectors.

A version (see `folders`) holds
    documents.jsonl   {"id", "title", "source", "text", "sha256"}, a line a document
    passages.npy      int64 (passages, 3): document, start, end
    sentences.npy     int64 (sentences, 3): passage, start, end
    dense.faiss       the passages' unit rows as 16-bit floats, inner product: all compared, or above FLAT of them in
                      lists
    bm25/             bm25s over `text.words`; absent when the corpus has no words
    tokens.codes      the passages' token rows, one after another, uint8 (tokens, width): see `codes`; absent without
                      token rows
    token_places.npy  int64 (sentences + 1,): where each sentence's token rows start
    frequencies.npy   int64 (terms, 2): a vocabulary number, and in how many passages it occurs; sorted
and in its manifest the format, the encoder, the token rows' code, the counts and `inputs`, a hash of all that went in.
The only import of faiss and bm25s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from rag import codes
from rag.errors import IndexDamagedError, StorageError
from rag.folders import Version, current, publish, sha256_text
from rag.models import computed
from rag.protocols import Encoder, Encoding
from rag.settings import DEFAULT_MODEL, FLOAT32, Settings
from rag.text import words
from rag.types import Document, Floats, Ints, Passage, Span

FORMAT = 3
REBUILD = "footnote index [FOLDER] --out {}"
EXACT = 100  # passages up to which token rows keep all that a code can: a small index need not be smaller
FLAT = 20_000  # passages up to which every row is compared
PROBES = 64
BM25 = {"k1": 1.2, "b": 0.75, "method": "lucene"}
# What of an index is for what: files by the beginning of their names.
PARTS = {
    "text": ("documents",),
    "places": ("passages", "sentences", "token_places"),
    "dense": ("dense",),
    "bm25": ("bm25",),
    "tokens": ("tokens", "frequencies"),
}


def inputs_hash(documents: Sequence[Document], encoder: Encoder, recipe: Mapping[str, Any]) -> str:
    """All that an index depends on to one hash: the documents, the encoder, how they were split, the format."""
    facts = {
        "format": FORMAT,
        "encoder": encoder.fingerprint,
        "bm25": BM25,
        "recipe": dict(recipe),
        "documents": [(d.id, d.title, d.source, d.sha256) for d in documents],
    }
    return sha256_text(json.dumps(facts, sort_keys=True))


def write(
    folder: Path,
    documents: Sequence[Document],
    passages: Sequence[Passage],
    encodings: Iterable[Encoding],
    encoder: Encoder,
    *,
    inputs: str,
    reached: Callable[[str], None] = lambda step: None,
) -> Version:
    """Passages and their encodings, in the same order, to a new version of the index in `folder`.

    The caller holds `folders.locked(folder)`. reached: see `folders.publish`. Raises StorageError.
    """

    def fill(path: Path) -> Mapping[str, Any]:
        numbers = {document.id: number for number, document in enumerate(documents)}
        with (path / "documents.jsonl").open("w", encoding="utf-8", newline="\n") as file:
            for d in documents:
                entry = {"id": d.id, "title": d.title, "source": d.source, "text": d.text, "sha256": d.sha256}
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        rows = [(numbers[p.document.id], *p.span) for p in passages]
        parts = [(number, *span) for number, p in enumerate(passages) for span in p.sentences]
        np.save(path / "passages.npy", np.array(rows, np.int64).reshape(-1, 3))
        np.save(path / "sentences.npy", np.array(parts, np.int64).reshape(-1, 3))
        reached("texts")
        _write_bm25(path / "bm25", [words(p.text) for p in passages])
        reached("bm25")
        number = codes.bits(encoder.dimension, exact=len(passages) <= EXACT)
        tokens = _write_vectors(path, passages, encodings, encoder.dimension, number)
        reached("vectors")
        return {
            "format": FORMAT,
            "inputs": inputs,
            "encoder": {
                "model": encoder.model,
                "fingerprint": encoder.fingerprint,
                "dimension": encoder.dimension,
            },
            "code": {"bits": number, "width": codes.width(encoder.dimension, number)},
            "counts": {
                "documents": len(documents),
                "passages": len(rows),
                "sentences": len(parts),
                "tokens": tokens,
                "characters": sum(len(d.text) for d in documents),
            },
        }

    return publish(folder, fill, reached=reached)


def _write_bm25(folder: Path, corpus: list[list[str]]) -> None:
    if not any(corpus):  # bm25s cannot index a corpus without a word
        return
    import bm25s

    ranking = bm25s.BM25(**BM25)
    ranking.index(corpus, show_progress=False)
    ranking.save(folder)


def _write_vectors(
    path: Path, passages: Sequence[Passage], encodings: Iterable[Encoding], dimension: int, number: int
) -> int:
    """The encodings' rows to their files, token rows in `number` bits a figure; returns how many token rows."""
    import faiss

    dense = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    lengths = [np.empty(0, np.int64)]  # tokens of each sentence
    terms = [np.empty(0, np.int64)]
    with (path / "tokens.codes").open("wb") as file:
        for passage, encoding in zip(passages, encodings, strict=True):
            dense.add(encoding.vector[None])
            if encoding.tokens is None:
                continue
            file.write(codes.encode(encoding.tokens, number).tobytes())
            starts = np.array([span.start for span in passage.sentences]) - passage.span.start
            owners = np.searchsorted(starts, encoding.offsets[:, 0], side="right") - 1
            lengths.append(np.bincount(owners, minlength=len(starts)))
            terms.append(np.unique(encoding.ids))
    # `write_bytes` has Python's errors, and takes any path
    (path / "dense.faiss").write_bytes(faiss.serialize_index(by_size(dense)).tobytes())
    places = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    if not places[-1]:
        (path / "tokens.codes").unlink()
    else:
        np.save(path / "token_places.npy", places)
        np.save(path / "frequencies.npy", np.stack(np.unique(np.concatenate(terms), return_counts=True), axis=1))
    return int(places[-1])


def by_size(flat: Any) -> Any:
    """A flat FAISS index to the one to store: itself, or above FLAT rows an inverted file of them.

    A question then reads PROBES of 2 √n lists: its cost grows with √n, and a few of the nearest rows are missed.
    """
    import faiss

    if flat.ntotal <= FLAT:
        return flat
    rows, lists = flat.reconstruct_n(0, flat.ntotal), int(2 * flat.ntotal**0.5)
    kind, half = faiss.METRIC_INNER_PRODUCT, faiss.ScalarQuantizer.QT_fp16
    ivf = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(flat.d), flat.d, lists, half, kind, False)
    ivf.train(rows)
    ivf.add(rows)
    ivf.nprobe = PROBES
    return ivf


class Index:
    """An open index: a `Store`. Reading only, so threads may share it."""

    def __init__(self, version: Version) -> None:
        import faiss

        path, self.manifest = version.path, version.manifest
        self.model: str = self.manifest["encoder"]["model"]
        self.fingerprint: str = self.manifest["encoder"]["fingerprint"]
        self.compute = computed(self.fingerprint)[1]
        self.folder = path.parent
        with (path / "documents.jsonl").open(encoding="utf-8", newline="\n") as file:
            self.documents = tuple(Document(**json.loads(line)) for line in file)
        spans = np.load(path / "sentences.npy", allow_pickle=False).tolist()
        grouped = {number: tuple(Span(*row[1:]) for row in rows) for number, rows in groupby(spans, lambda row: row[0])}
        self._passages = tuple(
            Passage(self.documents[document], Span(start, end), grouped[number])
            for number, (document, start, end) in enumerate(np.load(path / "passages.npy", allow_pickle=False).tolist())
        )
        self._dense = faiss.deserialize_index(np.fromfile(path / "dense.faiss", np.uint8))
        self._bm25 = None
        if (path / "bm25").is_dir():
            import bm25s

            self._bm25 = bm25s.BM25.load(path / "bm25")
        self._tokens: codes.Codes | None = None
        if (path / "tokens.codes").exists():
            shape = (self.manifest["counts"]["tokens"], self.manifest["code"]["width"])
            self._tokens = np.memmap(path / "tokens.codes", np.uint8, "r", shape=shape)
            self._places = np.load(path / "token_places.npy", allow_pickle=False)
            self._lengths = np.diff(self._places)
            self._firsts = np.cumsum([0, *(len(passage.sentences) for passage in self._passages)])
            self._terms = np.load(path / "frequencies.npy", allow_pickle=False)

    @classmethod
    def open(cls, folder: Path, *, deep: bool = False, mend: str = REBUILD) -> Index:
        """An index folder to its current version, checked (every byte, if `deep`). mend: what an error tells to do.

        Raises IndexMissingError, IndexDamagedError, StorageError.
        """
        rebuild = mend.format(folder)
        version = current(folder, mend=rebuild, deep=deep)
        if version.manifest.get("format") != FORMAT:
            raise IndexDamagedError(
                f"the index in {folder} has format {version.manifest.get('format')}, this version reads {FORMAT}; "
                f"rebuild: {rebuild}"
            )
        try:
            return cls(version)
        except PermissionError as error:
            raise StorageError(f"cannot read {error.filename}: {error.strerror}") from error
        except Exception as error:  # what numpy, json, faiss and bm25s raise on files that are not theirs
            raise IndexDamagedError(f"the index in {folder} is damaged ({error}); rebuild: {rebuild}") from error

    def unlike(self, settings: Settings) -> Iterator[str]:
        """The settings to a line for each that asks for another encoder than the index was built with."""
        if settings.model not in {DEFAULT_MODEL, self.model}:
            yield (
                f"the index in {self.folder} is asked with the model it was built with, {self.model}; "
                f"FOOTNOTE_MODEL ({settings.model}) counts when an index is built"
            )
        if settings.compute not in {FLOAT32, self.compute}:
            yield (
                f"the index in {self.folder} is asked in {self.compute}, as it was built; "
                f"FOOTNOTE_COMPUTE ({settings.compute}) counts when an index is built"
            )

    def __len__(self) -> int:
        return len(self._passages)

    def passage(self, number: int) -> Passage:
        """A passage by its number."""
        return self._passages[number]

    def dense(self, vector: Floats, count: int) -> dict[int, float]:
        """The passages nearest a unit row (d,): at most `count`, their cosines by number."""
        import faiss

        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)  # for one row more would only wait, and wear the cores
        try:
            scores, numbers = self._dense.search(vector[None], min(count, len(self)))
        finally:
            faiss.omp_set_num_threads(threads)  # torch, if the caller uses it, counts on them
        # FAISS pads what it cannot fill with -1.
        return {int(n): float(s) for n, s in zip(numbers[0], scores[0], strict=True) if n >= 0}

    def bm25(self, words: Sequence[str], count: int) -> tuple[dict[int, float], Floats]:
        """Words to the best passages, at most `count` with a score above 0, by number, and all passages' scores."""
        if self._bm25 is None or not words:
            return {}, np.zeros(len(self), np.float32)
        scores: Floats = self._bm25.get_scores(list(words))
        count = min(count, len(scores))
        best = np.argpartition(-scores, count - 1)[:count]
        return {int(n): float(scores[n]) for n in best if scores[n] > 0}, scores

    def frequencies(self, ids: Ints) -> Ints:
        """Vocabulary numbers (n,) to the numbers of passages in which they occur (n,)."""
        if self._tokens is None:
            return np.zeros(len(ids), np.int64)
        places = np.minimum(np.searchsorted(self._terms[:, 0], ids), len(self._terms) - 1)
        counts: Ints = np.where(self._terms[places, 0] == ids, self._terms[places, 1], 0)
        return counts

    def cosines(self, rows: Floats, numbers: Sequence[int]) -> tuple[Floats, Ints] | None:
        """Unit rows and passages to their tokens' cosines, None when there are none. See `Store.cosines`."""
        if self._tokens is None:
            return None
        parts = [(self._firsts[number], self._firsts[number + 1]) for number in numbers]
        lengths = np.concatenate([self._lengths[first:last] for first, last in parts])
        held = [self._tokens[self._places[first] : self._places[last]] for first, last in parts]
        return codes.cosines(np.concatenate(held), rows, self.manifest["code"]["bits"]), lengths

    def sizes(self) -> dict[str, float]:
        """The index's bytes for each byte of its documents' text (UTF-8), by part (see PARTS), and in all."""
        text = sum(len(document.text.encode()) for document in self.documents)
        files = {name: entry["bytes"] for name, entry in self.manifest["files"].items()}
        parts = {
            part: sum(size for name, size in files.items() if name.startswith(beginnings)) / text
            for part, beginnings in PARTS.items()
        }
        return parts | {"all": sum(files.values()) / text}
