"""Questions asked of a pipeline to figures: what `run` and `bench` have in common.

Definitions, each averaged over the questions it is about; all intervals are 95 % bootstrap intervals over questions:
recall@k             share of a question's evidence quotes that lie, by at least half of their characters, in the
                     first k hits' passages
mrr, ndcg@5          of the hits' passages, relevant ones overlapping an evidence quote (ir-measures); a quote that
                     no hit overlaps counts as one relevant passage that was not found
sentence_first       the first of the answer's sentences shares at least half of the shorter one with an evidence quote
sentence_recall@3    share of the evidence quotes with which one of the first three sentences does
citation_precision, citation_recall   share of the cited characters that are evidence; of the evidence's that are cited
em, f1               the short answer (where there is none, the whole text) against the best of the gold ones,
                     SQuAD's normalisation
quote_validity       share of all citations that are exact: see `exact_citations`
answered_unanswerable, refused_answerable   the two errors of abstaining
auroc                of the confidence, answerable questions against unanswerable ones
latency_p50_ms, latency_p95_ms   wall-clock time of a question, after one to warm up
Answers are judged over all answerable questions, a refusal being wrong, and (`_answered`) over the answered ones.
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
    """A question, its answer and how long that took."""

    question: Question
    answer: Answer
    milliseconds: float


def ask_all(pipeline: Pipeline, questions: Sequence[Question], *, warm: bool = False) -> list[Asked]:
    """Questions to their answers, timed; one is asked before, to warm up, if not `warm` already. Raises RagError."""
    if not warm:
        pipeline.ask(questions[0].text)
    asked = []
    for question in questions:
        start = time.perf_counter()
        answer = pipeline.ask(question.text)
        asked.append(Asked(question, answer, (time.perf_counter() - start) * 1000))
    return asked


def place(excerpt: Excerpt) -> Place:
    """A passage or a sentence to its place."""
    return Place(excerpt.document.id, *excerpt.span)


def predicted(asked: Asked) -> str:
    """What was answered, to compare with the gold answers; nothing when it abstained."""
    answer, question = asked.answer, asked.question
    if answer.abstained:
        return ""
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
        judged |= {"f1": metrics.f1(predicted(asked), answers)}
        judged |= {} if question.long else {"em": metrics.exact_match(predicted(asked), answers)}
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
    times = [one.milliseconds for one in asked]
    for name, share in zip(LATENCIES, (0.5, 0.95), strict=True):
        found[name] = metrics.figure(metrics.percentile(weights, times, share))
    return found
