"""Figures to what is kept and shown: one flat JSON object, a table, and the comparison with a baseline."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from eval.measure import ERRORS, LATENCIES
from eval.metrics import Figure
from rag import RagError

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = (":!eval/results", ":!eval/baseline.json", ":!README.md", ":!eval/LOG.md")  # what results are written to
PACKAGES = ("footnote", "numpy", "faiss-cpu", "bm25s", "onnxruntime", "sentence-transformers", "ir-measures")
SLACK = 1e-9  # so that rounding decides nothing


def reported(name: str, work: Callable[[], int]) -> int:
    """A program's name and its work to its exit status: what the work gives, or 2 for a RagError, said in a line.

    Where whoever read the output has gone (`| head`), nothing is said, and it is 1.
    """
    try:
        status = work()
        sys.stdout.flush()
    except RagError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered goes nowhere
        return 1
    return status


def data_folder(given: Path | None) -> Path:
    """The option --data to the folder of the question sets: it, else FOOTNOTE_DATA. Raises RagError."""
    data = given or os.environ.get("FOOTNOTE_DATA")
    if not data:
        raise RagError("name the folder of the question sets: --data DIR, or FOOTNOTE_DATA")
    return Path(data)


def flat(figures: Mapping[str, Figure], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Figures and facts to one flat object: a figure's `name`, `name.low` and `name.high`; no NaN in it."""
    entries: dict[str, Any] = dict(facts)
    for name, figure in figures.items():
        for end, value in zip(("", ".low", ".high"), figure, strict=True):
            if math.isfinite(value):
                entries[name + end] = round(value, 6)
    return entries


def provenance() -> dict[str, str]:
    """Where figures come from: date, commit (of a git checkout), machine and versions."""
    facts = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "commit": _commit(), "machine": _machine()}
    versions = [f"python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return {name: fact for name, fact in facts.items() if fact} | {"versions": ", ".join(versions)}


def _commit() -> str:
    """The checkout's commit, "+dirty" when files but results differ from it; empty outside our own checkout."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(ROOT), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != ROOT:
            return ""
        return git("rev-parse", "HEAD") + ("+dirty" if git("status", "--porcelain", "--", ".", *WRITTEN) else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _machine() -> str:
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores"


def table(figures: Mapping[str, Figure]) -> str:
    """Figures to aligned lines: name, value, 95 % interval."""
    width = max(map(len, figures), default=0)
    return "\n".join(f"{name:<{width}}  {_number(*figure)}" for name, figure in figures.items())


def _number(value: float, low: float, high: float) -> str:
    digits = 1 if value > 10 else 3  # milliseconds
    interval = f"  [{low:.{digits}f}, {high:.{digits}f}]" if math.isfinite(low) else ""
    return f"{value:9.{digits}f}{interval}"


def fallen(now: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[str]:
    """Flat figures and a baseline's to a line for each figure that is worse by more than noise.

    Worse: below the baseline's own 95 % interval, or, for an error rate, above it; or missing now. Latencies are
    not compared: they tell more of the machine than of the code.
    """
    lines = []
    for name in (name.removesuffix(".low") for name in baseline if name.endswith(".low")):
        if name in LATENCIES:
            continue
        low, high = baseline[f"{name}.low"], baseline.get(f"{name}.high", math.inf)
        value = now.get(name)
        if value is None:
            lines.append(f"{name} is missing; the baseline has {baseline[name]}")
        elif name in ERRORS and value > high + SLACK:
            lines.append(f"{name} is {value}, above the baseline's {baseline[name]} by more than noise (up to {high})")
        elif name not in ERRORS and value < low - SLACK:
            lines.append(f"{name} is {value}, below the baseline's {baseline[name]} by more than noise (down to {low})")
    return lines


def read_json(path: Path) -> dict[str, Any]:
    """A file to its JSON object. Raises RagError."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise RagError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise RagError(f"{path} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise RagError(f"{path} is not a JSON object")
    return found


def write_json(path: Path, entries: Mapping[str, Any]) -> None:
    """An object to a file, its folder made if need be. Raises RagError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise RagError(f"cannot write {path}: {error.strerror or error}") from None
