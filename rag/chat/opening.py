"""A callable that opens a pipeline to the open pipeline, from a background thread that every session waits for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Protocol

from rag.types import Answer, Document

log = logging.getLogger(__name__)


class Asks(Protocol):
    """What the chat needs of a pipeline; its methods may be called from several threads at once."""

    @property
    def documents(self) -> tuple[Document, ...]:
        """The index's documents, in order."""

    def ask(self, question: str, *, max_wrong: float | None = None) -> Answer:
        """A question, and how many percent of the answers may be wrong, to its answer. Raises RagError."""

    def stream(
        self, question: str, *, history: Sequence[Answer] = (), max_wrong: float | None = None
    ) -> Iterator[Answer]:
        """A question to its answer as far as it has come; the last one is whole. Raises RagError."""


class Opening:
    """Starts to open the pipeline when made. `wait` gives it; after a failure the next `wait` tries again."""

    def __init__(self, source: Callable[[], Asks]) -> None:
        self._source = source
        self._lock = Lock()
        self._future = self._start()

    def wait(self) -> Asks:
        """Nothing to the open pipeline, once it is; raises what opening it raised."""
        with self._lock:
            if self._future.done() and self._future.exception() is not None:
                self._future = self._start()
            future = self._future
        return future.result()

    def _start(self) -> Future[Asks]:
        future: Future[Asks] = Future()
        Thread(target=self._open, args=(future,), name="footnote-open", daemon=True).start()
        return future

    def _open(self, future: Future[Asks]) -> None:
        try:
            future.set_result(self._source())
        except BaseException as error:  # handed on to whoever waits
            log.error("the index could not be opened: %s", error)
            future.set_exception(error)
