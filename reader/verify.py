"""The verifier: the reader's weights changed a little so that its verdict is on claims.

    python -m reader.verify --data DIR [--work DIR] [--out FILE]

Starts from the reader's checkpoint in --work (`reader.train`), trains a product of low rank beside each of its layers'
weights, and its verdict, on claims (`reader.claims`), and writes these changes as int8: see `rag.runtime.changed`.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eval.report import data_folder, reported
from rag.models import packaged_model
from rag.reader import LONGEST_CLAIM, common_ids
from rag.runtime import open_tokenizer
from reader.claims import draw_claims
from reader.examples import Example, batches
from reader.model import Reader, collate
from reader.train import CHECKPOINT, HERE, TOKENS, load_corpus

SEED = 20241124
CLAIMS = 12_000
RANK = 16
SCALE = 2.0  # of the products while they are trained
RATE = 1e-3
SOURCES = ("squad2_train", "squad_train_part", "squadshifts_wiki", "qed_train")

Floats = NDArray[np.float32]


class Low(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """A layer and a product of low rank beside its weights, which alone is trained."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer
        self.down = nn.Linear(layer.in_features, RANK, bias=False)
        self.up = nn.Linear(RANK, layer.out_features, bias=False)
        nn.init.normal_(self.down.weight, std=layer.in_features**-0.5)
        nn.init.zeros_(self.up.weight)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows through the layer, with what the product adds."""
        changed: Tensor = self.layer(rows) + SCALE * self.up(self.down(rows))
        return changed


def changeable(reader: Reader) -> dict[str, Low]:
    """A reader, made ready for other verdicts, to the changes of its layers by their weights' place."""
    reader.requires_grad_(False)
    for part in (reader.matched, reader.pool, reader.verdict):
        part.requires_grad_(True)
    found = {}
    for name, module in list(reader.encoder.named_modules()):
        if isinstance(module, nn.Linear):
            place, _, last = name.rpartition(".")
            found[name] = Low(module)
            setattr(reader.encoder.get_submodule(place), last, found[name])
    return found


def loss(reader: Reader, batch: dict[str, Tensor]) -> Tensor:
    """A batch, in which a supported claim has an answer, to the mean loss of the verdicts."""
    verdicts = reader(reader.embed(batch["ids"], batch["kinds"]), batch["matched"], batch["mask"])[2]
    supported = batch["gold"].flatten(1).any(dim=1).float()
    return nn.functional.binary_cross_entropy_with_logits(verdicts, supported)


def train(reader: Reader, plan: Sequence[Sequence[Example]], common: NDArray[np.int64]) -> None:
    """Train a changeable reader on batches, in order."""
    own = [weight for weight in reader.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(own, lr=RATE, weight_decay=0.01)
    warm = max(1, len(plan) // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, (len(plan) - step) / len(plan))
    )
    reader.train()
    running = []
    for step, examples in enumerate(plan):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = loss(reader, collate(examples, common))
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(own, 1.0)
        optimiser.step()
        schedule.step()
        running.append(value.item())
        if step % 50 == 0 or step == len(plan) - 1:
            print(f"step {step} of {len(plan)}: loss {np.mean(running[-100:]):.4f}", flush=True)


def changes(reader: Reader, lows: dict[str, Low], graph: Path) -> dict[str, NDArray[np.generic]]:
    """A trained reader and the ONNX file that it started from to the arrays that `rag.runtime.changed` takes."""
    found: dict[str, NDArray[np.generic]] = {"model.matched.weight": _array(reader.matched.weight)}
    heads = {"pool": reader.pool, "verdict.0": reader.verdict[0], "verdict.2": reader.verdict[2]}
    for node in onnx.load(graph).graph.node:
        if node.op_type != "MatMulInteger":
            continue
        place = node.name.removeprefix("/model/").removesuffix("/MatMul_quant").replace("/", ".")
        head = place.removeprefix("verdict.").removesuffix(".Gemm_MatMul_quant").replace("/", ".")
        name = node.input[1].removesuffix("_quantized")
        if place in lows:
            down, scales = rounded(SCALE * _array(lows[place].down.weight).T)
            up, more = rounded(_array(lows[place].up.weight))
            found |= {f"{name}.down": down, f"{name}.up": up.T, f"{name}.scale": scales * more}
        elif head in heads:
            weight, scales = rounded(_array(heads[head].weight).T)
            found |= {
                f"{name}_quantized": weight,
                f"{name}_scale": scales,
                f"model.{head}.bias": _array(heads[head].bias),
            }
    return found


def rounded(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Weights (n, d) to int8 and a scale for each column (d,)."""
    scales = (np.abs(weights).max(axis=0) / 127 + 1e-12).astype(np.float32)
    return np.rint(weights / scales).astype(np.int8), scales


def _array(weight: Tensor) -> Floats:
    return np.asarray(weight.detach().numpy(), np.float32)


def main(arguments: Sequence[str] | None = None) -> int:
    """Arguments to an exit status."""
    parser = argparse.ArgumentParser(prog="python -m reader.verify", description="Train the verifier.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the folder of the sets (else FOOTNOTE_DATA)")
    parser.add_argument("--work", type=Path, default=HERE / "training", metavar="DIR")
    parser.add_argument("--out", type=Path, default=HERE / "verifier.npz", metavar="FILE")
    options = parser.parse_args(arguments)
    return reported("reader.verify", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    torch.manual_seed(SEED)
    chance = random.Random(SEED)
    tokenizer = open_tokenizer(packaged_model() / "tokenizer.json")
    corpus = load_corpus(data_folder(options.data), options.work, tokenizer)
    corpus.asked = [asked for asked in corpus.asked if asked.source in SOURCES]
    examples = []
    for claim in draw_claims(corpus, CLAIMS, chance):
        ids = tokenizer.encode(claim.text, add_special_tokens=False).ids[:LONGEST_CLAIM]
        examples.append(Example(np.array(ids, np.int32), claim.window, ((0, 0),) if claim.supported else ()))
    reader = Reader()
    reader.load_state_dict(torch.load(options.work / CHECKPOINT, weights_only=True)["average"])
    lows = changeable(reader)
    train(reader, batches(examples, TOKENS, chance), common_ids(tokenizer))
    np.savez_compressed(options.out, allow_pickle=False, **changes(reader, lows, HERE / "reader.onnx"))
    print(f"wrote {options.out}: {options.out.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
