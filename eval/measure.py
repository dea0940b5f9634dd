"""Questions asked of a pipeline to figures: what `run` and `bench` have in common.

Definitions, each averaged over the questions it is about; all intervals are 95 % bootstrap intervals over questions:
recall@k             share of a question's evidence quotes that lie, by at least half of their characters, in the
                     first k hits' passages
mrr, ndcg@5          of the hits' passages, relevant ones overlapping an evidence quote (ir-measures); a quote that
                     no hit overlaps counts as one relevant passage that was not found
sentence_first       the first of the answer's sentences shares at least half of the shorter one with an evidence quote
sentence_recall@3    share of the evidence quotes with which one of the first three sentences does
citation_precision, citation_recall   share of the cited characters that are evidence; of the evidence's that are cited
em, f1               of the answerable questions, abstaining switched off: the short answer (where there is none, the
                     whole text) against the best of the gold ones, SQuAD's normalisation
short_right          the same, contained in a gold answer or containing one (normalised, whole words)
quote_validity       share of all citations that are exact: see `exact_citations`
answered_unanswerable, refused_answerable   the two errors of abstaining
auroc                of the confidence, answerable questions against unanswerable ones
f1_best, f1_shipped  F1 over all questions, an unanswerable one counting 1 when it is refused: at the best threshold,
                     and at the pipeline's own
ece, aurc            of the confidence that the shown answer is right (its first sentence is evidence): the expected
                     calibration error over ten bins, and the area under the risk-coverage curve
latency_p50_ms, latency_p95_ms   wall-clock time of a question, after one to warm up
Citations are judged over all answerable questions, a refusal being wrong, and (`_answered`) over the answered ones.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval import metrics
from eval.gold import Question
from eval.metrics import Figure, Place
from rag import Answer, Excerpt, Pipeline

Ratios = dict[str, tuple[float, float]]  # a question's part and whole of every figure that it is about
ERRORS = ("answered_unanswerable", "refused_answerable")  # lower is better
LATENCIES = ("latency_p50_ms", "latency_p95_ms")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, its answer, how long that took, and the answer with abstaining switched off."""

    question: Question
    answer: Answer
    milliseconds: float
    forced: Answer


def ask_all(pipeline: Pipeline, questions: Sequence[Question], *, warm: bool = False) -> list[Asked]:
    """Questions to their answers, timed; one is asked before, to warm up, if not `warm` already. Raises RagError."""
    if not warm:
        pipeline.ask(questions[0].text)
    asked = []
    for question in questions:
        start = time.perf_counter()
        answer = pipeline.ask(question.text)
        milliseconds = (time.perf_counter() - start) * 1000
        forced = pipeline.ask(question.text, max_wrong=100) if answer.abstained else answer
        asked.append(Asked(question, answer, milliseconds, forced))
    return asked


def place(excerpt: Excerpt) -> Place:
    """A passage or a sentence to its place."""
    return Place(excerpt.document.id, *excerpt.span)


def predicted(asked: Asked) -> str:
    """What is answered when abstaining is switched off, to compare with the gold answers."""
    answer, question = asked.forced, asked.question
    text = answer.text if question.long or not answer.short else " ".join(part.text for part in answer.short)
    return metrics.detokenised(text) if question.tokenised else text


def evidence_ratios(asked: Sequence[Asked]) -> list[Ratios]:
    """How well the hits' passages find the evidence: recall@1, @3, @5, mrr, ndcg@5."""
    about = [i for i, one in enumerate(asked) if one.question.answerable and one.question.evidence]
    rows: list[Ratios] = [{} for _ in asked]
    passages = {i: [place(hit.passage) for hit in asked[i].answer.hits] for i in about}
    quotes = {i: asked[i].question.evidence for i in about}
    relevant = [
        {str(p) for p in passages[i] if any(metrics.overlaps(p, quote) for quote in quotes[i])}
        | {f"missed {q}" for q in quotes[i] if not any(metrics.overlaps(p, q) for p in passages[i])}
        for i in about
    ]
    scores = metrics.ranking_scores([[str(p) for p in passages[i]] for i in about], relevant)
    for i, (rank, gain) in zip(about, scores, strict=True):
        for k in (1, 3, 5):
            found = sum(metrics.lies_in(quote, passages[i][:k]) for quote in quotes[i])
            rows[i][f"recall@{k}"] = (found / len(quotes[i]), 1)
        rows[i] |= {"mrr": (rank, 1), "ndcg@5": (gain, 1)}
    return rows


def answer_ratios(asked: Asked, texts: Mapping[str, str]) -> Ratios:
    """How good an answer is: every figure of one question but those of rankings. texts: the documents', by id."""
    question, answer = asked.question, asked.answer
    valid, total = exact_citations(answer, texts)
    row: Ratios = {"quote_validity": (valid, total)} if total else {}
    if not question.answerable:
        return row | {"answered_unanswerable": (not answer.abstained, 1)}
    row["refused_answerable"] = (answer.abstained, 1)
    judged: dict[str, float] = {}
    if question.evidence:
        first = [place(sentence) for sentence in answer.sentences[:3]]
        agreeing = sum(any(metrics.agrees(quote, other) for other in first) for quote in question.evidence)
        best = any(metrics.agrees(quote, other) for quote in question.evidence for other in first[:1])
        row["sentence_first"] = (best, 1)
        row["sentence_recall@3"] = (agreeing / len(question.evidence), 1)
        cited = [Place(citation.document.id, *citation.quote) for citation in answer.citations]
        judged["citation_precision"], judged["citation_recall"] = metrics.precision_recall(cited, question.evidence)
    if question.answers:
        answers = [metrics.detokenised(text) if question.tokenised else text for text in question.answers]
        row["f1"] = (metrics.f1(predicted(asked), answers), 1)
        if not question.long:
            row["em"] = (metrics.exact_match(predicted(asked), answers), 1)
            row["short_right"] = (metrics.contained(predicted(asked), answers), 1)
    for name, value in judged.items():
        row[name] = (0.0 if answer.abstained else value, 1)
        if not answer.abstained:
            row[f"{name}_answered"] = (value, 1)
    return row


def exact_citations(answer: Answer, texts: Mapping[str, str]) -> tuple[int, int]:
    """An answer, as its JSON says it, to how many of its citations are exact, and how many it has.

    Exact: the quote is the named document's text from start to end, not empty and inside the passage, and every
    claim that cites it is the answer's text from its start to its end.
    """
    said = answer.to_dict()
    torn = {
        number
        for claim in said["claims"]
        for number in claim["citations"]
        if not 0 <= claim["start"] < claim["end"] <= len(said["text"])
        or said["text"][claim["start"] : claim["end"]] != claim["text"]
    }
    exact = [
        citation["number"] not in torn
        and citation["document"] in texts
        and texts[citation["document"]][citation["start"] : citation["end"]] == citation["quote"]
        and 0 <= citation["passage"]["start"] <= citation["start"] < citation["end"] <= citation["passage"]["end"]
        for citation in said["citations"]
    ]
    return sum(exact), len(exact)


def figures(asked: Sequence[Asked], rows: Sequence[Ratios]) -> dict[str, Figure]:
    """Questions asked, and their parts and wholes, to figures by name; those that nothing is known about are absent."""
    weights = metrics.resampled(len(asked))
    found: dict[str, Figure] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        parts, wholes = zip(*(row.get(name, (0, 0)) for row in rows), strict=True)
        found[name] = metrics.figure(metrics.ratio(weights, parts, wholes))
    answerable = [one.question.answerable for one in asked]
    if any(answerable) and not all(answerable):
        confidences = [one.answer.confidence for one in asked]
        found["auroc"] = metrics.figure(metrics.auroc(weights, confidences, answerable))
        found |= _judged(asked, rows, weights)
    times = [one.milliseconds for one in asked]
    for name, share in zip(LATENCIES, (0.5, 0.95), strict=True):
        found[name] = metrics.figure(metrics.percentile(weights, times, share))
    return found


def _judged(asked: Sequence[Asked], rows: Sequence[Ratios], weights: metrics.Floats) -> dict[str, Figure]:
    """Questions, some unanswerable, to the figures of a confidence that also decides when to be silent."""
    confidences = [one.answer.confidence for one in asked]
    answerable = [one.question.answerable for one in asked]
    right = [bool(row.get("sentence_first", (0, 1))[0]) for row in rows]
    f1s = [row.get("f1", (0.0, 1))[0] for row in rows]
    shipped = [
        f1 if not one.answer.abstained else float(not one.question.answerable)
        for one, f1 in zip(asked, f1s, strict=True)
    ]
    found = {
        "ece": metrics.calibration_error(weights, confidences, right),
        "aurc": metrics.risk_coverage_area(weights, confidences, [not r for r in right]),
    }
    if any("f1" in row for row in rows):
        found["f1_best"] = metrics.best_f1(weights, confidences, f1s, answerable)
        found["f1_shipped"] = metrics.ratio(weights, shipped, [1] * len(asked))
    return {name: metrics.figure(estimates) for name, estimates in found.items()}
