"""A pool of texts and systems to their figures: each system in processes of its own, in turns, several rounds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eval.gold import Question
from eval.peers.figures import Lines, costs, quality, sizes
from eval.report import ROOT
from rag import Document, RagError


class System(NamedTuple):
    """A system: its name, the Python of its environment, its program, the model it is given."""

    name: str
    python: Path
    module: str
    model: str


class Pool(NamedTuple):
    """Texts, and questions that they answer. timed: how many of the questions are asked for the latencies."""

    name: str
    documents: Sequence[Document]
    questions: Sequence[Question]
    timed: int

    @property
    def bytes(self) -> int:
        """The texts' size in UTF-8."""
        return sum(len(document.text.encode()) for document in self.documents)


def measure(
    pool: Pool, systems: Sequence[System], scratch: Path, *, rounds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """A pool and systems to the figures of each, by name. scratch: an empty folder. Raises RagError."""
    texts, asked, judged = (scratch / name for name in ("texts.jsonl", "asked.jsonl", "judged.jsonl"))
    write_lines(texts, [{"id": document.id, "text": document.text} for document in pool.documents])
    step = max(1, len(pool.questions) // pool.timed)
    write_lines(asked, [{"question": question.text} for question in pool.questions[::step][: pool.timed]])
    write_lines(judged, [{"question": question.text} for question in pool.questions])
    runs: dict[str, dict[str, list[Any]]] = {system.name: {} for system in systems}
    for turn in range(rounds):
        for system in _turned(systems, turn):
            say(f"{pool.name}, round {turn + 1} of {rounds}: {system.name} builds")
            folder = scratch / system.name
            shutil.rmtree(folder, ignore_errors=True)
            _keep(runs[system.name], "build", start(system, "build", folder, texts=texts))
    for turn in range(rounds):
        for system in _turned(systems, turn):
            say(f"{pool.name}, round {turn + 1} of {rounds}: {system.name} is asked")
            _keep(runs[system.name], "ask", start(system, "ask", scratch / system.name, questions=asked))
    found: dict[str, Any] = {}
    for system in systems:
        say(f"{pool.name}: {system.name} is judged")
        lines, _ = start(system, "judge", scratch / system.name, questions=judged)
        found[system.name] = {
            **costs(runs[system.name], pool.bytes),
            **sizes(scratch / system.name, pool.bytes),
            **quality(pool.documents, pool.questions, lines[:-1]),
        }
    return found


def _turned(systems: Sequence[System], turn: int) -> list[System]:
    """The systems in another order each round, so that none always follows the same one."""
    at = turn % len(systems)
    return [*systems[at:], *systems[:at]]


def start(
    system: System, command: str, folder: Path, *, texts: Path | None = None, questions: Path | None = None
) -> tuple[Lines, dict[str, float]]:
    """A system and a command to the lines its process prints, and the seconds from start to the first and the end."""
    call = [str(system.python), "-m", system.module, command, "--index", str(folder), "--model", system.model]
    call += ["--texts", str(texts)] if texts else []
    call += ["--questions", str(questions)] if questions else []
    log = folder.parent / f"{system.name}.log"
    with log.open("w", encoding="utf-8") as errors:
        began = time.perf_counter()
        with subprocess.Popen(call, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=errors, text=True) as p:
            assert p.stdout is not None
            heard = [(line, time.perf_counter() - began) for line in p.stdout]
        ended = time.perf_counter() - began
    lines = [(json.loads(line), at) for line, at in heard if line.startswith("{")]
    if p.returncode or not lines:
        tail = log.read_text("utf-8", "replace")[-2000:]
        raise RagError(f"{system.name} failed to {command} (exit status {p.returncode}): {tail}")
    return [line for line, _ in lines], {"first_s": lines[0][1], "process_s": ended}


def environment() -> dict[str, str]:
    """The variables of every process: nothing is asked of any hub, nothing is reported to anyone."""
    off = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HAYSTACK_TELEMETRY_ENABLED": "False"}
    return {**os.environ, **off, "DO_NOT_TRACK": "1"}


def _keep(kept: dict[str, list[Any]], command: str, made: tuple[Lines, dict[str, float]]) -> None:
    lines, seconds = made
    for line in [*lines, seconds]:
        for name, value in line.items():
            kept.setdefault(f"{command}.{name}", []).append(value)


def write_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Objects to a file of JSON lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
