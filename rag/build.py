"""Documents to an index: the order of loading, splitting, encoding and writing; and the packaged article's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag import index as indexes
from rag.encode import open_encoder
from rag.errors import DocumentError, IndexDamagedError, IndexMissingError
from rag.folders import current, locked, sha256_text
from rag.load import packaged_corpus, read_folder
from rag.models import computed
from rag.protocols import Encoder, Encoding
from rag.settings import Settings
from rag.split import CAP, LONGEST, TARGET, split
from rag.types import Document

Say = Callable[[str], None]
Progress = Callable[[int, int], None]  # passages done, passages in all
RECIPE = {"target": TARGET, "longest": LONGEST, "cap": CAP}


def silent(line: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Built:
    """What building came to. changed: False when the index was whole and up to date already.

    left_out: a line about each file that could not be read.
    """

    folder: Path
    changed: bool
    documents: int
    passages: int
    left_out: tuple[str, ...] = ()


def build_index(
    documents: Path | str | Sequence[Document],
    out: Path | str,
    *,
    settings: Settings | None = None,
    encoder: Encoder | None = None,
    say: Say = silent,
    progress: Progress = lambda done, total: None,
    reached: Say = silent,
) -> Built:
    """A folder (or documents) to an index in the folder `out`, all or nothing; nothing to do if it is up to date.

    encoder: instead of the settings' model. say: told in a line what takes long, and of each file that cannot be
    read, which is then left out; without it, such a file raises. reached: see `folders.publish`.
    Raises DocumentError, ModelError, StorageError.
    """
    settings, out = settings or Settings.from_environment(), Path(out)
    left_out: list[str] = []
    if isinstance(documents, Path | str):
        texts = read_folder(documents, None if say is silent else left_out.append)  # nothing is left out unsaid
    else:
        texts = tuple(documents)
    for line in left_out:
        say(f"left out: {line}")
    _check(texts)
    encoder = encoder or open_encoder(settings.model, settings.cache, compute=settings.compute, say=say)
    cap = min(CAP, encoder.limit)
    inputs = indexes.inputs_hash(texts, encoder, RECIPE)
    with locked(out):
        try:
            index = indexes.Index.open(out, deep=True)
            if index.manifest.get("inputs") == inputs:
                return Built(out, False, len(index.documents), len(index), tuple(left_out))
            if (compute := computed(encoder.fingerprint)[1]) != index.compute:
                say(f"{out} was built in {index.compute}: it is rebuilt in {compute} (FOOTNOTE_COMPUTE)")
        except (IndexMissingError, IndexDamagedError):
            pass
        passages = [passage for text in texts for passage in split(text, encoder.count_tokens, cap)]
        say(f"encoding {len(passages)} passage(s) of {len(texts)} document(s) ...")

        def encodings() -> Iterator[Encoding]:
            for done, encoding in enumerate(encoder.encode_passages([p.text for p in passages]), start=1):
                yield encoding
                progress(done, len(passages))

        indexes.write(out, texts, passages, encodings(), encoder, inputs=inputs, reached=reached)
    return Built(out, True, len(texts), len(passages), tuple(left_out))


def packaged_folder(cache: Path) -> Path:
    """Where the packaged article's index is kept in a cache: named by all that it is made of but the encoder."""
    texts = read_folder(packaged_corpus())
    inputs = sha256_text(f"{indexes.FORMAT} {RECIPE} {[(text.id, text.title, text.sha256) for text in texts]}")
    return cache / f"article-{inputs[:12]}"


def packaged_index(settings: Settings, encoder: Encoder | None, say: Say) -> Path:
    """The packaged article's index in the user's cache, built if it is not there."""
    folder = packaged_folder(settings.cache)
    try:
        current(folder, mend="")
    except (IndexMissingError, IndexDamagedError):
        say(f"building the sample article's index in {folder} (once) ...")
        own = Settings(cache=settings.cache)
        encoder = encoder or open_encoder(own.model, own.cache, say=say)
        build_index(packaged_corpus(), folder, settings=own, encoder=encoder)
    return folder


def _check(texts: Sequence[Document]) -> None:
    """Raise DocumentError when there is nothing to index, or when two documents have one id."""
    if not any(text.text.strip() for text in texts):
        raise DocumentError(f"there is no text to index in {len(texts)} document(s): give one that is not empty")
    id, count = Counter(text.id for text in texts).most_common(1)[0]
    if count > 1:
        raise DocumentError(f"{count} documents have the id {id!r}: give each its own (a file's is its path)")
