"""Follow-up questions: does the rule that makes them stand alone find what they ask for?

    python -m eval.followups [--data DIR --set NAME] [--index DIR] [--show]

Without a set: `eval/dialogues.jsonl` on the article, the share of the turns after the first whose best sentence is one
of the gold ones. With one (`docs.jsonl`, `qa.jsonl` with "history" and "doc_ids"): recall@5 of the answerable turns
after the first over the whole pool, and of first questions asked after another conversation's turns (switches of the
topic). Beside the rule: the question as it is, and plain concatenation with the question before it; McNemar's exact p
of the rule against either. --index keeps the pool's index in a folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from eval.gold import read
from eval.metrics import mcnemar
from eval.report import data_folder, reported
from eval.sets import load_set
from rag import Answer, Pipeline, Settings, build_index

DIALOGUES = Path(__file__).parent / "dialogues.jsonl"
WAYS = ("rule", "as it is", "concatenated")
SWITCH = "switch"
DEPTH = 5


class Asked(NamedTuple):
    """A follow-up: its words, as it was understood, its kind, and by which ways it was found."""

    question: str
    understood: str
    kind: str
    found: tuple[bool, ...]


def dialogues(pipeline: Pipeline, path: Path = DIALOGUES) -> list[Asked]:
    """The dialogues on the article to their follow-ups."""
    asked = []
    for line in read(path, {"id": str}):
        history: list[Answer] = []
        for turn in line.entry["turns"]:
            answer = pipeline.ask(turn["question"], history=history)
            if history:
                wanted = set(turn["evidence"])
                ways = [answer.sentences]
                for text in (turn["question"], f"{history[-1].question} {turn['question']}"):
                    ways.append(pipeline.read(pipeline.retrieve(text)).sentences)
                found = tuple(bool(way) and way[0].text in wanted for way in ways)
                asked.append(Asked(turn["question"], answer.understood, turn["kind"], found))
            history.append(answer)
    return asked


def of_set(pipeline: Pipeline, folder: Path) -> list[Asked]:
    """A set's answerable turns after the first to follow-ups; what the agent said is in the history.

    Its first questions too, of the kind SWITCH: each after the turns of the last conversation before it about others
    of the documents.
    """
    asked: list[Asked] = []
    talks: list[tuple[list[tuple[str, str]], set[str]]] = []
    for line in read(folder / "qa.jsonl", {"id": str, "question": str, "answerable": bool}):
        entry, wanted = line.entry, set(line.entry["doc_ids"] or ())
        history, kind = turns(entry["history"]), str(entry.get("multi_turn"))
        if history:
            talks.append((history, wanted))
        if not entry["answerable"] or not wanted:
            continue
        if not history:
            kind = SWITCH
            history = next((told for told, held in reversed(talks) if not held & wanted), [])
        if history:
            asked.append(_followed(pipeline, entry["question"], history, kind, wanted))
    return asked


def _followed(pipeline: Pipeline, question: str, history: list[tuple[str, str]], kind: str, wanted: set[str]) -> Asked:
    answer = pipeline.ask(question, history=history)
    texts = (question, f"{history[-1][0]} {question}")
    ways = [answer.hits] + [pipeline.read(pipeline.retrieve(text)).hits for text in texts]
    found = tuple(any(hit.passage.document.id in wanted for hit in way[:DEPTH]) for way in ways)
    return Asked(question, answer.understood, kind, found)


def turns(history: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """Roles and texts to pairs of a question and its answer."""
    pairs: list[tuple[str, str]] = []
    for role, text in history:
        if role == "user":
            pairs.append((text, ""))
        elif pairs:
            pairs[-1] = (pairs[-1][0], text)
    return pairs


def report(asked: Sequence[Asked]) -> dict[str, float]:
    """Follow-ups to the share that each way finds, with the rule's p against the others, and by what it did."""
    followed = [a for a in asked if a.kind != SWITCH]
    shares = _shares("follow-ups", followed)
    for name, chosen in (("changed", True), ("left as they are", False)):
        part = [a for a in followed if (a.understood != a.question) is chosen]
        figures = ", ".join(
            f"{way} {sum(a.found[i] for a in part) / max(1, len(part)):.3f}" for i, way in enumerate(WAYS)
        )
        print(f"  of the {len(part)} {name}: {figures}")
    if switched := [a for a in asked if a.kind == SWITCH]:
        shares |= {f"switch.{way}": share for way, share in _shares("switches of the topic", switched).items()}
    return shares


def _shares(name: str, asked: Sequence[Asked]) -> dict[str, float]:
    columns = {way: [bool(a.found[i]) for a in asked] for i, way in enumerate(WAYS)}
    shares = {way: sum(column) / max(1, len(column)) for way, column in columns.items()}
    print(f"{len(asked)} {name}")
    for way, share in shares.items():
        p = "" if way == "rule" else f"  (the rule against it: McNemar p {mcnemar(columns['rule'], columns[way]):.3g})"
        print(f"  {way}: {share:.3f}{p}")
    return shares


def main(arguments: Sequence[str] | None = None) -> int:
    """Arguments to an exit status: 0, or 2 when something given is wrong (said in a line)."""
    parser = argparse.ArgumentParser(prog="python -m eval.followups", description="Are follow-ups understood?")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the folder of the sets (else FOOTNOTE_DATA)")
    parser.add_argument("--set", metavar="NAME", help="a set whose questions have a history")
    parser.add_argument("--index", type=Path, metavar="DIR", help="where the pool's index is kept")
    parser.add_argument("--show", action="store_true", help="print what was missed")
    options = parser.parse_args(arguments)
    return reported("eval.followups", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    settings = replace(Settings.from_environment(), threshold=0.0)
    with TemporaryDirectory() as scratch:
        if options.set:
            folder, place = data_folder(options.data) / options.set, options.index or Path(scratch)
            build_index(load_set(folder)[0], place, settings=settings)
            asked = of_set(Pipeline.open(place, settings=settings), folder)
        else:
            asked = dialogues(Pipeline.open(settings=settings))
    report(asked)
    if options.show:
        for one in asked:
            if not one.found[0]:
                print(json.dumps({"question": one.question, "understood": one.understood, "found": one.found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
