"""A gold file and an index to figures: `python -m eval.run` asks every question; `eval.measure` defines the figures.

    python -m eval.run [--gold FILE] [--index DIR] [--split test|train|all] [--forced] [--json OUT] [--verbose]
    python -m eval.run --check             exit 1 when a figure fell below eval/baseline.json by more than noise
    python -m eval.run --write-baseline    measure and write eval/baseline.json

Noise is what the baseline's own 95 % intervals span. Latencies are not compared: machines are too noisy for that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from eval.gold import SPLITS, load_gold
from eval.measure import Asked, Ratios, answer_ratios, ask_all, evidence_ratios, figures, predicted
from eval.report import ROOT, fallen, flat, provenance, read_json, reported, table, write_json
from rag import Pipeline, Settings

GOLD = ROOT / "eval" / "gold.jsonl"
BASELINE = ROOT / "eval" / "baseline.json"
BUILT = ROOT / "index" / "built"
BY_GROUP = (
    "recall@1", "recall@3", "sentence_first", "f1", "refused_answerable", "answered_unanswerable", "quote_validity"
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Arguments to an exit status: 0, 1 when --check finds a fall, 2 when something given is wrong (said in a line)."""
    options = _parser().parse_args(arguments)
    return reported("eval.run", lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eval.run", description="Measure the answers to a gold file.")
    parser.add_argument("--gold", type=Path, default=GOLD, metavar="FILE", help="the questions (else eval/gold.jsonl)")
    parser.add_argument(
        "--index", type=Path, metavar="DIR", help="the index (else FOOTNOTE_INDEX, index/built, the packaged article's)"
    )
    parser.add_argument("--split", choices=SPLITS, default="all", help="which questions (default: %(default)s)")
    parser.add_argument("--forced", action="store_true", help="switch abstaining off")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures as one flat object")
    parser.add_argument("--verbose", action="store_true", help="list what went wrong")
    parser.add_argument("--baseline", type=Path, default=BASELINE, metavar="FILE", help="else eval/baseline.json")
    against = parser.add_mutually_exclusive_group()
    against.add_argument("--check", action="store_true", help="exit 1 when a figure fell below the baseline")
    against.add_argument("--write-baseline", action="store_true", help="make these figures the baseline")
    return parser


def _run(options: argparse.Namespace) -> int:
    baseline = read_json(options.baseline) if options.check else {}
    settings = Settings.from_environment()
    settings = replace(settings, threshold=0.0) if options.forced else settings
    index = options.index or settings.index or (BUILT if (BUILT / "CURRENT").exists() else None)
    pipeline = Pipeline.open(index, settings=settings, say=print)
    texts = {document.id: document.text for document in pipeline.documents}
    asked = ask_all(pipeline, load_gold(options.gold, pipeline.documents, options.split))
    rows = [answer_ratios(one, texts) | row for one, row in zip(asked, evidence_ratios(asked), strict=True)]
    found = figures(asked, rows)
    answerable = sum(one.question.answerable for one in asked)
    facts = {"n": len(asked), "n_answerable": answerable, "split": options.split, "forced": options.forced}
    entries = flat(found, {**facts, **provenance()})
    print(f"{len(asked)} questions, {answerable} answerable; split {options.split}; 95 % intervals")
    print(table(found))
    for title, group in (("split", lambda one: one.question.split), ("kind", lambda one: one.question.kind)):
        print("\n" + by_group(asked, rows, title, group))
    if options.verbose:
        print("\n" + "\n".join(wrong(asked, rows)))
    if options.json:
        write_json(options.json, entries)
    if options.write_baseline:
        write_json(options.baseline, entries)
    return _compared(entries, baseline) if options.check else 0


def _compared(entries: dict[str, object], baseline: dict[str, object]) -> int:
    """Say how the figures compare with the baseline's: 1 when one fell, else 0."""
    for name in ("n", "split", "forced"):
        if entries[name] != baseline.get(name):
            print(f"note: {name} is {entries[name]} here and {baseline.get(name)} in the baseline")
    lines = fallen(entries, baseline)
    print("\nagainst the baseline (latencies are not compared): " + ("no figure fell" if not lines else "FELL"))
    print("".join(f"  {line}\n" for line in lines), end="")
    return 1 if lines else 0


def by_group(asked: Sequence[Asked], rows: Sequence[Ratios], title: str, group: Callable[[Asked], str]) -> str:
    """Questions asked to a table of the main figures' means, a line a group."""
    names = [name for name in BY_GROUP if any(name in row for row in rows)]
    lines = [f"{title:<20} {'n':>4} " + " ".join(f"{name:>{len(name)}}" for name in names)]
    for key in sorted({group(one) for one in asked}):
        members = [row for one, row in zip(asked, rows, strict=True) if group(one) == key]
        cells = []
        for name in names:
            parts, wholes = (sum(row[name][i] for row in members if name in row) for i in (0, 1))
            cells.append(f"{f'{parts / wholes:.3f}' if wholes else '-':>{len(name)}}")
        lines.append(f"{key:<20} {len(members):>4} " + " ".join(cells))
    return "\n".join(lines)


def wrong(asked: Sequence[Asked], rows: Sequence[Ratios]) -> list[str]:
    """Questions asked to two lines for each that went wrong: what, and what was answered.

    Wrong: refused though answerable, answered though not, another sentence first, or an F1 below a half.
    """
    lines = []
    for one, row in zip(asked, rows, strict=True):
        question = one.question
        faults = [name for name in ("refused_answerable", "answered_unanswerable") if row.get(name, (0, 1))[0]]
        faults += ["not sentence_first"] if not row.get("sentence_first", (1, 1))[0] else []
        faults += [f"f1 {row['f1'][0]:.2f}"] if row.get("f1", (1, 1))[0] < 0.5 else []
        if faults:
            wanted = " | ".join(question.answers) or "(nothing)"
            lines.append(f"{question.id} ({question.kind}) {question.text}  <- {', '.join(faults)}")
            got = predicted(one) or "(nothing)"
            lines.append(f"    confidence {one.answer.confidence:.2f}, wanted {wanted}; got {got}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
