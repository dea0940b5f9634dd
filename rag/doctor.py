"""Settings to findings: are the token table, the encoder and the index whole, and how to mend what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rag.build import packaged_folder
from rag.confidence import load_confidence
from rag.errors import IndexMissingError, RagError
from rag.folders import current
from rag.index import REBUILD, Index
from rag.models import computing, export_folder, find_model, fingerprint_of
from rag.reader import packaged_reader
from rag.settings import FLOAT32, Settings
from rag.tokens import ENCODING, count_tokens

REMOVE = "remove {}; it is made anew when next needed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, whether it is well, and the facts or the remedy."""

    what: str
    well: bool
    detail: str


def examine(settings: Settings, *, deep: bool = False) -> Iterator[Finding]:
    """Settings to findings, one after another; with `deep`, every byte of the index and the export is read."""
    yield _finding("token table", lambda: f"{ENCODING}, {count_tokens(['one two three'])[0]} tokens in three words")
    model = _finding("model", lambda: _model(settings))
    yield model
    if model.well:
        yield _finding("encoder", lambda: _export(settings, deep))
    else:
        yield Finding("encoder", False, "not looked at: mend the model first")
    yield _finding("reader", lambda: str(packaged_reader(load_confidence().reader)))
    yield _finding("index", lambda: _index(settings, deep))


def _finding(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, look())
    except RagError as error:
        return Finding(what, False, str(error))


def _model(settings: Settings) -> str:
    path = find_model(settings.model)
    return f"{settings.model} in {path}, fingerprint {fingerprint_of(path)[:12]}"


def _export(settings: Settings, deep: bool) -> str:
    """The export of the settings' model, and if they ask for another computation than float32, that one's too."""
    weights, facts = fingerprint_of(find_model(settings.model)), []
    for compute in dict.fromkeys((FLOAT32, settings.compute)):
        folder = export_folder(settings.cache, computing(weights, compute))
        kind, first = ("", "question or build") if compute == FLOAT32 else (f" in {compute}", "build")
        try:
            facts.append(f"exported{kind} to {_exported(folder, deep)}")
        except IndexMissingError:
            facts.append(f"not exported{kind} yet; the first {first} does it")
    return "; ".join(facts)


def _exported(folder: Path, deep: bool) -> Path:
    return current(folder, mend=REMOVE.format(folder), deep=deep, what="encoder").path


def _index(settings: Settings, deep: bool) -> str:
    """The index, and if it computes otherwise than in float32, the export that it is asked with."""
    folder, mend = settings.index or packaged_folder(settings.cache), REBUILD
    if not settings.index:
        mend = REMOVE  # it must not be built of other documents
        if not (folder / "CURRENT").exists():
            return "none named, and the sample article's is not built yet; the first question does it"
    index = Index.open(folder, deep=deep, mend=mend)
    counts, computed = index.manifest["counts"], ""
    if index.compute != FLOAT32:
        computed = f", encoded in {index.compute}"
        with suppress(IndexMissingError):  # the first question makes it anew
            _exported(export_folder(settings.cache, index.fingerprint), deep)
    checked = ", every byte checked" if deep else f" (every byte: --deep; rebuild: {REBUILD.format('DIR')})"
    return f"{folder}, {counts['documents']} document(s), {counts['passages']} passage(s){computed}{checked}"
