"""Training sets to claims: a statement with a window of sentences that supports it, or does not.

A question and an answer become a statement by word order alone, so that its grammar is often wrong ("Beyonce start
becoming popular in the late 1990s"): what matters is that it is worded otherwise than its source. Unsupported are:
the questions that people wrote to be unanswerable, with the answer that seems to fit; another answer of the same kind;
a swapped question (`reader.swap`); the window without its sentence, or a near miss; two claims, of which one is not
in the window. Sentences of the text itself, shortened, are claims too: with it, without it, and swapped.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from reader.examples import Asked, Corpus, Ids, Text, dropped, window_around
from reader.swap import swapped

WINDOWS = (24, 32, 48, 64, 88)  # tokens, at most
WIDE = 128  # tokens of a window that has to hold more
LONGEST = 14  # words of an answer
SHARES = {"own": 0.26, "qa": 0.34, "other": 0.12, "drop": 0.08, "near": 0.08, "swap": 0.05, "two": 0.07}
_AUX = frozenset("is are was were do does did has have had can could will would should may might must".split())
_WH = re.compile(
    r"\b(?:how (?:many|much|long|old|often|far|large|big|tall|high|deep)|who|whom|what|which|where|when|why|how)\b",
    re.IGNORECASE,
)
_PLACES = frozenset("in on at by for from to with of about during under through against into".split())
_PLACED = re.compile(r"(?:in|on|at|by|from|during|after|before|between|to|near|since|until)\b", re.IGNORECASE)
_REASON = re.compile(r"(?:because|due|to|for|as|since)\b", re.IGNORECASE)
_VERB = re.compile(
    r"\w+(?:ed|en)|made|built|born|held|found|won|led|sent|sold|said|begun|done|gone|brought|bought|caught|taught|"
    r"thought|put|set|cut|hit|let|cast|kept|left|lost|met|paid|read|run|spent|struck|sworn|told|torn|worn"
)
_DROPPED = frozenset("the a an also however very then both about some that".split())


class Claim(NamedTuple):
    """A statement, the window's token ids, whether that supports it, and how it was made."""

    text: str
    window: Ids
    supported: bool
    kind: str


def claim_of(question: str, answer: str, chance: random.Random) -> str | None:
    """A question and its answer to a statement; None where the question's form is not known."""
    question, answer = question.strip().rstrip("?").strip(), answer.strip().rstrip(".")
    found = _WH.search(question)
    if not found or not question[found.end() :].strip():
        return None
    before, wh = question[: found.start()].strip(), found.group().casefold()
    rest = question[found.end() :].split()
    place = before.casefold() if before.casefold() in _PLACES else ""
    verb = next((i for i, word in enumerate(rest[:6]) if word.casefold() in _AUX), None)
    if verb is None:
        text = _subject(wh, rest, answer, before, chance)
    elif verb + 1 == len(rest):
        return None
    else:
        text = _inverted(wh, rest, verb, _placed(wh, place, answer, chance), answer)
        text = text if place or not before else f"{before} {text}"
    return f"{text[0].upper()}{text[1:]}." if text else None


def _subject(wh: str, rest: list[str], answer: str, before: str, chance: random.Random) -> str:
    """ "Who founded it" to "Ann founded it"; "which country won" often to "Norway won"."""
    if before:
        return f"{before} {answer} {' '.join(rest)}"
    if wh in ("how many", "how much"):
        return f"{answer} {' '.join(rest)}"
    if wh not in ("who", "what", "which"):
        return ""
    return f"{answer} {' '.join(rest[1:] if wh != 'who' and len(rest) > 3 and chance.random() < 0.7 else rest)}"


def _placed(wh: str, place: str, answer: str, chance: random.Random) -> str:
    """An answer to when, where, why or "in what" with the word before it."""
    if wh in ("when", "where") and not place:
        place = "" if _PLACED.match(answer) else chance.choice(("in", "in", "on", ""))
    elif wh == "why":
        place = "" if _REASON.match(answer) else "because"
    return answer if not place or answer.casefold().startswith(f"{place} ") else f"{place} {answer}"


def _inverted(wh: str, rest: list[str], verb: int, answer: str, plain: str) -> str:
    """ "When was it built" to "it was built in 1858"; "what is its name" to "its name is Ann"."""
    aux, noun, tail = rest[verb].casefold(), " ".join(rest[:verb]), rest[verb + 1 :]
    if wh in ("how many", "how much") and noun and noun.split()[-1].casefold() not in plain.casefold():
        answer = f"{answer} {noun}"
    if aux in ("do", "does", "did"):
        return f"{' '.join(tail)} {answer}"
    if _VERB.fullmatch(tail[0]):
        return f"{answer} {aux} {' '.join(tail)}"
    at = next((i for i, word in enumerate(tail) if i and _VERB.fullmatch(word)), None)
    if at is None:
        return f"{' '.join(tail)} {aux} {answer}"
    return f"{' '.join(tail[:at])} {aux} {' '.join(tail[at:])} {answer}"


def shortened(sentence: str, chance: random.Random) -> str:
    """A sentence without what stands in brackets, often without a clause at one end, or some of its small words."""
    parts = re.sub(r"\s*(?:\([^)]*\)|\[[^\]]*\])", "", sentence).split(", ")
    if len(parts) > 1 and chance.random() < 0.7:
        first = chance.random() < 0.5 and len(parts[0].split()) < 8
        parts = parts[1:] if first else parts[:-1] if len(" ".join(parts[:-1]).split()) > 5 else parts
    halves = re.split(r" (?:and|but|while|which|who|because|although) ", ", ".join(parts), maxsplit=1)
    text = ", ".join(parts)
    if len(halves) == 2 and chance.random() < 0.5:
        text = halves[0] if chance.random() < 0.6 or len(halves[1].split()) < 5 else halves[1]
    words = text.split()
    if chance.random() < 0.5:
        words = [word for word in words if not (word.casefold() in _DROPPED and chance.random() < 0.4)]
    return " ".join(words).strip(" ,;.") + "."


def draw_claims(corpus: Corpus, count: int, chance: random.Random) -> list[Claim]:
    """A corpus to so many claims, about half of them supported."""
    of_text = defaultdict(list)
    for asked in corpus.asked:
        of_text[asked.text].append(asked)
    usable = [a for a in corpus.asked if a.strings and (a.answers if a.answerable else a.place >= 0)]
    kinds, shares = list(SHARES), list(SHARES.values())
    made: list[Claim] = []
    while len(made) < count:
        asked = chance.choice(usable)
        kind = chance.choices(kinds, shares)[0]
        made += _drawn(corpus, asked, kind, of_text[asked.text], chance)
    return made[:count]


def _drawn(corpus: Corpus, asked: Asked, kind: str, others: list[Asked], chance: random.Random) -> Iterator[Claim]:
    """A question to a claim of a kind; nothing where it has none."""
    text, answer = corpus.texts[asked.text], chance.choice(asked.strings)
    place = asked.answers[0][0] if asked.answers else asked.place
    window = window_around(text, text.sentence_of(place), chance.choice(WINDOWS), chance, place)
    said = claim_of(asked.question, answer, chance)
    if kind == "own":
        yield from _own(text, chance)
    elif not said or len(answer.split()) > LONGEST or (asked.answers and asked.answers[0][1] >= window.stop):
        return
    elif not asked.answerable:
        yield Claim(said, text.ids[window], False, "unanswerable")
    elif kind == "qa":
        yield Claim(said, text.ids[window], True, kind)
    elif kind == "other":
        alike = [o for a in others for o in a.strings if _kind(o) == _kind(answer) and not _same(o, answer)]
        wrong = claim_of(asked.question, chance.choice(alike), chance) if alike else None
        if wrong:
            yield Claim(wrong, text.ids[window], False, kind)
    elif kind == "swap":
        question = swapped(asked.question, text.text, chance)
        wrong = claim_of(question, answer, chance) if question else None
        if wrong:
            yield Claim(wrong, text.ids[window], False, kind)
    elif kind == "drop":
        sentence = text.sentence_of(place)
        wide = window_around(text, sentence, WIDE, chance, place)
        rest = dropped(np.zeros(0, np.int32), text, asked, sentence, wide)
        if rest:
            yield Claim(said, rest.window, False, kind)
    elif kind == "near":
        yield from _near(corpus, asked, said, chance)
    else:
        yield from _two(text, asked, said, others, chance)


def _near(corpus: Corpus, asked: Asked, said: str, chance: random.Random) -> Iterator[Claim]:
    """A claim with a window around one of its question's near misses, unless the answer lies in that too."""
    if not asked.near:
        return
    number, sentence = chance.choice(asked.near)
    text = corpus.texts[number]
    window = window_around(text, sentence, chance.choice(WINDOWS), chance)
    if number != asked.text or not any(window.start <= first < window.stop for first, _ in asked.answers):
        yield Claim(said, text.ids[window], False, "near")


def _two(text: Text, asked: Asked, said: str, others: list[Asked], chance: random.Random) -> Iterator[Claim]:
    """Two claims of one text as one: supported where the window has both answers."""
    fit = [other for other in others if other is not asked and other.answerable and other.answers]
    other = chance.choice(fit) if fit else None
    more = claim_of(other.question, other.strings[0], chance) if other else None
    if not other or not more:
        return
    place = asked.answers[0][0]
    window = window_around(text, text.sentence_of(place), WIDE, chance, place)
    first, last = other.answers[0]
    one, two = (said, more) if chance.random() < 0.5 else (more, said)
    both = f"{one.rstrip('.')}{chance.choice((', and ', '. ', ' and ', ', while '))}{two}"
    yield Claim(both, text.ids[window], window.start <= first and last < window.stop, "two")


def _own(text: Text, chance: random.Random) -> Iterator[Claim]:
    """A sentence of the text, shortened: with a window that has it, one that lacks it, or swapped."""
    number = chance.randrange(len(text.starts) - 1)
    first, last = text.starts[number], text.starts[number + 1]
    said = shortened(text.text[text.offsets[first, 0] : text.offsets[last - 1, 1]], chance)
    if last - first < 8 or len(said.split()) < 5:
        return
    way = chance.random()
    window = window_around(text, number, WIDE if way >= 0.75 else chance.choice(WINDOWS), chance)
    if way < 0.5 and window.start <= first and last <= window.stop:
        yield Claim(said, text.ids[window], True, "own")
    elif 0.5 <= way < 0.75:
        wrong = swapped(said, text.text, chance)
        if wrong:
            yield Claim(wrong, text.ids[window], False, "own swapped")
    elif way >= 0.75:
        rest = np.concatenate([text.ids[window.start : max(first, window.start)], text.ids[last : window.stop]])
        if len(rest) > 12:
            yield Claim(said, rest, False, "own dropped")


def _kind(answer: str) -> str:
    """What an answer looks like: a number, names, or words; and how many."""
    sort = "number" if re.search(r"\d", answer) else "name" if answer[:1].isupper() else "words"
    return f"{sort} {min(3, len(answer.split()))}"


def _same(one: str, other: str) -> bool:
    one, other = one.casefold(), other.casefold()
    return one in other or other in one
