"""An Answer to plain data, Markdown and HTML; text from sources never becomes markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html import escape
from typing import Any

from rag.text import one_line
from rag.types import Answer, Citation, Excerpt, Span, Verdict

SCHEMA_VERSION = 1
CUT = "The answer was cut off before its end."
_MARKS = {
    Verdict.SUPPORTED: "",
    Verdict.MISATTRIBUTED: " (pointer corrected)",
    Verdict.UNSUPPORTED: " (not in the sources)",
    Verdict.PENDING: " (being checked)",
}
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-!|~$&:.@])")


def to_dict(answer: Answer) -> dict[str, Any]:
    """An answer to the plain data that `answer.schema.json` describes."""
    documents = {hit.passage.document.id: hit.passage.document for hit in answer.hits}
    documents |= {citation.document.id: citation.document for citation in answer.citations}
    return {
        "schema_version": SCHEMA_VERSION,
        "question": answer.question,
        "understood": answer.understood,
        "text": answer.text,
        "abstained": answer.abstained,
        "reason": answer.reason,
        "confidence": answer.confidence,
        "finished": answer.finished,
        "short": [_excerpt(excerpt) for excerpt in answer.short],
        "claims": [
            {
                **_range(claim.span),
                "text": answer.text[claim.span.start : claim.span.end],
                "verdict": str(claim.verdict),
                "citations": [citation.number for citation in claim.citations],
            }
            for claim in answer.claims
        ],
        "citations": [
            {
                "number": citation.number,
                "document": citation.document.id,
                **_range(citation.quote),
                "quote": citation.text,
                "passage": _range(citation.passage.span),
            }
            for citation in answer.citations
        ],
        "hits": [
            {
                **_excerpt(hit.passage),
                "score": hit.score,
                "sentences": [
                    {**_range(span), "score": score}
                    for span, score in zip(hit.passage.sentences, hit.sentence_scores, strict=True)
                ],
                "trace": {name: signal._asdict() for name, signal in hit.trace.items()},
            }
            for hit in answer.hits
        ],
        "documents": [
            {"id": d.id, "title": d.title, "source": d.source, "sha256": d.sha256} for d in documents.values()
        ],
        "warnings": list(answer.warnings),
        "timings": dict(answer.timings),
    }


def _range(span: Span) -> dict[str, int]:
    return {"start": span.start, "end": span.end}


def _excerpt(excerpt: Excerpt) -> dict[str, Any]:
    return {"document": excerpt.document.id, **_range(excerpt.span), "text": excerpt.text}


def nearest(answer: Answer, count: int = 3) -> tuple[Excerpt, ...]:
    """An answer to the sentences that came nearest, best first: what is shown when it abstains."""
    return answer.sentences[:count]


def to_text(answer: Answer) -> str:
    """An answer to plain text for a terminal: the claims with their numbers, then the numbered quotes."""
    lines = [one_line(answer.text) if not answer.claims else " ".join(_numbered(answer))]
    if answer.short:
        lines.append("Exactly: " + " · ".join(f"“{one_line(excerpt.text)}”" for excerpt in answer.short))
    if answer.reason:
        lines.append(answer.reason)
    if answer.citations:
        lines += ["", *(f"[{c.number}] “{one_line(c.text)}” ({_where(c)})" for c in answer.citations)]
    elif answer.hits:
        lines += [
            "",
            "The nearest passages:",
            *(f"  - {one_line(e.text, 300)} ({e.document.title})" for e in nearest(answer)),
        ]
    notes = [*answer.warnings, *([] if answer.finished else [CUT])]
    return _printable("\n".join([*lines, *(f"\nnote: {note}" for note in notes)]))


def settled(answer: Answer) -> str:
    """An answer that is being written to how `to_text` begins: the claims whose verdict is known."""
    known = replace(answer, claims=tuple(claim for claim in answer.claims if claim.verdict is not Verdict.PENDING))
    return _printable(" ".join(_numbered(known)))


def to_markdown(answer: Answer) -> str:
    """An answer to Markdown: the claims with their numbers, then the numbered quotes as a list of block quotes."""
    parts = [" ".join(_markdown(line) for line in _numbered(answer)) if answer.claims else _markdown(answer.text)]
    if answer.reason:
        parts.append(_markdown(answer.reason))
    parts += [f"> \\[{c.number}\\] “{_markdown(one_line(c.text))}” — {_markdown(_where(c))}" for c in answer.citations]
    if not answer.citations:
        parts += [f"> “{_markdown(one_line(e.text))}” — {_markdown(e.document.title)}" for e in nearest(answer)]
    parts += [f"Note: {_markdown(note)}" for note in [*answer.warnings, *([] if answer.finished else [CUT])]]
    return "\n\n".join(parts) + "\n"


def to_html(answer: Answer) -> str:
    """An answer to HTML for a notebook, everything escaped."""
    claims = " ".join(escape(line) for line in _numbered(answer)) if answer.claims else escape(answer.text)
    parts = [f"<p><strong>{escape(answer.question)}</strong></p>", f"<p>{claims}</p>"]
    if answer.reason:
        parts.append(f"<p><em>{escape(answer.reason)}</em></p>")
    quotes = [f"[{c.number}] “{escape(one_line(c.text))}” — {escape(_where(c))}" for c in answer.citations]
    if not quotes:
        quotes = [f"“{escape(one_line(e.text))}” — {escape(e.document.title)}" for e in nearest(answer)]
    parts += [f"<blockquote>{quote}</blockquote>" for quote in quotes]
    parts += [f"<p><small>Note: {escape(warning)}</small></p>" for warning in answer.warnings]
    return f'<div class="footnote-answer">{"".join(parts)}</div>'


def _numbered(answer: Answer) -> list[str]:
    """The claims' texts, each followed by its verdict's mark and its citation numbers."""
    lines = []
    for claim in answer.claims:
        numbers = "".join(f" [{citation.number}]" for citation in claim.citations)
        lines.append(one_line(answer.text[claim.span.start : claim.span.end]) + _MARKS[claim.verdict] + numbers)
    return lines


def _where(citation: Citation) -> str:
    return f"{one_line(citation.document.title)}, {citation.quote.start}–{citation.quote.end}"


def _markdown(text: str) -> str:
    return _MARKUP.sub(r"\\\1", one_line(text))


def _printable(text: str) -> str:
    """Text without control characters, which could steer a terminal."""
    return "".join(
        c if c == "\n" or c.isprintable() else "\ufffd" if ord(c) < 32 or 127 <= ord(c) < 160 else c for c in text
    )
