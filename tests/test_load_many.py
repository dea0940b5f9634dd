"""Many callers at once: nobody's question is lost, memory stays, and a full queue says that the chat is busy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eval import load
from eval.load import ANSWERED, BUSY, CROWD, FAILED, Chat, Outcome, at_once
from rag import Answer, Pipeline, Settings
from rag.chat import launch
from tests.scripted import DOCUMENTS, Scripted

ROOT = Path(__file__).resolve().parent.parent
COUNT = 240  # questions each way; `python -m eval.load` asks 2,000
# MB that allocators may take while they settle, an arena a thread; a leak would show in `eval.load`'s 2,000.
GROWTH = 150


@pytest.fixture(scope="module")
def chat() -> Iterator[Chat]:
    """The packaged article's chat."""
    Pipeline.open()  # builds what is not yet built
    with load.chat() as made:
        yield made


@pytest.mark.model
def test_the_chat_answers_all_of_many_callers(chat: Chat) -> None:
    found = load.at_the_chat(chat, load.gold_questions(COUNT))
    assert {found[f"chat.{callers}.failed"] for callers in load.CALLERS} == {0}
    assert found["chat.growth_mb"] < GROWTH


@pytest.mark.model
def test_ask_answers_all_of_many_threads() -> None:
    found = load.in_process(load.gold_questions(COUNT))
    assert {found[f"ask.{callers}.failed"] for callers in load.CALLERS} == {0}
    assert found["ask.growth_mb"] < GROWTH


@pytest.mark.model
def test_many_callers_get_the_answers_that_one_gets(chat: Chat) -> None:
    questions = load.gold_questions(40)
    alone = [load.endpoint(chat.port, question).said for question in questions]

    def steady(said: str) -> object:
        return {name: value for name, value in json.loads(said)[0].items() if name != "timings"}

    together = at_once(lambda question: load.endpoint(chat.port, question), questions, len(questions))
    assert [steady(outcome.said) for outcome in together] == [steady(said) for said in alone]


class Slow(Scripted):
    """A pipeline that takes its time, so that questions pile up."""

    def __init__(self) -> None:
        self.documents = DOCUMENTS

    def ask(self, question: str, *, max_wrong: float | None = None) -> Answer:
        time.sleep(0.1)
        return Scripted.open(settings=Settings(threshold=0.5)).ask(question, max_wrong=max_wrong)


def serve() -> None:
    """The chat over it, as `load.chat` starts it."""
    launch(Slow, port=0)


@pytest.mark.laws
def test_a_full_queue_says_busy_and_the_chat_lives_on() -> None:
    with load.chat("from tests.test_load_many import serve; serve()") as made:
        outcomes = at_once(lambda question: load.endpoint(made.port, question), ["Who opened the café?"] * CROWD, CROWD)
        kinds = [outcome.kind for outcome in outcomes]
        assert kinds.count(FAILED) == 0, [outcome for outcome in outcomes if outcome.kind == FAILED][:3]
        assert kinds.count(ANSWERED) >= 200
        assert kinds.count(BUSY) >= 1
        assert {o.said for o in outcomes if o.kind == BUSY} == {
            "Footnote is busy: its queue of questions is full. Ask again in a few seconds."
        }
        assert load.endpoint(made.port, "Who opened the café?").kind == ANSWERED


def test_callers_start_together_and_errors_are_counted() -> None:
    inside, most, lock = 0, 0, threading.Lock()

    def asked(question: str) -> Outcome:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.02)
        with lock:
            inside -= 1
        if question == "3":
            raise ConnectionError("gone")
        return Outcome(ANSWERED, 0)

    outcomes = at_once(asked, [str(n) for n in range(8)], 4)
    assert most == 4
    assert [outcome.kind for outcome in outcomes].count(FAILED) == 1
    found = dict(load.figures(outcomes, 2.0))
    assert (found["per_second"], found["failed"]) == (4, 1)
    assert 15 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"]


def test_growth_is_told_of_the_run_and_of_its_second_half() -> None:
    held = iter([100.0, 130.0, 140.0, 141.0, 141.5])
    found = load._rounds("ask", lambda question: Outcome(ANSWERED, 0), ["Who?"] * 8, lambda: next(held))
    assert (found["ask.resident_mb"], found["ask.growth_mb"], found["ask.growth_second_half_mb"]) == (100, 41.5, 1.5)


@pytest.mark.model
def test_the_program_says_what_it_measured(tmp_path: Path) -> None:
    call = [sys.executable, "-m", "eval.load", "--questions", "8", "--json", str(tmp_path / "load.json")]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.search(r"chat\.8\.p95_ms +\d", done.stdout)
    assert json.loads((tmp_path / "load.json").read_text("utf-8"))["chat.100.failed"] == 0
