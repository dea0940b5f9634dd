"""LlamaIndex's fusion program: its vector retriever and its BM25 retriever, fused by reciprocal ranks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.retrievers.bm25 import BM25Retriever

from eval.peers.llamaindex import asked_of, index_of, opened
from eval.peers.program import KEPT, Opened, Program, run


def build(texts: Sequence[tuple[str, str]], folder: Path, model: str) -> None:
    """Texts to a persisted index and a persisted BM25 retriever."""
    index = index_of(texts, model)
    index.storage_context.persist(str(folder))
    words = BM25Retriever.from_defaults(docstore=index.docstore, similarity_top_k=KEPT)
    words.persist(str(folder / "bm25"))


def load(folder: Path, model: str) -> Opened:
    """What `build` persisted to what can be asked."""
    index, embedder = opened(folder, model)
    fusion = QueryFusionRetriever(
        [index.as_retriever(similarity_top_k=KEPT), BM25Retriever.from_persist_dir(str(folder / "bm25"))],
        mode="reciprocal_rerank",
        similarity_top_k=KEPT,
        num_queries=1,  # the question as it is: no language model writes others
        llm=MockLLM(),
        use_async=False,
    )
    return asked_of(fusion, embedder)


if __name__ == "__main__":
    run(Program(build, load))
