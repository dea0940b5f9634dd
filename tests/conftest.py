"""Every test runs with outside sockets blocked, in a cache of its own, and without the user's settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_socket

from rag import Pipeline, Settings, build_index, make_document
from tests.fakes import HashEncoder, Unread

ARTICLE = Path(__file__).resolve().parent.parent / "index" / "corpus"
TEXT = (
    "The Normans gave their name to Normandy, a region in France. Rollo 😀 led them in the 10th century.\r\n"
    "“Café” is spelled with an é. 中文句子在这里。第二句也在这里！\n\n"
    "Rice is cooked in water for twelve minutes. It must not boil over. Salt is added at the end."
)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Block every connection but to the loopback, and clear the user's own settings."""
    for name in "INDEX MODEL MAX_WRONG THRESHOLD DATA LLM_URL LLM_MODEL LLM_KEY LLM_TIMEOUT UNSUPPORTED".split():
        monkeypatch.delenv(f"FOOTNOTE_{name}", raising=False)
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)
    yield
    pytest_socket.enable_socket()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that failed is asked again at once."""
    monkeypatch.setattr("rag.server.PAUSE", 0.0)


@pytest.fixture(autouse=True)
def unread(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that use no model read nothing: a retrieval stays as it is."""
    if not {"model", "browser"} & {mark.name for mark in request.node.iter_markers()}:
        monkeypatch.setattr("rag.pipeline.open_reader", lambda sha256: Unread())


@pytest.fixture
def encoder() -> HashEncoder:
    """The encoder that needs no model."""
    return HashEncoder()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with an empty cache, and with abstention off."""
    return Settings(cache=tmp_path / "cache", threshold=0.0)


@pytest.fixture
def built(tmp_path: Path, encoder: HashEncoder, settings: Settings) -> Path:
    """A built index of one document with emoji, accents, Chinese, CRLF and curly quotes."""
    document = make_document(TEXT, id="mixed.txt", title="Mixed", source="tests")
    return build_index([document], tmp_path / "built", settings=settings, encoder=encoder).folder


@pytest.fixture
def pipeline(built: Path, encoder: HashEncoder, settings: Settings) -> Pipeline:
    """An open pipeline over `built`."""
    return Pipeline.open(built, settings=settings, encoder=encoder)


@pytest.fixture(scope="session")
def article() -> Pipeline:
    """The packaged article with the real encoder, in the user's own cache."""
    return Pipeline.open(settings=Settings.from_environment())
