"""LlamaIndex's program: sentence splitter, its own vector store saved as JSON, a retriever."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llama_index.core import Document, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.embeddings.huggingface import HuggingFaceEmbedding

from eval.peers.program import KEPT, Found, Opened, Program, by_cosine, run

TOKENS = 160  # of its own tokeniser (tiktoken's)


def index_of(texts: Sequence[tuple[str, str]], model: str) -> VectorStoreIndex:
    """Texts to an index in memory."""
    from llama_index.core.node_parser import SentenceSplitter

    documents = [Document(text=text, doc_id=id) for id, text in texts]
    splitter = SentenceSplitter(chunk_size=TOKENS, chunk_overlap=0)
    return VectorStoreIndex.from_documents(
        documents, transformations=[splitter], embed_model=HuggingFaceEmbedding(model_name=model)
    )


def build(texts: Sequence[tuple[str, str]], folder: Path, model: str) -> None:
    """Texts to a persisted index."""
    index_of(texts, model).storage_context.persist(str(folder))


def opened(folder: Path, model: str) -> tuple[VectorStoreIndex, HuggingFaceEmbedding]:
    """A persisted index, loaded, and its embedder."""
    embedder = HuggingFaceEmbedding(model_name=model)
    storage = StorageContext.from_defaults(persist_dir=str(folder))
    return load_index_from_storage(storage, embed_model=embedder), embedder


def asked_of(retriever: Any, embedder: HuggingFaceEmbedding) -> Opened:
    """A retriever to what can be asked."""

    def search(question: str) -> list[Found]:
        return [Found(one.node.ref_doc_id, one.node.get_content()) for one in retriever.retrieve(question)]

    return Opened(search, lambda question, found: by_cosine(embedder.get_text_embedding_batch, question, found))


def load(folder: Path, model: str) -> Opened:
    """A persisted index to what can be asked."""
    index, embedder = opened(folder, model)
    return asked_of(index.as_retriever(similarity_top_k=KEPT), embedder)


if __name__ == "__main__":
    run(Program(build, load))
