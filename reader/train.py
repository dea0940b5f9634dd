"""The reader's training: `python -m reader.train --data DIR`, then `python -m reader.export`.

    python -m reader.train --data DIR [--work DIR]

First a pass over all training sets, then one over those whose questions people wrote about paragraphs, with their
unanswerable ones; from there the last one, the closing, three times with other examples drawn, in another order: twice
with our own articles, once without. A checkpoint of each is written every few minutes to --work, and taken up from
there. The weights that ship are the mean of the three (Wortsman et al., Model soups, ICML 2022), each of them an
exponential average over its steps.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from eval.report import data_folder, reported
from rag import RagError
from rag.models import packaged_model
from rag.reader import common_ids
from rag.runtime import open_tokenizer
from rag.types import Ints
from reader.examples import ARTICLES, HELD_OUT, Corpus, Example, batches, draw
from reader.model import Reader, collate, loss

HERE = Path(__file__).resolve().parent
SEED = 20241124
TOKENS = 3_200  # a batch
RATE = 2e-4
WARM, KEPT = 0.08, 0.4  # of the trunk's steps, in which the rate rises; of the rate, with which the closings begin
AVERAGED = 0.998  # of the average's weights, kept at each step
APART = 1000  # between the closings' seeds
TRUNK, CHECKPOINT = "trunk.pt", "closing-{}.pt"
SAVE = 180  # seconds between checkpoints


Mixture = dict[str, dict[str, float]]  # a source's examples of each question, by kind; below 1 it is a chance
HUMAN = ("squad2_train", "squad_train_part", "squadshifts_wiki")
OTHER = ("squadshifts_reddit", "squadshifts_amazon")
GENERAL: Mixture = {
    "qamr": {"own": 0.2, "swap": 0.02},
    "qed_train": {"own": 0.5, "drop": 0.15},
    **{name: {"own": 0.3, "drop": 0.05, "swap": 0.05} for name in OTHER},
    **{name: {"own": 0.4, "drop": 0.1, "near": 0.1, "swap": 0.1} for name in HUMAN},
}
CLOSE: Mixture = {
    **{name: {"own": 1, "drop": 0.15, "near": 0.25, "swap": 0.12} for name in HUMAN},
    "squad2_train": {"own": 2, "drop": 0.2, "near": 0.3, "swap": 0.15},
}
PLAIN: Mixture = {
    **{name: {kind: 0.7 * share for kind, share in kinds.items()} | {"far": 0.05} for name, kinds in CLOSE.items()},
    ARTICLES.name: {"own": 1.6, "drop": 0.2, "near": 0.4, "swap": 0.15, "far": 0.1},
}
FIRST = (GENERAL, CLOSE)
CLOSINGS = (PLAIN, PLAIN, CLOSE)


def load_corpus(data: Path, work: Path, tokenizer: Tokenizer) -> Corpus:
    """The training sets, less the articles held out, with near misses mined."""
    corpus = Corpus(tokenizer)
    for name in HUMAN:
        corpus.add(data / name, without=HELD_OUT)
    _put_near(corpus, work / "near.json")
    corpus.add(ARTICLES)
    _put_near(corpus, work / "near-articles.json")
    for name in ("qed_train", "qamr", *OTHER):
        corpus.add(data / name)
    return corpus


def _put_near(corpus: Corpus, file: Path) -> None:
    """Give the questions added last their near misses; they are mined if the file is not there, and kept in it.

    Raises RagError for a file of other questions.
    """
    if not file.exists():
        file.write_text(json.dumps(corpus.mine()))
    try:
        corpus.put_near(json.loads(file.read_text()))
    except ValueError:
        raise RagError(f"{file} is not of these questions: delete its folder, to train from the start") from None


def examples_of(corpus: Corpus, mixture: Mixture, chance: random.Random) -> list[Example]:
    """A mixture's examples, drawn anew."""
    made = []
    for asked in corpus.asked:
        for kind, share in mixture.get(asked.source, {}).items():
            if kind != "own" and not asked.answerable:
                continue
            times = int(share) + (chance.random() < share % 1)
            made += [draw(corpus, asked, kind, chance) for _ in range(times)]
    return [example for example in made if example is not None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Arguments to an exit status."""
    parser = argparse.ArgumentParser(prog="python -m reader.train", description="Train the reader.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the folder of the sets (else FOOTNOTE_DATA)")
    parser.add_argument("--work", type=Path, default=HERE / "training", metavar="DIR")
    options = parser.parse_args(arguments)
    return reported("reader.train", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    data = data_folder(options.data)
    options.work.mkdir(parents=True, exist_ok=True)
    tokenizer = open_tokenizer(packaged_model() / "tokenizer.json")
    started = time.time()
    corpus = load_corpus(data, options.work, tokenizer)
    print(f"{len(corpus.asked)} questions of {len(corpus.texts)} texts, {time.time() - started:.0f} s", flush=True)
    common = common_ids(tokenizer)
    trunk = plan_of(corpus, FIRST, SEED)
    seeds = [SEED + APART * number for number in range(len(CLOSINGS))]
    closings = [plan_of(corpus, (last,), seed + len(FIRST)) for last, seed in zip(CLOSINGS, seeds, strict=True)]
    train(trunk, common, options.work / TRUNK, SEED, len(trunk))
    for number, closing in enumerate(closings):
        checkpoint = options.work / CHECKPOINT.format(number)
        if not checkpoint.exists():
            shutil.copy(options.work / TRUNK, checkpoint.with_suffix(".new"))
            os.replace(checkpoint.with_suffix(".new"), checkpoint)
        train(trunk + closing, common, checkpoint, seeds[number], len(trunk))
    return 0


def plan_of(corpus: Corpus, mixtures: Sequence[Mixture], seed: int) -> list[list[Example]]:
    """Mixtures to batches, each mixture's in random order."""
    plan: list[list[Example]] = []
    for number, mixture in enumerate(mixtures):
        chance = random.Random(seed + number)
        plan += batches(examples_of(corpus, mixture, chance), TOKENS, chance)
    return plan


def train(plan: list[list[Example]], common: Ints, checkpoint: Path, seed: int, trunk: int) -> None:
    """Batches, in order, from the checkpoint if there is one, which is written now and then and at the end.

    trunk: how many of them come before the closing.
    """
    torch.manual_seed(SEED)
    model, average = Reader(), Reader()
    own = [p for p in model.parameters() if p.requires_grad]
    mean = [p for p in average.parameters() if p.requires_grad]
    average.requires_grad_(False)
    optimiser = torch.optim.AdamW(own, lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_at(step, trunk, len(plan)))
    parts = {"model": model, "average": average, "optimiser": optimiser, "schedule": schedule}
    first = resumed(parts, checkpoint)
    model.train()
    saved = begun = time.time()
    seen, running = 0, []
    for step in range(first, len(plan)):
        torch.manual_seed(seed + step)
        batch = collate(plan[step], common)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = loss(model, batch, answerable_weight=0.5)
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(own, 1.0)
        optimiser.step()
        schedule.step()
        keep = min(AVERAGED, (step + 1) / (step + 10))
        torch._foreach_lerp_(mean, [p.detach() for p in own], 1 - keep)
        seen += len(plan[step])
        running.append(value.item())
        if step % 50 == 0 or step == len(plan) - 1:
            rate = seen / (time.time() - begun)
            mean_loss = float(np.mean(running[-200:]))
            print(
                f"{checkpoint.stem}, step {step} of {len(plan)}: loss {mean_loss:.4f}, {rate:.1f} examples a second",
                flush=True,
            )
        if time.time() - saved > SAVE or step == len(plan) - 1:
            new = checkpoint.with_suffix(".new")
            torch.save({"step": step + 1, **{name: part.state_dict() for name, part in parts.items()}}, new)
            os.replace(new, checkpoint)
            saved = time.time()


def rate_at(step: int, trunk: int, steps: int) -> float:
    """A step to the share of RATE: up in WARM of the trunk's, down to KEPT at its end, then to 0 in the closing's."""
    if step < trunk:
        warm = max(1, int(WARM * trunk))
        return min((step + 1) / warm, 1 - (1 - KEPT) * max(0, step - warm) / (trunk - warm))
    return KEPT * (steps - step) / max(1, steps - trunk)


def resumed(parts: Mapping[str, Any], checkpoint: Path) -> int:
    """Parts of the training, set to what a checkpoint says if there is one, to the step at which it goes on."""
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    step: int = state["step"]
    return step


if __name__ == "__main__":
    sys.exit(main())
