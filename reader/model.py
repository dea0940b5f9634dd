"""The reader in torch: token ids to span, no-answer and answerable scores; and its export to the ONNX file that ships.

The embedding layer is the embedder's own and frozen, so the graph starts behind it (`rag.reader` looks rows up).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertModel

from rag.models import packaged_model
from rag.reader import CLS, LONGEST, SEP, matches
from rag.types import Ints
from reader.examples import Example

WIDTH = 384
PAIR = 64  # dimensions in which a span's ends meet
NEVER = -1e4


class Reader(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Six layers of the embedder's trunk, and three heads."""

    def __init__(self) -> None:
        super().__init__()
        trunk = BertModel.from_pretrained(
            str(packaged_model()),
            add_pooling_layer=False,
            attn_implementation="eager",
            attention_probs_dropout_prob=0.0,
            hidden_dropout_prob=0.1,
        )
        self.embeddings, self.encoder = trunk.embeddings.requires_grad_(False), trunk.encoder
        self.matched = nn.Embedding(3, WIDTH)
        self.ends = nn.Linear(WIDTH, 2)
        self.first, self.last = nn.Linear(WIDTH, PAIR), nn.Linear(WIDTH, PAIR)
        self.pool = nn.Linear(WIDTH, 1)
        self.verdict = nn.Sequential(nn.Linear(2 * WIDTH, 128), nn.GELU(), nn.Linear(128, 2))
        nn.init.zeros_(self.matched.weight)

    def embed(self, ids: Tensor, kinds: Tensor) -> Tensor:
        """Ids and token types to the frozen embeddings."""
        self.embeddings.eval()
        with torch.no_grad():
            return self.embeddings(input_ids=ids, token_type_ids=kinds)

    def forward(self, embedded: Tensor, matched: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Embedded tokens to spans (n, length, length), first token by last; no-answer (n,); answerable (n,)."""
        hidden = embedded + self.matched(matched)
        bias = (1.0 - mask.to(hidden.dtype))[:, None, None, :] * NEVER
        for layer in self.encoder.layer:
            hidden = layer(hidden, bias)
            hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        with torch.autocast("cpu", enabled=False):
            return self.heads(hidden.float(), bias.float())

    def heads(self, hidden: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The last layer's states to what `forward` returns."""
        start, end = self.ends(hidden).unbind(-1)
        meet = self.first(hidden) @ self.last(hidden).transpose(1, 2) / PAIR**0.5
        spans = start[:, :, None] + end[:, None, :] + meet
        weights = torch.softmax(self.pool(hidden).squeeze(-1) + bias[:, 0, 0], dim=-1)
        pooled = (weights[:, None, :] @ hidden).squeeze(1)
        none, answerable = self.verdict(torch.cat([hidden[:, 0], pooled], dim=-1)).unbind(-1)
        return spans, none, answerable


def collate(examples: Sequence[Example], common: Ints) -> dict[str, Tensor]:
    """Examples to padded tensors; `gold` (n, length, length) marks answers, `allowed` what may be one."""
    width = max(len(e.question) + len(e.window) for e in examples) + 3
    shape = (len(examples), width)
    ids, kinds, matched, mask = (np.zeros(shape, np.int64) for _ in range(4))
    context = np.zeros(shape, bool)
    gold = np.zeros((*shape, width), bool)
    for i, e in enumerate(examples):
        q, w = len(e.question), len(e.window)
        ids[i, : q + w + 3] = np.concatenate([[CLS], e.question, [SEP], e.window, [SEP]])
        kinds[i, q + 2 : q + w + 3] = 1
        mask[i, : q + w + 3] = 1
        context[i, q + 2 : q + w + 2] = True
        matched[i, q + 2 : q + w + 2] = matches(e.question, e.window, common)
        for first, last in e.answers:
            gold[i, q + 2 + first, q + 2 + last] = True
    steps = np.arange(width)
    near = (steps[None, :] >= steps[:, None]) & (steps[None, :] < steps[:, None] + LONGEST)
    arrays = {
        "ids": ids, "kinds": kinds, "matched": matched, "mask": mask, "gold": gold,
        "allowed": context[:, :, None] & context[:, None, :] & near,
        "weight": np.array([e.weight for e in examples], np.float32),
    }  # fmt: skip
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def loss(model: Reader, batch: dict[str, Tensor], answerable_weight: float) -> Tensor:
    """A batch to its mean loss: no answer or any of the answers, among all spans; and the answerable head's."""
    spans, none, answerable = model(model.embed(batch["ids"], batch["kinds"]), batch["matched"], batch["mask"])
    scores = spans.masked_fill(~batch["allowed"], NEVER).flatten(1)
    gold = batch["gold"].flatten(1)
    has = gold.any(dim=1)
    total = torch.logsumexp(torch.cat([scores, none[:, None]], dim=1), dim=1)
    right = torch.where(has, torch.logsumexp(scores.masked_fill(~gold, NEVER), dim=1), none)
    judged = nn.functional.binary_cross_entropy_with_logits(answerable, has.float(), reduction="none")
    return ((total - right + answerable_weight * judged) * batch["weight"]).mean()
