"""Figures of Footnote and its peers to the README's table and to docs/peers.svg; nothing is typed by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from eval.report import ROOT, read_json
from eval.results import rewrite

JSON = ROOT / "eval" / "results" / "peers.json"
GROWTH, LOAD = JSON.with_name("growth.json"), JSON.with_name("load.json")
PLOT = ROOT / "docs" / "peers.svg"
OURS = "Footnote"


class Column(NamedTuple):
    """A figure: its name, its heading, its digits, and whether less is better."""

    name: str
    heading: str
    digits: int
    less: bool


COLUMNS = (
    Column("start_s", "start to first answer, s", 2, True),
    Column("warm_p50_ms", "query p50, ms", 1, True),
    Column("warm_p95_ms", "query p95, ms", 1, True),
    Column("build_bytes_per_s", "build, bytes of text/s", 0, False),
    Column("build_process_s", "build, start to end, s", 1, True),
    Column("index_per_byte", "index, bytes per byte of text", 1, True),
    Column("build_peak_mb", "peak of building, MB", 0, True),
    Column("ask_peak_mb", "peak of asking, MB", 0, True),
    Column("recall@1", "recall@1", 3, False),
    Column("recall@5", "recall@5", 3, False),
    Column("sentence_first", "sentence first", 3, False),
)
PARTS = {"token": "token vectors", "dense": "sentence vectors", "documents": "the text"}  # else BM25 and places
DIRECT = ("faiss-cpu", "onnxruntime", "sentence-transformers", "torch", "llama-index-core", "langchain-core",
          "langchain-community", "haystack-ai", "txtai")  # fmt: skip


def write_report(found: Mapping[str, Any]) -> None:
    """Figures, and those of growth and load where they were measured, to the README between its marks; to the plot."""
    rewrite("peers", whole(found))
    draw(found)


def whole(found: Mapping[str, Any]) -> str:
    """Figures to all that the README says of them."""
    growth, load = (read_json(path) if path.exists() else None for path in (GROWTH, LOAD))
    more = [make(part) for make, part in ((growth_text, growth), (load_text, load)) if part]
    return "\n".join([table(found), *more])


def growth_text(found: Mapping[str, Any]) -> str:
    """Figures of growth to Markdown: the plot, and how steep its lines are."""
    steep = []
    for key, value in found.items():
        if match := re.fullmatch(r"(model|standin)\.(\d+)-(\d+)\.(build|ask)_exponent", key):
            encoder = "" if match[1] == "model" else ", the encoder left out"
            steep.append(f"{match[4]} {int(match[2]):,} to {int(match[3]):,}{encoder}: {value:.2f}")
    return (
        f"![Cost by the number of passages](docs/growth.svg)\n\nHow cost grows with the passages (1 is linear): "
        f"{'; '.join(steep)}. {_place(found)}\n"
    )


def load_text(found: Mapping[str, Any]) -> str:
    """Figures under load to Markdown."""
    lines = [
        f"Under load, {found['questions']} questions each way on the loopback, the models' and the callers' threads on "
        "the same cores:",
        "",
        "| callers at once | questions/s | p50, ms | p95, ms | p99, ms | errors |",
        "|---|---|---|---|---|---|",
    ]
    for key in (key.removesuffix(".per_second") for key in found if key.endswith(".per_second")):
        way, callers = key.split(".")
        name = "`ask` from threads" if way == "ask" else "the chat's endpoint"
        cells = (f"{found[f'{key}.{part}']:.0f}" for part in ("per_second", "p50_ms", "p95_ms", "p99_ms", "failed"))
        lines.append(f"| {callers}, {name} | " + " | ".join(cells) + " |")
    grown = ", ".join(f"{way} {found[f'{way}.growth_mb']:+.0f} MB" for way in ("ask", "chat"))
    crowd = f"{found['crowd.answered']:.0f} answered, {found['crowd.busy']:.0f} told that it is busy"
    crowd += f", {found['crowd.failed']:.0f} failed"
    return "\n".join([*lines, "", f"Memory over the run: {grown}. 300 callers at once: {crowd}. {_place(found)}", ""])


def _place(found: Mapping[str, Any]) -> str:
    return f"Measured on {found['date']}, commit {found.get('commit', 'unknown')}, {found['machine']}."


def table(found: Mapping[str, Any]) -> str:
    """Figures to Markdown: a table a pool, then what they leave out, and where they come from."""
    lines = [f"![Footnote beside its peers]({PLOT.relative_to(ROOT).as_posix()})", ""]
    for pool in found["pools"].values():
        lines += [*_pool(pool, found["rounds"]), ""]
    lines += [_apart(found), "", _source(found), ""]
    return "\n".join(lines)


def _pool(pool: Mapping[str, Any], rounds: int) -> list[str]:
    systems = pool["systems"]
    lines = [
        f"{pool['documents']} texts of {', '.join(pool['sets'])} ({pool['bytes'] / 1e6:.2f} MB), {pool['questions']} "
        f"questions, {pool['timed']} of them timed; medians of {rounds} rounds.",
        "",
        "| | " + " | ".join(column.heading for column in COLUMNS) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for name, figures in systems.items():
        cells = (f"{figures[c.name]:,.{c.digits}f}" if c.name in figures else "" for c in COLUMNS)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines.append("| *ahead of the best peer* | " + " | ".join(_lead(systems, column) for column in COLUMNS) + " |")
    ours = systems[OURS]
    stages = [n.removeprefix("answer_").removesuffix("_p50_ms") for n in ours if n.startswith("answer_")]
    took = ", ".join(f"{stage} {ours[f'answer_{stage}_p50_ms']:.1f} ms" for stage in stages)
    return [*lines, "", f"Footnote's whole answer, by stage (p50): {took}. Its index: {_parts(ours, pool['bytes'])}."]


def _lead(systems: Mapping[str, Any], column: Column) -> str:
    """How far we are ahead of the best peer: times, or for the shares the difference."""
    peers = [figures[column.name] for name, figures in systems.items() if name != OURS and column.name in figures]
    if not peers or column.name not in systems[OURS]:
        return ""
    ours, best = systems[OURS][column.name], (min if column.less else max)(peers)
    if column.digits == 3:
        return f"{ours - best:+.3f}"
    return f"{(best / ours if column.less else ours / best):.2f} ×"


def _parts(figures: Mapping[str, Any], size: int) -> str:
    sums: dict[str, int] = {}
    for name, count in figures["index_parts"].items():
        part = next((part for prefix, part in PARTS.items() if name.startswith(prefix)), "BM25 and places")
        sums[part] = sums.get(part, 0) + count
    return ", ".join(f"{part} {count / size:.2f}" for part, count in sorted(sums.items(), key=lambda p: -p[1]))


def _apart(found: Mapping[str, Any]) -> str:
    return (
        "Every system has processes of its own, the same all-MiniLM-L6-v2, passages of about 160 wordpieces without "
        "overlap, ten of them to a question, and its index on disk. The first answer counts from the process's start; "
        "a query is retrieval, in a process that is warm; a build's rate counts from the texts in memory to the index "
        "on disk, the model's loading in it. A document is recalled when one of the question's is among the first "
        "distinct ones. The first sentence of Footnote is its answer's; of a peer, the one in its first passage that "
        "its own encoder holds nearest. Encoders are not in an index: Footnote's export is "
        f"{found['export_bytes'] / 1e6:.0f} MB, made once in {found['export_s']:.0f} s; the model's own files are "
        f"{found['model_bytes'] / 1e6:.0f} MB."
    )


def _source(found: Mapping[str, Any]) -> str:
    versions = {**found["packages"]["footnote"], **found["packages"]["peers"]}
    named = ", ".join(f"{name} {versions[name]}" for name in DIRECT if name in versions)
    return f"{_place(found)} {named}; all others in eval/results/peers.json."


def draw(found: Mapping[str, Any]) -> None:
    """Figures of the last pool to docs/peers.svg: a panel a figure, a bar a system."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "footnote", "font.size": 8}
    from matplotlib import pyplot

    pool = list(found["pools"].values())[-1]
    names = list(pool["systems"])[::-1]
    chosen = [c for c in COLUMNS if all(c.name in pool["systems"][name] for name in names) and "p95" not in c.name]
    figure, axes = pyplot.subplots(2, (len(chosen) + 1) // 2, figsize=(14, 5), sharey=True, layout="constrained")
    for axis in axes.flat[len(chosen) :]:
        axis.set_axis_off()
    for axis, column in zip(axes.flat, chosen, strict=False):
        values = [pool["systems"][name][column.name] for name in names]
        bars = axis.barh(names, values, color=["#b3541e" if name == OURS else "#9aa5ad" for name in names])
        axis.bar_label(bars, [f"{value:,.{column.digits}f}" for value in values], padding=2)
        axis.set_title(f"{column.heading} ({'less' if column.less else 'more'} is better)", fontsize=7)
        axis.margins(x=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(PLOT, metadata={"Date": None})
    pyplot.close(figure)
