"""Footnote: questions to answers that you can check. `from rag import ask`.

Importing this package is quick: each public name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rag.asking import ask
    from rag.build import Built, build_index
    from rag.check import Checker
    from rag.errors import (
        ContextError,
        DocumentError,
        IndexDamagedError,
        IndexMissingError,
        ModelError,
        QuestionError,
        RagError,
        ServerError,
        SettingsError,
        StorageError,
    )
    from rag.load import make_document, packaged_corpus, read_folder
    from rag.pipeline import Pipeline
    from rag.protocols import Answerer, Encoder, Encoding, Store
    from rag.settings import Settings
    from rag.types import (
        Answer,
        Citation,
        Claim,
        Document,
        Draft,
        Excerpt,
        Hit,
        Passage,
        Retrieval,
        SentenceId,
        Signal,
        Span,
        Verdict,
    )

# Where the public names live, the light modules first.
_HOMES = (
    "rag.errors",
    "rag.settings",
    "rag.types",
    "rag.protocols",
    "rag.load",
    "rag.check",
    "rag.build",
    "rag.pipeline",
    "rag.asking",
)
__all__ = [
    "Answer",
    "Answerer",
    "Built",
    "Checker",
    "Citation",
    "Claim",
    "ContextError",
    "Document",
    "DocumentError",
    "Draft",
    "Encoder",
    "Encoding",
    "Excerpt",
    "Hit",
    "IndexDamagedError",
    "IndexMissingError",
    "ModelError",
    "Passage",
    "Pipeline",
    "QuestionError",
    "RagError",
    "Retrieval",
    "SentenceId",
    "ServerError",
    "Settings",
    "SettingsError",
    "Signal",
    "Span",
    "StorageError",
    "Store",
    "Verdict",
    "ask",
    "build_index",
    "make_document",
    "packaged_corpus",
    "read_folder",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in _HOMES:
            module = import_module(home)
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module 'rag' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
