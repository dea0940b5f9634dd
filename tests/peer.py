"""A program to compare that needs nothing: words in common. `python -m tests.peer`, as `eval.peers.program` says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from eval.peers.program import KEPT, Found, Opened, Program, by_cosine, run


def build(texts: Sequence[tuple[str, str]], folder: Path, model: str) -> None:
    folder.mkdir(parents=True)
    (folder / "texts.json").write_text(json.dumps(list(texts)), "utf-8")


def load(folder: Path, model: str) -> Opened:
    texts = [Found(*entry) for entry in json.loads((folder / "texts.json").read_text("utf-8"))]

    def search(question: str) -> list[Found]:
        asked = set(question.lower().rstrip("?").split())
        return sorted(texts, key=lambda text: -len(asked & set(text.text.lower().split())))[:KEPT]

    def embed(sentences: list[str]) -> list[list[float]]:
        words = sentences[0].lower().rstrip("?").split()
        return [[float(word in sentence.lower()) for word in words] for sentence in sentences]

    return Opened(search, lambda question, found: by_cosine(embed, question, found), lambda question: {"read": 1.0})


if __name__ == "__main__":
    run(Program(build, load))
