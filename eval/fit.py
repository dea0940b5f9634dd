"""The confidence's coefficients, fitted: `python -m eval.fit --data DIR` writes rag/confidence.json.

    python -m eval.fit [--data DIR] [--set squad2_train] [--gold FILE] [--out FILE]

Fits a logistic regression of "the first sentence is evidence" (an unanswerable question has none) on the features of
`rag.retrieve`, over a public training set's questions asked of its pooled passages and the gold set's training half,
each of the two with half of the weight. The threshold is the highest at which at most REFUSED of the gold training
half's answerable questions are refused. Prints, by five folds over the set's documents' titles: the area under the ROC
curve and the expected calibration error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict

from eval import metrics
from eval.gold import Question, load_gold
from eval.measure import place
from eval.sets import load_set
from rag import Pipeline, RagError, Settings, build_index

HERE = Path(__file__).resolve().parent
REFUSED = 0.1


def main(arguments: Sequence[str] | None = None) -> int:
    """Arguments to an exit status: 0, or 2 when something given is wrong (said in a line)."""
    parser = argparse.ArgumentParser(prog="python -m eval.fit", description="Fit the confidence's coefficients.")
    parser.add_argument("--data", type=Path, default=os.environ.get("FOOTNOTE_DATA"), metavar="DIR")
    parser.add_argument("--set", default="squad2_train", metavar="NAME", help="a set whose role is training")
    parser.add_argument("--gold", type=Path, default=HERE / "gold.jsonl", metavar="FILE")
    parser.add_argument("--out", type=Path, default=HERE.parent / "rag" / "confidence.json", metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        if not options.data:
            raise RagError("name the folder of the question sets: --data DIR, or FOOTNOTE_DATA")
        _fit(Path(options.data) / options.set, options.gold, options.out)
    except RagError as error:
        sys.stderr.write(f"eval.fit: {error}\n")
        return 2
    return 0


def _fit(folder: Path, gold: Path, out: Path) -> None:
    settings = Settings.from_environment()
    documents, questions = load_set(folder)
    titles = {document.id: document.title for document in documents}
    with TemporaryDirectory() as scratch:
        print(f"asking {len(questions)} questions of {len(documents)} documents ...")
        build_index(documents, Path(scratch), settings=settings)
        pool = examples(Pipeline.open(Path(scratch), settings=settings), questions)
    article = Pipeline.open(settings=settings)
    asked = load_gold(gold, article.documents, "train")
    own = examples(article, asked)
    names, groups = sorted(pool[0][0]), [titles[question.documents[0]] for question in questions]
    x, y = _table(pool, names)
    model = LogisticRegression(C=1e6, max_iter=1000)
    folds = cross_val_predict(model, x, y, groups=groups, cv=GroupKFold(5), method="predict_proba")[:, 1]
    answerable = [question.answerable for question in questions]
    ones = np.ones((1, len(y)))
    print(
        f"folds: AUROC answerable {metrics.auroc(ones, folds, answerable)[0]:.3f}, "
        f"right {metrics.auroc(ones, folds, y.astype(bool))[0]:.3f}, "
        f"ECE {calibration_error(folds.tolist(), y.tolist()):.3f}"
    )
    gold_x, gold_y = _table(own, names)
    weight = np.concatenate([np.full(len(y), 0.5 / len(y)), np.full(len(gold_y), 0.5 / len(gold_y))]) * len(y)
    model.fit(np.vstack([x, gold_x]), np.concatenate([y, gold_y]), sample_weight=weight)
    shown = model.predict_proba(gold_x)[:, 1]
    sure = np.sort([p for p, question in zip(shown, asked, strict=True) if question.answerable])
    threshold = float(sure[int(REFUSED * len(sure))]) - 1e-6
    refused = np.mean(sure < threshold)
    passed = np.mean([p >= threshold for p, question in zip(shown, asked, strict=True) if not question.answerable])
    print(f"gold training half: threshold {threshold:.3f}, refused {refused:.3f}, unanswerable answered {passed:.3f}")
    data = {
        "intercept": round(float(model.intercept_[0]), 6),
        "weights": {name: round(float(value), 6) for name, value in zip(names, model.coef_[0], strict=True)},
        "threshold": round(threshold, 4),
    }
    out.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    print(f"wrote {out}: {data}")


def examples(pipeline: Pipeline, questions: Sequence[Question]) -> list[tuple[dict[str, float], bool]]:
    """Questions to their retrievals' features, and whether the first sentence is evidence."""
    found = []
    for question in questions:
        retrieval = pipeline.retrieve(question.text)
        first = place(retrieval.sentences[0])
        found.append((dict(retrieval.features), any(metrics.agrees(quote, first) for quote in question.evidence)))
    return found


def _table(rows: list[tuple[dict[str, float], bool]], names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([[row[name] for name in names] for row, _ in rows]), np.array([float(right) for _, right in rows])


def calibration_error(confidences: Sequence[float], right: Sequence[float], bins: int = 10) -> float:
    """Confidences and whether each was right (1 or 0) to the expected calibration error over bins of equal width."""
    p, y = np.asarray(confidences), np.asarray(right)
    place_of = np.minimum((p * bins).astype(int), bins - 1)
    gaps = [abs(float(p[place_of == b].sum() - y[place_of == b].sum())) for b in range(bins)]
    return sum(gaps) / len(p)


if __name__ == "__main__":
    sys.exit(main())
