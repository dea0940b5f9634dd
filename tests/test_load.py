"""Loading: strings, files and folders to Documents, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from rag import DocumentError, make_document, packaged_corpus, read_folder


def put(folder: Path, name: str, data: bytes | str) -> Path:
    """Bytes or text to a file, with the folders it needs."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
    return path


def test_make_document() -> None:
    document = make_document(
        "\ufeffe\u0301 😀\r\n“中文”\ud800", id="e\u0301", title=" A \n title ", source="https://x/é"
    )
    assert (document.id, document.title, document.source) == ("é", "A title", "https://x/é")
    assert document.text == "é 😀\n“中文”\ufffd"
    assert document.sha256 == hashlib.sha256("é 😀\n“中文”\ufffd".encode()).hexdigest()


def test_a_missing_title_and_source_are_the_id() -> None:
    document = make_document("", id="中文.txt", title=" \n")
    assert (document.title, document.source, document.text) == ("中文.txt", "中文.txt", "")


def test_a_folder_in_the_order_of_its_paths(tmp_path: Path) -> None:
    put(tmp_path, "b.txt", "B é\r\n")
    put(tmp_path, "a/z.MD", "# Z 😀")
    put(tmp_path, "a/c.txt", "“C”")
    put(tmp_path, "empty.txt", b"")
    put(tmp_path, "blank.txt", " \r\n\t")
    put(tmp_path, "other.pdf", "not read")
    put(tmp_path, ".hidden.txt", "not read")
    put(tmp_path, ".git/x.txt", "not read")
    found = read_folder(tmp_path)
    assert [(d.id, d.title, d.source, d.text) for d in found] == [
        ("a/c.txt", "c", "a/c.txt", "“C”"),
        ("a/z.MD", "z", "a/z.MD", "# Z 😀"),
        ("b.txt", "b", "b.txt", "B é\n"),
    ]


def test_titles(tmp_path: Path) -> None:
    put(tmp_path, "a/中文.txt", "text")
    put(tmp_path, "b.txt", "text")
    put(tmp_path, "titles.json", json.dumps({"a/中文.txt": {"title": "Ça 😀", "source": "https://x"}, "gone": {}}))
    assert [(d.title, d.source) for d in read_folder(tmp_path)] == [("Ça 😀", "https://x"), ("b", "b.txt")]


def test_one_file_is_its_own_folder(tmp_path: Path) -> None:
    path = put(tmp_path, "é 中.txt", b"\xef\xbb\xbf" + "words 😀".encode())
    put(tmp_path, "other.txt", "not read")
    put(tmp_path, "titles.json", '{"é 中.txt": {"title": "One"}}')
    (document,) = read_folder(path)
    assert (document.id, document.title, document.text) == ("é 中.txt", "One", "words 😀")


def test_a_single_file_may_have_any_suffix(tmp_path: Path) -> None:
    assert read_folder(put(tmp_path, "notes.rst", "text"))[0].id == "notes.rst"


@pytest.mark.parametrize("names", [[], ["a.txt"], ["a.pdf", ".b.txt"]])
def test_a_folder_without_text_is_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        put(tmp_path, name, " \n")
    with pytest.raises(DocumentError, match=r"holds no text: give a folder with \.txt or \.md files"):
        read_folder(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"cannot read the folder .*/gone: No such file or directory"):
        read_folder(tmp_path / "gone")


def test_not_utf8_names_the_file_and_the_byte(tmp_path: Path) -> None:
    path = put(tmp_path, "latin.txt", "é café".encode() + "é".encode("latin-1"))
    put(tmp_path, "a.txt", "fine 😀")
    line = f"{path} is not UTF-8 text (byte 8): save it as UTF-8"
    with pytest.raises(DocumentError) as caught:
        read_folder(tmp_path)
    assert str(caught.value) == line
    told: list[str] = []
    assert [document.id for document in read_folder(str(tmp_path), told.append)] == ["a.txt"]
    assert told == [line]


@pytest.mark.parametrize("alone", [True, False])
def test_when_nothing_else_is_there_a_bad_file_is_an_error_in_any_case(tmp_path: Path, alone: bool) -> None:
    path = put(tmp_path, "texts/latin.txt", b"caf\xe9")
    put(tmp_path, "texts/utf16.txt", b"\xff\xfe")
    put(tmp_path, "texts/empty.txt", b"")
    told: list[str] = []
    with pytest.raises(DocumentError, match=r"latin\.txt is not UTF-8 text \(byte 3\): save it as UTF-8"):
        read_folder(path if alone else path.parent, told.append)
    assert told == []


@pytest.mark.parametrize("titles", ["{", "[]", '"é"', '{"a.txt": "title"}', '{"a.txt": []}', "1"])
def test_bad_titles_name_the_form(tmp_path: Path, titles: str) -> None:
    put(tmp_path, "a.txt", "text")
    put(tmp_path, "titles.json", titles)
    with pytest.raises(DocumentError, match=r'titles\.json must map file names to \{"title"'):
        read_folder(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", "text").chmod(0)
    with pytest.raises(DocumentError, match=r"cannot read .*a\.txt: Permission denied; give yourself the right to"):
        read_folder(tmp_path)


def test_the_packaged_corpus() -> None:
    (document,) = read_folder(packaged_corpus())
    assert (document.id, document.title) == ("article.txt", "A critical week for the future of Ukraine")
    assert "“absolute hell,”" in document.text
    assert document.sha256 == hashlib.sha256(document.text.encode()).hexdigest()
    assert (packaged_corpus() / "article.txt").read_bytes() == document.text.encode()  # it is stored as it lies there


def test_an_empty_file_is_told_of_when_others_are_read(tmp_path: Path) -> None:
    path = put(tmp_path, "empty.txt", " \n")
    put(tmp_path, "full.txt", "fine 😀")
    told: list[str] = []
    assert [document.id for document in read_folder(tmp_path, told.append)] == ["full.txt"]
    assert told == [f"{path} holds no text"]
    assert len(read_folder(tmp_path)) == 1  # nobody to tell: it is no error


def test_links_that_lead_out_of_the_folder_are_left_out_and_told_of(tmp_path: Path) -> None:
    secret, folder = put(tmp_path / "elsewhere", "secret.txt", "the key 😀"), tmp_path / "own"
    inside = put(folder, "a.txt", "fine")
    (folder / "within.txt").symlink_to(inside)
    (folder / "to nothing.txt").symlink_to(folder / "gone.txt")
    (folder / "out.md").symlink_to(secret)
    (folder / "below").symlink_to(secret.parent)
    told: list[str] = []
    assert [document.id for document in read_folder(folder, told.append)] == ["a.txt", "within.txt"]
    ends = f"which is not in {folder}: copy it there"
    assert told[:2] == [
        f"{folder / 'below'} is a link to {secret.parent}, {ends}",
        f"{folder / 'out.md'} is a link to {secret}, {ends}",
    ]
    with pytest.raises(DocumentError, match="is a link to"):
        read_folder(folder)
    (tmp_path / "link").symlink_to(folder)
    assert len(read_folder(tmp_path / "link", told.append)) == 2  # what is named itself may be a link
    assert len(read_folder(folder / "out.md")) == 1
