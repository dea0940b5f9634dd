"""Splitting: sentences whole, sizes kept, nothing lost; by a counter whose numbers can be done by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rag import Passage, Span, make_document
from rag.split import CAP, LONGEST, TARGET, split
from rag.text import sentences
from rag.tokens import count_tokens

MIXED = "Ça va 😀 now. “Quoted words,” he said. 中文句子在这里。第二句也在这里！\r\nThe end is near, é said.\r\n\r\n"


def by_space(texts: Sequence[str]) -> list[int]:
    """Texts to their numbers of words between spaces."""
    return [len(text.split()) for text in texts]


def texts(passages: Sequence[Passage]) -> list[str]:
    """Passages to their texts."""
    return [passage.text for passage in passages]


def numbered(count: int, words: int, end: str = ". ") -> str:
    """Sentences of so many words (and cl100k tokens: one a word, and the full stop)."""
    return "".join(f"S{' word' * (words - 1)}{end}" for _ in range(count))


def check(text: str, passages: Sequence[Passage], cap: int) -> None:
    """Every passage is whole sentences, small enough; every character but white space lies in exactly one."""
    place = 0
    for passage in passages:
        assert passage.span == (passage.sentences[0].start, passage.sentences[-1].end)
        assert by_space([passage.text])[0] <= cap or len(passage.text) == 1
        for start, end in passage.sentences:
            assert text[place:start].strip() == ""
            assert text[start:end] == text[start:end].strip() != ""
            place = end
    assert text[place:].strip() == ""


@pytest.mark.parametrize("cap", [1, 2, 3, 7, 50, CAP])
def test_every_cap_keeps_every_character(cap: int) -> None:
    document = make_document(MIXED * 5, id="d")
    passages = split(document, by_space, cap)
    check(document.text, passages, cap)
    assert all(passage.document is document for passage in passages)


def test_sentences_are_packed_up_to_the_cap() -> None:
    document = make_document("One two three. Four five six. Seven é. Nine. Ten 😀 twelve now. End é.", id="d")
    assert texts(split(document, by_space, 6)) == [
        "One two three. Four five six.",
        "Seven é. Nine.",
        "Ten 😀 twelve now. End é.",
    ]
    assert texts(split(document, by_space, 100)) == [document.text]
    assert split(document, by_space, 6)[1].sentences == (Span(30, 38), Span(39, 44))


def test_sentences_are_packed_up_to_the_target() -> None:
    size = count_tokens([numbered(1, 20).strip()])[0]
    document = make_document(numbered(30, 20), id="d")
    counts = [len(passage.sentences) for passage in split(document, by_space, 10_000)]
    assert set(counts[:-1]) == {TARGET // size}
    assert sum(counts) == 30


def test_a_paragraph_ends_a_passage_from_half_the_target_on() -> None:
    one = numbered(1, 20).strip()
    size = count_tokens([one])[0]
    enough = -(-(TARGET // 2) // size)  # sentences that make half the target
    short = " ".join([one] * (enough - 1))
    half = " ".join([one] * enough)
    assert texts(split(make_document(f"{half}\r\n{one}", id="d"), by_space)) == [half, one]
    assert texts(split(make_document(f"{half} {one}", id="d"), by_space)) == [f"{half} {one}"]
    assert texts(split(make_document(f"{short}\n\n{one}", id="d"), by_space)) == [f"{short}\n\n{one}"]


def test_a_sentence_over_the_cap_is_cut_at_a_clause() -> None:
    document = make_document("One two three, four five six. Short é.", id="d")
    passages = split(document, by_space, 4)
    assert texts(passages) == ["One two three,", "four five six.", "Short é."]
    assert [len(passage.sentences) for passage in passages] == [1, 1, 1]


def test_the_parts_of_a_long_sentence_are_sentences_of_their_own() -> None:
    document = make_document(" ".join(["word"] * 10) + ".", id="d")
    found = [document.text[start:end] for passage in split(document, by_space, 6) for start, end in passage.sentences]
    assert found == ["word word word word word", "word word word word word."]


def test_a_sentence_of_too_many_common_tokens_is_cut_however_few_its_own() -> None:
    document = make_document("😀中文é" * 300, id="d")
    assert len(sentences(document.text)) == 1
    passages = split(document, lambda texts: [1 for _ in texts], CAP)
    pieces = [document.text[start:end] for passage in passages for start, end in passage.sentences]
    assert "".join(pieces) == document.text
    assert len(pieces) > 1
    assert max(count_tokens(pieces)) <= LONGEST
    # what is not over LONGEST is not cut: a half of a piece's size is at most one step away
    assert min(count_tokens(pieces)) > LONGEST // 4


def test_a_whole_that_has_more_tokens_than_its_parts_is_divided() -> None:
    def with_gaps(texts: Sequence[str]) -> list[int]:  # counts the spaces between sentences too
        return [len(text.split()) + 10 * text.count(". ") for text in texts]

    document = make_document("One two. Three é. Five 中. Seven 😀.", id="d")
    assert texts(split(document, with_gaps, 14)) == ["One two. Three é.", "Five 中. Seven 😀."]
    assert texts(split(document, with_gaps, 13)) == ["One two.", "Three é.", "Five 中.", "Seven 😀."]


def test_a_single_character_over_the_cap_stays() -> None:
    assert texts(split(make_document("ab", id="d"), lambda texts: [9 for _ in texts], 8)) == ["a", "b"]


@pytest.mark.parametrize("text", ["", " \r\n\t"])
def test_no_text_is_no_passage(text: str) -> None:
    assert split(make_document(text, id="d"), by_space) == ()


def test_splitting_again_gives_the_same() -> None:
    document = make_document(MIXED * 9, id="d")
    assert split(document, by_space, 20) == split(document, by_space, 20)


@pytest.mark.parametrize("text", ["word " * 5000, "x" * 20_000, "a, " * 5000, "中" * 5000])
def test_very_long_sentences_end(text: str) -> None:
    document = make_document(text, id="d")
    passages = split(document, by_space, 20)
    assert "".join("".join(passage.text.split()) for passage in passages) == "".join(text.split())
    assert max(by_space(texts(passages))) <= 20
