"""Strings to normalised strings, sentence spans, words: the only code that cuts strings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from rag.types import Span

_SURROGATES = re.compile(r"[\ud800-\udfff]")
_SPACE = re.compile(r"\s+")
# Han, kana and Hangul are written without spaces: their runs become overlapping pairs, so that parts match.
_UNSPACED = (
    r"\u3005-\u3007\u3041-\u3096\u30a1-\u30fa\u30fc-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}]+|[^\W_{_UNSPACED}]+(?:[.,][0-9]+)*")
_APOSTROPHE = re.compile(r"(?<=\w)['’](?:s|t|re|ve|d|ll|m)?\b", re.IGNORECASE)

STOP_WORDS = frozenset(
    "a about after again all am an and any are as at be because been before being between both but by can could did "
    "do does doing don down during each few for from further had has have having he her here hers herself him himself "
    "his how i if in into is it its itself just me more most my myself no nor not now of off on once only or other our "
    "ours out over own please s same she should so some such t tell than that the their theirs them then there these "
    "they this those through to too under until up very was we were what when where which while who whom whose why "
    "will with would you your yours".split()
)


_SHORT = re.compile(r"(?<!\w)(?:Ms|Mx|Cllr|Amb|Ald|Cpt|approx)\.$")  # which sentencex takes for a sentence's end
_SHORT_LENGTH = 7  # characters, so that where there are many none is looked at twice
_UNSEEN = {"Mn", "Me", "Cf"}
_RUN = re.compile(r"\S+")
_AROUND = "()[]{}<>\"'“”‘’«»,.;:!?"
# A question with one of these may point back, to the question before it or to what was said of it.
BACK = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|this|that|these|those|there|one|ones|such|else|"
    r"another|others?|both|either|latter|former|same|instead|more|too|also|any|rather|then)\b",
    re.IGNORECASE,
)
DATES = frozenset(
    "january february march april june july august september october november december "
    "monday tuesday wednesday thursday friday saturday sunday".split()
)


def normalise(text: str) -> str:
    """Any string to the form that is stored: NFC, newlines as `\\n`, lone surrogates as U+FFFD, no leading BOM."""
    text = _SURROGATES.sub("\ufffd", text).lstrip("\ufeff")
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str, limit: int = 0) -> str:
    """Text with its runs of white space as single spaces; longer than `limit` (if given) it ends in an ellipsis."""
    line = _SPACE.sub(" ", text).strip()
    return line if not limit or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def trimmed(text: str, span: Span) -> Span:
    """A span without the white space at its ends; empty when nothing else is in it."""
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end)


def sentences(text: str) -> list[Span]:
    """Normalised text to its sentences' spans, in order: every character but white space lies in exactly one."""
    import sentencex

    found: list[Span] = []
    for cut in sentencex.get_sentence_boundaries("en", text):
        span = trimmed(text, Span(cut["start_index"], cut["end_index"]))
        if span.end == span.start:
            continue
        last = found[-1] if found else Span(0, 0)
        short = _SHORT.search(text, max(last.start, last.end - _SHORT_LENGTH), last.end)
        if short and "\n" not in text[last.end : span.start]:
            found[-1] = Span(last.start, span.end)
        else:
            found.append(span)
    return found


def halves(text: str, span: Span) -> list[Span]:
    """A span to the two around the break nearest its middle: after `;`, `:`, a dash or a comma, else at white space,

    else between characters. Repeated, it cuts a sentence of any length; white space at the cut is dropped.
    """
    start, end = span
    middle = (start + end) // 2
    low, high = start + (end - start) // 4, end - (end - start) // 4
    for pattern in (r"[;:—–,]\s", r"\s"):
        breaks = [found.end() for found in re.compile(pattern).finditer(text, low, high)]
        if breaks:
            middle = min(breaks, key=lambda place: abs(place - middle))
            break
    else:
        for place in range(middle, min(middle + 32, end)):  # not between a letter and its marks
            if not unicodedata.combining(text[place]):
                middle = place
                break
    parts = [trimmed(text, Span(start, middle)), trimmed(text, Span(middle, end))]
    return [part for part in parts if part.end > part.start]


def merge(spans: Iterable[Span]) -> list[Span]:
    """Spans to the fewest that cover the same characters, in order; touching ones become one."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


def segments(length: int, spans: Iterable[Span]) -> Iterator[tuple[Span, tuple[int, ...]]]:
    """A text's length and spans to consecutive pieces of the text, each with the positions of the spans over it."""
    listed = list(spans)
    cuts = sorted({0, length, *(edge for span in listed for edge in span if 0 < edge < length)})
    for start, end in pairwise(cuts):
        over = tuple(i for i, span in enumerate(listed) if span.start <= start and span.end >= end)
        yield Span(start, end), over


def words(text: str) -> list[str]:
    """Text to the stems that word matching uses: case-folded, no stop words, English stems, CJK in pairs."""
    import Stemmer

    found: list[str] = []
    for token in _WORD.findall(_APOSTROPHE.sub(" ", text).casefold()):
        if re.match(rf"[{_UNSPACED}]", token):
            found.extend(token[i : i + 2] for i in range(max(1, len(token) - 1)))
        elif token not in STOP_WORDS:
            found.append(token)
    # A stemmer must not be shared between threads, and costs microseconds to make.
    return list(Stemmer.Stemmer("english").stemWords(found))


def names(text: str) -> set[str]:
    """Text to the stems of its words that start with a capital, but for its first word."""
    found = _WORD.findall(_APOSTROPHE.sub(" ", text))[1:]
    return {stem for word in found if word[0].isupper() for stem in words(word)}


def past_marks(text: str, place: int) -> int:
    """A place to the one after the marks that belong to what stands before it: accents, vowel signs, joiners."""
    while place < len(text) and (unicodedata.category(text[place])[0] == "M" or text[place] == "\u200d"):
        place += 1
    return place


def addresses(text: str) -> Iterator[Span]:
    """A text's e-mail and web addresses, without the marks around them: they are wholes to whoever reads them."""
    for run in _RUN.finditer(text):
        said = run.group().lstrip(_AROUND)
        bare = said.rstrip(_AROUND)
        if "@" in bare[1:-1] or "://" in bare or bare.startswith("www."):
            yield Span(run.end() - len(said), run.end() - len(said) + len(bare))


class Part(NamedTuple):
    """A word of a question: where it stands, what it is (name, number, date or word), and its stems as in `words`."""

    span: Span
    kind: str
    stems: frozenset[str]


def parts(text: str) -> list[Part]:
    """A question to its telling words in order: no stop words, no single letters."""
    found = []
    for match in _WORD.finditer(_APOSTROPHE.sub(lambda cut: " " * len(cut.group()), text)):
        word, stems = match.group(), frozenset(words(match.group()))
        if stems and word not in {"many", "much"} and not (len(word) == 1 and word.isascii() and word.isalpha()):
            found.append(Part(Span(*match.span()), _kind(word, first=not text[: match.start()].strip()), stems))
    return found


def plain(text: str) -> str:
    """Text to what is left without case, marks, soft hyphens, and signs between letters or digits: "U.S." is "us"."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if unicodedata.category(c) not in _UNSEEN)
    return re.sub(r"(?<=\w)[.,](?=\w)|(?<=\b\w)\.", "", bare)


def _kind(word: str, *, first: bool) -> str:
    if word.casefold() in DATES or (word == "May" and not first) or re.fullmatch(r"1[5-9][0-9]{2}|20[0-9]{2}", word):
        return "date"
    if any(c.isdigit() for c in word):
        return "number"
    return "name" if word[0].isupper() and not first else "word"
