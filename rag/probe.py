"""An encoder beside the one that it should equal, to how far they differ on the probe texts."""

from __future__ import annotations

from typing import Any

import numpy as np

from rag.protocols import Encoder

TOLERANCE = 1e-4
# How far int8's rows may turn away: 1 minus the cosine, of a probe's row and of its token rows' mean. The packaged
# model's turn by .03 at most; a scale a layer in place of a channel, which ruins them, by .13.
INT8_TOLERANCE = 0.05
PROBES = (
    "Who?",
    "The Normans gave their name to Normandy, a region in France.",
    "Emoji 😀, é, 中文, “curly quotes”.",
    "A longer text, so that padding and truncation are tried as well; " * 40,
)


def difference(encoder: Encoder, loaded: Any) -> float:
    """The largest difference of an encoder from a sentence-transformers model, over the probes' rows and token rows."""
    rows = loaded.encode_document(list(PROBES), normalize_embeddings=True, show_progress_bar=False)
    states = loaded.encode_document(list(PROBES), output_value="token_embeddings", show_progress_bar=False)
    worst = 0.0
    for row, state, made in zip(rows, states, encoder.encode_passages(PROBES), strict=True):
        worst = max(worst, float(np.abs(row - made.vector).max()))
        tokens = state.cpu().numpy()
        tokens = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
        assert made.tokens is not None
        first = len(tokens) - len(made.tokens)  # special tokens and the prompt's come before, one may follow
        best = min(float(np.abs(tokens[at : at + len(made.tokens)] - made.tokens).max()) for at in range(first + 1))
        worst = max(worst, best)
    return worst


def turned(encoder: Encoder, made: Encoder) -> float:
    """The most that a probe's row, or its token rows in the mean, turn from one encoder to another: 1 - cosine."""
    worst = 0.0
    for one, other in zip(encoder.encode_passages(PROBES), made.encode_passages(PROBES), strict=True):
        assert one.tokens is not None
        assert other.tokens is not None
        tokens = float(np.einsum("td,td->t", one.tokens, other.tokens).mean())
        worst = max(worst, 1 - float(one.vector @ other.vector), 1 - tokens)
    return worst
