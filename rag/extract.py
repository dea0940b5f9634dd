"""The embedded answerer: a retrieval to the sentences that answer, verbatim."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from rag.types import Draft, Floats, Retrieval, SentenceId, Span

MOST = 3  # sentences of an answer
GAIN = 0.13  # a further sentence must raise the share of the question that is matched by this much,
GAIN_IN_TWO = 0.045  # and by this much when the question asks for two things
SURE = 0.0  # log odds of a further sentence's exact answer, to mark it
_TWO = re.compile(r"\b(?:and|both|as well as)\b", re.IGNORECASE)


class ExtractiveAnswerer:
    """An Answerer that copies source sentences: the best one, and others that match what it leaves unmatched."""

    def answer(self, retrieval: Retrieval) -> Iterator[Draft]:
        """A retrieval to one to MOST drafts, each a source sentence word for word, in the document's order.

        Of a question that asks several things, in the order in which it asks them.
        """
        if retrieval.asked:
            yield from _each(retrieval)
            return
        chosen = choose(retrieval)
        places = sorted(chosen, key=lambda s: (s.hit != chosen[0].hit, s.hit, s.sentence))
        found = {finding.place: finding for finding in retrieval.findings}
        for place in places:
            finding = found.get(place)
            exact = finding and (place == chosen[0] or finding.score > SURE)
            yield _draft(retrieval, place, (finding.span,) if finding and exact else ())


def _each(retrieval: Retrieval) -> Iterator[Draft]:
    """A retrieval to a draft for each sentence that answers a question in it."""
    spans: dict[SentenceId, list[Span]] = {}
    for asked in retrieval.asked:
        spans.setdefault(asked.place, []).extend([asked.span] if asked.span else [])
    for place, short in spans.items():
        yield _draft(retrieval, place, tuple(dict.fromkeys(short)))


def _draft(retrieval: Retrieval, place: SentenceId, short: tuple[Span, ...]) -> Draft:
    passage = retrieval.hits[place.hit].passage
    start, end = passage.sentences[place.sentence]
    return Draft(passage.document.text[start:end], (place,), short)


@np.errstate(invalid="ignore")  # see `retrieve`
def choose(retrieval: Retrieval) -> list[SentenceId]:
    """A retrieval to the sentences of its answer, the best first.

    Those after the first are of its document, unless the question asks for two things.
    """
    places = [
        SentenceId(position, index)
        for position, hit in enumerate(retrieval.hits)
        for index in range(len(hit.sentence_scores))
    ]
    if not places:
        return []
    scores = np.array([retrieval.hits[hit].sentence_scores[index] for hit, index in places])
    matches: Floats = np.concatenate([m for m in retrieval.matches if len(m)])
    chosen = [int(np.argmax(scores))]
    two = _TWO.search(retrieval.question)
    documents = [retrieval.hits[hit].passage.document.id for hit, _ in places]
    allowed = np.array([two is not None or document == documents[chosen[0]] for document in documents])
    while len(chosen) < MOST:
        covered = matches[chosen].max(axis=0)
        gains = allowed * (np.maximum(matches - covered, 0) @ retrieval.weights)
        best = int(np.argmax(gains))
        if gains[best] < (GAIN_IN_TWO if two else GAIN):
            break
        chosen.append(best)
    return [places[i] for i in chosen]
