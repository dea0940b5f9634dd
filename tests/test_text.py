"""Text: normalising, sentences, cuts, pieces, words; expected spans written out by hand."""

from __future__ import annotations

import time
import unicodedata

import pytest

from rag import Span
from rag.text import STOP_WORDS, halves, merge, names, normalise, one_line, segments, sentences, trimmed, words

MIXED = (
    "Ça va 😀. “Quoted words,” he said. 中文句子在这里。第二句也在这里！\n\n"
    "Dr. Smith paid $3.50 to the U.S. firm. Is it? Yes!"
)


def cut(text: str, spans: list[Span]) -> list[str]:
    """Spans to the words they cover."""
    return [text[start:end] for start, end in spans]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("\r\r\n\n", "\n\n\n"),
        ("e\u0301 😀", "é 😀"),
        ("\ufeffBOM", "BOM"),
        ("\ufeff\ufeffBOM twice", "BOM twice"),
        ("inner\ufeffstays", "inner\ufeffstays"),
        ("lone \ud800 and \udfff", "lone \ufffd and \ufffd"),
        ("“curly” 中文", "“curly” 中文"),
        ("", ""),
    ],
)
def test_normalise(given: str, stored: str) -> None:
    assert normalise(given) == stored
    assert normalise(stored) == stored


def test_normalised_text_is_nfc_and_encodable() -> None:
    text = normalise("A\u030angstro\u0308m \u1112\u1161\u11ab\r\n\udc80")
    assert text == "Ångström 한\n\ufffd"
    assert unicodedata.is_normalized("NFC", text)
    assert text.encode("utf-8").decode("utf-8") == text


@pytest.mark.parametrize(
    ("text", "limit", "line"),
    [
        (" a \r\n\t b\u00a0c ", 0, "a b c"),
        ("“é” 😀", 5, "“é” 😀"),
        ("abcdef", 5, "abcd…"),
        ("abc def", 5, "abc…"),
        ("中文中文", 3, "中文…"),
        (" \n ", 3, ""),
    ],
)
def test_one_line(text: str, limit: int, line: str) -> None:
    assert one_line(text, limit) == line


def test_trimmed() -> None:
    text = "\n\u3000 é 😀 \u00a0中\t"
    span = trimmed(text, Span(0, len(text)))
    assert span == (3, 9)
    assert text[slice(*span)] == "é 😀 \u00a0中"
    assert trimmed(text, Span(6, 8)) == (8, 8)
    assert trimmed(text, Span(4, 6)) == (5, 6)
    assert trimmed("", Span(0, 0)) == (0, 0)


def test_sentences_are_resliced() -> None:
    assert cut(MIXED, sentences(MIXED)) == [
        "Ça va 😀.",
        "“Quoted words,” he said.",
        "中文句子在这里。",
        "第二句也在这里！",
        "Dr. Smith paid $3.50 to the U.S. firm.",
        "Is it?",
        "Yes!",
    ]


def test_sentences_cover_everything_once() -> None:
    text = normalise(f"{MIXED}\r\n * an item\r\n\r\n\x00 odd\u200b \u2028 ends") * 3
    spans = sentences(text)
    ends = [0, *(span.end for span in spans)]
    starts = [*(span.start for span in spans), len(text)]
    assert all(end <= start and not text[end:start].strip() for end, start in zip(ends, starts, strict=True))
    assert all(words == words.strip() != "" for words in cut(text, spans))


def test_a_short_form_ends_no_sentence_but_its_line_does() -> None:
    text = "Present: Mr. Dunne, Ms. Petrov and Cllr. Mx. Yilmaz. It took approx. 5 hours. Ms.\nHale left. Ms. "
    assert [text[start:end] for start, end in sentences(text)] == [
        "Present: Mr. Dunne, Ms. Petrov and Cllr. Mx. Yilmaz.", "It took approx. 5 hours.", "Ms.", "Hale left.",
        "Ms.",
    ]  # fmt: skip


def test_many_short_forms_take_time_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(count: int) -> float:  # sentencex's own time left out
        cuts = [{"start_index": start, "end_index": start + 4} for start in range(0, 4 * count, 4)]
        monkeypatch.setattr("sentencex.get_sentence_boundaries", lambda *_: cuts)
        text, start = "Ms. " * count, time.process_time()
        assert len(sentences(text)) == 1
        return time.process_time() - start

    assert seconds(16_000) < 12 * seconds(4_000)


def test_no_sentences() -> None:
    assert sentences("") == sentences(" \n\t") == []


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("alpha, beta gamma; delta", ["alpha, beta", "gamma; delta"]),  # both signs lie in the outer quarters
        ("é one two, 😀 three", ["é one two,", "😀 three"]),
        ("é one, two three four", ["é one,", "two three four"]),  # a clause's end before a nearer space
        ("one two three four", ["one two", "three four"]),
        ("中文中文中文中文", ["中文中文", "中文中文"]),
        ("aaaa\u0301\u0301bb", ["aaaa\u0301\u0301", "bb"]),  # never before a combining mark
        ("ab", ["a", "b"]),
    ],
)
def test_halves(text: str, parts: list[str]) -> None:
    assert cut(text, halves(text, Span(0, len(text)))) == parts
    moved = f"{text}|{text}|{text}"
    inner = Span(len(text) + 1, 2 * len(text) + 1)
    assert cut(moved, halves(moved, inner)) == parts


def test_halves_repeated_end_at_single_characters() -> None:
    text = "Rice, “é”; 😀 中文 " * 7
    waiting, done = [Span(0, len(text))], []
    while waiting:
        span = waiting.pop()
        parts = halves(text, span)
        assert all(part.end - part.start < span.end - span.start for part in parts)
        done += [part for part in parts if part.end - part.start == 1]
        waiting += [part for part in parts if part.end - part.start > 1]
    assert "".join(cut(text, sorted(done))) == "".join(text.split())


def test_merge() -> None:
    assert merge([Span(5, 7), Span(0, 2), Span(2, 3), Span(6, 9), Span(1, 2)]) == [Span(0, 3), Span(5, 9)]
    assert merge([Span(0, 9), Span(3, 4)]) == [Span(0, 9)]
    assert merge([]) == []


def test_segments() -> None:
    assert list(segments(10, [Span(2, 5), Span(4, 8)])) == [
        (Span(0, 2), ()),
        (Span(2, 4), (0,)),
        (Span(4, 5), (0, 1)),
        (Span(5, 8), (1,)),
        (Span(8, 10), ()),
    ]
    assert list(segments(5, [Span(0, 5), Span(0, 5)])) == [(Span(0, 5), (0, 1))]
    assert list(segments(3, [])) == [(Span(0, 3), ())]
    assert list(segments(0, [])) == []


def test_words() -> None:
    text = "The Normans' 1,000.5 café's “Running” x 3.14 don't ÉTÉ snake_case state-of-the-art, it’s 😀."
    assert words(text) == "norman 1,000.5 café run x 3.14 été snake case state art".split()


def test_words_of_unspaced_scripts_are_pairs() -> None:
    assert words("中文句子。東\u3000西 한국어「ラーメン」・々") == [
        "中文",
        "文句",
        "句子",
        "東",
        "西",
        "한국",
        "국어",
        "ラー",
        "ーメ",
        "メン",
        "々",
    ]
    assert words("in中文café") == ["中文", "café"]  # "in" is a stop word


def test_words_of_nothing_to_match() -> None:
    assert words("") == words("😀 …!?") == words(" ".join(STOP_WORDS)) == []


def test_words_of_either_apostrophe_and_case_are_the_same() -> None:
    assert words("Trump’s SKEPTICISM") == words("trump's skepticism") == words("TRUMP Skepticism")


def test_names() -> None:
    assert names("Who is Friedrich Merz, Élan’s Soldiers? 中文 IN THE Rome 3M") == set(
        "friedrich merz élan soldier rome".split()
    )
    assert names("Rome is first") == names("nothing here 😀 é") == names("") == set()
