"""Messages to a model's words as they come, from any server that speaks OpenAI's API; the only import of openai.

A `ModelServer` contacts the address that the user named, when it is asked something, and no other: redirects are
refused, the environment's own OpenAI settings are not read, and a loopback address is never sent through a proxy.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rag.errors import ContextError, ServerError
from rag.settings import Settings
from rag.text import one_line

if TYPE_CHECKING:
    from openai import OpenAI

Message = Mapping[str, str]  # role, content
PROBE = 5.0  # seconds for a question about the server itself
PAUSE = 0.5  # seconds before a server that failed is asked once more
PATIENCE = 10.0  # seconds that a busy server may ask us to wait
WHOLE = 5  # an answer may take this many times the longest silence
OLLAMA = 4096  # tokens that Ollama reads unless told otherwise; it cuts the rest in silence
_TOO_LONG = re.compile(r"context|too (?:many|long)|maximum.{0,20}length|num_ctx|n_ctx", re.IGNORECASE)
_SIZE = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)([mb])(?![^\W_])", re.IGNORECASE)  # 135M, 0.5b
_END = object()


def server_of(settings: Settings) -> ModelServer:
    """Settings that name a server to it; nothing is contacted yet."""
    return ModelServer(settings.llm_url or "", settings.llm_model, settings.llm_key, settings.llm_timeout)


class ModelServer:
    """A server's address, a model's name there, a key: to words. timeout: the longest silence, in seconds."""

    def __init__(self, url: str, model: str = "", key: str = "", timeout: float = 60.0) -> None:
        self.url, self.timeout = url.rstrip("/"), timeout
        self._model, self._key = model, key
        self._root = re.sub(r"/v\d+$", "", self.url)

    def stream(self, messages: Sequence[Message], limit: int) -> Iterator[str]:
        """Messages to the model's words, piece by piece, at most `limit` tokens; closing the iterator stops it.

        A server that is busy or fails is asked once more, if nothing has come yet.
        Raises ContextError when the messages are too long for it, ServerError for whatever else goes wrong.
        """
        for last in (False, True):
            begun = False
            try:
                for piece in self._pieces(messages, limit):
                    begun = True
                    yield piece
                return
            except ServerError as error:
                if begun or last or error.wait is None:
                    raise
                time.sleep(error.wait)

    def say(self, messages: Sequence[Message], limit: int) -> str:
        """Messages to the model's words, whole. Raises ServerError."""
        return "".join(self.stream(messages, limit))

    def count(self, text: str) -> int | None:
        """Text to its number of tokens by the server's own count; None when it has no such route."""
        if "tokenize" in self._lacks:
            return None
        said = self._ask("/tokenize", {"content": text, "prompt": text, "model": self.model})
        tokens = said.get("count", said.get("tokens"))
        if isinstance(tokens, list):
            return len(tokens)
        if not isinstance(tokens, int):
            self._lacks.add("tokenize")
            return None
        return tokens

    @cached_property
    def context(self) -> int | None:
        """How many tokens the server reads and writes together; None when it does not tell."""
        props = self._ask("/props")
        sizes = [props.get("default_generation_settings", {}).get("n_ctx"), props.get("n_ctx")]
        sizes += [self._facts.get(name) for name in ("max_model_len", "loaded_context_length", "context_length")]
        if not any(isinstance(size, int) and size > 0 for size in sizes):
            sizes.append(self._ollama())
        return next((size for size in sizes if isinstance(size, int) and size > 0), None)

    @cached_property
    def model(self) -> str:
        """The model's name: the user's, else the first that the server has."""
        return self._model or str(self._facts.get("id") or "default")

    @cached_property
    def parameters(self) -> float | None:
        """How many weights the model has: as the server says, else by its name; None when neither tells."""
        meta = self._facts.get("meta")
        told = meta.get("n_params") if isinstance(meta, dict) else None
        if isinstance(told, int) and told > 0:
            return float(told)
        named = _SIZE.findall(self.model.rsplit("/", maxsplit=1)[-1])
        return float(named[-1][0]) * {"m": 1e6, "b": 1e9}[named[-1][1].casefold()] if named else None

    @cached_property
    def _lacks(self) -> set[str]:
        return set()

    @cached_property
    def _facts(self) -> Mapping[str, Any]:
        """What the server says of the model."""
        listed = self._ask("/models", root=self.url).get("data")
        models = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
        return next((entry for entry in models if entry.get("id") == self._model), {} if self._model else models[0]) \
            if models else {}  # fmt: skip

    def _ollama(self) -> int | None:
        said = self._ask("/api/show", {"model": self.model})
        if not isinstance(said.get("model_info"), dict):
            return None
        chosen = re.search(r"num_ctx\s+(\d+)", str(said.get("parameters", "")))
        trained = [v for k, v in said["model_info"].items() if k.endswith(".context_length") and isinstance(v, int)]
        return min([int(chosen.group(1)) if chosen else OLLAMA, *trained])

    @cached_property
    def _client(self) -> OpenAI:
        from openai import DefaultHttpxClient, Omit, OpenAI
        from openai import Timeout as Patience

        address = urlsplit(self.url)
        local = (address.hostname or "") in {"localhost", "127.0.0.1", "::1"}
        return OpenAI(
            base_url=self.url,
            api_key=self._key or "none",
            # neither what the environment says nor an idle connection
            default_headers={"OpenAI-Organization": Omit(), "OpenAI-Project": Omit(), "Connection": "close"},
            max_retries=0,
            http_client=DefaultHttpxClient(
                follow_redirects=False,
                trust_env=not local,
                verify=address.scheme != "http",  # to load the certificates takes 25 ms
                timeout=Patience(self.timeout, connect=min(PATIENCE, self.timeout)),
            ),
        )

    def _ask(self, route: str, body: Mapping[str, Any] | None = None, root: str = "") -> Mapping[str, Any]:
        """A question about the server to its answer; nothing when it has no such route."""
        address, options = (root or self._root) + route, {"timeout": min(PROBE, self.timeout)}
        with suppress(Exception):  # not every server has every route, and what it sends there is its own affair
            if body is None:
                said = self._client.get(address, cast_to=object, options=options)
            else:
                said = self._client.post(address, cast_to=object, body=body, options=options)
            if isinstance(said, dict):
                return said
        return {}

    def _pieces(self, messages: Sequence[Message], limit: int) -> Iterator[str]:
        """As `stream`, once. Another thread waits for the server, so that a time-out and a stop are kept."""
        came: queue.Queue[Any] = queue.Queue()
        stop = threading.Event()
        arguments = (messages, limit, came, stop)
        threading.Thread(target=self._read, args=arguments, name="footnote-model", daemon=True).start()
        deadline = time.monotonic() + WHOLE * self.timeout
        try:
            while True:
                left = deadline - time.monotonic()
                try:
                    piece = came.get(timeout=max(0.01, min(self.timeout, left)))
                except queue.Empty:
                    raise self._silent(left) from None
                if piece is _END:
                    return
                if isinstance(piece, ServerError):
                    raise piece
                if time.monotonic() > deadline:
                    raise self._silent(0)
                yield piece
        finally:
            stop.set()

    def _read(self, messages: Sequence[Message], limit: int, came: queue.Queue[Any], stop: threading.Event) -> None:
        ended, words = "", 0
        try:
            made = self._client.chat.completions.create(
                model=self.model, messages=list(messages), max_tokens=limit, temperature=0, stream=True
            )  # fmt: skip
            with closing(made) as chunks:
                for chunk in chunks:
                    if stop.is_set():
                        return
                    for choice in (chunk.choices or [])[:1]:
                        ended = choice.finish_reason or ended
                        if piece := choice.delta and choice.delta.content:
                            words += 1
                            came.put(piece)
            came.put(_END if ended and ended != "length" else self._cut(ended, words))
        except Exception as error:  # the client, its transport and a foreign server raise anything
            came.put(self._wrong(error, words))

    def _cut(self, ended: str, words: int) -> ServerError:
        if ended == "length":
            return ServerError(f"the model at {self.url} wrote as much as it may and was cut off")
        if not words:
            return ServerError(f"the model server at {self.url} sent nothing that can be read: is it the API's "
                               "address, which mostly ends in /v1 (FOOTNOTE_LLM_URL)?")  # fmt: skip
        return ServerError(f"the model server at {self.url} ended the connection before the answer's end")

    def _silent(self, left: float) -> ServerError:
        if left <= 0:
            return ServerError(f"the model server at {self.url} took more than {WHOLE * self.timeout:g} s over an "
                               "answer: allow more (FOOTNOTE_LLM_TIMEOUT) or take a smaller model")  # fmt: skip
        return ServerError(f"the model server at {self.url} was silent for {self.timeout:g} s: is it still running? "
                           "To allow more, set FOOTNOTE_LLM_TIMEOUT")  # fmt: skip

    def _wrong(self, error: Exception, words: int) -> ServerError:
        """Whatever was raised to an error that says what to do; `wait` when trying again may help."""
        import openai

        where, said = f"the model server at {self.url}", self._unkeyed(str(error))
        if isinstance(error, openai.APITimeoutError):
            return self._silent(1)
        if isinstance(error, openai.APIConnectionError):
            return ServerError(f"{where} cannot be reached ({said}): start it, or set FOOTNOTE_LLM_URL", wait=PAUSE)
        status = error.status_code if isinstance(error, openai.APIStatusError) else 0
        if words or isinstance(error, ValueError):
            return ServerError(f"{where} broke off its answer ({said})") if words else self._cut("", 0)
        if status == 429:
            return self._busy(error)
        if (not status or status in (400, 413)) and _TOO_LONG.search(said):
            return ContextError(f"{where} cannot read that much ({said})")
        remedy = {401: "set FOOTNOTE_LLM_KEY", 403: "set FOOTNOTE_LLM_KEY"}.get(status, "see its log")
        if status == 404:
            remedy = "check that it has such a model (FOOTNOTE_LLM_MODEL), and the API's address (FOOTNOTE_LLM_URL)"
        if 300 <= status < 400:
            remedy = "it sends elsewhere, which is not followed: set FOOTNOTE_LLM_URL to that address"
        what = f"{status or type(error).__name__}: {said}"
        return ServerError(f"{where} answered with an error ({what}): {remedy}", wait=PAUSE if status >= 500 else None)

    def _busy(self, error: Any) -> ServerError:
        asked = str(error.response.headers.get("retry-after", "1"))
        wait = float(asked) if re.fullmatch(r"\d{1,6}(\.\d+)?", asked) else PATIENCE + 1
        message = f"the model server at {self.url} is busy or its quota is used up (429): ask again"
        more = f" in {wait:g} s" if asked != "1" and wait != PATIENCE + 1 else " later"
        return ServerError(message + more, wait=wait if wait <= min(PATIENCE, self.timeout) else None)

    def _unkeyed(self, text: str) -> str:
        """A server's words in one short line, without the key."""
        return one_line(text.replace(self._key, "…") if self._key else text, 160)
