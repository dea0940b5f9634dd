"""What the compared programs have in common: commands, clock, what they print. Only the standard library.

    python -m eval.peers.NAME build|ask|judge --index DIR [--texts FILE] [--questions FILE] [--model DIR]

build   texts (JSON lines: "id", "text") to an index folder; prints the build's seconds
ask     loads the folder, answers the first question and prints a line at once; then asks all, one after another
judge   the documents found for every question, and the sentence that would be shown first; nothing is timed
Every line is one JSON object; the last one has the process's peak memory.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

KEPT = 10  # passages asked of everyone
SENTENCES = re.compile(r"(?<=[.!?])\s+|(?<=[.!?][\"”’')\]])\s+|\n+")

Rows = list[list[float]]


class Found(NamedTuple):
    """A passage found: its document's id and its words."""

    document: str
    text: str


class Opened(NamedTuple):
    """An index loaded and ready.

    search: a question to at most KEPT passages, best first. first: a question and what was found to the sentence to
    show first, with its document. answer: a question to what its whole answer took, milliseconds by stage; None
    where there is nothing beyond `search`.
    """

    search: Callable[[str], list[Found]]
    first: Callable[[str, list[Found]], Found]
    answer: Callable[[str], dict[str, float]] | None = None


class Program(NamedTuple):
    """Texts (id, words) to an index in a folder, and that folder to what can be asked. model: the encoder's folder."""

    build: Callable[[Sequence[tuple[str, str]], Path, str], None]
    load: Callable[[Path, str], Opened]


def run(program: Program) -> None:
    """The command line's command, done by a program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=("build", "ask", "judge"))
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--model", default="")
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--questions", type=Path)
    options = parser.parse_args()
    {"build": _build, "ask": _ask, "judge": _judge}[options.command](program, options)
    _say({"peak_bytes": peak_bytes()})


def _build(program: Program, options: argparse.Namespace) -> None:
    texts = [(entry["id"], entry["text"]) for entry in _lines(options.texts)]
    start = time.perf_counter()
    program.build(texts, options.index, options.model)
    _say({"build_s": time.perf_counter() - start})


def _ask(program: Program, options: argparse.Namespace) -> None:
    questions = [entry["question"] for entry in _lines(options.questions)]
    opened = program.load(options.index, options.model)
    took = opened.answer(questions[0]) if opened.answer else None
    found = opened.search(questions[0]) if took is None else []
    _say({"first": found[0] if found else took})
    for question in questions[:20]:  # to warm up
        opened.search(question)
    _say({"warm_ms": [_milliseconds(opened.search, question) for question in questions]})
    if opened.answer:
        _say({"answer_ms": [opened.answer(question) for question in questions]})


def _judge(program: Program, options: argparse.Namespace) -> None:
    opened = program.load(options.index, options.model)
    for entry in _lines(options.questions):
        found = opened.search(entry["question"])
        first = opened.first(entry["question"], found) if found else None
        _say({"documents": [one.document for one in found], "first": first})


def _milliseconds(search: Callable[[str], list[Found]], question: str) -> float:
    start = time.perf_counter()
    search(question)
    return (time.perf_counter() - start) * 1000


def by_cosine(embed: Callable[[list[str]], Rows], question: str, found: list[Found]) -> Found:
    """A question and what was found to the first passage's sentence that the same encoder holds nearest to it."""
    sentences = [part for part in SENTENCES.split(found[0].text) if part.strip()] or [found[0].text]
    asked, *rows = embed([question, *sentences])
    return Found(found[0].document, max(zip(sentences, rows, strict=True), key=lambda pair: cosine(asked, pair[1]))[0])


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Two rows to their cosine."""
    product = sum(a * b for a, b in zip(one, other, strict=True))
    norms = sum(a * a for a in one) * sum(b * b for b in other)
    return float(product / max(norms, 1e-18) ** 0.5)


def peak_bytes() -> int:
    """The most memory that this process has had resident.

    Not `ru_maxrss` where Linux tells better: that starts from what the process that started this one had.
    """
    status = Path("/proc/self/status")
    if status.exists() and (peak := re.search(r"VmHWM:\s+(\d+) kB", status.read_text("utf-8"))):
        return int(peak[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
