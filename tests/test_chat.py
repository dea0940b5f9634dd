"""The chat without a browser: what it draws, that no text becomes markup, its address, its endpoint, its policy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from rag import (
    Answer,
    Citation,
    Claim,
    Document,
    Excerpt,
    Hit,
    IndexMissingError,
    Passage,
    QuestionError,
    RagError,
    SettingsError,
    Span,
    Verdict,
    make_document,
)
from rag.chat import article as panels
from rag.chat import launch
from rag.chat.article import article
from rag.chat.opening import Opening
from rag.chat.render import OOPS, conversation, problem
from rag.chat.serve import LOOPBACK, answers_to, bind, guarded
from rag.chat.turns import Turn, paragraph, pointers
from rag.cli import main

ROOT = Path(__file__).resolve().parent.parent

HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(2)> {{value}} {{#each value}}x{{/each}} ${alert(3)} `${1}` "
    "\\u0041 &amp; &lt;b&gt; \"double\" 'single' [link](http://example.com) ![i](http://example.com/i.png) "
    "http://example.com </p></article></mark></template> “curly” 😀 é 中文"
)
MIXED = make_document(
    f"First 😀 sentence. “Second” é 中文 one.\r\nThird line. {HOSTILE}\r\n\r\nLast paragraph.",
    id="mixed",
    title=HOSTILE,
)
OTHER = make_document("Other words. More of them.", id="other", title="Other")
FIRST, SECOND = Span(0, 17), Span(18, 36)
THIRD = Span(MIXED.text.index("Third"), MIXED.text.index("Third") + 11)
ATTACK = Span(THIRD.end + 1, THIRD.end + 1 + len(HOSTILE))
SENTENCES = (FIRST, SECOND, THIRD, ATTACK)


def passage(document: Document = MIXED, sentences: tuple[Span, ...] = SENTENCES) -> Passage:
    """Sentences of a document to the passage that they are."""
    return Passage(document, Span(sentences[0].start, sentences[-1].end), sentences)


def cited(document: Document, *quotes: Span, verdict: Verdict = Verdict.SUPPORTED, **fields: Any) -> Answer:
    """Quotes to an answer whose claims are those quotes, word for word."""
    texts = [document.text[slice(*quote)] for quote in quotes]
    claims, start = [], 0
    for number, (text, quote) in enumerate(zip(texts, quotes, strict=True), start=1):
        citation = Citation(number, document, Passage(document, quote, (quote,)), quote)
        claims.append(Claim(Span(start, start + len(text)), verdict, (citation,)))
        start += len(text) + 1
    return Answer("Q?", "Q?", " ".join(texts), (), tuple(claims), (), 0.9, False, **fields)


def silent(document: Document = MIXED, sentences: tuple[Span, ...] = SENTENCES, **fields: Any) -> Answer:
    """Sentences to an answer that abstains, the last of them nearest."""
    hit = Hit(passage(document, sentences), 1.0, tuple(float(i) for i in range(len(sentences))))
    reason = f"Nothing matches {HOSTILE}"
    return Answer("Q?", "Q?", "The source does not say.", (), (), (hit,), 0.1, True, reason, **fields)


class Scripted:
    """A pipeline whose answer is chosen by a word of the question."""

    documents = (MIXED, OTHER)

    def ask(self, question: str, *, max_wrong: float | None = None) -> Answer:
        if max_wrong == 2.0:
            return silent()
        if not isinstance(question, str) or not question:
            raise QuestionError(f"cannot ask {question!r}")
        if "slow" in question:
            time.sleep(2)
        if "crash" in question:
            raise ZeroDivisionError("secret detail")
        if "refuse" in question:
            raise QuestionError(f"not this: {question}")
        if "other" in question:
            return cited(OTHER, Span(0, 12))
        if "silence" in question:
            return silent(warnings=(HOSTILE,))
        return cited(MIXED, FIRST, ATTACK)

    def stream(
        self, question: str, *, history: Sequence[Answer] = (), max_wrong: float | None = None
    ) -> Iterator[Answer]:
        answer = self.ask(question, max_wrong=max_wrong)
        if "writes" in question:
            first, last = answer.claims
            yield replace(answer, claims=(first, Claim(last.span, Verdict.PENDING, ())), finished=False)
            time.sleep(3)
        yield answer


class Page(HTMLParser):
    """HTML to its elements, as (tag, attributes), and to the text in them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.inside: dict[str, str] = {}
        self._open: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert not self._open, "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append((tag, dict(attrs).get("data-cites") or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag, "elements are nested"

    def handle_data(self, data: str) -> None:
        self.text += data
        for _, keys in self._open:
            for key in keys.split():
                self.inside[key] = self.inside.get(key, "") + data

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.elements if name in (attrs.get("class") or "").split()]


TAGS = {"section", "p", "span", "div", "button", "ol", "ul", "li", "h2", "h3", "h4", "del", "strong", "article", "mark"}


def assert_tame(page: Page) -> None:
    """Only our own elements, no handler, no address."""
    assert {tag for tag, _ in page.elements} <= TAGS
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "href", "style", "srcdoc")]


@pytest.mark.parametrize("answer", [cited(MIXED, ATTACK), silent(warnings=(HOSTILE,))], ids=["answer", "silence"])
def test_hostile_text_stays_text(answer: Answer) -> None:
    turns = [Turn(HOSTILE, answer), Turn(HOSTILE, None, HOSTILE)]
    talk = Page(conversation(turns, pending=HOSTILE, titles=True))
    assert_tame(talk)
    assert talk.text.count(HOSTILE) >= 5
    copied = [attributes["data-copy"] for attributes in talk.named("fn-copy")]
    assert copied == [answer.to_markdown()]
    panel = Page(article([MIXED], turns))
    assert_tame(panel)
    assert HOSTILE in panel.text
    assert_tame(Page(conversation((), examples=[HOSTILE])))


def test_a_citation_is_a_named_button_and_its_words_are_marked() -> None:
    turns = [Turn("Q?", cited(MIXED, SECOND)), Turn("Q?", cited(MIXED, FIRST, THIRD))]
    talk, panel = Page(conversation(turns)), Page(article([MIXED], turns))
    assert [a["data-cite"] for a in talk.named("fn-cite")] == ["a1c1", "a2c1", "a2c2"]
    assert [a["data-cite"] for a in talk.named("fn-place")] == ["a1c1", "a2c1", "a2c2"]
    assert talk.named("fn-cite")[1]["aria-label"] == "Source 1: First 😀 sentence."
    answers = [turn.answer for turn in turns if turn.answer]
    quotes = {p.key: p.text for number in (1, 2) for p in pointers(answers[number - 1], number)}
    assert panel.inside == quotes
    assert [a["class"] for t, a in panel.elements if t == "mark"] == ["now", "then", "now"]
    assert [a["data-back"] for a in panel.named("fn-back")] == ["a2c1", "a2c2"]


def test_overlapping_and_equal_spans_keep_every_word_once() -> None:
    first, second, third = Span(0, 20), Span(10, 40), Span(10, 40)
    turns = [Turn("Q?", cited(MIXED, first, second, third))]
    html = article([MIXED], turns)
    panel = Page(re.sub(r"<button.*?</button>", "", html))
    assert panel.inside["a1c1"] == MIXED.text[:20]
    assert panel.inside["a1c2"] == panel.inside["a1c3"] == MIXED.text[10:40].replace("\n", "")
    assert panel.text.count("First 😀 sentence.") == 1


def test_every_line_of_a_document_is_shown_in_order() -> None:
    document = make_document("One.\r\ntwo\n\n\n  three\t x\n\nfour <b>\n", id="d", title="T")
    html = article([document], ())
    lines = re.findall(r'<p dir="auto" class="(fn-line[^"]*)">(.*?)</p>', html)
    assert [words for _, words in lines] == ["One.", "two", "  three\t x", "four &lt;b&gt;"]
    assert [name for name, _ in lines] == ["fn-line", "fn-line fn-tight", "fn-line fn-spaced", "fn-line"]
    assert paragraph(document, document.text.index("three")) == 3


def test_verdicts_are_visible_and_only_checked_claims_have_numbers() -> None:
    text = "Right. Wrong. Moved. Open."
    one = Citation(1, MIXED, passage(), FIRST)
    claims = [
        Claim(Span(0, 6), Verdict.SUPPORTED, (one,)),
        Claim(Span(7, 13), Verdict.UNSUPPORTED, (one,)),
        Claim(Span(14, 20), Verdict.MISATTRIBUTED, (one,)),
        Claim(Span(21, 26), Verdict.PENDING, (one,)),
    ]
    answer = Answer("Q?", "Q?", text, (), tuple(claims), (), 0.9, False, finished=False)
    html = conversation([Turn("Q?", answer)])
    page = Page(html)
    assert len(page.named("fn-cite")) == 2
    assert '<del class="fn-claim fn-unsupported">Wrong.</del>' in html
    assert "not in the source" in page.text
    assert "pointer corrected" in page.text
    assert "being checked" in page.text
    assert "cut off" in page.text
    assert "0.9" not in page.text


def test_the_exact_answer_is_emphasised_in_a_claim_that_copies_its_source() -> None:
    answer = cited(MIXED, FIRST)
    short = (Excerpt(MIXED, Span(6, 7)),)
    shown = Answer("Q?", "Q?", answer.text, short, answer.claims, (), 0.9, False)
    assert "First <strong>😀</strong> sentence." in conversation([Turn("Q?", shown)])
    whole = Answer("Q?", "Q?", answer.text, (Excerpt(MIXED, FIRST),), answer.claims, (), 0.9, False)
    assert "<strong>" not in conversation([Turn("Q?", whole)])


def test_abstention_is_a_card_with_the_three_nearest_sentences() -> None:
    turns = [Turn("Q?", silent())]
    page = Page(conversation(turns))
    assert "The source does not say." in page.text
    assert "Nothing matches" in page.text
    assert not page.named("fn-problem")
    assert not page.named("fn-cite")
    assert [a["data-cite"] for a in page.named("fn-place")] == ["a1n1", "a1n2", "a1n3"]
    panel = Page(article([MIXED], turns))
    assert panel.inside["a1n1"] == HOSTILE
    assert panel.inside["a1n2"] == "Third line."
    assert {a["class"] for t, a in panel.elements if t == "mark"} == {"near"}


def test_a_follow_up_says_how_it_was_read() -> None:
    asked = replace(silent(), question="How <soon>?", understood="How <soon>? (Merz (left) é)")
    html = conversation([Turn(asked.question, asked)])
    assert "Read with words from before: Merz (left) é<" in html
    written = replace(asked, understood="How soon does Merz decide?")
    assert "Read as: How soon does Merz decide?<" in conversation([Turn(asked.question, written)])
    assert "Read " not in conversation([Turn(asked.question, replace(asked, understood=asked.question))])


def test_of_several_documents_those_pointed_to_are_shown_in_corpus_order() -> None:
    both = (OTHER, MIXED)
    assert "Other words." in article(both, ())
    assert "Third line." not in article(both, ())
    assert "The first of 2 documents" in article(both, ())
    one = article(both, [Turn("Q?", cited(MIXED, FIRST))])
    assert "Third line." in one
    assert "Other words." not in one
    two = article(both, [Turn("Q?", cited(MIXED, FIRST)), Turn("Q?", cited(OTHER, Span(0, 12)))])
    assert two.index("Other words.") < two.index("Third line.")
    assert article((), ()) == ""


def test_of_a_long_document_the_lines_around_the_pointers_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panels, "LONG", 100)
    document = make_document("\n".join(f"Line {i}." for i in range(1000)), id="long")
    quote = Span(document.text.index("Line 500."), document.text.index("Line 500.") + 9)
    html = article([document], [Turn("Q?", cited(document, quote))])
    shown = re.findall(r"Line (\d+)\.", html)
    assert shown == [str(i) for i in range(470, 531)]
    assert html.count("fn-gap") == 2
    assert Page(re.sub(r"<button.*?</button>", "", html)).inside == {"a1c1": "Line 500."}
    assert re.findall(r"Line (\d+)\.", article([document], ())) == [str(i) for i in range(60)]


def test_a_busy_port_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"port {port} on 127\.0\.0\.1 is in use.*--port"):
            bind("127.0.0.1", port)
    bind("127.0.0.1", port).close()


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70000), ("127.0.0.1", -1), ("203.0.113.7", 7860)])
def test_an_impossible_address_is_a_clear_error(host: str, port: int) -> None:
    with pytest.raises(SettingsError, match="--port"):
        bind(host, port)


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("127.0.0.1", {"localhost", "127.0.0.1", "::1"}),
        ("LocalHost", {"localhost", "127.0.0.1", "::1"}),
        ("127.0.0.2", {"localhost", "127.0.0.1", "::1", "127.0.0.2"}),
        ("0.0.0.0", set()),  # all addresses: any name
    ],
)
def test_the_names_that_the_chat_answers_to(host: str, names: set[str]) -> None:
    with bind(host, 0) as listening:
        assert answers_to(host, listening) == names


def status_of(header: str | None, hosts: frozenset[str]) -> int:
    """A Host header and the names answered to, to the status of the response."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [] if header is None else [(b"host", header.encode("latin-1"))]
    asyncio.run(guarded(app, hosts)({"type": "http", "headers": headers}, None, send))
    assert (b"x-content-type-options", b"nosniff") in sent[0]["headers"]
    return int(sent[0]["status"])


GOOD = ["localhost", "LOCALHOST:1", "127.0.0.1:7860", "[::1]", "[::1]:7860", "my.host:80"]
BAD = [None, "", "evil.example", "localhost.evil.example:80", "evil.example:localhost", "[::1", "\xe9", "127.0.0.2"]


@pytest.mark.parametrize(("header", "status"), [*((h, 200) for h in GOOD), *((h, 403) for h in BAD)])
def test_only_our_own_names_are_answered(header: str | None, status: int) -> None:
    assert status_of(header, LOOPBACK | {"my.host"}) == status
    assert status_of(header, frozenset()) == 200


@pytest.mark.browser
def test_the_turns_and_the_dial_go_to_the_pipeline() -> None:
    from rag.chat.app import _asker

    given: list[tuple[str, Sequence[Answer], float | None]] = []

    class Told(Scripted):
        def stream(
            self, question: str, *, history: Sequence[Answer] = (), max_wrong: float | None = None
        ) -> Iterator[Answer]:
            given.append((question, history, max_wrong))
            yield from super().stream(question, history=history, max_wrong=max_wrong)

    asker, event = _asker(Opening(Told)), SimpleNamespace(_data=None)
    turns = list(asker("What?", (), 2.0, event))[-1][2]
    assert turns[0].answer.abstained
    list(asker("And other?", turns, None, event))
    assert given == [("What?", [], 2.0), ("And other?", [turns[0].answer], None)]


@pytest.mark.browser
def test_a_question_that_is_too_long_is_told_so_and_stays_to_be_shortened() -> None:
    from rag.chat.app import QUESTION_LIMIT, _asker

    asker, event = _asker(Opening(Scripted)), SimpleNamespace(_data=None)
    ((shown, _, turns, box),) = asker("word " * 500, (), "", event)
    assert "Reading" not in shown
    assert "The question has 2499 characters: at most 2000 are read; shorten it" in shown
    assert len(turns[0].question) < 210
    assert "value" not in box  # gr.skip()
    *_, (_, _, turns, _) = asker("x" * QUESTION_LIMIT, turns, "", event)
    assert turns[1].answer is not None


@pytest.mark.browser
def test_each_question_to_an_index_that_does_not_open_is_told_why() -> None:
    from rag.chat.app import _asker, _stopper

    def source() -> Scripted:
        raise IndexMissingError("there is no index")

    opening = Opening(source)
    asker, event, turns = _asker(opening), SimpleNamespace(_data=None), ()
    for count in (1, 2):
        *_, (_, _, turns, _) = asker("What?", turns, "", event)
        assert [turn.problem for turn in turns] == ["There is no index"] * count
    assert "There is no index" in _stopper(opening)(turns, "")[0]


def test_opening_is_waited_for_and_tried_again_after_a_failure() -> None:
    gate, calls = threading.Event(), []

    def source() -> Scripted:
        calls.append(1)
        gate.wait(10)
        if len(calls) == 1:
            raise IndexMissingError("there is no index")
        return Scripted()

    opening = Opening(source)
    gate.set()
    with pytest.raises(IndexMissingError):
        opening.wait()
    assert isinstance(opening.wait(), Scripted)
    assert isinstance(opening.wait(), Scripted)
    assert len(calls) == 2


class Served(NamedTuple):
    """A chat that runs in a process of its own: where it is, and what it has said on standard error."""

    url: str
    log: Path

    def connections(self) -> list[str]:
        """The addresses that the process has tried to reach, or asked the name service for."""
        return re.findall(r"^REACH (.*)$", self.log.read_text("utf-8"), re.MULTILINE)


def serve(kind: str) -> None:
    """The name of a pipeline to a running chat over it that notes on standard error what it reaches for."""
    noted = {"socket.connect": 1, "socket.sendto": 1, "socket.getaddrinfo": 0, "socket.gethostbyname": 0}

    def note(event: str, given: tuple[Any, ...]) -> None:
        if event in noted:
            sys.stderr.write(f"REACH {given[noted[event]]}\n")

    sys.addaudithook(note)
    if kind == "scripted":
        launch(Scripted, port=0)
    else:
        sys.exit(main(["chat", "--port", "0"]))


def open_url(request: str | urllib.request.Request) -> Any:
    """A request to its response, past any proxy."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30)


@contextlib.contextmanager
def serving(kind: str, folder: Path) -> Iterator[Served]:
    """The name of a pipeline to a running chat over it; it is stopped as Ctrl-C stops it."""
    log = folder / f"{kind}.log"
    code = f"from tests.test_chat import serve; serve({kind!r})"
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"), "http://203.0.113.1:1")
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | proxies,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Footnote is at http://127.0.0.1:"), log.read_text("utf-8")
            served = Served(line.split()[3], log)
            with open_url(f"{served.url}/gradio_api/heartbeat/a-page-that-stays-open"):
                yield served
                process.send_signal(signal.SIGINT)
                process.wait(20)
        finally:
            process.kill()
    assert process.returncode == 0, log.read_text("utf-8")
    assert "graceful" not in log.read_text("utf-8")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The chat over the scripted pipeline."""
    with serving("scripted", tmp_path_factory.mktemp("chat")) as made:
        yield made


def fetch(served: Served, path: str, data: Any = None) -> tuple[str, Any]:
    """A path (and what to post) to the response's text and headers."""
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(served.url + path, body, {"Content-Type": "application/json"})
    with open_url(request) as response:
        return response.read().decode("utf-8"), response.headers


def endpoint(served: Served, *given: object) -> tuple[str, str]:
    """What is given, mostly a question, to the endpoint's event and its data."""
    event = json.loads(fetch(served, "/gradio_api/call/ask", {"data": given})[0])["event_id"]
    told, _ = fetch(served, f"/gradio_api/call/ask/{event}")
    name, data = re.findall(r"event: (\w+)\ndata: (.*)", told)[-1]
    return name, data


@pytest.mark.browser
def test_the_endpoint_gives_the_answer_as_json(served: Served) -> None:
    assert list(json.loads(fetch(served, "/gradio_api/info")[0])["named_endpoints"]) == ["/ask"]
    name, data = endpoint(served, "What?")
    assert (name, json.loads(data)) == ("complete", [Scripted().ask("What?").to_dict()])


@pytest.mark.browser
def test_the_endpoint_tells_our_errors_and_hides_others(served: Served) -> None:
    name, data = endpoint(served, "refuse")
    assert (name, "Not this: refuse" in data) == ("error", True)
    name, data = endpoint(served, "crash")
    assert (name, "secret" in data, OOPS in data) == ("error", False, True)
    assert "secret detail" in served.log.read_text("utf-8")


@pytest.mark.browser
@pytest.mark.parametrize(
    ("data", "told"),
    [
        (("",), "Cannot ask ''"),
        ((5,), "Cannot ask 5"),
        (("a" * 2001,), "has 2001 characters: at most 2000 are read"),
        ((), "give one, the question"),
    ],
)
def test_the_endpoint_says_what_is_wrong_with_a_question(served: Served, data: tuple[object, ...], told: str) -> None:
    before = served.log.read_text("utf-8")
    name, said = endpoint(served, *data)
    assert (name, told in said) == ("error", True), said
    assert served.log.read_text("utf-8") == before


@pytest.mark.browser
@pytest.mark.parametrize("path", ["upload", "upload/", "upload_progress"])
def test_no_file_is_taken_whichever_page_sends_it(served: Served, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(served, f"/gradio_api/{path}", {"files": "x"})


@pytest.mark.browser
def test_an_answer_to_no_question_is_told_so_without_a_trace(served: Served) -> None:
    before = served.log.read_text("utf-8")
    event = json.loads(fetch(served, "/gradio_api/call/ask", {"data": ["What?"]})[0])["event_id"]
    assert "complete" in fetch(served, f"/gradio_api/call/ask/{event}")[0]
    for unknown in ("nope", event):  # an answer is told once
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            fetch(served, f"/gradio_api/call/ask/{unknown}")
        assert f"no question '{unknown}' waits for its answer" in caught.value.read().decode()
    assert served.log.read_text("utf-8") == before


@pytest.mark.browser
def test_a_question_that_is_stopped_before_its_answer_begins_goes_back_into_the_box() -> None:
    from rag.chat.app import _asker, _stopper

    opening = Opening(Scripted)
    asker, stopper, event = _asker(opening), _stopper(opening), SimpleNamespace(_data=None)
    shown, _, turns, box = next(asker("What?", (), "", event))
    assert ("Reading" in shown, box) == (True, "")
    shown, _, ended, box = stopper(turns, " ")
    assert ("What?" in shown, ended, box) == (False, (), "What?")
    assert "value" not in stopper(turns, "Who?")[3]  # what is written meanwhile stays
    *_, (_, _, turns, _) = asker("Other?", turns, "", event)
    assert [turn.question for turn in turns] == ["Other?"]
    assert "value" not in stopper(turns, "")[3]


@pytest.mark.browser
def test_the_page_names_no_outside_source_and_forbids_them(served: Served) -> None:
    page, headers = fetch(served, "/")
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    loaded = re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)', page)
    assert not [address for pair in loaded for address in pair if re.match(r"(https?:)?//", address)]
    assert "Footnote: answers you can check" in page
    assert "fonts.googleapis" not in page + fetch(served, "/theme.css")[0]


@pytest.mark.browser
def test_a_page_elsewhere_that_names_our_address_its_own_gets_nothing(served: Served) -> None:
    port = served.url.rpartition(":")[2]
    for path in ("/", "/config", "/gradio_api/info", "/gradio_api/call/ask"):
        request = urllib.request.Request(served.url + path, headers={"Host": f"evil.example:{port}"})
        with pytest.raises(urllib.error.HTTPError) as caught:
            open_url(request)
        with caught.value as refused:
            assert refused.code == 403
            assert refused.read().decode() == (
                f"this chat does not answer to 'evil.example:{port}': open it by its address, or start it with --host\n"
            )
    for name in ("localhost", "127.0.0.1", "[::1]"):
        request = urllib.request.Request(f"{served.url}/config", headers={"Host": f"{name}:{port}"})
        with open_url(request) as response:
            assert response.status == 200


@pytest.mark.browser
def test_serving_reaches_for_nothing(served: Served) -> None:
    endpoint(served, "What?")
    assert not [address for address in served.connections() if "127.0.0.1" not in address]


# Asks two questions and has their answers told, asks a third, has that told as well: prints what is kept each time.
ENDPOINT_KEEPS = """
import time
from starlette.testclient import TestClient
from rag.chat import app as page, serve
from rag.chat.opening import Opening
from tests.test_chat import Scripted
opening = Opening(Scripted)
blocks = page.build(opening, 5)
page.build = lambda *given: blocks
with TestClient(serve.make_app(opening, 5, frozenset())) as client:
    sessions, queue = blocks.state_holder, blocks._queue
    def kept():
        held = (sessions.session_data, sessions.time_last_used, queue.pending_event_ids_session)
        return [len(each) for each in (*held, queue.pending_messages_per_session)]
    def asked(question):
        return client.post("/gradio_api/call/ask", json={"data": [question]}).json()["event_id"]
    def told(event):
        return client.get(f"/gradio_api/call/ask/{event}").text.splitlines()[0]
    print(told(asked("What?")), told(asked("refuse")), kept())
    unread = asked("other")
    while queue.event_ids_to_events:
        time.sleep(0.05)
    print(kept(), told(unread), kept())
    print(len(queue.event_analytics), queue.cached_event_analytics_summary, sessions.capacity == page.SESSIONS)
"""


@pytest.mark.browser
def test_nothing_is_left_of_a_question_once_the_endpoint_has_told_its_answer() -> None:
    call = [sys.executable, "-W", "ignore", "-c", ENDPOINT_KEEPS]
    ran = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    assert ran.stdout.splitlines() == [
        "event: complete event: error [0, 0, 0, 0]",
        "[1, 1, 1, 1] event: complete [0, 0, 0, 0]",  # an answer that nobody fetched is kept for who may
        "1 {'functions': {}} True",
    ]


def test_importing_the_chat_loads_nothing_heavy() -> None:
    code = "import sys, rag.chat; print([m for m in ('gradio', 'fastapi', 'uvicorn') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_our_errors_are_shown_and_others_are_not() -> None:
    assert problem(RagError("the index is gone")) == "The index is gone"
    assert problem(ValueError("secret")) == OOPS
