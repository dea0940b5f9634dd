"""The confidence's coefficients, fitted: `python -m eval.fit --data DIR` writes rag/confidence.json.

    python -m eval.fit [--data DIR] [--set squad2_train] [--gold FILE] [--articles FOLDER] [--out FILE]

Fits a logistic regression of "the answer's sentence is evidence" (an unanswerable question has none) on what retrieval
and reader found. Its questions are those of the set's articles that the reader was not trained on (HELD_OUT of
`reader.examples`), asked of the set's pooled passages and of their own document alone, and the plain ones: the gold
set's training half, and those of the articles in a folder (FOLDER.jsonl, as gold.jsonl), each asked of its article.
These have PLAIN_SHARE of the weight: the confidence is calibrated on questions that were written to deceive. So that it
also knows what a text is not about, each of the articles' questions is asked of another article too (ELSEWHERE_SHARE).
One that asks several things counts as each of them, as they are judged (`rag.several`). The figures are of predictions
out of folds (over the articles, and over the gold questions). The risk-coverage curve, on which the dial rests, is that
of the gold questions, weighted so that a third is unanswerable: their predictions out of folds are calibrated anew
(Platt, 1999, with his targets; the slope is that of all plain questions, since the gold ones are few), and a row says
how many of the answers shown are expected to be wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eval import metrics
from eval.gold import Question, load_gold
from eval.measure import place
from eval.report import data_folder, reported
from eval.sets import asked_elsewhere, load_set
from rag import Document, Encoder, Pipeline, Settings, build_index, read_folder
from reader.examples import HELD_OUT

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

HERE = Path(__file__).resolve().parent
PLAIN_SHARE, ELSEWHERE_SHARE = 0.05, 0.02
UNANSWERABLE = 1 / 3  # of the questions for which the curve is stated
GOLD_FOLDS = 5
DECEIVING, PLAIN, ELSEWHERE = ("pool", "given"), ("gold", "articles"), "elsewhere"


@dataclass(frozen=True, slots=True)
class Example:
    """A question that was read: its features, whether the first sentence is evidence, and where it belongs."""

    features: dict[str, float]
    right: bool
    answerable: bool
    source: str
    fold: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Arguments to an exit status: 0, or 2 when something given is wrong (said in a line)."""
    parser = argparse.ArgumentParser(prog="python -m eval.fit", description="Fit the confidence's coefficients.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the folder of the sets (else FOOTNOTE_DATA)")
    parser.add_argument("--set", default="squad2_train", metavar="NAME", help="a set whose role is training")
    parser.add_argument("--gold", type=Path, default=HERE / "gold.jsonl", metavar="FILE")
    parser.add_argument("--articles", type=Path, default=HERE / "articles", metavar="FOLDER")
    parser.add_argument("--out", type=Path, default=HERE.parent / "rag" / "confidence.json", metavar="FILE")
    options = parser.parse_args(arguments)
    return reported("eval.fit", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    folder = data_folder(options.data) / options.set
    reader = name_reader(options.out)
    write(options.out, fit(collect(folder, options.gold, options.articles)) | reader)
    print(f"wrote {options.out}")
    return 0


def name_reader(out: Path) -> dict[str, Any]:
    """The coefficients' file to the reader's hash, which is written there: what is fitted is of that one."""
    reader = {"reader": hashlib.sha256((HERE.parent / "reader" / "reader.onnx").read_bytes()).hexdigest()}
    if out.is_file():
        write(out, json.loads(out.read_text("utf-8")) | reader)
    return reader


def write(out: Path, data: Mapping[str, Any]) -> None:
    """The coefficients to their file, a row of the curve a line."""
    rows = ",\n".join(f"  {json.dumps(row)}" for row in data["curve"])
    rest = json.dumps({name: value for name, value in data.items() if name != "curve"}, indent=1)
    out.write_text(f'{rest[:-2]},\n "curve": [\n{rows}\n ]\n}}\n', "utf-8")


def collect(folder: Path, gold: Path, articles: Path) -> list[Example]:
    """A set's folder, the gold file and a folder of articles to their questions, read."""
    settings = Settings.from_environment()
    documents, questions = load_set(folder)
    titles = {document.id: document.title for document in documents}
    held = [question for question in questions if titles[question.documents[0]] in HELD_OUT]
    print(f"asking {len(held)} questions of {len(documents)} documents, and of their own ...")
    with TemporaryDirectory() as scratch:
        build_index(documents, Path(scratch), settings=settings)
        pool = Pipeline.open(Path(scratch), settings=settings)
        found = [one for question in held for one in _examples(pool, question, "pool", titles[question.documents[0]])]
    found += _given(documents, held, settings, pool.encoder, "given")
    article = Pipeline.open(settings=settings)
    for number, question in enumerate(load_gold(gold, article.documents, "train")):
        found += _examples(article, question, "gold", f"gold {number % GOLD_FOLDS}")
    texts = read_folder(articles)
    plain = load_gold(articles.with_suffix(".jsonl"), texts, "train")
    found += _given(texts, plain, settings, pool.encoder, "articles")
    return found + _given(texts, asked_elsewhere(plain), settings, pool.encoder, ELSEWHERE)


def _given(
    documents: Sequence[Document], questions: Sequence[Question], settings: Settings, encoder: Encoder, source: str
) -> list[Example]:
    """Questions, each asked of its own document alone."""
    by_id, found = {document.id: document for document in documents}, []
    for names, group in groupby(sorted(questions, key=lambda q: q.documents), key=lambda q: q.documents):
        with TemporaryDirectory() as scratch:
            build_index([by_id[name] for name in names], Path(scratch), settings=settings, encoder=encoder)
            pipeline = Pipeline.open(Path(scratch), settings=settings, encoder=encoder)
            for question in group:
                found += _examples(pipeline, question, source, by_id[names[0]].title or names[0])
    return found


def _examples(pipeline: Pipeline, question: Question, source: str, fold: str) -> list[Example]:
    """A question, or each that it asks, as it is read."""
    retrieval = pipeline.read(pipeline.retrieve(question.text))
    read = [(retrieval.features, place(retrieval.sentences[0]))]
    if retrieval.asked:
        passages = [retrieval.hits[one.place.hit].passage for one in retrieval.asked]
        read = [
            (one.features, metrics.Place(passage.document.id, *passage.sentences[one.place.sentence]))
            for one, passage in zip(retrieval.asked, passages, strict=True)
        ]
    return [
        Example(
            dict(features), any(metrics.agrees(q, found) for q in question.evidence), question.answerable, source, fold
        )
        for features, found in read
    ]


def fit(examples: Sequence[Example]) -> dict[str, Any]:
    """Examples to the coefficients and the curve; prints their figures."""
    names = sorted(examples[0].features)
    x = np.array([[example.features[name] for name in names] for example in examples])
    y = np.array([example.right for example in examples])
    weights = weights_of(examples)
    folds = np.array([example.fold for example in examples])
    honest = np.zeros(len(y))
    for fold in sorted(set(folds)):
        away = folds != fold
        honest[~away] = _fitted(x[away], y[away], weights[away], c=10.0).predict_proba(x[~away])[:, 1]
    for source in DECEIVING + PLAIN:
        here = np.array([example.source == source for example in examples])
        ones = np.ones((1, int(here.sum())))
        answerable = np.array([example.answerable for example in examples])[here]
        print(
            f"{source}, out of folds: AUROC answerable {metrics.auroc(ones, honest[here], answerable)[0]:.3f}, "
            f"right {metrics.auroc(ones, honest[here], y[here])[0]:.3f}, "
            f"ECE {metrics.calibration_error(ones, honest[here], y[here])[0]:.3f}"
        )
    model = _fitted(x, y, weights, c=10.0)
    gold, articles, other = (np.array([e.source == source for e in examples]) for source in (*PLAIN, ELSEWHERE))
    own = np.zeros(len(y))
    for asked in (gold, articles):
        own[asked] = mixed([example for example, there in zip(examples, asked, strict=True) if there])
    plain = gold | articles
    chances = calibrated(honest[plain], y[plain], own[plain], articles[plain])
    curve = risk_coverage(honest[gold], chances[gold[plain]], own[gold])
    usual = next((threshold for threshold, wrong, _ in curve if 100 * wrong <= Settings().max_wrong), 1.0)
    print(f"asked elsewhere, out of folds: {(honest[other] >= usual).mean():.3f} answered at the default dial")
    for threshold, wrong, shown in curve[:: max(1, len(curve) // 10)]:
        print(f"confidence at least {threshold:.3f}: {wrong:.3f} of the shown are wrong, {shown:.3f} are shown")
    return {
        "intercept": round(float(model.intercept_[0]), 6),
        "weights": {name: round(float(value), 6) for name, value in zip(names, model.coef_[0], strict=True)},
        "curve": curve,
    }


def _fitted(
    x: NDArray[np.float64], y: NDArray[np.bool_], weights: NDArray[np.float64], *, c: float
) -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, max_iter=5000).fit(x, y, sample_weight=weights)


def weights_of(examples: Sequence[Example]) -> NDArray[np.float64]:
    """Examples to weights that sum to their number; the plain ones and those asked elsewhere have their shares."""
    groups = ((DECEIVING, 1 - PLAIN_SHARE - ELSEWHERE_SHARE), (PLAIN, PLAIN_SHARE), ((ELSEWHERE,), ELSEWHERE_SHARE))
    shares = np.zeros(len(examples))
    for sources, share in groups:
        here = np.array([example.source in sources for example in examples])
        shares[here] = share / max(here.sum(), 1)
    return np.asarray(shares / shares.sum() * len(examples))


def mixed(examples: Sequence[Example]) -> NDArray[np.float64]:
    """Examples to weights with which a third of them is unanswerable."""
    answerable = np.array([example.answerable for example in examples])
    answered, silent = (1 - UNANSWERABLE) / max(answerable.sum(), 1), UNANSWERABLE / max((~answerable).sum(), 1)
    weights = np.where(answerable, answered, silent)
    return np.asarray(weights / weights.sum())


def calibrated(
    confidences: NDArray[np.float64], right: NDArray[np.bool_], weights: NDArray[np.float64], other: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Confidences, who was right, weights, and which are of another set, to chances of being right (Platt, 1999).

    The slope is one for both sets, so that many questions make it steady; each set has its own offset.
    """
    x = np.column_stack([np.log(confidences / (1 - confidences)), other])
    good, bad = right.sum(), (~right).sum()
    targets = np.where(right, (good + 1) / (good + 2), 1 / (bad + 2))  # as sure as so many allow
    both, label = np.concatenate([x, x]), np.repeat([True, False], len(right))
    shares = np.concatenate([weights * targets, weights * (1 - targets)]) * len(right)
    return np.asarray(_fitted(both, label, shares, c=1e6).predict_proba(x)[:, 1])


def risk_coverage(
    confidences: NDArray[np.float64], chances: NDArray[np.float64], weights: NDArray[np.float64]
) -> list[list[float]]:
    """Confidences, chances of being right, weights to rows: threshold, share of the shown expected wrong, shown."""
    order = np.argsort(confidences)
    sure, own = confidences[order], weights[order]
    wrong = _above(own * (1 - chances[order])) / _above(own)
    rows = zip([0.0, *sure[1:].tolist()], wrong.tolist(), _above(own).tolist(), strict=True)
    return [[round(value, 4) for value in row] for row in rows]


def _above(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values in order to the sums of each and all that come after it."""
    return np.asarray(np.cumsum(values[::-1])[::-1])


if __name__ == "__main__":
    sys.exit(main())
