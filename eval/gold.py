"""A gold file to Questions with exact places; the reading of JSON lines, for `sets` too.

Quotes are located here, once; nothing after searches. A mistake in a file is a RagError that names
the file, the line and what is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.metrics import Place
from rag import Document, RagError, make_document

GOLD: Mapping[str, type] = {
    "id": str, "question": str, "answerable": bool, "short_answers": list, "evidence": list, "kind": str, "split": str
}  # fmt: skip
SPLITS = ("test", "train", "all")


@dataclass(frozen=True, slots=True)
class Question:
    """A question with what a right answer is.

    evidence: the places that answer it. documents: the ids of those that a public set names. long: compare the whole
    answer's text, not the short answer. tokenised: texts and answers have spaces round their punctuation.
    """

    id: str
    text: str
    answerable: bool
    answers: tuple[str, ...]
    evidence: tuple[Place, ...]
    documents: tuple[str, ...] = ()
    kind: str = ""
    split: str = ""
    long: bool = False
    tokenised: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file: its place, for errors, and its object."""

    where: str
    entry: Mapping[str, Any]

    def wrong(self, what: str) -> RagError:
        """What is wrong with the line to its error."""
        return RagError(f"{self.where}: {what}")


def load_gold(path: Path, documents: Sequence[Document], split: str = "all") -> list[Question]:
    """A gold file and the index's documents to the questions of a split, in order.

    A line is {"id", "question", "answerable", "short_answers": [...], "evidence": [quote, ...], "kind", "split",
    "document"?}. A quote must occur exactly once: in the document of that id, else in all documents together.
    Raises RagError.
    """
    lines = read(path, GOLD)
    texts = {document.id: document.text for document in documents}
    seen: set[str] = set()
    questions = []
    for line in lines:
        question = _gold(line, texts)
        if question.id in seen:
            raise line.wrong(f'a second question with the id "{question.id}"')
        seen.add(question.id)
        questions.append(question)
    chosen = [question for question in questions if split in ("all", question.split)]
    if not chosen:
        raise RagError(f"{path} holds no question of the split {split}")
    return chosen


def _gold(line: Line, texts: Mapping[str, str]) -> Question:
    entry = line.entry
    if entry["split"] not in SPLITS[:2]:
        raise line.wrong(f'"split" is "{entry["split"]}", not "train" or "test"')
    name = stored(entry["document"]) if entry.get("document") is not None else None
    if name is not None and name not in texts:
        raise line.wrong(f'the index has no document "{name}" (it has {", ".join(sorted(texts)[:5])})')
    among = texts if name is None else {name: texts[name]}
    places = tuple(_located(line, quote, among) for quote in entry["evidence"])
    if entry["answerable"] and not places:
        raise line.wrong('an answerable question needs at least one quote in "evidence"')
    return Question(
        id=entry["id"],
        text=entry["question"],
        answerable=entry["answerable"],
        answers=tuple(map(stored, entry["short_answers"])),
        evidence=places,
        documents=(name,) if name is not None else (),
        kind=entry["kind"],
        split=entry["split"],
    )


def _located(line: Line, quote: str, texts: Mapping[str, str]) -> Place:
    """A quote to the one place where it occurs in the texts."""
    places = [place for name, text in texts.items() for place in occurrences(name, text, stored(quote))]
    if len(places) != 1:
        where = f'the document "{next(iter(texts))}"' if len(texts) == 1 else f"the index's {len(texts)} documents"
        often = f"occurs {len(places)} times" if places else "does not occur"
        raise line.wrong(f'the evidence "{quote}" {often} in {where}; it must occur exactly once')
    return places[0]


def occurrences(name: str, text: str, quote: str) -> Iterator[Place]:
    """Every place of a document's text where the quote stands; none for an empty quote."""
    at = text.find(quote) if quote else -1
    while at >= 0:
        yield Place(name, at, at + len(quote))
        at = text.find(quote, at + 1)


def stored(text: str) -> str:
    """Any string as a Document stores it."""
    return make_document(text, id="-").text


def read(path: Path, needed: Mapping[str, type]) -> list[Line]:
    """A JSON-lines file to its lines, each an object with the needed names and types; blank lines are left out."""
    try:
        rows = path.read_bytes().decode("utf-8-sig").split("\n")
    except OSError as error:
        raise RagError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise RagError(f"{path} is not UTF-8 text (byte {error.start})") from None
    lines = [_line(f"{path}, line {number}", row, needed) for number, row in enumerate(rows, 1) if row.strip()]
    if not lines:
        raise RagError(f"{path} is empty")
    return lines


def _line(where: str, row: str, needed: Mapping[str, type]) -> Line:
    try:
        line = Line(where, json.loads(row))
    except ValueError as error:
        raise RagError(f"{where}: not JSON ({error})") from None
    if not isinstance(line.entry, dict):
        raise line.wrong("not a JSON object")
    for name, kind in needed.items():
        if name not in line.entry:
            raise line.wrong(f'"{name}" is missing')
        value = line.entry[name]
        parts = value if isinstance(value, list) else []
        if not isinstance(value, kind) or not all(isinstance(part, str) for part in parts):
            wanted = {str: "a string", bool: "true or false", list: "a list of strings"}[kind]
            raise line.wrong(f'"{name}" must be {wanted}, not {json.dumps(value, ensure_ascii=False)}')
    return line
