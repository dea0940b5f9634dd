"""Answers by a scripted model server: pointers, verdicts, streaming, fallbacks, and the ugly cases."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag import Answer, Pipeline, Retrieval, SentenceId, Settings, Span, Verdict, build_index, make_document
from rag.types import Finding
from tests.fakes import HashEncoder
from tests.modelserver import (
    Handler,
    Script,
    bad_json,
    breaks,
    fails,
    garbage,
    hangs,
    says,
    serving,
)

Open = Callable[..., Pipeline]
QUESTION = "For how long is rice cooked in water?"
TRUE = "Rice is cooked in water for twelve minutes"


@pytest.fixture
def opened(built: Path, encoder: HashEncoder, settings: Settings) -> Open:
    """A way to open `built` with a server."""

    def open_with(script: Script, folder: Path | None = None, **more: Any) -> Pipeline:
        with_server = replace(settings, llm_url=script.url, **{"llm_timeout": 5.0, **more})
        return Pipeline.open(folder or built, settings=with_server, encoder=encoder)

    return open_with


@pytest.fixture
def several(tmp_path: Path, encoder: HashEncoder, settings: Settings) -> Path:
    """A built index of three short documents."""
    texts = (f"{TRUE}.", "Salt is added at the end.", "Rice grows in water.")
    documents = [make_document(text, id=str(number)) for number, text in enumerate(texts)]
    return build_index(documents, tmp_path / "several", settings=settings, encoder=encoder).folder


def place(pipeline: Pipeline, words: str) -> str:
    """Words to the id that the prompt gives their sentence."""
    for i, hit in enumerate(pipeline.retrieve(QUESTION).hits, start=1):
        for j, (start, end) in enumerate(hit.passage.sentences, start=1):
            if words in hit.passage.document.text[start:end]:
                return f"[{i}.{j}]"
    raise AssertionError(words)


def verdicts(answer: Answer) -> list[str]:
    return [str(claim.verdict) for claim in answer.claims]


def exact(answer: Answer) -> None:
    for citation in answer.citations:
        assert citation.document.text[citation.quote.start : citation.quote.end] == citation.text
    for claim in answer.claims:
        assert bool(claim.citations) == (claim.verdict in (Verdict.SUPPORTED, Verdict.MISATTRIBUTED))


def test_a_supported_sentence_gets_its_number_and_the_exact_quote(opened: Open) -> None:
    with serving(says("")) as script:
        pipeline = opened(script)
        script.replies = [says(f"In water, rice is cooked for twelve minutes {place(pipeline, 'Rice')}.")]
        answer = pipeline.ask(QUESTION)
    assert answer.text == "In water, rice is cooked for twelve minutes."
    assert verdicts(answer) == ["supported"]
    assert [c.text for c in answer.citations] == [f"{TRUE}."]
    assert answer.finished
    assert answer.warnings == ()
    exact(answer)


def test_wrong_missing_and_invented_ids(opened: Open) -> None:
    with serving(says("")) as script:
        pipeline = opened(script)
        other = place(pipeline, "boil")
        text = (
            f"{TRUE} {other}. Salt is added at the end. {TRUE} and in beer for ninety [77.99].【9.9】 It may boil over"
        )
        script.replies = [says(f"{text} {other}.")]
        answer = pipeline.ask(QUESTION)
    assert verdicts(answer) == ["misattributed", "supported", "unsupported", "unsupported"]
    assert [c.text for c in answer.citations] == [f"{TRUE}.", "Salt is added at the end."]
    exact(answer)


def test_what_is_unsupported_can_be_left_out(opened: Open) -> None:
    with serving(says(f"{TRUE}. The moon is cheese.")) as script:
        answer = opened(script, unsupported="drop").ask(QUESTION)
    assert answer.text == f"{TRUE}."
    assert verdicts(answer) == ["supported"]


def test_it_streams_sentence_by_sentence(opened: Open) -> None:
    with serving(says(f"<think>The moon [1.1]?</think>{TRUE}. Salt is added at the end.")) as script:
        seen = list(opened(script).stream(QUESTION))
    assert [answer.finished for answer in seen] == [False] * (len(seen) - 1) + [True]
    assert all("moon" not in answer.text and "think" not in answer.text for answer in seen)
    pending = [answer for answer in seen if answer.claims and answer.claims[-1].verdict is Verdict.PENDING]
    assert pending
    assert all(not answer.claims[-1].citations for answer in pending)
    assert any(verdicts(answer) == ["supported", "pending"] for answer in seen)
    assert verdicts(seen[-1]) == ["supported", "supported"]
    for answer in seen:
        exact(answer)


def test_stopping_ends_the_request_at_once(opened: Open) -> None:
    with serving(hangs(f"{TRUE}. Salt is", 3)) as script:
        stream = opened(script, llm_timeout=30.0).stream(QUESTION)
        answer = next(a for a in stream if a.claims)
        start = time.monotonic()
        stream.close()
    assert time.monotonic() - start < 1
    assert not answer.finished


@pytest.mark.parametrize(
    "text", ["NOT IN THE SOURCES", "The sources do not say.", "I don't know.", "", "Der Mond ist aus Käse [1.1]."]
)
def test_a_refusal_or_nothing_supported_gives_the_embedded_answer(opened: Open, text: str) -> None:
    with serving(says(text)) as script:
        answer = opened(script).ask(QUESTION)
    assert answer.text == f"{TRUE}."
    assert verdicts(answer) == ["supported"]
    assert answer.finished
    assert "own words" in answer.warnings[-1]


def test_a_withheld_answer_asks_no_model(opened: Open) -> None:
    with serving(says(TRUE)) as script:
        answer = opened(script, threshold=1.0).ask(QUESTION)
        assert answer.abstained
        assert script.asked == []


def test_a_question_brings_its_own_dial_and_its_turns(opened: Open) -> None:
    with serving(says(f"{TRUE}.")) as script:
        pipeline = opened(script, threshold=1.0)
        answer = pipeline.ask("For how long is it cooked?", history=[("Who cooks rice in water?", "")], max_wrong=100)
    assert answer.question == "For how long is it cooked?"
    assert answer.understood != answer.question
    assert answer.text == f"{TRUE}."
    assert list(answer.timings) == ["understand", "retrieve", "read", "answer"]


class Marks:
    """A reader to which "twelve minutes" is the exact answer."""

    def read(self, retrieval: Retrieval) -> Retrieval:
        for i, hit in enumerate(retrieval.hits):
            for j, (start, end) in enumerate(hit.passage.sentences):
                if (at := hit.passage.document.text.find("twelve minutes", start, end)) >= 0:
                    found = Finding(SentenceId(i, j), Span(at, at + len("twelve minutes")), 9.0, 9.0)
                    return replace(retrieval, findings=(found,))
        return retrieval


def test_the_exact_answer_stays_where_the_model_cites_it(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.pipeline.open_reader", lambda sha256: Marks())
    with serving(says("")) as script:
        pipeline = opened(script)
        found = {}
        for said in (f"{TRUE}.", "Salt is added at the end.", "NOT IN THE SOURCES"):
            script.replies = [says(said)]
            *writing, answer = pipeline.stream(QUESTION)
            assert all(part.short == () for part in writing)
            found[said] = [excerpt.text for excerpt in answer.short]
    assert list(found.values()) == [["twelve minutes"], [], ["twelve minutes"]]


def repeated(handler: Handler, body: dict[str, Any]) -> None:
    handler.begin()
    for number in range(10_000):
        try:
            handler.piece(f"nonsense {number} ")
            if number % 7 == 6:
                handler.piece("ends. ")
        except OSError:
            return


UGLY = {
    "401": (fails(401), "FOOTNOTE_LLM_KEY"),
    "429": (fails(429, retry_after="600"), "ask again in 600 s"),
    "500": (fails(500), "(500"),
    "404": (fails(404, "no such model"), "FOOTNOTE_LLM_MODEL"),
    "redirect": (fails(302, location="http://192.0.2.1/v1"), "not followed"),
    "garbage": (garbage, "nothing that can be read"),
    "bad JSON": (bad_json, "nothing that can be read"),
    "silence": (hangs(), "silent for 0.5 s"),
    "nonsense": (repeated, "cut off"),
    "context": (fails(400, "exceeds the available context size"), "cannot read that much"),
}


@pytest.mark.parametrize("name", UGLY)
def test_ugly_cases_end_in_a_clear_message_and_the_embedded_answer(opened: Open, name: str) -> None:
    reply, message = UGLY[name]
    with serving(reply) as script:
        start = time.monotonic()
        answer = opened(script, llm_timeout=0.5 if name == "silence" else 5.0).ask(QUESTION)
        took = time.monotonic() - start
    assert message in answer.warnings[-1]
    assert answer.text == f"{TRUE}."
    assert answer.finished
    assert took < 20
    exact(answer)


@pytest.mark.parametrize("reply", [breaks(f"{TRUE}. Salt is"), hangs(f"{TRUE}. Salt is")])
def test_a_cut_connection_leaves_what_came_and_says_so(opened: Open, reply: Any) -> None:
    with serving(reply) as script:
        answer = opened(script, llm_timeout=0.5).ask(QUESTION)
    assert not answer.finished
    assert answer.text.startswith(f"{TRUE}.")
    assert verdicts(answer)[0] == "supported"
    assert Verdict.PENDING not in {claim.verdict for claim in answer.claims}
    assert "model server" in answer.warnings[-1]


def test_nobody_there(opened: Open) -> None:
    with serving(says("")) as script:
        pass
    answer = opened(script).ask(QUESTION)
    assert "cannot be reached" in answer.warnings[-1]
    assert answer.text == f"{TRUE}."


def test_a_busy_server_is_asked_again(opened: Open) -> None:
    with serving(fails(429, retry_after="0.1"), says(f"{TRUE}.")) as script:
        answer = opened(script).ask(QUESTION)
    assert answer.warnings == ()
    assert len(script.prompts) == 2


def test_too_long_a_prompt_is_tried_with_fewer_sources(opened: Open, several: Path) -> None:
    with serving(fails(400, "maximum context length is 10 tokens"), says(f"{TRUE}.")) as script:
        answer = opened(script, several).ask(QUESTION)
        first, second = script.prompts
    assert len(second) < len(first)
    assert "best passage" in answer.warnings[0]
    assert verdicts(answer) == ["supported"]


@pytest.mark.parametrize(
    "routes",
    [
        {
            "props": {"default_generation_settings": {"n_ctx": 600}},
            "tokenize": lambda b: {"tokens": b["content"].split()},
        },
        {
            "v1__models": {"data": [{"id": "m", "max_model_len": 600}]},
            "tokenize": lambda b: {"count": len(b["prompt"])},
        },
        {"api__show": {"model_info": {"x.context_length": 600}, "parameters": "num_ctx 600"}},
    ],
)
def test_the_servers_own_size_bounds_the_prompt(opened: Open, several: Path, routes: dict[str, Any]) -> None:
    with serving(says(f"{TRUE}."), **routes) as script:
        pipeline = opened(script, several)
        shown = len(pipeline.retrieve(QUESTION).hits)
        assert shown > 1
        answer = pipeline.ask(QUESTION)
        assert "[2.1]" not in script.prompts[-1]
    assert len(answer.warnings) == 1
    assert "was given only the best passage" in answer.warnings[0]


@pytest.mark.parametrize(
    ("listed", "small"),
    [
        ({"id": "m", "meta": {"n_params": 134_515_008}}, True),
        ({"id": "big-135M", "meta": {"n_params": 7e9}}, True),  # no whole number: by its name
        ({"id": "/models/SmolLM2-135M-Instruct.Q4_1.gguf"}, True),
        ({"id": "qwen2.5:0.5b"}, True),
        ({"id": "m-135M", "meta": {"n_params": 8_000_000_000}}, False),
        ({"id": "llama3.2:3b"}, False),
        ({"id": "gpt-4o"}, False),
    ],
)
def test_a_very_small_model_is_given_the_best_sentence(
    opened: Open, several: Path, listed: dict[str, Any], small: bool
) -> None:
    with serving(says("Rice is cooked in water for twelve minutes [1.1]."), v1__models={"data": [listed]}) as script:
        answer = opened(script, several).ask(QUESTION)
        assert ("Salt is added at the end." not in script.prompts[-1]) is small
        assert ("Maria Lund" in script.prompts[-1]) is small
        assert (
            script.prompts[-1].endswith(f"] {TRUE}.\n</sources-{mark_of(script)}>\n\nQuestion: {QUESTION}") or not small
        )
    assert any("very small" in warning for warning in answer.warnings) is small
    assert verdicts(answer) == ["supported"]


def mark_of(script: Script) -> str:
    """The mark of the last prompt's sources."""
    return script.prompts[-1].rsplit("<sources-", maxsplit=1)[-1][:8]


def test_the_key_goes_to_the_server_and_into_no_message(opened: Open) -> None:
    with serving(fails(500, "bad key s3cret")) as script:
        answer = opened(script, llm_key="s3cret").ask(QUESTION)
        assert script.asked[-1][2]["authorization"] == "Bearer s3cret"
    assert "s3cret" not in str(answer.warnings)
    assert "s3cret" not in repr(Settings(llm_key="s3cret"))


def test_the_environment_of_others_is_not_read(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": "http://192.0.2.1", "OPENAI_ORG_ID": "o",
                        "HTTP_PROXY": "http://192.0.2.1:9", "ALL_PROXY": "http://192.0.2.1:9"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with serving(says(f"{TRUE}.")) as script:
        answer = opened(script).ask(QUESTION)
        headers = {name.casefold(): value for name, value in script.asked[-1][2].items()}
    assert answer.warnings == ()
    assert headers["authorization"] == "Bearer none"
    assert "openai-organization" not in headers
