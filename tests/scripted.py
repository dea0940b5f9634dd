"""A pipeline that can be followed by hand, and two documents to ask it about; its rules are `Scripted`'s docstring."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rag import (
    Answer,
    Citation,
    Claim,
    Document,
    Excerpt,
    Hit,
    Passage,
    Retrieval,
    Settings,
    Signal,
    Span,
    Verdict,
    make_document,
)

CAFE = (
    "Zoë opened the café 😀 in Paris. The doors were painted blue.\r\n"
    "She said “bonjour” to 中文 readers. Rain fell all night."
)
TOKYO = "Hiro opened a bakery in Tokyo. It sells melon bread."
DOCUMENTS = (make_document(CAFE, id="cafe"), make_document(TOKYO, id="tokyo"))
STOP = {"the", "did", "what", "who", "was"}


def words(text: str) -> set[str]:
    return set(re.findall(r"\w{3,}", text.lower())) - STOP


class Scripted:
    """A Pipeline of which everything is plain to see.

    A line of a document is a passage. A sentence's or passage's score is the share of the question's words that it
    has; hits go by the passage's, which is also the confidence; "bm25" ranks as the hits, "dense" the other way
    round. The answer is the best sentence; its short form, that one's last word. Threshold: a half.
    """

    built: ClassVar[dict[Path, tuple[Document, ...]]] = {}
    broken = False

    def __init__(self, documents: Sequence[Document], settings: Settings) -> None:
        self.documents, self.encoder = tuple(documents), None
        self.threshold = 0.5 if settings.threshold is None else settings.threshold

    @classmethod
    def open(
        cls, index: Path | None = None, *, settings: Settings, encoder: object = None, say: object = None
    ) -> Scripted:
        return cls(cls.built.get(index, DOCUMENTS) if index else DOCUMENTS, settings)

    def sizes(self) -> dict[str, float]:
        return {"all": 1.0}

    def retrieve(self, question: str, keep: int = 10) -> Retrieval:
        asked = words(question)
        found = []
        for document in self.documents:
            for line in re.finditer(r".+", document.text):
                spans = [Span(*m.span()) for m in re.compile(r"[^\s.][^.]*\.").finditer(document.text, *line.span())]
                scores = tuple(len(asked & words(document.text[a:b])) / len(asked) for a, b in spans)
                passage = Passage(document, Span(*line.span()), tuple(spans))
                found.append(Hit(passage, len(asked & words(line.group())) / len(asked), scores))
        found.sort(key=lambda hit: hit.score if self.broken else -hit.score)
        n = len(found)
        hits = [
            replace(hit, trace={"bm25": Signal(hit.score, at + 1), "dense": Signal(-hit.score, n - at)})
            for at, hit in enumerate(found)
        ]
        return Retrieval(question, tuple(hits[:keep]), (), np.ones(1, np.float32), {})

    def ask(self, question: str, *, max_wrong: float | None = None) -> Answer:
        hits = self.retrieve(question).hits
        if self.broken:
            hits = tuple(replace(hit, sentence_scores=tuple(-s for s in hit.sentence_scores)) for hit in hits)
        confidence = max(hit.score for hit in hits)
        nothing = Answer(question, question, "The sources do not say.", (), (), hits, confidence, True)
        if confidence < (self.threshold if max_wrong is None else 0.0):
            return nothing
        best = nothing.sentences[0]
        passage = next(
            h.passage for h in hits if h.passage.document == best.document and best.span in h.passage.sentences
        )
        claim = Claim(Span(0, len(best.text)), Verdict.SUPPORTED, (Citation(1, best.document, passage, best.span),))
        last = Span(best.span.start + best.text.rindex(" ") + 1, best.span.end - 1)
        return replace(nothing, text=best.text, short=(Excerpt(best.document, last),), claims=(claim,), abstained=False)

    def stream(
        self, question: str, *, history: Sequence[Answer] = (), max_wrong: float | None = None
    ) -> Iterator[Answer]:
        yield self.ask(question, max_wrong=max_wrong)


def scripted_index(documents: Sequence[Document], out: Path, *, settings: Settings, encoder: object = None) -> None:
    Scripted.built[out] = tuple(documents)


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path
