"""How cost grows with the number of passages: `python -m eval.growth --data DIR [--sizes N ...] [--json OUT]`.

Texts of about a passage each: real sentences of the public sets in their order as far as they reach, then synthetic
texts of such sentences drawn at random. Up to --real passages they are encoded by the model, which is where a build's
time goes; all sizes are measured with a stand-in as well, so that the index's own cost shows and 100,000 can be had.
Measured: seconds to build and to open, bytes, milliseconds of `Pipeline.retrieve` (p50, p95). `.build_exponent` and
`.ask_exponent` are the slopes from a size to the next on logarithmic axes: 1 is linear. With --report only the plot is
drawn anew (docs/growth.svg).
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from eval.metrics import percentile
from eval.report import ROOT, data_folder, provenance, read_json, reported, write_json
from eval.standin import StandIn
from rag import Document, Encoder, Pipeline, RagError, Settings, build_index, make_document

JSON = ROOT / "eval" / "results" / "growth.json"
PLOT = ROOT / "docs" / "growth.svg"
SETS = (
    "squad2_test",
    "xquad",
    "qed_dev",
    "quotesum_dev",
    "clapnq_dev",
    "squad2_train",
    "squad_train_part",
    "qed_train",
)
QUESTIONS = 200
WORDS = 90  # of a text: about a passage
SENTENCE = re.compile(r"(?<=[.!?])\s+")


def main(arguments: Sequence[str] | None = None) -> int:
    """Arguments to an exit status: 0, or 2 when something given is wrong (said in a line)."""
    parser = argparse.ArgumentParser(prog="python -m eval.growth", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, metavar="DIR", help="the folder of the sets (else FOOTNOTE_DATA)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000], metavar="N")
    parser.add_argument("--real", type=int, default=10_000, metavar="N", help="the model up to here (%(default)s)")
    parser.add_argument("--json", type=Path, default=JSON, metavar="OUT", help="else eval/results/growth.json")
    parser.add_argument("--report", action="store_true", help="only draw the plot anew")
    options = parser.parse_args(arguments)
    return reported("eval.growth", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    if not options.report:
        write_json(options.json, {**_measured(options), **provenance()})
    if options.json == JSON:
        draw(read_json(JSON))
    return 0


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    data = data_folder(options.data)
    folders = [data / name for name in SETS if (data / name).is_dir()]
    if not folders:
        raise RagError(f"none of the sets {', '.join(SETS)} is in {data}")
    questions = [str(entry["question"]) for entry in _entries(folders[:1], "qa.jsonl")][:QUESTIONS]
    found: dict[str, Any] = {"questions": len(questions)}
    with TemporaryDirectory() as scratch:
        for name, encoder, sizes in (
            ("model", _model(Path(scratch)), [size for size in options.sizes if size <= options.real]),
            ("standin", StandIn(), options.sizes),
        ):
            costs = [
                _cost(list(islice(documents(folders), size)), questions, encoder, Path(scratch))
                for size in sorted(sizes)
            ]
            found |= {f"{name}.{row['passages']}.{key}": value for row in costs for key, value in row.items()}
            found |= {f"{name}.{key}": value for key, value in exponents(costs).items()}
    return found


def _model(scratch: Path) -> Encoder:
    """The settings' encoder, ready: its export is not a cost of an index."""
    build_index([make_document("One.", id="one")], scratch / "one")
    return Pipeline.open(scratch / "one").encoder


def _cost(texts: Sequence[Document], questions: Sequence[str], encoder: Encoder, scratch: Path) -> dict[str, float]:
    """Texts to what an index of them costs."""
    settings, out = Settings.from_environment(), scratch / f"{type(encoder).__name__}-{len(texts)}"
    start = time.perf_counter()
    passages = build_index(texts, out, settings=settings, encoder=encoder).passages
    built = time.perf_counter()
    pipeline = Pipeline.open(out, settings=settings, encoder=encoder)
    opened = time.perf_counter()
    for question in questions:
        pipeline.retrieve(question)  # to warm up
    times = []
    for question in questions:
        began = time.perf_counter()
        pipeline.retrieve(question)
        times.append((time.perf_counter() - began) * 1000)
    stored = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    row = {"passages": passages, "build_s": built - start, "open_s": opened - built, "bytes": stored}
    row |= {f"ask_p{p}_ms": float(percentile(np.ones((1, len(times))), times, p / 100)[0]) for p in (50, 95)}
    row["text_bytes"] = sum(len(text.text.encode()) for text in texts)
    print(encoder.model, {name: round(value, 3) for name, value in row.items()}, flush=True)
    return {name: round(value, 4) for name, value in row.items()}


def exponents(costs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Costs by rising size to the slopes between each two, on logarithmic axes."""
    found = {}
    for one, other in pairwise(costs):
        for name, key in (("build", "build_s"), ("ask", "ask_p50_ms")):
            slope = math.log(other[key] / one[key]) / math.log(other["passages"] / one["passages"])
            found[f"{one['passages']}-{other['passages']}.{name}_exponent"] = round(slope, 3)
    return found


def documents(folders: Sequence[Path]) -> Iterator[Document]:
    """Sets to texts of about a passage each, the same every time; they never end."""
    number, words, kept = 0, 0, list[str]()
    sentences = list(dict.fromkeys(s for e in _entries(folders, "docs.jsonl") for s in SENTENCE.split(e["text"]) if s))
    drawn = random.Random(1)
    for sentence in _then(sentences, drawn):
        kept.append(sentence)
        words += len(sentence.split())
        if words >= WORDS:
            yield make_document(" ".join(kept), id=str(number))
            number, words, kept = number + 1, 0, []


def _then(sentences: Sequence[str], drawn: random.Random) -> Iterator[str]:
    yield from sentences
    while True:
        yield drawn.choice(sentences)


def _entries(folders: Sequence[Path], name: str) -> Iterator[dict[str, Any]]:
    for folder in folders:
        with (folder / name).open(encoding="utf-8") as file:
            yield from map(json.loads, file)


def draw(found: Mapping[str, Any]) -> None:
    """Figures to docs/growth.svg: building, asking and opening by the number of passages, on logarithmic axes."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "footnote", "font.size": 8}
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    for name, label, colour in (("model", "all-MiniLM-L6-v2", "#b3541e"), ("standin", "encoder left out", "#5b6770")):
        sizes = sorted(int(key.split(".")[1]) for key in found if re.fullmatch(rf"{name}\.\d+\.passages", key))
        for axis, (key, title) in zip(axes, (("build_s", "build, s"), ("ask_p50_ms", "ask (retrieval p50), ms"),
                                             ("open_s", "open, s")), strict=True):  # fmt: skip
            axis.loglog(sizes, [found[f"{name}.{size}.{key}"] for size in sizes], "o-", color=colour, label=label)
            axis.set_title(title, fontsize=8)
            axis.set_xlabel("passages")
            axis.grid(alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    figure.savefig(PLOT, metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
