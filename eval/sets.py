"""A public set's folder, `docs.jsonl` and `qa.jsonl`, to Documents and Questions with exact places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from eval.gold import Line, Question, occurrences, read, stored
from eval.metrics import Place
from rag import Document, RagError, make_document

LONG = 15  # words: a set whose answers have more (median) asks for long ones


def load_set(folder: Path, limit: int | None = None) -> tuple[list[Document], list[Question]]:
    """A public set's folder to all its documents and its (first `limit`) questions.

    `docs.jsonl` has {"doc_id", "text", "title"?}; `qa.jsonl` {"id", "question", "answers", "answerable"} and what
    the set has of "doc_id", "doc_ids", "answer_start", "sentence", "evidence". A question's evidence is the quotes
    in "evidence", else "sentence", else the answer at "answer_start". Storing may have changed a text (NFC,
    newlines): then the answer is the occurrence nearest to the old offset. Raises RagError.
    """
    if not (folder / "qa.jsonl").is_file():
        sets = ", ".join(sorted(path.parent.name for path in folder.parent.glob("*/qa.jsonl"))) or "none"
        lack = "there is no qa.jsonl in" if folder.is_dir() else "there is no set"
        raise RagError(f"{lack} {folder}; the sets with questions there: {sets}")
    documents = [
        make_document(entry["text"], id=entry["doc_id"], title=entry.get("title") or "")
        for entry in (line.entry for line in read(folder / "docs.jsonl", {"doc_id": str, "text": str}))
    ]
    texts = {document.id: document.text for document in documents}
    lines = read(folder / "qa.jsonl", {"id": str, "question": str, "answers": list, "answerable": bool})
    words = [len(answer.split()) for line in lines for answer in line.entry["answers"]]
    spaced = sum(text.count(" , ") * 2 > text.count(", ") for text in texts.values())
    facts = {"long": bool(words) and median(words) > LONG, "tokenised": 2 * spaced > len(texts)}
    return documents, [_from_set(line, texts, **facts) for line in lines[:limit]]


def asked_elsewhere(questions: Sequence[Question]) -> list[Question]:
    """Questions to the same, each asked of another document, half of them further, which does not answer it.

    None without a second document. Neighbours may be of one article, so the next one would not do.
    """
    names = list(dict.fromkeys(name for question in questions for name in question.documents))
    half = len(names) // 2
    other = dict(zip(names, names[half:] + names[:half], strict=True)) if half else {}
    return [
        replace(question, documents=(other[question.documents[0]],), answerable=False, answers=(), evidence=())
        for question in questions
        if half and question.documents
    ]


def _from_set(line: Line, texts: Mapping[str, str], *, long: bool, tokenised: bool) -> Question:
    entry = line.entry
    names = tuple(map(stored, entry.get("doc_ids") or [name for name in [entry.get("doc_id")] if name]))
    if missing := [name for name in names if name not in texts]:
        raise line.wrong(f'docs.jsonl has no "{missing[0]}"')
    own = {name: texts[name] for name in names}
    return Question(
        id=entry["id"],
        text=entry["question"],
        answerable=entry["answerable"],
        answers=tuple(map(stored, entry["answers"])),
        evidence=tuple(_evidence(line, own)) if entry["answerable"] else (),
        documents=names,
        long=long,
        tokenised=tokenised,
    )


def _evidence(line: Line, texts: Mapping[str, str]) -> Iterator[Place]:
    """A set's answerable question to the places of its evidence, as far as the set tells."""
    entry, start = line.entry, line.entry.get("answer_start")
    quotes = entry.get("evidence") or [quote for quote in [entry.get("sentence")] if quote]
    for quote in quotes:
        places = [place for name, text in texts.items() for place in occurrences(name, text, stored(quote).strip())]
        if not places:
            raise line.wrong(f'the evidence "{quote}" is not in its document')
        yield places[0]
    if not quotes and start is not None:
        found = [
            place
            for answer in entry["answers"]
            for name, text in texts.items()
            for place in occurrences(name, text, stored(answer))
        ]
        if not found:
            raise line.wrong("none of the answers is in its document")
        yield min(found, key=lambda place: abs(place.start - start))
