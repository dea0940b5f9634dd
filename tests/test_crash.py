"""Law 5 under `kill -9`: a build killed at 50 points, each named step and random moments, leaves a whole index.

A builder process imports everything before its order comes; it is killed with SIGKILL, at a step that
`reached` names, or some random milliseconds after one. What is left is opened and asked here, in this process.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from rag import Document, IndexMissingError, Pipeline, Settings, build_index, make_document
from tests.fakes import HashEncoder

KILLS, FIRST = 50, 20  # of rebuilds, of first builds: one at each named step, the others at random moments
STEPS = ("made", "texts", "bm25", "vectors", "written", "synced", "renamed", "pointed", "swapped")
ROOT = Path(__file__).resolve().parent.parent
Order = tuple[Path, int, str, float | None]  # folder, generation; kill at this step ("": the start), or s after it

pytestmark = pytest.mark.laws


def corpus(generation: int) -> list[Document]:
    """Three documents, in all of which each sentence names the generation."""
    lines = [f"Sentence {n} of “generation {generation}” says word{n} 😀 to é." for n in range(60)]
    return [make_document(" ".join(lines[part::3]), id=f"{part}.txt") for part in range(3)]


def build(folder: Path, generation: int, reached: Callable[[str], None] = lambda step: None) -> bool:
    """Build the generation's index; whether there was anything to do."""
    own = Settings(cache=folder / "cache", threshold=0.0)
    return build_index(corpus(generation), folder, settings=own, encoder=HashEncoder(), reached=reached).changed


def serve() -> None:
    """In a builder process: one order (JSON) on the standard input, the steps reached on the standard output."""
    import bm25s  # noqa: F401  # loaded before the order comes, so that the moments are the build's own
    import faiss  # noqa: F401  # as above

    folder, generation, step, delay = json.loads(sys.stdin.readline())
    os.write(1, b"started ")

    def reached(name: str) -> None:
        os.write(1, f"{name} ".encode())
        if name == step and delay is None:
            os.kill(os.getpid(), signal.SIGKILL)

    build(Path(folder), generation, reached)


class Builder:
    """Builder processes, one an order: the next one starts up while this one works."""

    def __init__(self, folder: Path) -> None:
        self._env = {**os.environ, "OMP_NUM_THREADS": "1", "FOOTNOTE_CACHE": str(folder / "c")}
        self._spare = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "from tests.test_crash import serve; serve()"]
        return subprocess.Popen(command, cwd=ROOT, env=self._env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def kill(self, order: Order) -> tuple[int, list[str]]:
        """An order to the build's exit status (-9: killed) and the steps that it reached."""
        process, self._spare = self._spare, self._start()
        assert process.stdin
        assert process.stdout
        _, _, step, delay = order
        process.stdin.write((json.dumps([str(order[0]), *order[1:]]) + "\n").encode())
        process.stdin.flush()
        said = b""
        if delay is not None:
            while (step or "started").encode() not in said.split():
                if not (more := os.read(process.stdout.fileno(), 100)):
                    break
                said += more
            time.sleep(delay)
            process.kill()
        said += process.communicate()[0]
        return process.returncode, said.decode().split()[1:]

    def run(self, folder: Path, generation: int) -> tuple[float, list[str]]:
        """A build that nobody kills, to the seconds it took and the steps that it reached."""
        start = time.perf_counter()
        status, steps = self.kill((folder, generation, "", None))
        assert status == 0
        return time.perf_counter() - start, steps

    def close(self) -> None:
        """End the process that waits."""
        self._spare.kill()
        self._spare.communicate()


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    made = Builder(tmp_path_factory.mktemp("builder"))
    yield made
    made.close()


def points(chance: random.Random, lasts: float) -> Iterator[tuple[str, float | None]]:
    """Where to kill builds that last so long: at each step, then some time after the start or after a step."""
    yield from ((step, None) for step in STEPS)
    while True:
        yield chance.choice(("", *STEPS)), chance.uniform(0, lasts / 4)


def whole(folder: Path, generations: Sequence[int]) -> int:
    """Open and ask what is there; returns the one generation, of those allowed, that all of it is of."""
    pipeline = Pipeline.open(folder, settings=Settings(cache=folder / "cache", threshold=0.0), encoder=HashEncoder())
    (generation,) = [g for g in generations if list(pipeline.documents) == corpus(g)]
    for word in ("word3", "word58"):
        answer = pipeline.ask(f"Which sentence says {word}?")
        assert any(word in claim.citations[0].text.split() for claim in answer.claims), answer.text
        texts = {document.id: document.text for document in corpus(generation)}
        for citation in answer.citations:
            assert citation.text == texts[citation.document.id][slice(*citation.quote)]
            assert f"“generation {generation}”" in citation.text
    return generation


def mended(folder: Path, generation: int) -> None:
    """The next build succeeds and leaves nothing half-written, and one version at most besides its own."""
    build(folder, generation)
    assert whole(folder, [generation]) == generation
    assert sorted(p.name for p in folder.iterdir() if p.name.startswith(".")) == [".lock"]
    assert len(list(folder.glob("v*"))) <= 2


def test_the_steps_are_those_that_a_build_reaches(builder: Builder, tmp_path: Path) -> None:
    assert tuple(builder.run(tmp_path / "i", 1)[1]) == STEPS
    assert builder.run(tmp_path / "i", 1)[1] == []  # up to date: nothing is written


def test_a_rebuild_killed_at_each_step_and_at_random_moments_leaves_the_old_or_the_new_index(
    builder: Builder, tmp_path: Path
) -> None:
    chance = random.Random(20240229)
    folder = tmp_path / "i"
    builder.run(folder, 0)
    lasts = min(builder.run(folder, generation)[0] for generation in (1, 2, 3))
    orders = points(chance, lasts)
    old, new, killed, found, ends = 3, 3, 0, Counter[bool](), Counter[str]()
    while killed < KILLS:
        new += 1
        assert new < 8 * KILLS, ends  # builds that end before they can be killed
        step, delay = next(orders)
        status, steps = builder.kill((folder, new, step, delay))
        left = whole(folder, [old, new])
        if delay is None:
            assert (status, steps[-1]) == (-signal.SIGKILL, step)
            assert left == (new if step == "swapped" else old)
        if status == 0:
            assert left == new
        else:
            assert status == -signal.SIGKILL
            killed += 1
            found[left == new] += 1
            ends[steps[-1] if steps else ""] += 1
        old = left
        if chance.random() < 0.7:  # else the next one is killed upon this one's litter
            mended(folder, new)
            old = new
    mended(folder, 1000)
    assert found[True] >= 1
    assert found[False] >= 10
    assert set(ends) >= set(STEPS)


def test_a_first_build_that_is_killed_leaves_no_index_or_a_whole_one(builder: Builder, tmp_path: Path) -> None:
    lasts = builder.run(tmp_path / "measure", 1)[0]
    orders = points(random.Random(7), lasts)
    found = Counter[bool]()
    for number in range(FIRST):
        folder = tmp_path / f"i{number}"
        step, delay = next(orders)
        status, _ = builder.kill((folder, 1, step, delay))
        try:
            assert whole(folder, [1]) == 1
            there = True
        except IndexMissingError:
            there = False
        if delay is None:
            assert there == (step == "swapped")
        assert there or status == -signal.SIGKILL
        found[there] += 1
        mended(folder, 2)
    assert found[True] >= 1
    assert found[False] >= len(STEPS) - 1


def test_a_killed_builder_holds_no_lock_and_one_at_work_is_waited_for(builder: Builder, tmp_path: Path) -> None:
    folder = tmp_path / "i"
    builder.run(folder, 1)
    status, _ = builder.kill((folder, 2, "synced", None))
    assert status == -signal.SIGKILL
    start = time.perf_counter()
    assert build(folder, 2)
    assert time.perf_counter() - start < 10

    from rag.folders import locked

    with locked(folder):
        waiting = subprocess.Popen(
            [sys.executable, "-c", "import sys; from tests.test_crash import *; build(Path(sys.argv[1]), 3)", folder],
            cwd=ROOT,
        )
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(3)
        assert whole(folder, [2, 3]) == 2
    assert waiting.wait(60) == 0
    assert whole(folder, [2, 3]) == 3


def test_an_index_that_is_open_goes_on_answering_while_it_is_rebuilt(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    build(folder, 1)
    own = Settings(cache=folder / "cache", threshold=0.0)
    pipeline = Pipeline.open(folder, settings=own, encoder=HashEncoder())
    for generation in (2, 3, 4):  # the version that is open is removed from the second on
        build(folder, generation)
        answer = pipeline.ask("Which sentence says word7?")
        assert all("“generation 1”" in citation.text for citation in answer.citations)
        assert any("word7" in citation.text for citation in answer.citations)


@pytest.mark.parametrize("step", STEPS)
def test_a_build_that_raises_leaves_the_index_and_no_litter(step: str, tmp_path: Path) -> None:
    folder = tmp_path / "i"
    build(folder, 1)

    def stop(name: str) -> None:
        if name == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(folder, 2, stop)
    assert whole(folder, [1, 2]) == (2 if step == "swapped" else 1)
    assert not list(folder.glob(".new-*"))
    mended(folder, 3)
