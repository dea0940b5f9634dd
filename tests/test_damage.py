"""Law 5 on a damaged disk: each file of an index flipped, cut, emptied, lengthened, removed or swapped is refused.

Refused means: by opening or by `doctor --deep`, with an error of ours that names the command which mends it, and
that command mends it. `.lock` is exempt: it holds nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rag import IndexDamagedError, IndexMissingError, ModelError, Pipeline, Settings, build_index, make_document
from rag.cli import main
from rag.doctor import Finding, examine
from rag.index import FORMAT, Index
from tests.fakes import HashEncoder, RowlessEncoder, opens

pytestmark = pytest.mark.laws
WORDS = "Rollo led the Normans 😀 to “Rouen” é 中文句子"
Damage = Callable[[Path, Path], object]  # a file, and the same-named one of another index


def build(folder: Path, *, word: str = "first", count: int = 30) -> bool:
    """An index whose files have the same sizes for every word of five letters; whether it was built."""
    text = " ".join(f"{WORDS} in the {word} {n} years." for n in range(10, 10 + count))
    documents = [make_document(text, id="a.txt"), make_document(f"Salt is the {word} thing.", id="b.txt")]
    return build_index(documents, folder, settings=settings(folder), encoder=HashEncoder()).changed


def settings(folder: Path) -> Settings:
    return Settings(index=folder, cache=folder / "cache", threshold=0.0)


def answers(folder: Path, word: str = "first") -> bool:
    """Whether the index opens, answers and is healthy to the last byte."""
    answer = Pipeline.open(folder, settings=settings(folder), encoder=HashEncoder()).ask("Salt is what thing?")
    return answer.citations[0].text == f"Salt is the {word} thing." and deep(folder).well


def deep(folder: Path) -> Finding:
    """What `doctor --deep` finds of the index."""
    (finding,) = [found for found in examine(settings(folder), deep=True) if found.what == "index"]
    return finding


def files(folder: Path) -> list[Path]:
    """CURRENT and all files of the version, below the folder."""
    found = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return sorted(found)


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `doctor` look at the index alone, and the command use the encoder that hashes."""

    def missing(model: str) -> Path:
        raise ModelError(f"{model} is not looked for here")

    monkeypatch.setattr("rag.doctor.find_model", missing)
    opens(monkeypatch, lambda *_, **__: HashEncoder())


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory if there is such a place: hundreds of builds sync hundreds of files."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        yield Path(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A built index."""
    build(tmp_path / "one")
    return tmp_path / "one"


def refusal(folder: Path) -> str:
    """How opening, or else `doctor --deep`, refuses the index; empty when neither does. Any other error is raised."""
    try:
        Pipeline.open(folder, settings=settings(folder), encoder=HashEncoder())
    except (IndexDamagedError, IndexMissingError) as error:
        assert not deep(folder).well
        return str(error)
    finding = deep(folder)
    return "" if finding.well else finding.detail


def flip(place: float, bits: int) -> Damage:
    """A byte at that share of the file, with these bits inverted."""

    def damage(path: Path, other: Path) -> None:
        raw = bytearray(path.read_bytes())
        raw[min(int(place * len(raw)), len(raw) - 1)] ^= bits
        path.write_bytes(raw)

    return damage


DAMAGES: dict[str, Damage] = {
    "first-byte": flip(0, 0xFF),
    "first-bit": flip(0, 0x80),
    "early-bit": flip(0.1, 0x01),
    "middle-byte": flip(0.5, 0xFF),
    "late-bit": flip(0.9, 0x10),
    "last-bit": flip(1, 0x01),
    "truncated-by-one": lambda path, other: path.write_bytes(path.read_bytes()[:-1]),
    "truncated-to-half": lambda path, other: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path, other: path.write_bytes(b""),
    "lengthened": lambda path, other: path.write_bytes(path.read_bytes() + b"\0"),
    "zeroed": lambda path, other: path.write_bytes(bytes(path.stat().st_size)),
    "removed": lambda path, other: path.unlink(),
    "swapped": lambda path, other: path.write_bytes(other.read_bytes()),
}


@pytest.mark.parametrize("small", [4_000_000, 0], ids=["checked whole", "checked by size"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_each_damaged_file_is_refused_and_the_named_command_mends_it(
    kind: str, small: int, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path / "other", word="fifth")
    for name in files(folder):
        path, raw = folder / name, (folder / name).read_bytes()
        DAMAGES[kind](path, tmp_path / "other" / name)
        if path.exists() and path.read_bytes() == raw:
            assert kind == "swapped"  # the same in both indexes: no damage
            continue
        monkeypatch.setattr("rag.folders.SMALL", small)  # 0: as files that are too large to be read at every opening
        said = refusal(folder)
        assert f"footnote index [FOLDER] --out {folder}" in said, (kind, name, said)
        assert "\n" not in said
        assert build(folder), (kind, name, "was not rebuilt")
        monkeypatch.setattr("rag.folders.SMALL", 4_000_000)
        assert answers(folder), (kind, name)
        shutil.rmtree(folder)
        build(folder)
        assert path.read_bytes() == raw, "a build is not reproducible"


def test_each_file_differs_from_another_indexs_so_that_swapping_is_damage(folder: Path, tmp_path: Path) -> None:
    """Of the same sizes (so only bytes tell), except those that hold only offsets or parameters."""
    build(tmp_path / "other", word="fifth")
    build(tmp_path / "larger", word="fifth", count=90)
    same = set()
    for name in files(folder):
        mine, other, larger = ((root / name).read_bytes() for root in (folder, tmp_path / "other", tmp_path / "larger"))
        if name.name != "manifest.json":
            assert len(mine) == len(other), name
        if mine == other:
            same.add(name.name)
        if mine == larger:
            assert name.name == "params.index.json"
        else:
            (folder / name).write_bytes(larger)
            assert f"--out {folder}" in refusal(folder), name
            (folder / name).write_bytes(mine)
    assert not same & {"CURRENT", "manifest.json", "documents.jsonl", "dense.faiss", "tokens.codes", "vocab.index.json"}
    assert answers(folder)


def test_all_files_but_current_swapped_is_refused(folder: Path, tmp_path: Path) -> None:
    build(tmp_path / "other", word="fifth")
    shutil.rmtree(folder / "v1")
    assert "missing" in refusal(folder)
    shutil.copytree(tmp_path / "other" / "v1", folder / "v1")
    assert f"--out {folder}" in refusal(folder)
    shutil.copy(tmp_path / "other" / "CURRENT", folder / "CURRENT")
    assert answers(folder, "fifth")  # now it is, whole, the other index


def test_every_value_of_every_byte_of_current_is_refused(folder: Path) -> None:
    raw = (folder / "CURRENT").read_bytes()
    accepted = []
    for place, true in enumerate(raw):
        for value in {*range(256)} - {true}:
            (folder / "CURRENT").write_bytes(raw[:place] + bytes([value]) + raw[place + 1 :])
            try:
                Index.open(folder)
                accepted.append((place, value))
            except (IndexDamagedError, IndexMissingError):
                pass
    assert accepted == []
    for text in (b"", b"\n", raw * 2, raw.strip(), b" " + raw, b"../one/" + raw, b". " + raw[3:], b".. " + raw[3:]):
        (folder / "CURRENT").write_bytes(text)
        assert f"--out {folder}" in refusal(folder)
    (folder / "CURRENT").write_bytes(raw)
    assert answers(folder)


def sign(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the manifest, and have CURRENT name it."""
    path = folder / "v1" / "manifest.json"
    raw = json.dumps(change(json.loads(path.read_text("utf-8")))).encode()
    path.write_bytes(raw)
    (folder / "CURRENT").write_text(f"v1 {hashlib.sha256(raw).hexdigest()}\n", "utf-8")


@pytest.mark.parametrize("number", [0, 999, "1", None, [1]])
def test_another_format_is_refused_by_its_number_and_rebuilt(number: object, folder: Path) -> None:
    sign(folder, lambda manifest: {**manifest, "format": number})
    said = refusal(folder)
    assert f"format {number}" in said
    assert f"footnote index [FOLDER] --out {folder}" in said
    assert build(folder)
    assert answers(folder)


OTHER_FORMS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no files": lambda manifest: {"format": FORMAT},
    "files as a list": lambda manifest: {**manifest, "format": FORMAT, "files": list(manifest["files"])},
    "entries as sizes": lambda manifest: {**manifest, "files": {n: e["bytes"] for n, e in manifest["files"].items()}},
    "no counts": lambda manifest: {name: value for name, value in manifest.items() if name != "counts"},
    "no encoder": lambda manifest: {name: value for name, value in manifest.items() if name != "encoder"},
    "a list": lambda manifest: [manifest],
    "a number": lambda manifest: 1,
    "a file outside": lambda manifest: {**manifest, "files": {**manifest["files"], "a\0b": manifest["files"]}},
}


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_a_manifest_of_another_form_is_refused_and_rebuilt(form: str, folder: Path) -> None:
    sign(folder, OTHER_FORMS[form])
    assert f"footnote index [FOLDER] --out {folder}" in refusal(folder)
    assert build(folder)
    assert answers(folder)


def test_another_encoder_is_refused(folder: Path) -> None:
    with pytest.raises(IndexDamagedError, match=r"another encoder \(hash\) than other; rebuild: footnote index"):
        Pipeline.open(folder, settings=settings(folder), encoder=HashEncoder("other"))
    documents = [make_document("Salt is the first thing.", id="b.txt")]
    built = build_index(documents, folder, settings=settings(folder), encoder=HashEncoder("other"))
    assert built.changed
    with pytest.raises(IndexDamagedError, match="another encoder"):
        Pipeline.open(folder, settings=settings(folder), encoder=HashEncoder())
    Pipeline.open(folder, settings=settings(folder), encoder=HashEncoder("other")).ask("Salt?")


def test_other_weights_than_the_indexs_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No encoder injected: the model that the index names is looked for, and its weights compared."""
    monkeypatch.undo()
    model = tmp_path / "model"
    model.mkdir()
    (model / "modules.json").write_text("[]")
    sign(folder, lambda manifest: {**manifest, "encoder": {**manifest["encoder"], "model": str(model)}})
    with pytest.raises(ModelError, match=r"other weights of .*; rebuild it: footnote index"):
        Pipeline.open(folder, settings=settings(folder))


def test_an_index_without_token_rows_is_refused_when_damaged_too(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    documents = [make_document("Salt is the first thing. The Normans came.", id="b.txt")]
    build_index(documents, folder, settings=settings(folder), encoder=RowlessEncoder())
    assert "v1/tokens.codes" not in {name.as_posix() for name in files(folder)}
    for name in files(folder):
        raw = (folder / name).read_bytes()
        for kind in ("middle-byte", "emptied", "removed"):
            DAMAGES[kind](folder / name, folder)
            assert f"--out {folder}" in refusal(folder), (kind, name)
            (folder / name).write_bytes(raw)
    assert deep(folder).well


def test_the_command_says_so_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(0.5, 1)(folder / "v1" / "documents.jsonl", folder)
    assert main(["ask", "--index", str(folder), "Salt?"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"footnote: the index in {folder} is damaged: ")
    assert err.endswith(f"rebuild: footnote index [FOLDER] --out {folder}\n")
    assert main(["doctor", "--deep", "--index", str(folder)]) == 1
    out, err = capsys.readouterr()
    assert f"FAIL  index: the index in {folder} is damaged: " in out
    assert err == ""
