"""A public question set to figures: `python -m eval.bench --data DIR --set NAME` (see `eval.sets` for the files).

    python -m eval.bench [--data DIR] --set NAME [--json OUT] [--limit N] [--forced] [--ablations]

DIR is FOOTNOTE_DATA when not given. Figures are those of `eval.measure`, as far as the set's fields allow, with
the evidence as the index's own sentences:
given.*     each question asked of an index of its own documents alone
elsewhere.answered   of an index of another document alone, which is about something else: the share answered
open.*      of one index of all the set's documents. Here recall@k, mrr and ndcg@5 are of documents: the distinct
            documents of the hits and then of all candidates, in order; recall@k is 1 when one of the question's is
            among the first k.
            "Unanswerable" is relative to the question's own document; another of the pool may answer it
ablation.*  with --ablations, recall@1 and recall@5 of retrieval's order before anything is read, of the single rankings
            that the hits' traces keep, and of dense + BM25 by reciprocal-rank fusion; the chosen ranking's lead
            (`.lead`) with its paired bootstrap interval, and the exact p of McNemar's test (`.mcnemar_p`)
index_bytes.*   the pool's index: bytes of each of its parts, and of all, for each byte of text
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from eval import metrics
from eval.gold import Question
from eval.measure import Asked, Ratios, answer_ratios, ask_all, figures, place
from eval.metrics import Figure
from eval.report import data_folder, flat, provenance, reported, table, write_json
from eval.sets import asked_elsewhere, load_set
from rag import Document, Encoder, Hit, Pipeline, Settings, build_index

ALL = 1_000_000  # hits: every candidate
CHOSEN, RETRIEVAL = "chosen", "retrieval"
DEPTHS = (1, 5)


def main(arguments: Sequence[str] | None = None) -> int:
    """Arguments to an exit status: 0, or 2 when something given is wrong (said in a line)."""
    options = _parser().parse_args(arguments)
    return reported("eval.bench", lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eval.bench", description="Measure the answers to a public set.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the folder of the sets (else FOOTNOTE_DATA)")
    parser.add_argument("--set", required=True, metavar="NAME", help="the set: a folder in it")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures as one flat object")
    parser.add_argument("--limit", type=_positive, metavar="N", help="only the first N questions, for a quick try")
    parser.add_argument("--forced", action="store_true", help="switch abstaining off")
    parser.add_argument("--ablations", action="store_true", help="compare the ranking with the single ones")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1")
    return int(text)


def _run(options: argparse.Namespace) -> int:
    documents, questions = load_set(data_folder(options.data) / options.set, options.limit)
    settings = Settings.from_environment()
    settings = replace(settings, threshold=0.0) if options.forced else settings
    with TemporaryDirectory() as scratch:
        print(f"{options.set}: {len(questions)} questions; building an index of {len(documents)} documents ...")
        build_index(documents, Path(scratch), settings=settings)
        pool = Pipeline.open(Path(scratch), settings=settings)
        sizes = {f"index_bytes.{part}": round(size, 2) for part, size in pool.sizes().items()}
        print(f"the index, in bytes a byte of text: {sizes}")
        found = open_figures(pool, questions, ablations=options.ablations)
        print("asking each question of its own documents ...")
        found |= given_figures(documents, questions, settings, pool.encoder)
        away = given_figures(documents, asked_elsewhere(questions), settings, pool.encoder)
        found |= {"elsewhere.answered": away["given.answered_unanswerable"]} if away else {}
    print(table(found))
    if options.json:
        answerable = sum(question.answerable for question in questions)
        facts = {"set": options.set, "n": len(questions), "n_answerable": answerable, "forced": options.forced}
        write_json(options.json, flat(found, {**facts, **sizes, **provenance()}))
    return 0


def given_figures(
    documents: Sequence[Document], questions: Sequence[Question], settings: Settings, encoder: Encoder
) -> dict[str, Figure]:
    """Each question, asked of an index of its own documents alone, to the `given.` figures; {} when none names any.

    The small indexes share the encoder, so that building one costs little more than encoding its text.
    """
    known = {document.id: document for document in documents}
    texts = {document.id: document.text for document in documents}
    asked: list[Asked] = []
    with_documents = [question for question in questions if question.documents]
    for names, group in groupby(sorted(with_documents, key=lambda q: q.documents), key=lambda q: q.documents):
        with TemporaryDirectory() as scratch:
            build_index([known[name] for name in names], Path(scratch), settings=settings, encoder=encoder)
            pipeline = Pipeline.open(Path(scratch), settings=settings, encoder=encoder)
            asked += ask_all(pipeline, list(group), warm=bool(asked))
    return _named("given", asked, [{} for _ in asked], texts) if asked else {}


def open_figures(pool: Pipeline, questions: Sequence[Question], *, ablations: bool) -> dict[str, Figure]:
    """Each question, asked of the whole pool, to the `open.` and, if wanted, the `ablation.` figures."""
    asked = ask_all(pool, questions)
    about = [i for i, question in enumerate(questions) if question.answerable and question.documents]
    ranked = {i: rankings(pool.retrieve(questions[i].text, ALL).hits, asked[i].answer.hits) for i in about}
    wanted = {i: questions[i].documents for i in about}
    rows: list[Ratios] = [{} for _ in asked]
    scores = metrics.ranking_scores([ranked[i][CHOSEN] for i in about], [wanted[i] for i in about])
    for i, (rank, gain) in zip(about, scores, strict=True):
        rows[i] = {f"recall@{k}": (_recalled(ranked[i][CHOSEN], wanted[i], k), 1) for k in DEPTHS}
        rows[i] |= {"mrr": (rank, 1), "ndcg@5": (gain, 1)}
    found = _named("open", asked, rows, {document.id: document.text for document in pool.documents})
    if ablations and about:
        found |= ablation_figures([ranked[i] for i in about], [wanted[i] for i in about])
    return found


def _named(kind: str, asked: Sequence[Asked], rows: Sequence[Ratios], texts: Mapping[str, str]) -> dict[str, Figure]:
    """Questions asked, and what else is known of each, to the figures `kind.name`."""
    whole = [in_sentences(one) for one in asked]
    both = [row | answer_ratios(one, texts) for one, row in zip(whole, rows, strict=True)]
    return {f"{kind}.{name}": figure for name, figure in figures(whole, both).items()}


def in_sentences(asked: Asked) -> Asked:
    """A question asked to the same with each place of its evidence as the hits' sentences that it agrees with.

    Evidence outside the hits stays as it is: nothing can agree with it.
    """
    sentences = [place(sentence) for sentence in asked.answer.sentences]
    evidence = [
        part
        for quote in asked.question.evidence
        for part in [sentence for sentence in sentences if metrics.agrees(sentence, quote)] or [quote]
    ]
    return replace(asked, question=replace(asked.question, evidence=tuple(sorted(set(evidence)))))


def rankings(hits: Sequence[Hit], shown: Sequence[Hit]) -> dict[str, list[str]]:
    """All candidates to the ids of their documents, each once, best first.

    chosen: as shown, those that were read first; retrieval: before they were read; and by each ranking alone.
    """
    ranks = {name: [hit.trace[name].rank for hit in hits] for name in (hits[0].trace if hits else ())}
    orders = {name: [hits[i] for i in sorted(range(len(hits)), key=r.__getitem__)] for name, r in ranks.items()}
    if {"dense", "bm25"} <= ranks.keys():
        orders["dense+bm25"] = [hits[i] for i in metrics.fused([ranks["dense"], ranks["bm25"]])]
    orders |= {CHOSEN: [*shown, *hits], RETRIEVAL: list(hits)}
    return {name: metrics.first_distinct(hit.passage.document.id for hit in order) for name, order in orders.items()}


def ablation_figures(
    ranked: Sequence[Mapping[str, Sequence[str]]], wanted: Sequence[Sequence[str]]
) -> dict[str, Figure]:
    """Each question's rankings and its documents to every ranking's recall, and the chosen one's lead over it."""
    weights, ones = metrics.resampled(len(ranked)), [1] * len(ranked)
    found: dict[str, Figure] = {}
    for name in [name for name in ranked[0] if all(name in row for row in ranked)]:
        for k in DEPTHS:
            here = [_recalled(row[name], names, k) for row, names in zip(ranked, wanted, strict=True)]
            best = [_recalled(row[CHOSEN], names, k) for row, names in zip(ranked, wanted, strict=True)]
            key = f"ablation.{name}.recall@{k}"
            found[key] = metrics.figure(metrics.ratio(weights, here, ones))
            if name != CHOSEN:
                lead = [int(a) - int(b) for a, b in zip(best, here, strict=True)]
                found[f"{key}.lead"] = metrics.figure(metrics.ratio(weights, lead, ones))
                p = metrics.mcnemar(best, here)
                found[f"{key}.mcnemar_p"] = Figure(p, float("nan"), float("nan"))
    return found


def _recalled(ranked: Sequence[str], wanted: Sequence[str], k: int) -> bool:
    return any(name in wanted for name in ranked[:k])


if __name__ == "__main__":
    sys.exit(main())
