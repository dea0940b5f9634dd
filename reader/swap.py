"""A question to one that its text most likely does not answer: a name, number, word or sense swapped for another."""

from __future__ import annotations

import random
import re

NEGATED = 0.4  # of the questions in which nothing else lends itself
_NAME = re.compile(r"(?<!^)\b[A-Z][\w'’-]*(?:\s+(?:of\s+|the\s+)?[A-Z][\w'’-]*)*")
_NUMBER = re.compile(r"\b\d[\d,.]*\d\b|\b\d\b")
_WORD_NUMBERS = "two three four five six seven eight nine ten eleven twelve twenty thirty hundred".split()
_MONTHS = "January February March April May June July August September October November December".split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_PAIRS = [
    pair.split("/")
    for pair in (
        "first/last before/after more/less most/least largest/smallest highest/lowest oldest/youngest "
        "earliest/latest north/south northern/southern east/west eastern/western increase/decrease "
        "increased/decreased rise/fall win/lose won/lost begin/end began/ended start/stop started/stopped "
        "born/buried male/female men/women man/woman father/mother son/daughter brother/sister husband/wife "
        "king/queen major/minor maximum/minimum long/short old/new early/late above/below inside/outside "
        "enter/leave join/leave joined/left accept/reject accepted/rejected support/oppose supported/opposed "
        "allow/forbid allowed/forbidden include/exclude public/private rich/poor strong/weak large/small "
        "high/low best/worst upper/lower positive/negative buy/sell bought/sold create/destroy created/destroyed "
        "open/close opened/closed success/failure always/never same/different common/rare teacher/student "
        "parent/child friend/enemy import/export imported/exported internal/external modern/ancient "
        "arrive/depart arrived/departed approve/veto approved/vetoed hire/fire hired/fired gain/loss ally/enemy "
        "first/second second/third left/right morning/evening summer/winter spring/autumn attack/defend land/sea"
    ).split()
]
_OPPOSITE = {one: other for pair in _PAIRS for one, other in (pair, reversed(pair))}
_NEGATED = re.compile(r"\b(did|does|do|is|are|was|were|can|could|would|will|has|have|had|should)\b", re.IGNORECASE)


def swapped(question: str, text: str, chance: random.Random) -> str | None:
    """A question and its text to the question with one thing swapped; None where nothing lends itself."""
    ways = [_name, _number, _listed, _opposite]
    chance.shuffle(ways)
    for way in [*ways, *([_negation] if chance.random() < NEGATED else [])]:
        other = way(question, text, chance)
        if other and other.lower() != question.lower():
            return other
    return None


def _name(question: str, text: str, chance: random.Random) -> str | None:
    names = list(_NAME.finditer(question))
    if not names:
        return None
    name = chance.choice(names)
    others = sorted({found.group() for found in _NAME.finditer(text)} - {name.group()})
    taken = set(question.lower().split())
    fresh = [other for other in others if not set(other.lower().split()) & taken and len(other) > 2]
    return _replaced(question, name, chance.choice(fresh)) if fresh else None


def _number(question: str, text: str, chance: random.Random) -> str | None:
    numbers = list(_NUMBER.finditer(question))
    if not numbers:
        return None
    number = chance.choice(numbers)
    value = int(re.sub(r"\D", "", number.group()) or 0)
    others = [found.group() for found in _NUMBER.finditer(text) if len(found.group()) == len(number.group())]
    near = str(value + chance.choice((-7, -3, -2, -1, 1, 2, 4, 9, 10))) if value < 10_000 else str(value * 2 + 1)
    other = chance.choice([*others, near])
    return _replaced(question, number, other) if other not in question else None


def _listed(question: str, text: str, chance: random.Random) -> str | None:
    for group in (_MONTHS, _DAYS, _WORD_NUMBERS):
        found = [m for m in re.finditer(r"\b\w+\b", question) if m.group() in group]
        if found:
            return _replaced(question, chance.choice(found), chance.choice(group))
    return None


def _opposite(question: str, text: str, chance: random.Random) -> str | None:
    found = [m for m in re.finditer(r"\b\w+\b", question) if m.group().lower() in _OPPOSITE]
    if not found:
        return None
    word = chance.choice(found)
    return _replaced(question, word, _OPPOSITE[word.group().lower()])


def _negation(question: str, text: str, chance: random.Random) -> str | None:
    found = _NEGATED.search(question)
    if not found or re.search(r"\bnot\b|n['’]t\b|\bnever\b", question):
        return None
    verb = found.group()
    if chance.random() < 0.5 and verb.lower() not in {"can", "will"}:
        return _replaced(question, found, verb + "n't")
    rest = question[found.end() :].split(" ")
    if len(rest) < 3:
        return None
    return question[: found.end()] + " ".join([*rest[:2], chance.choice(("not", "never")), *rest[2:]])


def _replaced(question: str, found: re.Match[str], other: str) -> str:
    return question[: found.start()] + other + question[found.end() :]
