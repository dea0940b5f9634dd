"""Footnote's program: the public names, as a user has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eval.peers.program import KEPT, Found, Opened, Program, run
from rag import Pipeline, build_index, make_document


def build(texts: Sequence[tuple[str, str]], folder: Path, model: str) -> None:
    """Texts to an index folder; opening the encoder is a part of it."""
    build_index([make_document(text, id=id) for id, text in texts], folder)


def load(folder: Path, model: str) -> Opened:
    """An index folder to what can be asked; `answer` reads the answer's own clock."""
    pipeline = Pipeline.open(folder)

    def search(question: str) -> list[Found]:
        return [Found(h.passage.document.id, h.passage.text) for h in pipeline.retrieve(question, KEPT).hits]

    def first(question: str, found: list[Found]) -> Found:
        sentence = pipeline.ask(question).sentences[0]  # the same whether the answer is withheld or not
        return Found(sentence.document.id, sentence.text)

    return Opened(search, first, lambda question: dict(pipeline.ask(question).timings))


if __name__ == "__main__":
    run(Program(build, load))
