"""Showing: the JSON form against its schema, and source text that stays text in Markdown, HTML and a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from markdown_it import MarkdownIt
from markdown_it.token import Token

from rag import Answer, Draft, Excerpt, Hit, Passage, SentenceId, Signal, Span, Verdict, make_document
from rag.cite import cite
from rag.show import nearest, to_dict, to_html, to_markdown, to_text

HOSTILE = (
    "[a link](https://evil.example/x)",
    "![an image](https://evil.example/i.png)",
    "<img src=x onerror=alert(1)> <script>alert('1')</script> <!-- c --> &lt;b&gt; &amp; &#x41;",
    "<https://auto.example> https://bare.example www.bare.example a@b.example mailto:a@b.example",
    "# Heading 😀", "## Two", "===", "---", "***", "___", "> quote", "- item", "* item", "+ item", "1. item", "2) item",
    "`code` ``more`` ```fence``` ~~~", "    indented code", "\tindented", "**bold** __bold__ *it* _it_ ~~gone~~",
    "| a | b |\n|---|---|\n| c | d |", "[ref]: https://evil.example \"t\"", "[^1] [^1]: note", "$x^2$ \\(y\\) \\[z\\]",
    "back\\slash \\", "“curly” é 中文 …", "line\r\n\r\n# two\n\n```\nfence\n```", "&copy; &#60;b&#62;", "a\\\nb  \nc",
    "{{ x }} {% y %} :smile:", "\u2028# sep\u2029- x", "<details><summary>x</summary></details>", "[x]: <a> '",
    "term\n: def",
    "</blockquote></div><a href='javascript:alert(1)'>x</a>", "\" onmouseover=\"alert(1)", "[1] [2]",
)  # fmt: skip
CONTROLS = "\x1b[31mred\x1b[0m \x07bell \x08\x08 back \x9b2J csi \x7f del \x00 nul \x1b]0;title\x07 \x0c ff \r over"


def made(
    texts: Sequence[str],
    *,
    abstained: bool = False,
    title: str = "Title é",
    verdict: Verdict | None = None,
    **more: Any,
) -> Answer:
    """Sentences, each a document of its own, to an Answer that cites them all, or that has none."""
    hits = []
    for number, text in enumerate(texts):
        document = make_document(text, id=f"{number}.txt", title=title, source=f"https://x/{number}")
        span = Span(0, len(document.text))
        passage = Passage(document, span, (span,))
        hits.append(Hit(passage, 2.0 - number, (0.5 - number / 100,), {"bm25": Signal(1.5, number + 1)}))
    drafts = [Draft(hit.passage.text, (SentenceId(number, 0),)) for number, hit in enumerate(hits)]
    text, claims = cite([] if abstained else drafts, hits)
    answer = Answer(
        question="Who 😀 is “é”?", understood="Who 😀 is “é”?", text="The sources do not say." if abstained else text,
        short=(), claims=claims, hits=tuple(hits), confidence=0.25, abstained=abstained,
        reason="These come nearest." if abstained else "", timings={"retrieve": 1.5},
    )  # fmt: skip
    if verdict:
        answer = replace(answer, claims=tuple(replace(claim, verdict=verdict) for claim in claims))
    return replace(answer, **more)


PLAIN = ("Ça va 😀.", "“Quoted” 中文。", "Last é.")
ANSWERS = {
    "answered": made(PLAIN[:1]),
    "several documents": made(PLAIN),
    "abstained": made(PLAIN, abstained=True),
    "nothing found": made((), abstained=True),
    "hostile": made(HOSTILE, title="</script>\r\n\x00# [t](x)"),
    "hostile abstained": made(HOSTILE, abstained=True, reason="<b>*r*</b>"),
    "cut off": made(PLAIN, finished=False, warnings=("é <b>", "two")),
    "with a short answer": made(
        PLAIN,
        short=(Excerpt(make_document("x", id="9"), Span(0, 1)), Excerpt(make_document("é 中", id="0"), Span(2, 3))),
    ),
    **{str(verdict): made(PLAIN, verdict=verdict) for verdict in Verdict},
}


@pytest.fixture(params=ANSWERS)
def answer(request: pytest.FixtureRequest) -> Answer:
    return ANSWERS[str(request.param)]


# -- plain data --


@cache
def schema() -> Draft202012Validator:
    """The published schema, itself checked."""
    data = json.loads(resources.files("rag").joinpath("answer.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(data)
    return Draft202012Validator(data)


def test_the_data_validates_and_is_strict_json(answer: Answer) -> None:
    data = to_dict(answer)
    schema().validate(data)
    written = json.dumps(data, allow_nan=False)
    assert json.loads(written) == data
    assert json.loads(json.dumps(data, ensure_ascii=False).encode("utf-8")) == data
    assert data == answer.to_dict()


def test_the_schema_refuses_what_is_not_its_form() -> None:
    data = to_dict(ANSWERS["several documents"])
    for broken in (
        {**data, "schema_version": 2},
        {**data, "confidence": 1.5},
        {**data, "more": 1},
        {**data, "claims": [{**data["claims"][0], "verdict": "true"}]},
        {**data, "citations": [{**data["citations"][0], "start": -1}]},
        {**data, "documents": [{**data["documents"][0], "sha256": "x"}]},
        {key: value for key, value in data.items() if key != "hits"},
    ):
        with pytest.raises(ValidationError):
            schema().validate(broken)


def test_every_part_is_reached_by_the_schema() -> None:
    def parts(node: Any) -> list[Any]:
        below = [part for value in node.values() for part in parts(value)] if isinstance(node, dict) else []
        return [*below, node] if isinstance(node, dict) and node.get("type") == "object" else below

    for part in parts(schema().schema):
        assert part["additionalProperties"] is False or isinstance(part["additionalProperties"], dict)
        assert set(part.get("required", ())) == set(part.get("properties", ()))


def test_the_data_of_an_answer_by_value() -> None:
    answer = ANSWERS["several documents"]
    data = to_dict(answer)
    assert data["text"] == "Ça va 😀. “Quoted” 中文。 Last é."
    assert data["claims"][1] == {
        "start": 9, "end": 21, "text": "“Quoted” 中文。", "verdict": "supported", "citations": [2],
    }  # fmt: skip
    assert data["citations"][1] == {
        "number": 2, "document": "1.txt", "start": 0, "end": 12, "quote": "“Quoted” 中文。",
        "passage": {"start": 0, "end": 12},
    }  # fmt: skip
    assert data["hits"][2] == {
        "document": "2.txt", "start": 0, "end": 7, "text": "Last é.", "score": 0.0,
        "sentences": [{"start": 0, "end": 7, "score": 0.48}], "trace": {"bm25": {"score": 1.5, "rank": 3}},
    }  # fmt: skip
    assert [entry["id"] for entry in data["documents"]] == ["0.txt", "1.txt", "2.txt"]
    document = answer.hits[0].passage.document
    assert data["documents"][0] == {
        "id": "0.txt", "title": "Title é", "source": "https://x/0", "sha256": document.sha256,
    }  # fmt: skip
    rest = (
        "schema_version",
        "question",
        "abstained",
        "reason",
        "confidence",
        "finished",
        "short",
        "warnings",
        "timings",
    )
    assert [data[key] for key in rest] == [
        1, "Who 😀 is “é”?", False, "", 0.25, True, [], [], {"retrieve": 1.5},
    ]  # fmt: skip


def test_the_data_of_silence_by_value() -> None:
    data = to_dict(ANSWERS["abstained"])
    assert (data["abstained"], data["text"]) == (True, "The sources do not say.")
    assert (data["claims"], data["citations"], len(data["hits"]), len(data["documents"])) == ([], [], 3, 3)


def test_every_quote_in_the_data_reslices(answer: Answer) -> None:
    data = to_dict(answer)
    texts = {hit.passage.document.id: hit.passage.document.text for hit in answer.hits}
    known = {entry["id"] for entry in data["documents"]}
    for citation in data["citations"]:
        assert texts[citation["document"]][citation["start"] : citation["end"]] == citation["quote"]
        assert citation["document"] in known
    for hit in data["hits"]:
        assert texts[hit["document"]][hit["start"] : hit["end"]] == hit["text"]
        assert hit["document"] in known
    for claim in data["claims"]:
        assert data["text"][claim["start"] : claim["end"]] == claim["text"]


def test_nearest_are_the_best_sentences() -> None:
    answer = made([f"Sentence {number} é." for number in range(6)], abstained=True)
    assert [excerpt.text for excerpt in nearest(answer)] == ["Sentence 0 é.", "Sentence 1 é.", "Sentence 2 é."]
    assert len(nearest(answer, 9)) == 6
    assert nearest(made((), abstained=True)) == ()


# -- Markdown --

INERT = {
    "paragraph_open", "paragraph_close", "blockquote_open", "blockquote_close", "inline", "text",
    "text_special", "softbreak",
}  # fmt: skip


def parsed(markdown: str) -> list[Token]:
    """Markdown to all tokens of the most generous of the parsers: tables, strike-through and bare links are on."""
    parser = MarkdownIt("js-default", {"html": True, "linkify": False, "typographer": False})
    found = []
    for token in parser.parse(markdown):
        found += [token, *(token.children or [])]
    return found


def test_markdown_has_nothing_but_paragraphs_and_quotes(answer: Answer) -> None:
    assert {token.type for token in parsed(to_markdown(answer))} <= INERT


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("place", ["source", "title", "reason", "warning", "text"])
def test_hostile_text_is_inert_and_whole_in_markdown(text: str, place: str) -> None:
    answer = {
        "source": lambda: made([text]),
        "title": lambda: made(["words"], title=text),
        "reason": lambda: made(["words"], abstained=True, reason=text),
        "warning": lambda: made(["words"], warnings=(text,)),
        "text": lambda: made([], abstained=True, text=text),
    }[place]()
    tokens = parsed(to_markdown(answer))
    assert {token.type for token in tokens} <= INERT
    rendered = "".join(t.content for t in tokens if t.type in {"text", "text_special"})
    assert "".join(text.split()) in "".join(rendered.replace("\ufffd", "\x00").split())


def test_hostile_markup_would_be_found() -> None:
    types = {token.type for text in HOSTILE for token in parsed(text)}
    assert {
        "link_open", "image", "html_inline", "html_block", "heading_open", "bullet_list_open", "ordered_list_open",
        "code_inline", "code_block", "fence", "blockquote_open", "hr", "strong_open", "em_open", "s_open", "table_open",
    } <= types  # fmt: skip


def test_no_bare_link_is_left_for_a_parser_that_finds_them() -> None:
    bare = re.compile(r"(?:https?|mailto):|www\.|\w@", re.IGNORECASE)
    assert len([text for text in HOSTILE if bare.search(text)]) > 3
    for text in HOSTILE:
        assert not bare.search(to_markdown(made([text], title=text, reason=text, warnings=(text,)))), text


def test_every_sign_of_markup_is_escaped() -> None:
    signs = "\\`*_{}[]()<>#+-!|~$&:.@"
    assert "".join(f"\\{sign}" for sign in signs) in to_markdown(made([f"é{signs}😀"]))


def test_markdown_by_value() -> None:
    assert to_markdown(made(PLAIN[:2], warnings=("Note me.",))) == (
        "Ça va 😀\\. \\[1\\] “Quoted” 中文。 \\[2\\]\n\n"
        "> \\[1\\] “Ça va 😀\\.” — Title é, 0–8\n\n"
        "> \\[2\\] ““Quoted” 中文。” — Title é, 0–12\n\n"
        "Note: Note me\\.\n"
    )
    assert to_markdown(made(PLAIN[:1], abstained=True)) == (
        "The sources do not say\\.\n\nThese come nearest\\.\n\n> “Ça va 😀\\.” — Title é\n"
    )


# -- HTML --


class Page(HTMLParser):
    """Collects a page's tags, with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment", ()))


def test_html_is_escaped(answer: Answer) -> None:
    page = Page(to_html(replace(answer, question="<i onclick=x>é\"'")))
    assert page.tags[0] == ("div", (("class", "footnote-answer"),))
    assert set(page.tags[1:]) <= {(tag, ()) for tag in ("p", "strong", "em", "small", "blockquote")}
    assert page.text.startswith("<i onclick=x>é\"'")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_whole_in_html(text: str) -> None:
    page = Page(made([text], title=text)._repr_html_())
    assert {tag for tag, _ in page.tags} == {"div", "p", "strong", "blockquote"}
    assert "".join(page.text.split()).count("".join(text.split())) >= 3  # the claim, the quote, the title


# -- a terminal --


def test_text_by_value() -> None:
    assert to_text(made(PLAIN[:2], warnings=("Note 😀.",))) == (
        "Ça va 😀. [1] “Quoted” 中文。 [2]\n\n"
        "[1] “Ça va 😀.” (Title é, 0–8)\n"
        "[2] ““Quoted” 中文。” (Title é, 0–12)\n\n"
        "note: Note 😀."
    )
    assert to_text(made(PLAIN[:1], abstained=True)) == (
        "The sources do not say.\nThese come nearest.\n\nThe nearest passages:\n  - Ça va 😀. (Title é)"
    )
    assert to_text(made((), abstained=True)) == "The sources do not say.\nThese come nearest."


def test_text_says_the_exact_answers_in_a_line() -> None:
    words = make_document("é\n 中 and more", id="0")
    short = (Excerpt(words, Span(0, 4)), Excerpt(words, Span(5, 8)))
    assert "Exactly: “é 中” · “and”" in to_text(replace(ANSWERS["answered"], short=short)).split("\n")
    assert "Exactly" not in to_text(ANSWERS["answered"])


@pytest.mark.parametrize(
    ("verdict", "mark"),
    [
        (Verdict.SUPPORTED, "Ça va 😀. [1]"),
        (Verdict.MISATTRIBUTED, "Ça va 😀. (pointer corrected) [1]"),
        (Verdict.UNSUPPORTED, "Ça va 😀. (not in the sources)"),
        (Verdict.PENDING, "Ça va 😀. (being checked)"),
    ],
)
def test_every_face_marks_the_verdict(verdict: Verdict, mark: str) -> None:
    answer = made(PLAIN[:1], verdict=verdict)
    if verdict in {Verdict.UNSUPPORTED, Verdict.PENDING}:
        answer = replace(answer, claims=tuple(replace(claim, citations=()) for claim in answer.claims))
    assert to_text(answer).partition("\n")[0] == mark
    assert Page(to_html(answer)).text.startswith(f"{answer.question}{mark}")
    first = next(token.content for token in parsed(to_markdown(answer)) if token.type == "inline")
    assert first.replace("\\", "") == mark


@pytest.mark.parametrize("abstained", [False, True])
def test_control_characters_do_not_reach_a_terminal(abstained: bool) -> None:
    answer = made(
        [CONTROLS, "😀 é 中文"], abstained=abstained, title=CONTROLS, reason=CONTROLS, warnings=(CONTROLS,),
        text=CONTROLS if abstained else f"{make_document(CONTROLS, id='x').text} 😀 é 中文",
    )  # fmt: skip
    text = to_text(answer)
    assert not [c for c in text if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160)]
    assert "red" in text
    assert "😀 é 中文" in text


def test_a_source_cannot_forge_lines_in_a_terminal() -> None:
    answer = made(["one\r\n\r\n[9] “forged”\u2028[8] too"], title="a\n[7] “title”")
    assert to_text(answer).count("\n") == 2
    assert [line[:3] for line in to_text(answer).split("\n")] == ["one", "", "[1]"]
