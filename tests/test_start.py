"""What a user waits for and what it takes: the page's start, and the memory of a question."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from eval.load import chat
from rag import Pipeline

ROOT = Path(__file__).resolve().parent.parent
PEAK = 450e6  # bytes
PAGE = 6.0  # seconds, of which gradio's own import takes some four


@pytest.mark.model
def test_a_question_needs_little_memory() -> None:
    Pipeline.open()  # what is made once is made
    code = (
        "import json; from rag import ask; from eval.peers.program import peak_bytes;"
        "answer = ask('Where do soldiers speak of absolute hell?'); print(json.dumps([answer.text, peak_bytes()]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    text, peak = json.loads(done.stdout)
    assert text
    assert peak < 0.9 * PEAK


def seconds(code: str) -> float:
    """Python code to the time that a process of it takes."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    return time.perf_counter() - start


@pytest.mark.model
def test_the_page_is_up_soon_and_its_models_with_it() -> None:
    bare = seconds("import gradio, fastapi, uvicorn")  # on a busy machine all takes longer
    Pipeline.open()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    start = time.perf_counter()
    with chat() as served:
        with opener.open(f"http://127.0.0.1:{served.port}/", timeout=30) as page:
            assert b"Footnote" in page.read()
        up = time.perf_counter() - start
    assert up < max(PAGE, 1.5 * bare), (up, bare)
