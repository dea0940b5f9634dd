"""Law 4: asking the packaged article, from an empty cache on, in a process that has no network and looks for none.

Two nets: an audit hook, set before anything is imported, notes and refuses every connection, sending and look-up of
a name that Python makes to anywhere but the loopback; and, where the system allows it, a network namespace without
a single interface holds what does not go through Python.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GUARD = """
import os, sys

def outside(event, arguments):
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        place = arguments[1]
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        place = arguments[:1]
    else:
        return
    if isinstance(place, (str, bytes)) or str(place[0]) in {"localhost", "127.0.0.1", "::1"}:
        return  # a Unix socket, or the loopback
    with open(os.environ["ATTEMPTS"], "a") as file:
        file.write(f"{event} {place}\\n")
    raise OSError(f"{event} {place} leaves this machine")

sys.addaudithook(outside)
"""
PROGRAM = f"{GUARD}\nfrom rag.cli import main\nsys.exit(main(sys.argv[1:]))"
HOLD = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"  # an address kept for examples


def _namespace() -> list[str]:
    """The words that run a command in a network namespace of its own, without an interface; none if it cannot be."""
    words = ["unshare", "--map-root-user", "--net", "--"]
    if not shutil.which("unshare") or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        return []
    return words


def _run(code: str, *arguments: str, home: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run Python code with a home and caches that were empty before the first run, and nothing set that helps."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("FOOTNOTE_", "HF_", "GRADIO_"))}
    env |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "ATTEMPTS": str(home / "attempts")}
    env |= {"FOOTNOTE_THRESHOLD": "0", "TMPDIR": str(home / "tmp"), "PYTHONIOENCODING": "utf-8"}
    env |= {"PYTHONPATH": str(ROOT)}
    (home / "tmp").mkdir(exist_ok=True)
    return subprocess.run(
        [*words, sys.executable, "-c", code, *arguments],
        cwd=home,  # where no index lies
        env=env,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def test_the_nets_hold(tmp_path: Path) -> None:
    """Both refuse a connection, and the hook a look-up: else the test below would show nothing."""
    words = _namespace()
    if words:
        held = _run(HOLD, home=tmp_path, words=words)
        assert "Network is unreachable" in held.stderr
        links = _run("import socket; print([n for _, n in socket.if_nameindex()])", home=tmp_path, words=words)
        assert links.stdout == "['lo']\n"
    assert not (tmp_path / "attempts").exists()
    for code in (HOLD, "import urllib.request; urllib.request.urlopen('http://huggingface.co')"):
        held = _run(GUARD + code, home=tmp_path, words=[])
        assert held.returncode == 1
        assert "leaves this machine" in held.stderr
    assert len((tmp_path / "attempts").read_text().splitlines()) == 2


@pytest.mark.model
def test_the_packaged_article_is_asked_without_a_network(tmp_path: Path) -> None:
    words = _namespace()
    question = "Who describes the situation in Myrnohrad as absolute hell?"
    first = _run(PROGRAM, "ask", "--json", question, home=tmp_path, words=words)
    assert first.returncode == 0, first.stderr
    answer = json.loads(first.stdout)
    text = (ROOT / "index" / "corpus" / "article.txt").read_text("utf-8")
    assert any("absolute hell" in citation["quote"] for citation in answer["citations"])
    for citation in answer["citations"]:
        assert text[citation["start"] : citation["end"]] == citation["quote"]
    assert len(first.stderr.splitlines()) == 2, first.stderr  # that it builds the index, and prepares the encoder

    second = _run(PROGRAM, "ask", "--json", question, home=tmp_path, words=words)  # now from the cache
    assert (second.returncode, second.stderr) == (0, "")
    again = json.loads(second.stdout)
    del answer["timings"], again["timings"]
    assert again == answer

    healthy = _run(PROGRAM, "doctor", "--deep", home=tmp_path, words=words)
    assert (healthy.returncode, healthy.stderr) == (0, "")
    assert healthy.stdout.count("ok  ") == 5

    attempts = tmp_path / "attempts"
    assert not attempts.exists(), attempts.read_text()


@pytest.mark.model
def test_a_model_that_is_not_here_is_an_error_and_not_a_download(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("Salt is added.", "utf-8")
    code = PROGRAM.replace("sys.exit", "os.environ['FOOTNOTE_MODEL'] = 'multi-qa-MiniLM-L6-cos-v1'\nsys.exit")
    arguments = ["index", str(tmp_path / "texts"), "--out", str(tmp_path / "i")]
    tried = _run(code, *arguments, home=tmp_path, words=_namespace())
    assert tried.returncode == 1
    assert tried.stderr.startswith("footnote: the model 'multi-qa-MiniLM-L6-cos-v1' is neither a folder")
    assert tried.stderr.count("\n") == 1
    assert not (tmp_path / "attempts").exists()
    assert not (tmp_path / "i").exists()
