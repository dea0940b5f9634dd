"""Haystack's program: word splitter, in-memory store saved as JSON, embedding retriever in a pipeline."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # read when haystack is imported

from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack_integrations.components.embedders.sentence_transformers import SentenceTransformersTextEmbedder

from eval.peers.program import KEPT, Found, Opened, Program, by_cosine, run

WORDS = 120  # about 160 wordpieces


def build(texts: Sequence[tuple[str, str]], folder: Path, model: str) -> None:
    """Texts to a saved document store, by an indexing pipeline."""
    from haystack.components.preprocessors import DocumentSplitter
    from haystack.components.writers import DocumentWriter
    from haystack_integrations.components.embedders.sentence_transformers import SentenceTransformersDocumentEmbedder

    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    indexing = Pipeline()
    indexing.add_component("split", DocumentSplitter(split_by="word", split_length=WORDS))
    indexing.add_component("embed", SentenceTransformersDocumentEmbedder(model=model, progress_bar=False))
    indexing.add_component("write", DocumentWriter(store))
    indexing.connect("split", "embed")
    indexing.connect("embed", "write")
    indexing.run({"split": {"documents": [Document(content=text, meta={"document": id}) for id, text in texts]}})
    folder.mkdir(parents=True, exist_ok=True)
    store.save_to_disk(str(folder / "store.json"))


def load(folder: Path, model: str) -> Opened:
    """A saved document store to what can be asked."""
    store = InMemoryDocumentStore.load_from_disk(str(folder / "store.json"))
    embedder = SentenceTransformersTextEmbedder(model=model, progress_bar=False)
    asking = Pipeline()
    asking.add_component("embed", embedder)
    asking.add_component("retrieve", InMemoryEmbeddingRetriever(store, top_k=KEPT))
    asking.connect("embed.embedding", "retrieve.query_embedding")

    def search(question: str) -> list[Found]:
        found = asking.run({"embed": {"text": question}})["retrieve"]["documents"]
        return [Found(chunk.meta["document"], chunk.content) for chunk in found]

    def embed(texts: list[str]) -> list[list[float]]:
        return [embedder.run(text)["embedding"] for text in texts]

    return Opened(search, lambda question, found: by_cosine(embed, question, found))


if __name__ == "__main__":
    run(Program(build, load))
