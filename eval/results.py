"""The measured table of the README, from the figures in eval/results: `python -m eval.results`.

Reads eval/results/gold_test.json and gold_test_forced.json (from `eval.run --json`), squad2_test.json and xquad.json
(from `eval.bench --json`), and rewrites README.md between its marks. Nothing in the table is typed by hand.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
MARK = "<!-- {} -->"
END = "<!-- end of {} -->"
GOLD_FORCED = ("em", "f1", "short_right", "sentence_first", "sentence_recall@3", "quote_validity", "recall@1")
GOLD = (
    "citation_precision_answered", "citation_recall_answered", "refused_answerable", "answered_unanswerable", "auroc",
    "ece", "latency_p50_ms", "latency_p95_ms",
)  # fmt: skip
OPEN = ("recall@1", "recall@5", "mrr", "sentence_first", "sentence_recall@3", "em", "f1", "auroc", "ece", "aurc")
ABLATIONS = ("retrieval", "dense", "bm25", "dense+bm25", "late_sentence", "late_passage")
GIVEN = ("em", "f1", "sentence_first", "auroc", "f1_best", "f1_shipped", "ece", "aurc")
ELSEWHERE = ("elsewhere.answered",)
XQUAD = ("given.em", "given.f1", "open.recall@1", "open.em", "open.f1")


def main() -> int:
    """Results to the README's table; 1 when a result is not there."""
    try:
        text = table(*(_read(name) for name in ("gold_test_forced", "gold_test", "squad2_test", "xquad")))
    except OSError as error:
        sys.stderr.write(f"eval.results: {error.filename} is not there: run `make results DATA=folder`\n")
        return 1
    rewrite("results", text)
    return 0


def rewrite(name: str, text: str) -> None:
    """Put a text into the README, between the marks of that name."""
    mark, end = MARK.format(name), END.format(name)
    old = README.read_text("utf-8")
    README.write_text(re.sub(rf"{mark}.*?(?={end}|\n## )", lambda _: f"{mark}\n{text}", old, flags=re.S), "utf-8")


def table(forced: dict[str, Any], gold: dict[str, Any], squad: dict[str, Any], xquad: dict[str, Any]) -> str:
    """The four results to Markdown."""
    lines = [
        f"The gold set's test half ({gold['n']} questions on the article, {gold['n_answerable']} answerable); "
        "95 % bootstrap intervals. `short_right`: the marked exact answer is the gold one, or one holds the other.",
        "",
        "| | figure | interval |",
        "|---|---|---|",
        *(_row(f"`{name}`, abstention off", forced, name) for name in GOLD_FORCED),
        *(_row(f"`{name}`", gold, name) for name in GOLD),
        "",
        f"The reader, on squad2_test ({squad['n']} questions, {squad['n_answerable']} answerable; the others were "
        "written to look answerable), each asked of its own text; and on XQuAD's English part.",
        "",
        "| | figure | interval |",
        "|---|---|---|",
        *(_row(f"`{name}`", squad, f"given.{name}") for name in GIVEN if f"given.{name}" in squad),
        *(_row("answered, asked of another text", squad, name) for name in ELSEWHERE if name in squad),
        *(_row(f"XQuAD `{name}`", xquad, name) for name in XQUAD if name in xquad),
        "",
        f"squad2_test, {squad['n_answerable']} answerable questions over its pooled texts (nothing was tuned "
        "on it), beside the order before reading and the single rankings that are fused:",
        "",
        "| | figure | interval |",
        "|---|---|---|",
        *(_row(f"`{name}`", squad, f"open.{name}") for name in OPEN if f"open.{name}" in squad),
        *(_ablation(squad, name) for name in ABLATIONS),
        "",
        f"Measured on {gold['date']}, commit {gold.get('commit', 'unknown')}, {gold['machine']}; "
        f"squad2_test on {squad['date']}, commit {squad['commit']}.",
        "",
    ]
    return "\n".join(lines)


def _row(label: str, figures: dict[str, Any], name: str) -> str:
    digits = 1 if name.endswith("_ms") else 3
    low, high = figures[f"{name}.low"], figures[f"{name}.high"]
    return f"| {label} | {figures[name]:.{digits}f} | {low:.{digits}f} to {high:.{digits}f} |"


def _ablation(figures: dict[str, Any], name: str) -> str:
    key = f"ablation.{name}.recall@1"
    p = figures[f"{key}.mcnemar_p"]
    chance = "p < 0.001" if p < 0.001 else f"p {p:.2g}"
    return (
        f"| {name} alone: `recall@1`; the chosen one {figures[f'{key}.lead']:+.3f} (McNemar {chance}) "
        f"| {figures[key]:.3f} | {figures[f'{key}.low']:.3f} to {figures[f'{key}.high']:.3f} |"
    )


def _read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((HERE / "results" / f"{name}.json").read_text("utf-8"))
    return data


if __name__ == "__main__":
    sys.exit(main())
