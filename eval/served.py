"""What a model server writes on the gold questions, each sentence judged by reading: what of it is shown as cited?

    python -m eval.served [--show]                 the kept sentences through today's checker, against the judgements
    python -m eval.served --write [--count 100]    ask the server in FOOTNOTE_LLM_URL, and keep what it writes

`eval/served.jsonl` keeps an answer a line: the model's sentences, the source sentences that each named, and whether the
article supports it in truth (`supported`; null is not judged yet). A sentence is judged as the answer to its question,
all of it: one wrong part makes it unsupported, and so does saying nothing (a question, a heading, an empty phrase).
"The document says that ..." is no claim of its own, "the key to the story is that ..." is one. --write keeps the
judgements of sentences that come again. Questions that the dial withholds are not put to the model.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from eval.gold import load_gold, read
from eval.metrics import Figure, figure, ratio, resampled
from eval.report import ROOT, reported, table
from rag import Draft, Pipeline, RagError, Retrieval, SentenceId, Settings, Verdict

FILE = ROOT / "eval" / "served.jsonl"
GOLD = ROOT / "eval" / "gold.jsonl"


class Written(NamedTuple):
    """A sentence that the model wrote: whether it named a source, whether it is shown as cited, and the truth."""

    text: str
    named: bool
    shown: bool
    supported: bool


def write(pipeline: Pipeline, count: int) -> Iterator[dict[str, Any]]:
    """A pipeline with a model server to its answers to the first `count` gold questions that it answers."""
    plain = Pipeline.open(settings=replace(pipeline.settings, llm_url=None))
    for question in load_gold(GOLD, pipeline.documents):
        if count and not plain.ask(question.text).abstained:
            count -= 1
            retrieval = pipeline.read(pipeline.retrieve(question.text))
            sentences = [
                {"text": draft.text, "named": _named(draft, retrieval), "supported": None}
                for draft in _whole(pipeline.write(retrieval))
            ]
            yield {"id": question.id, "question": question.text, "written": sentences}


def _whole(drafts: Iterator[Draft]) -> Iterator[Draft]:
    """Drafts to those that are whole; an answer that is cut off ends there."""
    try:
        yield from (draft for draft in drafts if draft.whole)
    except RagError as error:
        print(f"note: {error}")


def _named(draft: Draft, retrieval: Retrieval) -> list[str]:
    """A draft to the source sentences that it names, as they stand."""
    return [text for place, text in _places(retrieval).items() if place in draft.sources]


def _places(retrieval: Retrieval) -> dict[SentenceId, str]:
    return {
        SentenceId(i, j): hit.passage.document.text[start:end]
        for i, hit in enumerate(retrieval.hits)
        for j, (start, end) in enumerate(hit.passage.sentences)
    }


def judged(pipeline: Pipeline, answers: Sequence[Mapping[str, Any]]) -> list[list[Written]]:
    """Kept answers to what the checker makes of each of their sentences today."""
    checker = pipeline.checker
    found = []
    for answer in answers:
        retrieval = pipeline.read(pipeline.retrieve(answer["question"]))
        places = {text: place for place, text in _places(retrieval).items()}
        row = []
        for sentence in answer["written"]:
            named = tuple(places[text] for text in sentence["named"] if text in places)
            verdict, _ = checker(Draft(sentence["text"], named), retrieval.hits, retrieval)
            shown = verdict is not Verdict.UNSUPPORTED
            row.append(Written(sentence["text"], bool(named), shown, bool(sentence["supported"])))
        found.append(row)
    return found


def figures(answers: Sequence[Sequence[Written]]) -> dict[str, Figure]:
    """Answers to the shares that matter, with intervals over the answers.

    unsupported_shown: of the sentences shown as cited, those that are not so in truth; unsupported_unchecked: the same
    without the checker, when all that the model wrote is shown. supported_shown: answers that show at least one of the
    model's sentences that is so. struck: of the sentences that are so, those that the checker struck.
    """
    shares = {
        "unsupported_shown": [_share([not s.supported for s in row if s.shown]) for row in answers],
        "unsupported_unchecked": [_share([not s.supported for s in row]) for row in answers],
        "supported_shown": [(int(any(s.supported and s.shown for s in row)), 1) for row in answers],
        "struck": [_share([not s.shown for s in row if s.supported]) for row in answers],
    }
    weights = resampled(len(answers))
    return {name: figure(ratio(weights, *zip(*rows, strict=True))) for name, rows in shares.items()}


def _share(those: Sequence[bool]) -> tuple[int, int]:
    return sum(those), len(those)


def main(arguments: Sequence[str] | None = None) -> int:
    """Arguments to an exit status: 0, or 2 when something is wrong (said in a line)."""
    parser = argparse.ArgumentParser(prog="python -m eval.served", description="A model's sentences, judged by hand.")
    parser.add_argument("--file", type=Path, default=FILE, metavar="FILE", help="the answers (else eval/served.jsonl)")
    parser.add_argument("--write", action="store_true", help="ask the model server in FOOTNOTE_LLM_URL")
    parser.add_argument("--count", type=int, default=100, help="how many answers to write (default: %(default)s)")
    parser.add_argument("--show", action="store_true", help="print the checker's mistakes")
    options = parser.parse_args(arguments)
    return reported("eval.served", lambda: _write(options) if options.write else _judge(options))


def _write(options: argparse.Namespace) -> int:
    pipeline = Pipeline.open(settings=Settings.from_environment())
    if pipeline.settings.llm_url is None:
        raise RagError("name a model server: FOOTNOTE_LLM_URL (footnote serve-model starts one)")
    kept = [line.entry for line in read(options.file, {"id": str})] if options.file.exists() else []
    known = {(a["id"], s["text"]): s["supported"] for a in kept for s in a["written"]}
    answers = []
    for answer in write(pipeline, options.count):
        for sentence in answer["written"]:
            sentence["supported"] = known.get((answer["id"], sentence["text"]))
        answers.append(json.dumps(answer, ensure_ascii=False) + "\n")
    options.file.write_text("".join(answers), "utf-8")
    print(f"{len(answers)} answers in {options.file}: judge each sentence whose `supported` is null")
    return 0


def _judge(options: argparse.Namespace) -> int:
    kept = [line.entry for line in read(options.file, {"id": str, "question": str})]
    if open_ones := [a["id"] for a in kept if any(s["supported"] is None for s in a["written"])]:
        raise RagError(f"{options.file} has sentences that nobody judged yet, in {', '.join(open_ones[:10])}")
    answers = judged(Pipeline.open(settings=Settings.from_environment()), kept)
    every = [sentence for row in answers for sentence in row]
    print(f"{len(answers)} answers, {len(every)} sentences, {sum(s.supported for s in every)} supported in truth")
    print(f"shown as cited: {sum(s.shown for s in every)}; naming a source: {sum(s.named for s in every)}")
    print(table(figures(answers)))
    if options.show:
        for answer, row in zip(kept, answers, strict=True):
            for sentence in row:
                if sentence.shown is not sentence.supported:
                    what = "struck" if sentence.supported else "shown"
                    print(f"{what}: {answer['id']} {answer['question']}\n    {sentence.text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
