"""LangChain's program: recursive splitter, FAISS, similarity search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from langchain_community.vectorstores import FAISS
from langchain_huggingface import HuggingFaceEmbeddings

from eval.peers.program import KEPT, Found, Opened, Program, by_cosine, run

CHARACTERS = 700  # about 160 wordpieces


def build(texts: Sequence[tuple[str, str]], folder: Path, model: str) -> None:
    """Texts to a saved FAISS store."""
    from langchain_core.documents import Document
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=CHARACTERS, chunk_overlap=0)
    chunks = splitter.split_documents([Document(text, metadata={"document": id}) for id, text in texts])
    FAISS.from_documents(chunks, HuggingFaceEmbeddings(model_name=model)).save_local(str(folder))


def load(folder: Path, model: str) -> Opened:
    """A saved store to what can be asked."""
    embeddings = HuggingFaceEmbeddings(model_name=model)
    # its own format holds a pickle, which its loader asks to be told about; this folder was written by `build`
    store = FAISS.load_local(str(folder), embeddings, allow_dangerous_deserialization=True)

    def search(question: str) -> list[Found]:
        found = store.similarity_search(question, k=KEPT)
        return [Found(chunk.metadata["document"], chunk.page_content) for chunk in found]

    return Opened(search, lambda question, found: by_cosine(embeddings.embed_documents, question, found))


if __name__ == "__main__":
    run(Program(build, load))
