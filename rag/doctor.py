"""Settings to findings: are the token table, the encoder and the index whole, and how to mend what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rag.build import packaged_folder
from rag.confidence import load_confidence
from rag.errors import IndexMissingError, RagError
from rag.folders import current
from rag.index import REBUILD, Index
from rag.models import export_folder, find_model, fingerprint_of
from rag.reader import packaged_reader
from rag.settings import Settings
from rag.tokens import ENCODING, count_tokens


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
    folder = export_folder(settings.cache, fingerprint_of(find_model(settings.model)))
    try:
        version = current(folder, mend=f"remove {folder}; it is exported anew when next needed", deep=deep)
    except IndexMissingError:
        return "not exported yet; the first question or build does it"
    return f"exported to {version.path}"


def _index(settings: Settings, deep: bool) -> str:
    folders = [settings.index] if settings.index else [packaged_folder(settings.cache)]
    if not settings.index and not (folders[0] / "CURRENT").exists():
        folders = []
    if not folders:
        return "none named, and the sample article's is not built yet; the first question does it"
    facts = []
    for folder in folders:
        index = Index.open(folder, deep=deep)
        counts = index.manifest["counts"]
        facts.append(f"{folder}, {counts['documents']} document(s), {counts['passages']} passage(s)")
    return "; ".join(facts) + (
        ", every byte checked" if deep else f" (every byte: --deep; rebuild: {REBUILD.format('DIR')})"
    )
