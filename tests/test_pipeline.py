"""The pipeline: building once, asking from many threads, silence, rebuilds, and the packaged article."""

from __future__ import annotations

import asyncio
import math
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import rag.asking
import rag.pipeline
from rag import (
    Answer,
    Built,
    DocumentError,
    IndexDamagedError,
    IndexMissingError,
    Pipeline,
    QuestionError,
    Settings,
    SettingsError,
    Verdict,
    ask,
    build_index,
    make_document,
    read_folder,
)
from rag.confidence import Confidence, load_confidence
from rag.models import computed, computing
from rag.pipeline import STRICT, UNSURE
from rag.retrieve import KEPT
from rag.settings import DEFAULT_MODEL, INT8, MAX_WRONG
from tests.conftest import TEXT
from tests.fakes import HashEncoder, RowlessEncoder, opens

QUESTIONS = [
    "Who led the Normans?", "How long is rice cooked 😀?", "中文句子在哪里？", "What is spelled with an “é”?",
    "zebra", "the of",
]  # fmt: skip
RICE = make_document(
    "Rice is cooked in water 😀.\r\nIt must not boil over. Salt is “added” at the end.", id="rice", title="é"
)
FISH = make_document("Fish swim in the sea. 中文句子在这里。", id="fish")


def data(answer: Answer) -> dict[str, Any]:
    """An answer's data without what differs from one asking to the next."""
    return {**answer.to_dict(), "timings": None}


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """A folder's files (its lock apart) to their times and sizes."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """`ask` without a model: every encoder that the pipeline opens is the HashEncoder; the models it was asked for."""
    opened: list[str] = []

    def open_encoder(model: str, cache: Path, **named: Any) -> HashEncoder:
        opened.append(model)
        return HashEncoder()

    opens(monkeypatch, open_encoder)
    monkeypatch.setenv("FOOTNOTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FOOTNOTE_THRESHOLD", "0")
    yield opened
    rag.asking._opened.cache_clear()


@pytest.fixture
def several(tmp_path: Path, settings: Settings) -> Pipeline:
    """A pipeline over the text of `built` in several small passages, and two documents more."""
    encoder = HashEncoder("small", limit=14)
    documents = [make_document(TEXT, id="mixed.txt"), RICE, FISH]
    build_index(documents, tmp_path / "several", settings=settings, encoder=encoder)
    return Pipeline.open(tmp_path / "several", settings=settings, encoder=encoder)


# -- asking --


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_is_made_of_sentences_of_the_documents(several: Pipeline, question: str) -> None:
    answer = several.ask(question)
    assert (answer.question, answer.understood, answer.abstained, answer.reason) == (question, question, False, "")
    assert 0 <= answer.confidence <= 1
    assert answer.finished
    assert answer.claims
    assert answer.text == " ".join(answer.text[slice(*claim.span)] for claim in answer.claims)
    for claim in answer.claims:
        assert claim.verdict is Verdict.SUPPORTED
        (citation,) = claim.citations
        assert citation.document in several.documents
        words = citation.document.text[slice(*citation.quote)]
        assert words == citation.text == answer.text[slice(*claim.span)]
        assert citation.passage in [hit.passage for hit in answer.hits]
    assert [citation.number for citation in answer.citations] == list(range(1, len(answer.citations) + 1))


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("Who 😀 led them in the 10th century?", "Rollo 😀 led them in the 10th century."),
        ("Is rice cooked in water for twelve minutes?", "Rice is cooked in water for twelve minutes."),
        ("中文句子在这里", "中文句子在这里。"),
        ("What is “Café” spelled with?", "“Café” is spelled with an é."),
    ],
)
def test_the_right_sentence_is_cited(pipeline: Pipeline, several: Pipeline, question: str, sentence: str) -> None:
    for over in (pipeline, several):
        assert sentence in [citation.text for citation in over.ask(question).citations]
        assert over.ask(question).sentences[0].text == sentence


def test_timings_are_milliseconds_by_stage(pipeline: Pipeline) -> None:
    timings = pipeline.ask("rice?").timings
    assert set(timings) == {"retrieve", "read", "answer"}
    assert all(0 < value < 60_000 for value in timings.values())


def test_the_question_is_normalised(pipeline: Pipeline) -> None:
    answer = pipeline.ask(" \n Who is\r\ncafe\u0301 \ud800? \t")
    assert answer.question == answer.understood == "Who is\ncafé \ufffd?"
    assert data(answer) == data(pipeline.ask("Who is\ncafé \ufffd?"))


@pytest.mark.parametrize("question", ["", "  \r\n\t", "\u200b", "\x00\x1b", "\ufeff", "\u2028"])
def test_a_question_without_a_character_to_read_is_refused(pipeline: Pipeline, question: str) -> None:
    with pytest.raises(QuestionError, match="is empty: write what you want to know"):
        pipeline.ask(question)


@pytest.mark.parametrize("question", [None, 3, b"Who?", ["Who?"]])
def test_a_question_of_another_type_is_refused(
    built: Path, pipeline: Pipeline, hashed: list[str], question: Any
) -> None:
    message = f"the question {question!r} is of type {type(question).__name__}: give a string"
    for asked in (pipeline.ask, pipeline.retrieve, lambda question: ask(question, index=built)):
        with pytest.raises(QuestionError) as caught:
            asked(question)
        assert str(caught.value) == message


@pytest.mark.parametrize("index", [3, b"index", ["index"]])
def test_an_index_that_is_no_path_is_refused(index: Any) -> None:
    told = re.escape(f"the index is {index!r}, of type {type(index).__name__}: give")
    for asked in (Pipeline.open, lambda index: ask("Who?", index=index)):
        with pytest.raises(SettingsError, match=told):
            asked(index)


@pytest.mark.parametrize("question", ["?", "😀", "é", "的", "\ud800", "the", "[SEP]", "x" * 5000, "rice " * 1000])
def test_any_other_question_is_answered(several: Pipeline, question: str) -> None:
    answer = several.ask(question)
    assert len(answer.hits) == min(KEPT, len(several._index))
    assert answer.citations


def test_retrieve_keeps_as_many_as_asked(several: Pipeline) -> None:
    everything = several.retrieve("rice water 😀", keep=100)
    assert len(everything.hits) == len(several._index) > 3
    one = several.retrieve("rice water 😀", keep=1)
    assert [hit.passage for hit in one.hits] == [everything.hits[0].passage]


# -- silence --


def test_a_threshold_of_one_always_abstains(built: Path, encoder: HashEncoder, settings: Settings) -> None:
    silent = Pipeline.open(built, settings=Settings(cache=settings.cache, threshold=1.0), encoder=encoder)
    loud = Pipeline.open(built, settings=settings, encoder=encoder)
    for question in QUESTIONS:
        answer = silent.ask(question)
        assert (answer.abstained, answer.text) == (True, "The source does not say.")
        assert answer.reason
        assert (answer.claims, answer.citations, answer.short) == ((), (), ())
        assert answer.hits == loud.ask(question).hits
        assert answer.confidence == loud.ask(question).confidence
        assert not loud.ask(question).abstained


def test_the_threshold_is_compared_with_the_confidence(
    built: Path, encoder: HashEncoder, settings: Settings, pipeline: Pipeline
) -> None:
    confidence = pipeline.ask(QUESTIONS[0]).confidence
    for threshold, abstains in ((confidence, False), (min(1.0, confidence + 1e-9), True)):
        with_it = Pipeline.open(built, settings=Settings(cache=settings.cache, threshold=threshold), encoder=encoder)
        assert with_it.ask(QUESTIONS[0]).abstained is abstains
        assert with_it.threshold == threshold


def test_without_a_threshold_it_is_that_of_the_dial(built: Path, encoder: HashEncoder, tmp_path: Path) -> None:
    found = [
        Pipeline.open(built, settings=Settings(cache=tmp_path, max_wrong=most), encoder=encoder).threshold
        for most in (0.0, 5.0, 10.0, 20.0, 100.0)
    ]
    assert found == [load_confidence().threshold(most) for most in (0.0, 5.0, 10.0, 20.0, 100.0)]
    assert Settings().max_wrong == 10.0
    assert found == sorted(found, reverse=True)
    assert found[-1] == 0.0


def test_the_dial_by_hand() -> None:
    made = Confidence(0.0, {}, "", ((0.0, 0.4, 1.0), (0.5, 0.15, 0.6), (0.7, 0.05, 0.3), (0.9, 0.02, 0.1)))
    dial = {100: 0.0, 99: 0.0, 40: 0.0, 39.9: 0.5, 15: 0.5, 14: 0.7, 5: 0.7, 2: 0.9, 1: 1.0, 0: 1.0}
    assert {most: made.threshold(most) for most in dial} == dial


def test_a_question_may_bring_its_own_dial(built: Path, encoder: HashEncoder, tmp_path: Path) -> None:
    pipeline = Pipeline.open(built, settings=Settings(cache=tmp_path, threshold=1.0), encoder=encoder)
    assert pipeline.ask(QUESTIONS[0]).abstained
    assert not pipeline.ask(QUESTIONS[0], max_wrong=100).abstained
    assert pipeline.ask(QUESTIONS[0], max_wrong=0).abstained
    for wrong in (101, -1, float("nan"), "10", True):
        with pytest.raises(SettingsError, match="FOOTNOTE_MAX_WRONG"):
            pipeline.ask(QUESTIONS[0], max_wrong=wrong)  # type: ignore[arg-type]  # what is no number is refused too


def test_the_confidence_is_the_logistic_of_the_features(several: Pipeline) -> None:
    made = Confidence(0.5, {"a": 2.0, "b": -1.0}, "", ())
    assert made({"a": 0.25, "b": 0.4, "not used": 9.0}) == pytest.approx(1 / (1 + math.exp(-0.6)))
    assert Confidence(0.0, {}, "", ())({}) == 0.5
    assert Confidence(0.0, {"a": 1.0}, "", ())({"a": 1e9}) == pytest.approx(1, abs=1e-12)
    assert Confidence(0.0, {"a": 1.0}, "", ())({"a": -1e9}) == pytest.approx(0, abs=1e-12)
    for question in QUESTIONS:
        features = several.read(several.retrieve(question)).features
        if question == "the of":  # nothing that tells is asked
            assert several.ask(question).confidence == 0
            continue
        assert several.ask(question).confidence == load_confidence()(features)


def test_silence_of_several_sources(tmp_path: Path, encoder: HashEncoder) -> None:
    settings = Settings(cache=tmp_path, threshold=1.0)
    build_index([RICE, FISH], tmp_path / "made", settings=settings, encoder=encoder)
    assert Pipeline.open(tmp_path / "made", settings=settings, encoder=encoder).ask("rice").text == (
        "The sources do not say."
    )


# -- threads and event loops --


@pytest.mark.laws
def test_thirty_two_threads_get_the_answers_of_one(several: Pipeline) -> None:
    alone = {question: data(several.ask(question)) for question in QUESTIONS}
    assert len({str(answer["hits"]) for answer in alone.values()}) == len(QUESTIONS)
    start = threading.Barrier(32)

    def many(number: int) -> list[bool]:
        start.wait()
        order = [QUESTIONS[(number + i) % len(QUESTIONS)] for i in range(12)]
        return [data(several.ask(question)) == alone[question] for question in order]

    with ThreadPoolExecutor(32) as pool:
        found = [same for answers in pool.map(many, range(32)) for same in answers]
    assert found == [True] * (32 * 12)


def test_threads_that_ask_at_once_open_one_pipeline(built: Path, hashed: list[str]) -> None:
    start = threading.Barrier(32)

    def one(number: int) -> dict[str, Any]:
        start.wait()
        return data(ask(QUESTIONS[number % 3], index=built))

    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(one, range(32)))
    assert hashed == ["hash"]
    assert all(found[number] == found[number % 3] for number in range(32))
    assert len({answer["text"] for answer in found}) == 3


def test_asking_under_a_running_event_loop(built: Path, hashed: list[str]) -> None:
    async def main() -> list[dict[str, Any]]:
        here = ask(QUESTIONS[0], index=built)
        there = await asyncio.gather(*(asyncio.to_thread(ask, QUESTIONS[0], index=built) for _ in range(4)))
        return [data(here), *map(data, there)]

    found = asyncio.run(main())
    assert found == [data(ask(QUESTIONS[0], index=built))] * 5
    assert hashed == ["hash"]


# -- the function `ask` --


def test_ask_sees_a_rebuild(tmp_path: Path, encoder: HashEncoder, settings: Settings, hashed: list[str]) -> None:
    folder = tmp_path / "made"
    build_index([RICE], folder, settings=settings, encoder=encoder)
    assert ask("What is cooked?", index=folder).citations[0].text == "Rice is cooked in water 😀."
    assert ask("What is cooked?", index=str(folder)).hits
    assert len(hashed) == 1
    build_index([FISH], folder, settings=settings, encoder=encoder)
    assert ask("What is cooked?", index=folder).citations[0].document == FISH
    assert len(hashed) == 2


def test_ask_takes_the_index_of_the_environment(
    built: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOTNOTE_INDEX", str(built))
    assert data(ask("Who led them?")) == data(ask("Who led them?", index=built))
    monkeypatch.setenv("FOOTNOTE_THRESHOLD", "1")
    assert ask("Who led them?").abstained
    assert not ask("Who led them?", max_wrong=100).abstained
    with pytest.raises(SettingsError, match="101"):
        ask("Who led them?", max_wrong=101)


def test_ask_without_an_index_builds_the_packaged_article_once(
    tmp_path: Path, hashed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("Who is Friedrich Merz?").citations[0].document.id == "article.txt"
    (folder,) = (tmp_path / "cache").iterdir()
    assert capsys.readouterr().err == f"building the sample article's index in {folder} (once) ...\n"
    before = state(folder)
    rag.asking._opened.cache_clear()
    assert ask("Who is Friedrich Merz?").hits
    assert state(folder) == before
    assert capsys.readouterr() == ("", "")


def test_ask_of_nothing_built(tmp_path: Path, encoder: HashEncoder, settings: Settings, hashed: list[str]) -> None:
    folder = tmp_path / "later"
    with pytest.raises(IndexMissingError, match=r"build it: footnote index \[FOLDER\] --out"):
        ask("Who?", index=folder)
    build_index([RICE], folder, settings=settings, encoder=encoder)
    assert ask("Who?", index=folder).hits


# -- building --


def test_building_tells_what_it_came_to(tmp_path: Path, encoder: HashEncoder, settings: Settings) -> None:
    told: list[tuple[int, int]] = []
    documents = [RICE, FISH, make_document("A sentence of some words é. " * 60, id="long")]
    folder = tmp_path / "made"
    built = build_index(
        documents, folder, settings=settings, encoder=encoder, progress=lambda done, total: told.append((done, total))
    )
    assert built == Built(folder, changed=True, documents=3, passages=len(told))
    assert told == [(number, len(told)) for number in range(1, len(told) + 1)]
    assert len(told) > 3
    assert Pipeline.open(folder, settings=settings, encoder=encoder).documents == tuple(documents)


def test_an_unchanged_rebuild_touches_nothing(tmp_path: Path, encoder: HashEncoder, settings: Settings) -> None:
    folder = tmp_path / "made"
    first = build_index([RICE, FISH], folder, settings=settings, encoder=encoder)
    before = state(folder)
    steps: list[str] = []
    again = build_index(
        [RICE, FISH], folder, settings=settings, encoder=HashEncoder(), say=steps.append, reached=steps.append,
        progress=lambda done, total: steps.append(str(done)),
    )  # fmt: skip
    assert again == Built(folder, changed=False, documents=first.documents, passages=first.passages)
    assert state(folder) == before
    assert steps == []


@pytest.mark.parametrize(
    "documents",
    [
        [RICE],
        [FISH, RICE],
        [RICE, make_document(FISH.text + " é", id="fish")],
        [RICE, make_document(FISH.text, id="fish", title="Other")],
    ],
)
def test_a_changed_corpus_is_rebuilt(tmp_path: Path, encoder: HashEncoder, settings: Settings, documents: Any) -> None:
    folder = tmp_path / "made"
    build_index([RICE, FISH], folder, settings=settings, encoder=encoder)
    assert build_index(documents, folder, settings=settings, encoder=encoder).changed
    assert Pipeline.open(folder, settings=settings, encoder=encoder).documents == tuple(documents)


def test_another_encoder_rebuilds(tmp_path: Path, encoder: HashEncoder, settings: Settings) -> None:
    folder = tmp_path / "made"
    build_index([RICE], folder, settings=settings, encoder=encoder)
    assert build_index([RICE], folder, settings=settings, encoder=HashEncoder("other")).changed
    with pytest.raises(IndexDamagedError):
        Pipeline.open(folder, settings=settings, encoder=encoder)


def test_a_damaged_index_is_rebuilt_though_its_inputs_are_the_same(
    tmp_path: Path, encoder: HashEncoder, settings: Settings
) -> None:
    folder = tmp_path / "made"
    build_index([RICE], folder, settings=settings, encoder=encoder)
    (folder / "v1" / "dense.faiss").write_bytes(b"x")
    assert build_index([RICE], folder, settings=settings, encoder=encoder).changed
    assert Pipeline.open(folder, settings=settings, encoder=encoder).ask("rice").hits


def test_a_folder_is_read(tmp_path: Path, encoder: HashEncoder, settings: Settings) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "é.txt").write_bytes(TEXT.encode())
    assert build_index(corpus, tmp_path / "made", settings=settings, encoder=encoder).documents == 1
    assert Pipeline.open(tmp_path / "made", settings=settings, encoder=encoder).documents == read_folder(corpus)


def test_folders_may_be_named_by_strings(tmp_path: Path, encoder: HashEncoder, settings: Settings) -> None:
    (tmp_path / "é.txt").write_bytes(TEXT.encode())
    built = build_index(str(tmp_path / "é.txt"), str(tmp_path / "made"), settings=settings, encoder=encoder)
    assert built == Built(tmp_path / "made", changed=True, documents=1, passages=1)


def test_a_file_that_cannot_be_read_is_left_out_only_where_that_is_told(
    tmp_path: Path, encoder: HashEncoder, settings: Settings
) -> None:
    corpus, out = tmp_path / "corpus", tmp_path / "made"
    corpus.mkdir()
    (corpus / "a.txt").write_bytes(b"caf\xe9")
    (corpus / "b.txt").write_text("Rice is cooked 😀.", "utf-8")
    with pytest.raises(DocumentError, match=r"a\.txt is not UTF-8 text"):
        build_index(corpus, out, settings=settings, encoder=encoder)
    problem = f"{corpus / 'a.txt'} is not UTF-8 text (byte 3): save it as UTF-8"
    for changed in (True, False):  # a second build says it again
        said: list[str] = []
        built = build_index(corpus, out, settings=settings, encoder=encoder, say=said.append)
        assert built == Built(out, changed=changed, documents=1, passages=1, left_out=(problem,))
        assert said == [f"left out: {problem}", "encoding 1 passage(s) of 1 document(s) ..."][: 1 + changed]
    (corpus / "a.txt").write_text("café", "utf-8")
    assert build_index(corpus, out, settings=settings, encoder=encoder).documents == 2


def test_the_settings_model_is_used(tmp_path: Path, hashed: list[str]) -> None:
    build_index([RICE], tmp_path / "made", settings=Settings(model="some/model", cache=tmp_path))
    assert hashed == ["some/model"]


def test_a_blank_document_beside_others_has_no_passage(
    tmp_path: Path, encoder: HashEncoder, settings: Settings
) -> None:
    blank = make_document(" \r\n", id="blank")
    build_index([blank, RICE], tmp_path / "made", settings=settings, encoder=encoder)
    pipeline = Pipeline.open(tmp_path / "made", settings=settings, encoder=encoder)
    assert pipeline.documents == (blank, RICE)
    assert {hit.passage.document.id for hit in pipeline.ask("rice").hits} == {"rice"}


@pytest.mark.parametrize("documents", [[], [make_document(" \r\n", id="blank")]])
def test_nothing_to_index_is_refused(tmp_path: Path, encoder: HashEncoder, settings: Settings, documents: Any) -> None:
    with pytest.raises(DocumentError, match="no text"):
        build_index(documents, tmp_path / "made", settings=settings, encoder=encoder)
    assert not (tmp_path / "made" / "CURRENT").exists()


def test_two_documents_of_one_id_are_refused(tmp_path: Path, encoder: HashEncoder, settings: Settings) -> None:
    twins = [RICE, make_document("Other words é.", id="rice")]
    with pytest.raises(DocumentError, match="rice"):
        build_index(twins, tmp_path / "made", settings=settings, encoder=encoder)


def test_small_models_make_small_passages(tmp_path: Path, settings: Settings) -> None:
    encoder = HashEncoder("small", limit=9)
    build_index([RICE, FISH], tmp_path / "made", settings=settings, encoder=encoder)
    pipeline = Pipeline.open(tmp_path / "made", settings=settings, encoder=encoder)
    passages = [hit.passage.text for hit in pipeline.retrieve("rice", keep=100).hits]
    assert max(encoder.count_tokens(passages)) <= 9
    assert sum(len("".join(text.split())) for text in passages) == sum(
        len("".join(document.text.split())) for document in (RICE, FISH)
    )


# -- encoders --


def test_another_encoder_than_the_indexs_is_refused(built: Path, settings: Settings) -> None:
    with pytest.raises(IndexDamagedError) as caught:
        Pipeline.open(built, settings=settings, encoder=HashEncoder("other"))
    assert str(caught.value) == (
        f"the index in {built} was built with another encoder (hash) than other; "
        f"rebuild: footnote index [FOLDER] --out {built}"
    )


def test_the_encoder_that_the_index_names_is_opened(
    built: Path, settings: Settings, encoder: HashEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def open_encoder(model: str, cache: Path, **named: Any) -> HashEncoder:
        given.append((model, cache, named["fingerprint"]))
        return encoder

    opens(monkeypatch, open_encoder)
    Pipeline.open(built, settings=Settings(model="ignored/when-asking", cache=settings.cache))
    assert given == [("hash", settings.cache, encoder.fingerprint)]


@pytest.mark.parametrize("model", [DEFAULT_MODEL, "hash", "some/other"])
def test_a_model_that_is_set_and_not_the_indexs_is_told(
    built: Path, settings: Settings, hashed: list[str], model: str
) -> None:
    said: list[str] = []
    Pipeline.open(built, settings=Settings(model=model, cache=settings.cache), say=said.append)
    assert hashed == ["hash"]
    assert said == [
        f"the index in {built} is asked with the model it was built with, hash; "
        "FOOTNOTE_MODEL (some/other) counts when an index is built"
    ] * (model == "some/other")


def test_what_is_computed_in_goes_to_the_encoder_and_an_index_in_other_is_told(
    tmp_path: Path, settings: Settings, encoder: HashEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_encoder(model: str, cache: Path, *, compute: str = "", **named: Any) -> HashEncoder:
        encoder.fingerprint = named.get("fingerprint") or computing("f" * 64, compute)
        return encoder

    opens(monkeypatch, open_encoder)
    in_int8, said = replace(settings, compute=INT8), list[str]()
    document = make_document("Rice is cooked in water 😀.", id="d")
    for compute, own in (("float32", settings), (INT8, in_int8)):
        build_index([document], tmp_path / compute, settings=own)
        for asking in (settings, in_int8):
            Pipeline.open(tmp_path / compute, settings=asking, say=said.append)
            assert computed(encoder.fingerprint) == ("f" * 64, compute)
    assert said == [
        f"the index in {tmp_path / 'float32'} is asked in float32, as it was built; "
        "FOOTNOTE_COMPUTE (int8) counts when an index is built"
    ]
    assert not build_index([document], tmp_path / INT8, settings=in_int8).changed
    assert build_index([document], tmp_path / INT8, settings=settings, say=said.append).changed
    assert said[1] == f"{tmp_path / INT8} was built in int8: it is rebuilt in float32 (FOOTNOTE_COMPUTE)"


def test_an_encoder_without_token_rows_falls_back_and_says_so(tmp_path: Path, settings: Settings) -> None:
    encoder = RowlessEncoder("rowless 😀")
    build_index([RICE, FISH], tmp_path / "made", settings=settings, encoder=encoder)
    answer = Pipeline.open(tmp_path / "made", settings=settings, encoder=encoder).ask("Is rice cooked in water?")
    assert answer.warnings == ("rowless 😀 gives no token vectors: ranked by dense and BM25 only.",)
    assert answer.citations[0].text == "Rice is cooked in water 😀."
    assert all(claim.verdict is Verdict.SUPPORTED for claim in answer.claims)


# -- the packaged article --


def test_the_packaged_index_is_built_once_in_the_cache(tmp_path: Path, encoder: HashEncoder) -> None:
    said: list[str] = []
    settings = Settings(cache=tmp_path / "cache é", threshold=0.0)
    first = Pipeline.open(settings=settings, encoder=encoder, say=said.append)
    (folder,) = settings.cache.iterdir()
    assert said == [f"building the sample article's index in {folder} (once) ..."]
    assert [document.id for document in first.documents] == ["article.txt"]
    before = state(folder)
    second = Pipeline.open(settings=settings, encoder=encoder, say=said.append)
    assert len(said) == 1
    assert state(folder) == before
    question = "What do soldiers describe as “absolute hell”?"
    assert data(first.ask(question)) == data(second.ask(question))
    assert "“absolute hell,”" in first.ask(question).text


def test_a_damaged_packaged_index_is_built_anew(tmp_path: Path, encoder: HashEncoder) -> None:
    settings = Settings(cache=tmp_path / "cache")
    Pipeline.open(settings=settings, encoder=encoder)
    (folder,) = settings.cache.iterdir()
    (folder / "CURRENT").write_bytes(b"v9 x\n")
    said: list[str] = []
    assert Pipeline.open(settings=settings, encoder=encoder, say=said.append).ask("Who?").hits
    assert len(said) == 1


def test_a_named_index_is_not_the_packaged_one(built: Path, encoder: HashEncoder, tmp_path: Path) -> None:
    settings = Settings(index=built, cache=tmp_path / "empty")
    assert [document.id for document in Pipeline.open(settings=settings, encoder=encoder).documents] == ["mixed.txt"]
    assert not (tmp_path / "empty").exists()


def test_an_answer_that_is_usually_withheld_says_so(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = load_confidence().threshold(MAX_WRONG)
    sure = [usual - 0.01]
    monkeypatch.setattr(Pipeline, "_sure", lambda _, retrieval, threshold: (retrieval, sure[0]))
    answer = pipeline.ask("Who led the Normans?", max_wrong=100)
    assert (answer.abstained, answer.warnings) == (False, (UNSURE,))
    assert pipeline.settings.threshold is not None
    assert UNSURE not in pipeline.ask("Who led the Normans?").warnings  # a threshold was set: its user knows
    assert UNSURE not in pipeline.ask("Who led the Normans?", max_wrong=10).warnings  # withheld
    sure[0] = usual
    assert pipeline.ask("Who led the Normans?", max_wrong=100).warnings == ()


def test_what_only_the_setting_withholds_says_so(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = load_confidence().threshold(MAX_WRONG)
    sure = [usual]
    monkeypatch.setattr(Pipeline, "_sure", lambda _, retrieval, threshold: (retrieval, sure[0]))
    answer = pipeline.ask("Who led the Normans?", max_wrong=0)
    assert (answer.abstained, answer.reason) == (True, STRICT)
    assert pipeline.ask("Who led the Normans?", max_wrong=10).reason == ""  # shown
    sure[0] = usual - 0.01
    assert pipeline.ask("Who led the Normans?", max_wrong=0).reason not in {"", STRICT}
