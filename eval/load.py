"""Many callers at once to figures: `python -m eval.load [--questions N] [--json OUT]`.

The gold questions are asked over and over, N in all, by 1, 8, 32 and 100 callers at once: of `ask` from threads of one
process, and of a running chat's endpoint `/ask`, on the loopback. Then 300 callers come to the chat together, more than
its queue holds: each is answered or told that the chat is busy. Figures, by way and number of callers: questions a
second, latency p50, p95, p99, and errors; and of the process that answers, what it has resident after the first
round of questions, what the rest adds to that (`growth_mb`), and what the second half of the rest does: where memory
settles that is little of it, where it leaks half.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eval.metrics import percentile
from eval.report import ROOT, provenance, reported, write_json
from rag import RagError, ask

CALLERS = (1, 8, 32, 100)
CROWD = 300
ANSWERED, BUSY, FAILED = "answered", "busy", "failed"
CHAT = "import sys; from rag.cli import main; sys.exit(main(['chat', '--port', '0']))"


class Outcome(NamedTuple):
    """What became of a question, after how many milliseconds, and what was said."""

    kind: str
    milliseconds: float
    said: str = ""


class Chat(NamedTuple):
    """A running chat: its process and its port."""

    process: int
    port: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Arguments to an exit status: 0, 1 when a question failed, 2 when something given is wrong (said in a line)."""
    parser = argparse.ArgumentParser(prog="python -m eval.load", description=__doc__.partition("\n")[0])
    parser.add_argument("--questions", type=int, default=2000, metavar="N", help="in all, each way (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures as one flat object")
    options = parser.parse_args(arguments)
    return reported("eval.load", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    questions = gold_questions(options.questions)
    found = in_process(questions)
    with chat() as served:
        found |= at_the_chat(served, questions) | crowd(served, questions)
    print("\n".join(f"{name:<28} {value:10.1f}" for name, value in found.items()))
    if options.json:
        write_json(options.json, {"questions": len(questions), **found, **provenance()})
    return 1 if any(value for name, value in found.items() if name.endswith("failed")) else 0


def gold_questions(count: int) -> list[str]:
    """The gold file's questions, repeated to that many."""
    lines = (ROOT / "eval" / "gold.jsonl").read_text("utf-8").splitlines()
    return list(islice(cycle(json.loads(line)["question"] for line in lines), count))


def in_process(questions: Sequence[str]) -> dict[str, float]:
    """Questions to the figures of `ask`, from threads of this process."""

    def asked(question: str) -> Outcome:
        answer = ask(question)
        return Outcome(ANSWERED if answer.hits else FAILED, 0)

    return _rounds("ask", asked, questions, lambda: resident(None))


def at_the_chat(served: Chat, questions: Sequence[str]) -> dict[str, float]:
    """A running chat and questions to the figures of its endpoint."""
    return _rounds(
        "chat", lambda question: endpoint(served.port, question), questions, lambda: resident(served.process)
    )


def crowd(served: Chat, questions: Sequence[str]) -> dict[str, float]:
    """A running chat, and more callers at once than its queue holds, to how many were answered or turned away."""
    together = [outcome.kind for outcome in at_once(lambda q: endpoint(served.port, q), questions[:CROWD], CROWD)]
    after = endpoint(served.port, questions[0]).kind
    counts = {f"crowd.{kind}": float(together.count(kind)) for kind in (ANSWERED, BUSY, FAILED)}
    return {**counts, "crowd.after.failed": float(after != ANSWERED)}


def _rounds(
    way: str, asked: Callable[[str], Outcome], questions: Sequence[str], memory: Callable[[], float]
) -> dict[str, float]:
    """A way to ask, and questions, to the figures of each number of callers, and of the memory over the run."""
    found: dict[str, float] = {}
    share = max(1, len(questions) // len(CALLERS))
    at_once(asked, questions[:share], max(CALLERS))  # all threads and buffers that there will be
    held = [memory()]
    for callers in CALLERS:
        start = time.perf_counter()
        outcomes = at_once(asked, questions[:share], callers)
        found |= {f"{way}.{callers}.{name}": value for name, value in figures(outcomes, time.perf_counter() - start)}
        held.append(memory())
    found |= {f"{way}.resident_mb": held[0], f"{way}.growth_mb": held[-1] - held[0]}
    return found | {f"{way}.growth_second_half_mb": held[-1] - held[len(held) // 2]}


def at_once(asked: Callable[[str], Outcome], questions: Sequence[str], callers: int) -> list[Outcome]:
    """A way to ask, and questions, to what became of them, asked by so many callers that all start together."""
    callers = min(callers, len(questions))
    gate = threading.Barrier(callers)

    def timed(question: str) -> Outcome:
        start = time.perf_counter()
        try:
            outcome = asked(question)
        except Exception as error:  # whatever a server in trouble makes the client raise
            outcome = Outcome(FAILED, 0, repr(error))
        return outcome._replace(milliseconds=(time.perf_counter() - start) * 1000)

    def caller(number: int) -> list[Outcome]:
        gate.wait(60)
        return [timed(question) for question in questions[number::callers]]

    with ThreadPoolExecutor(callers) as pool:
        return [outcome for each in pool.map(caller, range(callers)) for outcome in each]


def figures(outcomes: Sequence[Outcome], seconds: float) -> Iterator[tuple[str, float]]:
    """Outcomes and how long they took together to throughput, latencies and errors."""
    times = [outcome.milliseconds for outcome in outcomes]
    yield "per_second", len(outcomes) / seconds
    for share in (50, 95, 99):
        yield f"p{share}_ms", float(percentile(np.ones((1, len(times))), times, share / 100)[0])
    yield "failed", float(sum(outcome.kind != ANSWERED for outcome in outcomes))


def endpoint(port: int, question: str) -> Outcome:
    """A question to what the chat's endpoint makes of it: an event is asked for, then its stream is read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        body = json.dumps({"data": [question]})
        connection.request("POST", "/gradio_api/call/ask", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        said = response.read().decode("utf-8")
        if response.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            return Outcome(BUSY, 0, json.loads(said)["detail"])
        connection.request("GET", f"/gradio_api/call/ask/{json.loads(said)['event_id']}")
        told = connection.getresponse().read().decode("utf-8")
    event = re.findall(r"event: (\w+)\ndata: (.*)", told)[-1]
    return Outcome(ANSWERED if event[0] == "complete" else FAILED, 0, event[1])


@contextlib.contextmanager
def chat(code: str = CHAT) -> Iterator[Chat]:
    """The packaged article's chat in a process of its own, at a free port; stopped as Ctrl-C stops it."""
    call = [sys.executable, "-c", code]
    with subprocess.Popen(call, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not (address := re.search(r":(\d+) ", line)):
                raise RagError(f"the chat did not start: {line or 'it said nothing'}")
            yield Chat(process.pid, int(address[1]))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def resident(process: int | None) -> float:
    """A process (this one when None) to the megabytes that it has resident; 0 where the system does not tell."""
    status = Path(f"/proc/{process or 'self'}/status")
    found: Any = re.search(r"VmRSS:\s+(\d+) kB", status.read_text("utf-8")) if status.exists() else None
    return int(found[1]) / 1000 if found else 0.0


if __name__ == "__main__":
    sys.exit(main())
