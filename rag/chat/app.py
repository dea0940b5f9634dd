"""A pipeline being opened to the chat's gradio page: draws answers, no retrieval logic. The only import of gradio."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
# Else every question's end makes a table of the last 10,000, for a page of figures that is switched off.
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000000"
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"

import gradio as gr

from rag.chat.article import article
from rag.chat.opening import Opening
from rag.chat.render import conversation, problem
from rag.chat.turns import Turn
from rag.errors import QuestionError, RagError
from rag.types import Document

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
PACKAGED = "article.txt"  # the sample article's id, which the examples are about
EXAMPLES = (
    "Where do soldiers speak of “absolute hell”?",
    "Why was Zelenskyy’s chief of staff fired?",
    "What did Trump accuse European leaders of?",
    "When did Russia annex Crimea?",  # which the article does not say
)
QUESTION_LIMIT = 2000  # characters
SHOWN = 200  # characters of a longer one, beside what is said of it
REDRAW = 0.1  # seconds between two drawings of an answer that is being written
DIAL = (
    ("Answers when sure enough, as it was started", ""),
    *((f"Answers when at most {most} % of such answers are wrong", str(most)) for most in (2, 5, 10, 20, 30)),
    ("Answers always, however unsure", "100"),
)
AT_ONCE = 4  # questions of all sessions together that are answered at a time
SESSIONS = 1000  # conversations that are kept; then the one that was longest unused is forgotten
_TOLD = re.compile(r"/call/(?:v2/)?ask/(\w+)/?$")  # where the endpoint tells an answer

HEADER = (
    '<header class="fn-header"><h1 class="fn-name">Footnote<sup aria-hidden="true">1</sup></h1>'
    '<p class="fn-tagline">answers you can check</p></header>'
)
# gr.HTML's own way from a click in the page to an event in Python.
EXAMPLE_CLICKS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-question]');
  if (button) trigger('click', {question: button.dataset.question});
});
"""


def mount(app: Any, opening: Opening, queue: int) -> None:
    """A FastAPI application and a pipeline being opened to the same application with the page at its root.

    Our style and script go into the head as they are: gradio would rewrite the selectors of its `css`.
    """
    style, script = ((HERE / name).read_text("utf-8") for name in ("style.css", "chat.js"))
    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    blocks = build(opening, queue)
    blocks.state_session_capacity = SESSIONS  # which only gradio's own `launch` would take as an argument
    app.add_middleware(_forgetting, blocks=blocks)
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        theme=theme.set(body_background_fill="#faf8f4", body_background_fill_dark="#16181a"),
        head=f"<style>{style}</style><script>{script}</script>",
        favicon_path=str(HERE / "icon.svg"),
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
    )


class _Page(gr.Blocks):  # type: ignore[misc]  # gradio is untyped here
    """Blocks that tell whoever calls the endpoint with too few values so; gradio would print a trace."""

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        """See gradio's."""
        if len(inputs) < len(block_fn.inputs):
            raise gr.Error(f"{len(inputs)} values were given; give one, the question", print_exception=False)


def build(opening: Opening, queue: int) -> gr.Blocks:
    """A pipeline being opened to the page and its events; the conversation is kept for each browser session.

    queue: how many questions may wait; another is turned away at once (see `serve.guarded`).
    """
    with _Page(title="Footnote: answers you can check", analytics_enabled=False, fill_width=True) as blocks:
        turns = gr.State(())
        gr.HTML(HEADER, elem_id="fn-header", apply_default_css=False, js_on_load=None)
        new = gr.Button("New chat", elem_id="fn-new")
        with gr.Column(elem_id="fn-chat"):
            shown = gr.HTML(conversation(()), elem_id="fn-log", apply_default_css=False, js_on_load=EXAMPLE_CLICKS)
            with gr.Row(elem_id="fn-composer"):
                box = gr.Textbox(
                    placeholder="Ask a question",
                    label="Your question",
                    show_label=False,
                    container=False,
                    lines=1,
                    max_lines=5,
                    autofocus=True,
                    elem_id="fn-box",
                )
                ask = gr.Button("Ask", elem_id="fn-ask", variant="primary")
                stop = gr.Button("Stop", elem_id="fn-stop")  # shown while an answer is awaited: style.css
            dial = gr.Dropdown(
                DIAL, value="", label="How sure an answer must be", container=False, filterable=False, elem_id="fn-dial"
            )
        source = gr.HTML(
            '<p class="fn-opening">Opening…</p>', elem_id="fn-article", apply_default_css=False, js_on_load=None
        )
        outputs = [shown, source, turns, box]
        hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        blocks.load(lambda: _first(opening), outputs=[shown, source], **hidden)
        asked = gr.on(
            [box.submit, ask.click, shown.click],
            _asker(opening),
            inputs=[box, turns, dial],
            outputs=outputs,
            concurrency_limit=AT_ONCE,
            **hidden,
        )
        stop.click(_stopper(opening), inputs=[turns, box], outputs=outputs, cancels=[asked], **hidden)
        new.click(lambda: (*_first(opening), (), ""), outputs=outputs, cancels=[asked], **hidden)
        gr.api(_api(opening), api_name="ask", concurrency_limit=AT_ONCE)
    blocks.queue(max_size=queue)
    return blocks


def _forgetting(app: Any, blocks: gr.Blocks) -> Any:
    """An ASGI application to the same one, in which nothing is left of a question to the endpoint once it is answered.

    gradio makes each a session of its own, named as its event, and keeps the session and the answer that it was told.
    """

    from fastapi.responses import JSONResponse

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        told = _TOLD.search(scope.get("path", ""))
        waiting, sessions = blocks._queue.pending_event_ids_session, blocks.state_holder
        if told and told[1] not in waiting:  # gradio would print a trace
            unknown = JSONResponse({"detail": f"no question {told[1]!r:.80} waits for its answer: ask it again"}, 404)
            await unknown(scope, receive, send)
            return
        await app(scope, receive, send)
        if told and waiting.get(told[1]) == set():  # told to the end
            queued = blocks._queue.pending_messages_per_session
            for kept in (waiting, queued, sessions.session_data, sessions.time_last_used):
                kept.pop(told[1], None)

    return wrapped


def _first(opening: Opening) -> tuple[str, str]:
    """A pipeline being opened to the page before the first question; waits until it is open."""
    try:
        documents = opening.wait().documents
    except Exception as error:
        return conversation([Turn("Opening the index", None, _message(error))]), ""
    return conversation((), examples=_examples(documents)), article(documents, ())


def _examples(documents: tuple[Document, ...]) -> tuple[str, ...]:
    return EXAMPLES if any(document.id == PACKAGED for document in documents) else ()


def _asker(opening: Opening) -> Any:
    """A pipeline being opened to the event's function, which first shows the question and then its answer."""

    def asker(text: str, turns: tuple[Turn, ...], dial: str, event: gr.EventData) -> Iterator[tuple[Any, ...]]:
        example = (event._data or {}).get("question") if isinstance(event._data, dict) else None
        question, turns = str(example or text).strip(), _ended(turns)
        if not question:
            yield gr.skip(), gr.skip(), gr.skip(), gr.skip()
            return
        documents = _documents(opening) if turns else ()
        if len(question) > QUESTION_LIMIT:  # it stays in the box, to be shortened there
            turns = (*turns, Turn(f"{question[:SHOWN].rstrip()}…", None, _message(_too_long(question))))
            yield _drawn(turns, documents), gr.skip(), turns, gr.skip()
            return
        turn = Turn(question)
        reading = conversation(turns, pending=question, titles=len(documents) > 1)
        yield reading, gr.skip(), (*turns, turn), ""
        try:
            pipeline = opening.wait()
            documents, drawn = pipeline.documents, 0.0
            history = [turn.answer for turn in turns if turn.answer is not None]
            for answer in pipeline.stream(question, history=history, max_wrong=float(dial) if dial else None):
                turn = Turn(question, answer)
                if answer.claims and not answer.finished and time.monotonic() - drawn > REDRAW:
                    drawn, so_far = time.monotonic(), (*turns, turn)
                    yield _drawn(so_far, documents, writing=True), gr.skip(), so_far, gr.skip()
        except Exception as error:
            turn = Turn(question, None, _message(error))
        turns = (*turns, turn)
        yield _drawn(turns, documents), article(documents, turns), turns, gr.skip()

    return asker


def _documents(opening: Opening) -> tuple[Document, ...]:
    """A pipeline being opened to its documents; none if it cannot be opened, which its own turn tells."""
    try:
        return opening.wait().documents
    except Exception:
        return ()


def _drawn(turns: tuple[Turn, ...], documents: tuple[Document, ...], *, writing: bool = False) -> str:
    return conversation(turns, titles=len(documents) > 1, writing=writing)


def _stopper(opening: Opening) -> Any:
    """A pipeline being opened to the event's function that shows what had come of an answer that was stopped.

    Of one that had not begun the question goes back into the box, unless something else is written there.
    """

    def stopper(turns: tuple[Turn, ...], text: str) -> tuple[Any, ...]:
        ended, documents = _ended(turns), _documents(opening)
        shown = _drawn(ended, documents) if ended else conversation((), examples=_examples(documents))
        back = turns[-1].question if len(ended) < len(turns) and not text.strip() else gr.skip()
        return shown, article(documents, ended), ended, back

    return stopper


def _ended(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Turns without the last, if nothing has come of it."""
    return turns[:-1] if turns and turns[-1].answer is None and not turns[-1].problem else turns


def _message(error: Exception) -> str:
    """An error to what the reader is told; an unforeseen one is logged."""
    if not isinstance(error, RagError):
        log.error("a question could not be answered", exc_info=error)
    return problem(error)


def _too_long(question: str) -> QuestionError:
    return QuestionError(f"the question has {len(question)} characters: at most {QUESTION_LIMIT} are read; shorten it.")


def _api(opening: Opening) -> Any:
    """A pipeline being opened to the function behind the endpoint `/ask`."""

    def ask(question: str) -> dict[str, Any]:
        """A question to its answer as JSON: the text, claims with verdicts, citations with offsets, hits."""
        try:
            if isinstance(question, str) and len(question) > QUESTION_LIMIT:
                raise _too_long(question)
            return opening.wait().ask(question).to_dict()
        except Exception as error:
            raise gr.Error(_message(error), print_exception=False) from None

    return ask
