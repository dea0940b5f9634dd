"""txtai's programs: an Embeddings index with its content; plain as it is, or `hybrid` (its own BM25 beside it).

txtai leaves cutting texts to others: they are cut as LangChain's program cuts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from txtai import Embeddings

from eval.peers.program import KEPT, Found, Opened, Program, by_cosine, run

CHARACTERS = 700  # about 160 wordpieces


def build(texts: Sequence[tuple[str, str]], folder: Path, model: str, *, hybrid: bool = False) -> None:
    """Texts to a saved index."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=CHARACTERS, chunk_overlap=0)
    chunks = [(f"{id}#{n}", text) for id, whole in texts for n, text in enumerate(splitter.split_text(whole))]
    embeddings = Embeddings(path=model, content=True, hybrid=hybrid)
    embeddings.index(chunks)
    embeddings.save(str(folder))


def load(folder: Path, model: str) -> Opened:
    """A saved index to what can be asked."""
    embeddings = Embeddings()
    embeddings.load(str(folder))

    def search(question: str) -> list[Found]:
        found = embeddings.search(question, KEPT)
        return [Found(chunk["id"].rpartition("#")[0], chunk["text"]) for chunk in found]

    def embed(texts: list[str]) -> list[list[float]]:
        return [list(map(float, row)) for row in embeddings.batchtransform(texts)]

    return Opened(search, lambda question, found: by_cosine(embed, question, found))


def hybrid() -> Program:
    """The program with BM25 beside the vectors."""
    return Program(partial(build, hybrid=True), load)


if __name__ == "__main__":
    run(Program(build, load))
