"""What a system's processes printed, and its folder, to its figures: costs, sizes, quality."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from eval import metrics
from eval.gold import Question
from eval.metrics import Place
from rag import Document

DEPTHS = (1, 5)
Lines = list[dict[str, Any]]


def costs(runs: Mapping[str, list[Any]], size: int) -> dict[str, Any]:
    """What the rounds printed to medians, and each round's own value under `rounds`."""
    rounds = {
        "start_s": runs["ask.first_s"],
        "warm_p50_ms": [percentile(times, 0.5) for times in runs["ask.warm_ms"]],
        "warm_p95_ms": [percentile(times, 0.95) for times in runs["ask.warm_ms"]],
        "build_bytes_per_s": [size / seconds for seconds in runs["build.build_s"]],
        "build_process_s": runs["build.process_s"],
        "build_peak_mb": [peak / 1e6 for peak in runs["build.peak_bytes"]],
        "ask_peak_mb": [peak / 1e6 for peak in runs["ask.peak_bytes"]],
    }
    if answers := runs.get("ask.answer_ms"):
        for stage in answers[0][0]:
            rounds[f"answer_{stage}_p50_ms"] = [median(took[stage] for took in each) for each in answers]
    rounded = {name: [round(value, 4) for value in values] for name, values in rounds.items()}
    return {**{name: median(values) for name, values in rounded.items()}, "rounds": rounded}


def percentile(values: Sequence[float], share: float) -> float:
    """Values to their percentile, as `eval.metrics` defines it."""
    return float(metrics.percentile(np.ones((1, len(values))), values, share)[0])


def sizes(folder: Path, size: int) -> dict[str, Any]:
    """An index folder to its bytes, for each byte of text, in all and by its parts (the encoder is not in it)."""
    parts: dict[str, int] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        parts[path.name] = parts.get(path.name, 0) + path.stat().st_size
    total = sum(parts.values())
    return {"index_bytes": total, "index_per_byte": round(total / size, 3), "index_parts": parts}


def quality(documents: Sequence[Document], questions: Sequence[Question], lines: Lines) -> dict[str, float]:
    """What a system found for each question to its document recall, and how often the sentence is right.

    recall@k: one of the question's documents is among the first k distinct ones found. sentence_first: the sentence
    shares at least half of the shorter one with an evidence quote; asked of the questions whose evidence is known.
    """
    texts = {document.id: document.text for document in documents}
    hits: dict[str, list[bool]] = {name: [] for name in (*(f"recall@{k}" for k in DEPTHS), "sentence_first")}
    for question, line in zip(questions, lines, strict=True):
        ranked = metrics.first_distinct(line["documents"])
        for k in DEPTHS:
            hits[f"recall@{k}"].append(any(name in question.documents for name in ranked[:k]))
        if question.evidence:
            places = _places(line["first"], texts) if line["first"] else []
            agreeing = (metrics.agrees(place, quote) for place in places for quote in question.evidence)
            hits["sentence_first"].append(any(agreeing))
    return {name: round(sum(of) / len(of), 4) for name, of in hits.items() if of}


def _places(sentence: Sequence[str], texts: Mapping[str, str]) -> list[Place]:
    """A document's id and a sentence of it to the places where it stands; its spaces may have been changed."""
    name, words = sentence
    pattern = r"\s+".join(map(re.escape, words.split()))
    return [Place(name, *match.span()) for match in re.finditer(pattern, texts[name])] if pattern else []
