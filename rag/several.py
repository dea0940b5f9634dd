"""A question that asks several things to each of them, and what was read for each to one retrieval.

"Who led them, and when did they come?" is read once for each question in it, so that neither hides the other's answer.
The figures behind the rules are in `eval/LOG.md`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, product
from typing import NamedTuple

import numpy as np

from rag.text import parts, words
from rag.types import Asked, Finding, Retrieval, SentenceId

MOST = 3  # questions in one
TRIED = 5  # sentences that may answer each
_ASKING = r"(?:who|whom|whose|what|which|when|where|why|how)\b"
_BEFORE = r"(?:(?:at|in|on|by|for|from|to|with|of|about|through|during|into|under|against|since|until)\s+)?"
_VERB = (
    r"(?:(?:do|does|did)\s+\w|"
    r"(?:is|are|was|were|can|could|will|would|has|have|had|should)\s+(?:it|he|she|they|there|this|that|these|those)\b)"
)
# No space before the joint: where there are many, each would be tried as the start of one.
_NEXT = re.compile(rf"(?<!\bif )\b(?:and|as well as) (?={_BEFORE}{_ASKING}|{_VERB})|(?<=[?]) (?=\w)", re.IGNORECASE)
_ASKS = re.compile(rf"\b{_ASKING}|^\W*{_VERB}|[?]$", re.IGNORECASE)


def questions(question: str) -> tuple[tuple[str, str], ...]:
    """A question to the two or three that it asks, each as asked and as it stands alone; none when it asks one thing.

    The first keeps its words, or is the whole one if they say too little ("What city and what river ..."). To the
    others, what the first is about is added in brackets, as they mostly mean it ("and when was he born?").
    """
    cut = [piece.strip(" ,;") for piece in _NEXT.split(" ".join(question.split()))]
    if not 2 <= len(cut) <= MOST or not all(parts(piece) and _ASKS.search(piece) for piece in cut):
        return ()
    if len({tuple(words(piece)) for piece in cut}) < len(cut) or any(p.count("(") != p.count(")") for p in cut):
        return ()
    first = cut[0]
    about = {part.stems: first[slice(*part.span)] for part in parts(first)}
    found = [(first, first if len(first.split()) > 2 else question)]
    for other in cut[1:]:
        held = set(words(other))
        carried = " ".join(said for stems, said in about.items() if not stems <= held)
        found.append((other, f"{other} ({carried})" if carried else other))
    return tuple(found)


def joined(whole: Retrieval, read: Sequence[Retrieval], said: Sequence[str], confidences: Sequence[float]) -> Retrieval:
    """A question's retrieval, and each of its questions' own, these read, to the first with `asked` and its findings.

    Each question gets a sentence: together the best of which no two have one exact answer. These rank first among the
    sentences, in the order asked. A hit that only one of the questions found comes after the others.
    """
    best = max(product(*map(_best, read)), key=lambda chosen: (_apart(chosen), sum(one.score for one in chosen)))
    hits, matches, asked, findings = list(whole.hits), list(whole.matches), [], []
    for part, question, confidence, one in zip(read, said, confidences, best, strict=True):
        hit = part.hits[one.place.hit]
        at = next((i for i, other in enumerate(hits) if other.passage == hit.passage), len(hits))
        if at == len(hits):
            hits.append(replace(hit, score=min(hit.score, hits[-1].score)))
            matches.append(np.zeros((len(hit.sentence_scores), len(whole.weights)), np.float32))
        place = SentenceId(at, one.place.sentence)
        asked.append(Asked(question, confidence, place, one.found.span if one.found else None))
        findings += [replace(one.found, place=place)] if one.found else []
    top = max(score for hit in hits for score in hit.sentence_scores)
    for rank, place in enumerate(dict.fromkeys(one.place for one in reversed(asked)), start=1):
        scores = list(hits[place.hit].sentence_scores)
        scores[place.sentence] = top + rank
        hits[place.hit] = replace(hits[place.hit], sentence_scores=tuple(scores))
    findings.sort(key=lambda finding: -finding.score)
    return replace(whole, hits=tuple(hits), matches=tuple(matches), findings=tuple(findings), asked=tuple(asked))


class _Candidate(NamedTuple):
    """A sentence of a document, what was found in it, if anything was, and its score."""

    place: SentenceId
    document: str
    found: Finding | None
    score: float


def _best(part: Retrieval) -> list[_Candidate]:
    """A retrieval to its best sentences, the best first."""
    found = {finding.place: finding for finding in part.findings}
    every = [
        _Candidate(place, hit.passage.document.id, found.get(place), score)
        for i, hit in enumerate(part.hits)
        for j, score in enumerate(hit.sentence_scores)
        if (place := SentenceId(i, j))
    ]
    return sorted(every, key=lambda one: -one.score)[:TRIED]


def _apart(chosen: Sequence[_Candidate]) -> bool:
    """Whether no two sentences have one exact answer."""
    exact = [(one.document, one.found.span) for one in chosen if one.found]
    return not any(
        id == other and span.start < theirs.end and theirs.start < span.end
        for (id, span), (other, theirs) in combinations(exact, 2)
    )
