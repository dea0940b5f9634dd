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

from rag.text import BACK, parts, words
from rag.types import Asked, Finding, Retrieval, SentenceId

MOST = 5  # questions in one that are read
FEW = 2  # telling words: a question of no more lacks what it is about, if it has no verb that asks
TRIED = 5  # sentences that may answer each
APART = 0.2  # what it is worth, in their scores, that two sentences do not have one exact answer
_ASKING = r"(?:who|whom|whose|what|which|when|where|why|how)\b"
_BEFORE = r"(?:(?:at|in|on|by|for|from|to|with|of|about|through|during|into|under|against|since|until)\s+)?"
_DO = r"(?:(?:do|does|did)\s+\w)"
_BE = r"(?:is|are|was|were|can|could|will|would|has|have|had|should)"
_VERB = rf"(?:{_DO}|{_BE}\s+(?:it|he|she|they|there|this|that|these|those)\b)"
# After a bare comma, in a list that goes on: "who" and "which" mostly begin a clause, others do not before such a verb.
_LISTED = (
    rf"{_BEFORE}(?:what|why|how|when|where)\s+(?:\w+\s+)??(?:{_DO}|{_BE}\b).{{1,200}}\b(?:and|or) {_BEFORE}{_ASKING}"
)
# "if and when", "how and why" are one.
_NOT_AFTER = "".join(rf"(?<!\b{word} )" for word in "if whether how why when where who what which".split())
_MARK = re.compile(r"(?:^|\n)[ \t]*(?:\d{1,2}[.)]|[-*•])[ \t]+")
_TWO = re.compile(r"\bbetween\b", re.IGNORECASE)  # what is between what and what
# No space before the joint: where there are many, each would be tried as the start of one.
_NEXT = re.compile(
    rf"{_NOT_AFTER}\b(?:and|or|as well as) (?={_BEFORE}{_ASKING})|\b(?:and|as well as) (?={_VERB})"
    rf"|(?:& ?|; ?)(?={_BEFORE}{_ASKING}|{_VERB})|, (?={_LISTED})"
    rf"|(?<=[?])(?={_BEFORE}{_ASKING} )|(?<=[?]) (?:(?:and|or|but|also) (?={_BEFORE}{_ASKING}|{_VERB}))?(?=\w)",
    re.IGNORECASE,
)
# In a list of who, who and who, though, each asks.
_AGAIN = {
    word: re.compile(rf"{_NEXT.pattern}|, (?={word}\b.{{1,200}}\b(?:and|or) {word}\b)", re.IGNORECASE)
    for word in ("who", "whom", "whose", "which")
}
_ASKS = re.compile(rf"\b{_ASKING}|^\W*{_VERB}|[?]$", re.IGNORECASE)
_WHOLE = re.compile(rf"\b(?:{_BE}|do|does|did)\b", re.IGNORECASE)
_TAIL = re.compile(r"(?<=\S) \(([^()]*)\)$")


def questions(question: str) -> tuple[tuple[str, str], ...]:
    """A question to those that it asks, each as asked and as it stands alone; none when it asks one thing.

    The first keeps its words, or is the whole one if they say too little ("What city and what river ..."). To another
    that leans on the first ("and when was he born?"), what the first is about is added in brackets; what a question
    has in brackets at its end (see `converse`) is added to each.
    """
    asked = " ".join(_MARK.sub("\n", question).split())
    tail = found[1] if (found := _TAIL.search(asked)) else ""
    said: dict[str, str] = {}  # by its words: what is asked again, and what asks nothing ("Be brief."), is left out
    joint = _AGAIN.get(asked.partition(" ")[0].casefold(), _NEXT)
    for piece in joint.split(asked[: found.start()] if found else asked):
        if (bare := piece.strip(" ,;")) and (_ASKS.search(bare) or not said):
            said.setdefault(bare.casefold().rstrip("?"), bare)
    cut = list(said.values())
    if len(cut) < 2 or not (_ASKS.search(cut[0]) and parts(cut[0])) or not all(map(_closed, cut)) or _TWO.search(asked):
        return ()
    first = cut[0]
    about = {part.stems: first[slice(*part.span)] for part in parts(first)}
    alone = [(first, _with(first, tail) if len(first.split()) > 2 else question)]
    for other in cut[1:]:
        held = set(words(other))
        carried = " ".join(said for stems, said in about.items() if not stems <= held) if _leans(other) else ""
        alone.append((other, _with(other, f"{carried} {tail}".strip())))
    return tuple(alone)


def _closed(text: str) -> bool:
    return text.count('"') % 2 == 0 and all(text.count(a) == text.count(b) for a, b in ("()", "[]", "“”", "«»"))


def _leans(question: str) -> bool:
    """Whether a question points back to another, or is no whole one ("and in what year?")."""
    whole = parts(question) and (_WHOLE.search(question) or len(parts(question)) > FEW)
    return not whole or bool(BACK.search(question))


def _with(question: str, about: str) -> str:
    return f"{question} ({about})" if about else question


def joined(whole: Retrieval, read: Sequence[Retrieval], said: Sequence[str]) -> Retrieval:
    """A question's retrieval, and each of its questions' own, these read, to the first with `asked` and its findings.

    Each question gets a sentence: together the best, where it counts that no two have one exact answer. These rank
    first among the sentences, in the order asked. A hit that only one of the questions found comes after the others.
    """
    best = max(product(*map(_best, read)), key=lambda chosen: APART * _apart(chosen) + sum(one.score for one in chosen))
    hits, matches, asked, findings = list(whole.hits), list(whole.matches), [], []
    for part, question, one in zip(read, said, best, strict=True):
        hit = part.hits[one.place.hit]
        at = next((i for i, other in enumerate(hits) if other.passage == hit.passage), len(hits))
        if at == len(hits):
            hits.append(replace(hit, score=min(hit.score, hits[-1].score)))
            matches.append(np.zeros((len(hit.sentence_scores), len(whole.weights)), np.float32))
        place = SentenceId(at, one.place.sentence)
        asked.append(Asked(question, part.features, place, one.found.span if one.found else None))
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
