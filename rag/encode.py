"""Any sentence-transformers model to its encoder.

A model is exported once, by the hash of its files, into the user's cache: one ONNX graph with the outputs
`sentence_embedding` (pooled, unit) and `token_embeddings`, beside its tokenizer. The export is accepted only
if it equals sentence-transformers on the probe texts; then nothing imports torch again. A model whose export
is refused runs in torch; one without a fast tokenizer or token rows gives sentence rows only. Either says so.
In int8, the export is made anew from that one, beside it, and accepted if its rows point nearly the same way.
With `graph`, all that imports sentence-transformers.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag.encoders import SentenceEncoder, TokenEncoder
from rag.errors import IndexDamagedError, IndexMissingError, ModelError, StorageError
from rag.folders import current, locked, publish
from rag.graph import Run, torch_run, write_graph
from rag.models import GIVE_ANOTHER, computed, computing, export_folder, find_model, fingerprint_of
from rag.probe import INT8_TOLERANCE, TOLERANCE, difference, turned
from rag.protocols import Encoder
from rag.runtime import open_graph, open_tokenizer, write_int8
from rag.settings import FLOAT32, INT8
from rag.types import Floats, Ints

FORMAT = 1


def open_encoder(
    model: str,
    cache: Path,
    *,
    compute: str = FLOAT32,
    fingerprint: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Encoder:
    """A model's id or folder to its encoder, exported first if the cache has no export of it.

    compute: FLOAT32 or INT8; a model that cannot be exported so computes in 32 bits, which its fingerprint shows.
    fingerprint: the one that an index was built with, which says both the weights and what is computed in; an export
    of it is used without looking for the model. say: told, in a line, what takes long or is not as asked.
    Raises ModelError, StorageError.
    """
    if fingerprint and (ready := _exported(cache, fingerprint)):
        return ready
    path = find_model(model)
    found = fingerprint_of(path)
    wanted, compute = computed(fingerprint or computing(found, compute))
    if found != wanted:
        raise ModelError(
            f"the index was built with other weights of {model} ({wanted[:12]}…) than those in {path} "
            f"({found[:12]}…); rebuild it: footnote index, or restore the weights"
        )
    if ready := _exported(cache, computing(found, compute)):
        return ready
    encoder = _exported(cache, found) or _export(model, path, found, cache, say)
    return _in_int8(encoder, cache, say) if compute == INT8 else encoder


def _exported(cache: Path, fingerprint: str) -> Encoder | None:
    """The export in the cache, or None: not there, damaged, refused, or of another format."""
    try:
        version = current(export_folder(cache, fingerprint), mend="footnote index", what="encoder")
    except (IndexMissingError, IndexDamagedError):
        return None
    facts = version.manifest
    if facts.get("format") != FORMAT or facts.get("fingerprint") != fingerprint:
        return None
    return TokenEncoder(open_tokenizer(version.path / "tokenizer.json"), _onnx(version.path, facts["inputs"]), facts)


def _onnx(folder: Path, inputs: Sequence[str]) -> Run:
    """An exported graph's folder to a function that runs it."""
    session = open_graph(folder / "model.onnx")

    def run(ids: Ints, mask: Ints) -> tuple[Floats, Floats]:
        fed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        vectors, states = session.run(None, {name: fed[name] for name in inputs})
        return vectors, states

    return run


def _export(model: str, path: Path, fingerprint: str, cache: Path, say: Callable[[str], None]) -> Encoder:
    """Load a model with sentence-transformers and export it; what cannot be exported is used as it is."""
    say(f"preparing the encoder {model} (once; some seconds) ...")
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    try:
        loaded = SentenceTransformer(str(path), device="cpu", local_files_only=True)
    except Exception as error:  # whatever a foreign folder makes the libraries raise
        raise ModelError(f"{path} is not a usable sentence-transformers model ({error}); {GIVE_ANOTHER}") from error
    facts: dict[str, Any] = {"model": model, "fingerprint": fingerprint, "format": FORMAT}
    tokenizer = getattr(loaded.tokenizer, "backend_tokenizer", None)
    if tokenizer is None:
        say(f"{model} gives no token vectors: retrieval uses dense and BM25 only")
        return SentenceEncoder(loaded, facts)
    facts |= {
        "max_seq_length": int(loaded.max_seq_length or 512),
        "prompts": {"query": loaded.prompts.get("query") or "", "document": loaded.prompts.get("document") or ""},
        "pad": int(loaded.tokenizer.pad_token_id or 0),
        "inputs": list(loaded.tokenizer.model_input_names),
    }
    run, graph = torch_run(loaded, facts["inputs"])
    try:
        facts["dimension"] = run(np.zeros((1, 2), np.int64), np.ones((1, 2), np.int64))[0].shape[1]
    except KeyError:
        say(f"{model} gives no token vectors: retrieval uses dense and BM25 only")
        return SentenceEncoder(loaded, facts)

    def write(folder: Path) -> Mapping[str, Any]:
        write_graph(graph, facts["inputs"], folder / "model.onnx")
        (folder / "tokenizer.json").write_text(tokenizer.to_str(), "utf-8")
        encoder = TokenEncoder(open_tokenizer(folder / "tokenizer.json"), _onnx(folder, facts["inputs"]), facts)
        if (far := difference(encoder, loaded)) > TOLERANCE:
            raise ModelError(f"the export differs from sentence-transformers by {far:.1g}")
        return facts

    made = _written(cache, fingerprint, write)
    if not isinstance(made, str):
        return made
    say(f"{model} cannot be exported to ONNX ({made}): it runs in torch, slower")
    return TokenEncoder(tokenizer, run, facts)


def _written(cache: Path, fingerprint: str, write: Callable[[Path], Mapping[str, Any]]) -> Encoder | str:
    """Write an export that the cache has not; the encoder over it, or why there can be none. Raises StorageError."""
    folder = export_folder(cache, fingerprint)
    try:
        with locked(folder):
            if not (ready := _exported(cache, fingerprint)):  # else another process was quicker
                publish(folder, write)
                ready = _exported(cache, fingerprint)
        return ready or "it does not open again"
    except StorageError:
        raise
    except Exception as error:  # exporters raise anything; the model still works without
        return (str(error) or type(error).__name__).splitlines()[0]


def _in_int8(encoder: Encoder, cache: Path, say: Callable[[str], None]) -> Encoder:
    """An encoder to the same that computes in int8, exported beside it; itself, which is said, if that cannot be."""
    say(f"preparing the encoder {encoder.model} in int8 (once; some seconds) ...")
    fingerprint = computing(encoder.fingerprint, INT8)

    def write(fresh: Path) -> Mapping[str, Any]:
        try:
            source = current(export_folder(cache, encoder.fingerprint), mend="footnote index", what="encoder")
        except IndexMissingError:
            raise ModelError("it is not exported") from None
        facts = {**source.manifest, "fingerprint": fingerprint}
        shutil.copy(source.path / "tokenizer.json", fresh)
        write_int8(source.path / "model.onnx", fresh / "model.onnx")
        made = TokenEncoder(open_tokenizer(fresh / "tokenizer.json"), _onnx(fresh, facts["inputs"]), facts)
        if (far := turned(encoder, made)) > INT8_TOLERANCE:
            raise ModelError(f"its rows turn away by {far:.2g}")
        return facts

    made = _written(cache, fingerprint, write)
    if not isinstance(made, str):
        return made
    say(f"{encoder.model} cannot compute in int8 ({made}): it computes in float32")
    return encoder
