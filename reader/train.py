"""The reader's training: `python -m reader.train --data DIR` writes reader/reader.onnx.

    python -m reader.train --data DIR [--work DIR] [--out FILE]

Two phases: every training set with question-answer sentences (QAMR) and questions that people really typed (QED),
then the sets whose questions people wrote about paragraphs, with their unanswerable ones. A checkpoint is written
every few minutes to --work, and taken up from there. The weights that ship are an exponential average.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from rag.models import find_model
from rag.settings import DEFAULT_MODEL
from rag.text import STOP_WORDS
from reader.examples import HELD_OUT, Corpus, Example, batches, draw
from reader.model import Reader, collate, loss

SEED = 20241124
TOKENS = 3_200  # a batch
RATE = 2e-4
AVERAGED = 0.998  # of the average's weights, kept at each step
SAVE = 180  # seconds between checkpoints


@dataclass(frozen=True, slots=True)
class Phase:
    """A pass over a mixture: examples drawn of each question of a source, by kind; below 1 it is a chance."""

    name: str
    mixture: dict[str, dict[str, float]]


HUMAN = ("squad2_train", "squad_train_part", "squadshifts_wiki")
OTHER = ("squadshifts_reddit", "squadshifts_amazon")
GENERAL = Phase(
    "general",
    {
        "qamr": {"own": 0.2, "swap": 0.02},
        "qed_train": {"own": 0.5, "drop": 0.15},
        **{name: {"own": 0.3, "drop": 0.05, "swap": 0.05} for name in OTHER},
        **{name: {"own": 0.4, "drop": 0.1, "near": 0.1, "swap": 0.1} for name in HUMAN},
    },
)
CLOSE = Phase(
    "close",
    {
        **{name: {"own": 1, "drop": 0.15, "near": 0.25, "swap": 0.12} for name in HUMAN},
        "squad2_train": {"own": 2, "drop": 0.2, "near": 0.3, "swap": 0.15},
    },
)
PHASES = (GENERAL, CLOSE, CLOSE)


def stop_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """The ids of stop words and of tokens without a letter or digit."""
    vocabulary = tokenizer.get_vocab()
    return frozenset(i for word, i in vocabulary.items() if word in STOP_WORDS or not any(c.isalnum() for c in word))


def load_corpus(data: Path, work: Path, tokenizer: Tokenizer) -> Corpus:
    """The training sets, less the articles held out, with near misses mined."""
    corpus = Corpus(tokenizer)
    corpus.add(data / "squad2_train", without=HELD_OUT)
    corpus.add(data / "squad_train_part")
    corpus.add(data / "squadshifts_wiki")
    near = work / "near.json"
    if near.exists():
        corpus.put_near(json.loads(near.read_text()))
    else:
        corpus.mine()
        near.write_text(json.dumps([asked.near for asked in corpus.asked]))
    for name in ("qed_train", "qamr", *OTHER):
        corpus.add(data / name)
    return corpus


def examples_of(corpus: Corpus, phase: Phase, chance: random.Random) -> list[Example]:
    """A phase's examples, drawn anew."""
    made = []
    for asked in corpus.asked:
        for kind, share in phase.mixture.get(asked.source, {}).items():
            if kind != "own" and not asked.answerable:
                continue
            times = int(share) + (chance.random() < share % 1)
            made += [draw(corpus, asked, kind, chance) for _ in range(times)]
    return [example for example in made if example is not None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Arguments to an exit status."""
    parser = argparse.ArgumentParser(prog="python -m reader.train", description="Train the reader.")
    parser.add_argument("--data", type=Path, default=os.environ.get("FOOTNOTE_DATA"), metavar="DIR")
    parser.add_argument("--work", type=Path, default=Path("reader/work"), metavar="DIR")
    options = parser.parse_args(arguments)
    if not options.data:
        sys.stderr.write("reader.train: name the folder of the question sets: --data DIR, or FOOTNOTE_DATA\n")
        return 2
    options.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    tokenizer = Tokenizer.from_file(str(find_model(DEFAULT_MODEL) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    started = time.time()
    corpus = load_corpus(Path(options.data), options.work, tokenizer)
    print(f"{len(corpus.asked)} questions of {len(corpus.texts)} texts, {time.time() - started:.0f} s", flush=True)
    chances = [random.Random(SEED + number) for number, _ in enumerate(PHASES)]
    plan = [
        batch
        for number, phase in enumerate(PHASES)
        for batch in batches(examples_of(corpus, phase, chances[number]), TOKENS, chances[number])
    ]
    examples = [example for batch in plan for example in batch]
    answered = sum(bool(example.answers) for example in examples)
    print(f"{len(plan)} steps, {len(examples)} examples, {answered} of them with an answer", flush=True)
    train(plan, stop_ids(tokenizer), options.work)
    return 0


def train(plan: list[list[Example]], stop: frozenset[int], work: Path) -> Reader:
    """Batches, in order, to the averaged model; checkpoints in `work`, taken up again."""
    model, average = Reader(), Reader()
    own = [p for p in model.parameters() if p.requires_grad]
    mean = [p for p in average.parameters() if p.requires_grad]
    average.requires_grad_(False)
    optimiser = torch.optim.AdamW(own, lr=RATE, weight_decay=0.01)
    warm = len(plan) // 20
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, max(0.0, (len(plan) - step) / (len(plan) - warm)))
    )
    checkpoint, first = work / "checkpoint.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        first = state["step"]
    model.train()
    saved = begun = time.time()
    seen, running = 0, []
    for step in range(first, len(plan)):
        torch.manual_seed(SEED + step)
        batch = collate(plan[step], stop)
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
            print(f"step {step} of {len(plan)}: loss {mean_loss:.4f}, {rate:.1f} examples a second", flush=True)
        if time.time() - saved > SAVE or step == len(plan) - 1:
            state = {"model": model, "average": average, "optimiser": optimiser, "schedule": schedule}
            torch.save({"step": step + 1, **{k: v.state_dict() for k, v in state.items()}}, work / "new.pt")
            os.replace(work / "new.pt", checkpoint)
            saved = time.time()
    return average


if __name__ == "__main__":
    sys.exit(main())
