"""Turns of a conversation to its HTML, everything escaped: no text can become markup, an image or a link."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rag.chat.turns import Pointer, Turn, paragraph, pointers
from rag.errors import RagError
from rag.text import one_line
from rag.types import Answer, Claim, Excerpt, Span, Verdict

LABEL_LIMIT = 160  # characters of a quote in a button's name
NOTES = {
    Verdict.SUPPORTED: "",
    Verdict.MISATTRIBUTED: "pointer corrected",
    Verdict.UNSUPPORTED: "not in the source",
    Verdict.PENDING: "being checked",
}
OOPS = "Something went wrong while answering. The program's log has the details; please ask again."


def conversation(
    turns: Sequence[Turn],
    *,
    pending: str = "",
    examples: Sequence[str] = (),
    titles: bool = False,
    writing: bool = False,
) -> str:
    """Turns, a question that is being answered, and example questions to the conversation.

    The examples show only while nothing has been asked. titles: name the documents, as there are several.
    writing: the last turn's answer is still being written.
    """
    if not turns and not pending:
        return _welcome(examples)
    parts = [_turn(turn, number, titles, writing and number == len(turns)) for number, turn in enumerate(turns, 1)]
    if pending:
        reading = '<div class="fn-card fn-reading"><span class="fn-dots" aria-hidden="true"></span>Reading…</div>'
        parts.append(_section(len(turns) + 1, pending, reading))
    return "".join(parts)


def _welcome(examples: Sequence[str]) -> str:
    parts = [
        '<section class="fn-welcome"><h2>Ask. Then check.</h2>'
        "<p>Every sentence of an answer is numbered: press a number to see the exact words it rests on. "
        "When the source does not say, you are told so.</p>"
    ]
    if examples:
        buttons = "".join(
            f'<li><button type="button" class="fn-example" data-question="{escape(text)}">{escape(text)}</button></li>'
            for text in examples
        )
        parts.append(f'<h3 id="fn-try">Try one of these</h3><ul aria-labelledby="fn-try">{buttons}</ul>')
    return "".join([*parts, "</section>"])


def _section(number: int, question: str, body: str) -> str:
    asked = f'<p class="fn-question" dir="auto"><span class="fn-hidden">You asked: </span>{escape(question)}</p>'
    return f'<section class="fn-turn" aria-label="Question {number}">{asked}{body}</section>'


def _turn(turn: Turn, number: int, titles: bool, writing: bool = False) -> str:
    if turn.answer is None:
        body = f'<div class="fn-card fn-problem" dir="auto"><p>{escape(turn.problem or OOPS)}</p></div>'
    elif turn.answer.abstained:
        body = _silence(turn.answer, number, titles)
    else:
        body = _answer(turn.answer, number, titles, writing)
    if turn.answer is not None and turn.answer.understood != turn.answer.question:
        body = f'<p class="fn-understood" dir="auto">{escape(_understood(turn.answer))}</p>{body}'
    return _section(number, turn.question, body)


def _understood(answer: Answer) -> str:
    """A follow-up's answer to how its question was read: with which words of the turns before it, or as what."""
    carried = answer.understood.removeprefix(f"{answer.question} (")
    if carried == answer.understood:
        return f"Read as: {answer.understood}"
    return f"Read with words from before: {carried.removesuffix(')')}"


def _answer(answer: Answer, turn: int, titles: bool, writing: bool) -> str:
    """An answer to its card: the claims with their numbers, the numbered quotes, notes, a way to copy it."""
    claims = " ".join(_claim(answer, claim, turn) for claim in answer.claims) or escape(answer.text)
    parts = [f'<div class="fn-card fn-answer"><p class="fn-text" dir="auto">{claims}</p>']
    if places := pointers(answer, turn):
        parts.append(f'<ol class="fn-sources" aria-label="Sources">{_places(places, titles)}</ol>')
    if writing:
        dots = '<p class="fn-reading"><span class="fn-dots" aria-hidden="true"></span>Writing…</p>'
        return "".join([*parts, dots, "</div>"])
    return "".join([*parts, _notes(answer), _copy(answer), "</div>"])


def _silence(answer: Answer, turn: int, titles: bool) -> str:
    """An answer that abstained to its card: that the source does not say, why, and the nearest passages."""
    parts = [f'<div class="fn-card fn-silence"><h3 class="fn-silence-title" dir="auto">{escape(answer.text)}</h3>']
    if answer.reason:
        parts.append(f'<p class="fn-reason" dir="auto">{escape(answer.reason)}</p>')
    if places := pointers(answer, turn):
        title = f"fn-near-{turn}"
        parts.append(f'<h4 class="fn-near-title" id="{title}">The nearest passages</h4>')
        parts.append(f'<ol class="fn-sources" aria-labelledby="{title}">{_places(places, titles)}</ol>')
    return "".join([*parts, _notes(answer), _copy(answer), "</div>"])


def _claim(answer: Answer, claim: Claim, turn: int) -> str:
    """A claim to its words, its verdict's mark and its numbers, which only a checked claim has."""
    words = _words(answer, claim)
    tag = "del" if claim.verdict is Verdict.UNSUPPORTED else "span"
    html = f'<{tag} class="fn-claim fn-{claim.verdict}">{words}</{tag}>'
    if note := NOTES[claim.verdict]:
        html += f' <span class="fn-verdict fn-{claim.verdict}-note">{note}</span>'
    if claim.verdict in (Verdict.SUPPORTED, Verdict.MISATTRIBUTED):
        for citation in claim.citations:
            label = f"Source {citation.number}: {one_line(citation.text, LABEL_LIMIT)}"
            html += (
                f'<button type="button" class="fn-cite" data-cite="a{turn}c{citation.number}" '
                f'aria-label="{escape(label)}">{citation.number}</button>'
            )
    return html


def _words(answer: Answer, claim: Claim) -> str:
    """A claim to its words; in one copied word for word from its source, the exact answer is emphasised."""
    text = answer.text[claim.span.start : claim.span.end]
    for citation in claim.citations:
        for short in answer.short:
            if citation.text == text and _within(short, citation.document.id, citation.quote):
                start, end = short.span.start - citation.quote.start, short.span.end - citation.quote.start
                return f"{escape(text[:start])}<strong>{escape(text[start:end])}</strong>{escape(text[end:])}"
    return escape(text)


def _within(short: Excerpt, document_id: str, quote: Span) -> bool:
    """Whether words lie in a quote and are a part of it: emphasis on everything would emphasise nothing."""
    inside = short.document.id == document_id and quote.start <= short.span.start < short.span.end <= quote.end
    return inside and short.span != quote


def _places(places: Sequence[Pointer], titles: bool) -> str:
    return "".join(_place(pointer, titles) for pointer in places)


def _place(pointer: Pointer, titles: bool) -> str:
    where = f"Paragraph {paragraph(pointer.document, pointer.span.start)}"
    if titles:
        where = f"{one_line(pointer.document.title, 60)} · {where.lower()}"
    number = f'<span class="fn-number">{pointer.number}</span>' if pointer.cited else ""
    return (
        f'<li><button type="button" class="fn-place" data-cite="{pointer.key}">{number}'
        f'<span class="fn-quote" dir="auto">“{escape(one_line(pointer.text, 400))}”</span> '
        f'<span class="fn-where">{escape(where)}</span></button></li>'
    )


def _notes(answer: Answer) -> str:
    notes = list(answer.warnings) + ([] if answer.finished else ["The answer was cut off before its end."])
    return "".join(f'<p class="fn-note" dir="auto">{escape(note)}</p>' for note in notes)


def _copy(answer: Answer) -> str:
    return (
        '<div class="fn-tools"><button type="button" class="fn-copy" '
        f'data-copy="{escape(answer.to_markdown())}">Copy</button></div>'
    )


def problem(error: Exception) -> str:
    """An error to what the reader is told: one of ours says what to do, any other belongs in the log."""
    return str(error)[:1].upper() + str(error)[1:] if isinstance(error, RagError) else OOPS
