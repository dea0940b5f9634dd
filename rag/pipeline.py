"""The one module that knows the order in which a question becomes an Answer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from rag import index as indexes
from rag.build import Say, packaged_index, silent
from rag.check import Checker
from rag.cite import cite, cite_each, cited_words, exact_answers
from rag.confidence import load_confidence
from rag.converse import History, perhaps, stand_alone, turns_of
from rag.encode import open_encoder
from rag.errors import IndexDamagedError, QuestionError, ServerError
from rag.extract import ExtractiveAnswerer
from rag.generate import ModelAnswerer
from rag.protocols import Answerer, Encoder, Reader
from rag.reader import open_reader
from rag.reason import reason
from rag.rerank import rerank
from rag.retrieve import KEPT, retrieve
from rag.server import server_of
from rag.settings import MAX_WRONG, Settings, folder_of
from rag.several import MOST, joined, questions
from rag.text import normalise, parts
from rag.types import Answer, Claim, Document, Draft, Retrieval, Verdict

UNSURE = f"Unsure: when at most {MAX_WRONG:.0f} % of the answers may be wrong, as is usual, this one is withheld."
STRICT = f"Withheld by your setting: with at most {MAX_WRONG:.0f} % of the answers wrong, as is usual, it is shown."


class Pipeline:
    """An open index with its encoder: hold one to ask many questions; threads may share it."""

    def __init__(
        self, index: indexes.Index, encoder: Encoder, settings: Settings, reader: Reader | None = None
    ) -> None:
        self._index, self._encoder, self.settings = index, encoder, settings
        self._confidence = load_confidence()
        self._reader = reader or open_reader(self._confidence.reader)
        self._answerer: Answerer = ExtractiveAnswerer()
        self.checker = Checker(encoder)
        self._server = server_of(settings) if settings.llm_url else None
        self._model = ModelAnswerer(self._server) if self._server else None
        self.threshold = self._threshold(settings.max_wrong) if settings.threshold is None else settings.threshold

    @classmethod
    def open(
        cls,
        index: Path | str | None = None,
        *,
        settings: Settings | None = None,
        encoder: Encoder | None = None,
        say: Say = silent,
    ) -> Pipeline:
        """An index folder (else the settings', else the packaged article's) to a pipeline.

        encoder: instead of the one that the index names; it must be the one it was built with.
        Raises IndexMissingError, IndexDamagedError, ModelError, StorageError.
        """
        settings = settings or Settings.from_environment()
        folder = folder_of(index) if index is not None else settings.index or packaged_index(settings, encoder, say)
        opened = indexes.Index.open(folder)
        for line in opened.unlike(settings) if encoder is None else ():
            say(line)
        encoder = encoder or open_encoder(opened.model, settings.cache, fingerprint=opened.fingerprint, say=say)
        if encoder.fingerprint != opened.fingerprint:
            raise IndexDamagedError(
                f"the index in {folder} was built with another encoder ({opened.model}) than {encoder.model}; "
                f"rebuild: {indexes.REBUILD.format(folder)}"
            )
        return cls(opened, encoder, settings)

    @property
    def encoder(self) -> Encoder:
        """The encoder, for opening or building another index with it."""
        return self._encoder

    @property
    def documents(self) -> tuple[Document, ...]:
        """The index's documents, in order."""
        return self._index.documents

    def sizes(self) -> dict[str, float]:
        """The index's bytes for each byte of text, by part and in all."""
        return self._index.sizes()

    def retrieve(self, question: str, keep: int = KEPT) -> Retrieval:
        """A question to the best `keep` hits, their sentences scored. Raises QuestionError."""
        return retrieve(_question(question), self._index, self._encoder, keep)

    def read(self, retrieval: Retrieval) -> Retrieval:
        """A retrieval to the same as it was read: exact answers found, hits and sentences in their new order.

        When the question asks several things, each of them is also retrieved and read by itself.
        """
        asked = questions(retrieval.question) if retrieval.hits else ()
        if not asked:
            return rerank(self._reader.read(retrieval))
        if len(asked) > MOST:
            told = f"The question asks {len(asked)} things; the first {MOST} were read: ask the others by themselves."
            retrieval = replace(retrieval, warnings=(*retrieval.warnings, told))
        said, alone = zip(*asked[:MOST], strict=True)
        return joined(
            rerank(retrieval), [rerank(self._reader.read(self.retrieve(q, len(retrieval.hits)))) for q in alone], said
        )

    def write(self, retrieval: Retrieval) -> Iterator[Draft]:
        """A retrieval to the model server's sentences, none of them checked; none without one. Raises ServerError."""
        return self._model.answer(retrieval) if self._model else iter(())

    def ask(self, question: str, *, history: History = (), max_wrong: float | None = None) -> Answer:
        """A question to an Answer; history: the turns before it, which it may refer to, oldest first.

        max_wrong: instead of the settings' (100 always answers).
        Raises QuestionError for one without a character to read, SettingsError.
        """
        return deque(self.stream(question, history=history, max_wrong=max_wrong), maxlen=1).pop()

    def stream(self, question: str, *, history: History = (), max_wrong: float | None = None) -> Generator[Answer]:
        """As `ask`, the Answer as far as it has come: each takes the place of the one before it; close() stops it.

        All but the last are not finished; in them the sentence that is being written is pending.
        """
        threshold = self.threshold if max_wrong is None else self._threshold(max_wrong)
        dialled = max_wrong is not None or self.settings.threshold is None
        usual = self._threshold(MAX_WRONG) if dialled else 0.0
        timings: dict[str, float] = {}
        asked = understood = _question(question)
        if turns := turns_of(history):
            with _timed(timings, "understand"):
                understood = _question(stand_alone(asked, turns, self._server))
        with _timed(timings, "retrieve"):
            retrieval = self.retrieve(understood)
        with _timed(timings, "read"):
            retrieval = self.read(retrieval)
            if understood != asked and perhaps(asked):
                alone = self.read(self.retrieve(asked))
                retrieval = max(alone, retrieval, key=lambda one: self._sure(one, threshold)[1])
        start = time.perf_counter()
        for answer in self._answers(retrieval, threshold, usual):
            timings["answer"] = (time.perf_counter() - start) * 1000
            yield replace(answer, question=asked, timings=dict(timings))

    def _answers(self, retrieval: Retrieval, threshold: float, usual: float) -> Iterator[Answer]:
        retrieval, confidence = self._sure(retrieval, threshold)
        withheld = not retrieval.hits or confidence < threshold
        strict = withheld and bool(retrieval.hits) and confidence >= self._threshold(MAX_WRONG)
        if not withheld and confidence < usual:
            retrieval = replace(retrieval, warnings=(*retrieval.warnings, UNSURE))
        drafts = [] if withheld else list(self._answerer.answer(retrieval))
        text, claims = cite(drafts, retrieval.hits)
        answer = Answer(
            question=retrieval.question,
            understood=retrieval.question,
            text=self._silence() if withheld else text,
            short=exact_answers(drafts, retrieval.hits),
            claims=claims,
            hits=retrieval.hits,
            confidence=confidence,
            abstained=withheld,
            reason=(STRICT if strict else reason(retrieval)) if withheld else "",
            warnings=retrieval.warnings,
        )
        if withheld or self._model is None:
            yield answer
        else:
            yield from self._by_model(self._model, retrieval, answer)

    def _sure(self, retrieval: Retrieval, threshold: float) -> tuple[Retrieval, float]:
        """A retrieval to how sure its answer is; of several questions, without those that are not answered."""
        if not retrieval.asked:
            asks = retrieval.hits and parts(retrieval.question)  # without a telling word nothing is asked
            return retrieval, self._confidence(retrieval.features) if asks else 0.0
        sure = [(asked, self._confidence(asked.features)) for asked in retrieval.asked]
        shown = [(asked, own) for asked, own in sure if own >= threshold]
        if not shown:
            return retrieval, max(own for _, own in sure)
        seen = {asked.place for asked, _ in shown}  # one whose sentence is shown anyway is not said to be unsaid
        silent = [f"{self._silence()[:-1]}: “{asked.question}”" for asked, _ in sure if asked.place not in seen]
        told = replace(retrieval, asked=tuple(a for a, _ in shown), warnings=(*retrieval.warnings, *silent))
        return told, min(own for _, own in shown)

    def _by_model(self, model: ModelAnswerer, retrieval: Retrieval, embedded: Answer) -> Iterator[Answer]:
        """What the model writes, each sentence checked; when nothing of it holds, the embedded answer."""
        said: list[str] = []
        problem, claims = "", tuple[Claim, ...]()
        answer = replace(embedded, text="", short=(), claims=(), finished=False)
        yield answer
        try:
            drafts, drop = model.answer(retrieval, said.append), self.settings.unsupported == "drop"
            check = partial(self.checker, asked=retrieval)
            for text, claims in cite_each(drafts, retrieval.hits, check, drop=drop):
                answer = replace(answer, text=text, claims=claims, warnings=(*retrieval.warnings, *said))
                yield answer
        except ServerError as error:
            problem = f"{str(error)[:1].upper()}{str(error)[1:]}."
        if any(claim.verdict in (Verdict.SUPPORTED, Verdict.MISATTRIBUTED) for claim in claims):
            said += [problem] if problem else []
            short = cited_words(embedded.short, claims)
            yield replace(answer, short=short, warnings=(*retrieval.warnings, *said), finished=not problem)
            return
        wrote = "Nothing that the model wrote is supported by the sources." if claims else ""
        why = problem or wrote or "The model found no answer in the sources."
        said.append(f"{why} This answer is the sources' own words.")
        yield replace(embedded, warnings=(*retrieval.warnings, *said))

    def _threshold(self, max_wrong: float) -> float:
        return self._confidence.threshold(replace(self.settings, max_wrong=max_wrong).max_wrong)  # checked there

    def _silence(self) -> str:
        return "The source does not say." if len(self.documents) == 1 else "The sources do not say."


def _question(question: str) -> str:
    """Any string to the question as it is asked. Raises QuestionError."""
    if not isinstance(question, str):
        raise QuestionError(f"the question {question!r:.20} is of type {type(question).__name__}: give a string")
    text = normalise(question).strip()
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise QuestionError(f"the question {question[:20]!r} is empty: write what you want to know")
    return text


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Note the milliseconds that a stage takes."""
    start = time.perf_counter()
    yield
    timings[stage] = (time.perf_counter() - start) * 1000
