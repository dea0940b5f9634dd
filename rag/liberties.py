"""A claim and the words it rests on to the liberties that it takes: each word is there, and yet it says another thing.

It makes more of something, adds a cause, breaks a phrase off, or lets names, titles, units, ends and times change
places. Rules, as in `facts`; what they were made after is in `eval/LOG.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from rag.facts import NUMBER, REACH, WORD, joined
from rag.text import DATES, STOP_WORDS, words

# Words that make less of what follows them; a claim must make as little of it. Those of a line stand for one another.
_LESS = [
    re.compile(rf"\b(?:{line})", re.IGNORECASE)
    for line in (
        rf"(?:most|some(?! {NUMBER.pattern})|few|several|parts?|partly|half|majority|minority|mostly|mainly|largely)\b",
        r"(?:about|around|roughly|nearly|almost|approximately|some|at least|at most|up to|no more than|no less than|"
        rf"more than|less than|fewer than|under|over) (?={NUMBER.pattern})",
        r"(?:(?-i:may)|might|could|can|would|should|if|unless|whether|appear(?:s|ed)?|seem(?:s|ed)?|apparently|"
        r"seemingly|reportedly|alleged(?:ly)?|accused of|suspect(?:s|ed)?|likely|probably|possibly|perhaps|"
        r"potential(?:ly)?|possible|believ(?:e|es|ed)|thinks?|thought|expect(?:s|ed)?|plans to|planned|"
        r"propos(?:e|es|ed)|threat(?:en(?:s|ed|ing)?)?|attempt(?:s|ed|ing)?|tr(?:y|ies|ied|ying)|hop(?:e|es|ed|ing)|want(?:s|ed)?|"
        r"claim(?:s|ed)?|(?:set|about|(?:is|are|was|were) due) to|intend(?:s|ed)?|aim(?:s|ed|ing)?|"
        r"consider(?:s|ed|ing)?|set out)\b",
        r"(?:only|except|all but|second|falsely|myth|according to)\b",
    )
]
# What a claim may not add: a cause, where the source has none.
_CAUSE = re.compile(
    r"\b(?:because|(?<!is )(?<!are )(?<!was )(?<!were )due to|owing to|thanks to|as a result|so that|in order to|"
    r"caus(?:e|es|ed)|led to|leads? to|(?:for|by) [“\"‘']?(?:\w+ )??\w+ing|reasons?)\b",
    re.IGNORECASE,
)
# What a noun that ends a claim may not lose: the noun after it, with which the source's phrase ends.
_NO_HEAD = frozenset(
    "following yesterday today tomorrow tonight within despite without toward towards together during amid among "
    "across against along around behind beyond inside outside near per since through throughout until upon via again "
    "soon later earlier ago away back alone also once twice too well abroad home here there now then long tall high "
    "wide deep old because while whereas although".split()
)
_HEAD = re.compile(rf" ([a-z]+)(?=[^\w\s]|$| (?:{'|'.join(sorted(STOP_WORDS))})\b)")
_OPENING = re.compile(r"^\W*(\w+ing)\b")
_TITLE = re.compile(
    r"^(?:president|minister|chancellor|king|queen|secretary|general|chief|mayor|senator|governor|professor|dr|judge|"
    r"captain|colonel|prince|princess|director|mr|mrs|ms|chairman|chair|ambassador|pope|bishop)$",
    re.IGNORECASE,
)
_WHEN = re.compile(r"\b(before|after|since|until|within) (?:the |a |an )?(\w+)", re.IGNORECASE)
_DIGITS = re.compile(r"(?<![\w.,])(?!(?:1[5-9]|20)\d\d\b)(\d[\d.,]*\d|\d)[ -]([a-z]\w+)")  # years have no unit
_RANGE = re.compile(r"(?<!\w)(\d+)\s?(?:to|–|-|:)\s?(\d+)(?!\w)")
_RUN = re.compile(r"[A-Z][\w’'-]*(?: [A-Z][\w’'-]*)*")
_NEXT = 3  # content words that such a word makes less of
_PLACED = re.compile(
    r"\b(?:in|at|from|near|on|off|to|for|with|of|under|below|between|across)\s+(?:the\s+)?$", re.IGNORECASE
)


def liberties(claim: str, evidence: str) -> list[str]:
    """A claim and what it rests on to what it makes of that on its own account; empty when it takes no liberties."""
    claim, evidence = joined(claim), joined(evidence)
    rules = (_lessened, _cut, _caused, _turned, _titles, _units, _ends, _times)
    return [found for rule in rules for found in rule(claim, evidence)]


def _lessened(claim: str, evidence: str) -> Iterator[str]:
    """What makes less of something that the claim says as well, without making less of it."""
    said = set(words(claim))
    for line in _LESS:
        mine = set[str]().union(*(_after(claim, less.end()) for less in line.finditer(claim)))
        for less in line.finditer(evidence):
            after = _after(evidence, less.end())
            if after and after <= said and not after & mine:
                yield f"it leaves out {less.group()!r}"


def _after(text: str, place: int) -> set[str]:
    """The stems of the few content words that come after a place in its clause, but for those that make less."""
    rest = re.split(r"[,;:.]\s", text[place : place + REACH])[0]
    for other in _LESS:
        rest = other.sub(" ", rest)
    return set(words(rest)[:_NEXT])


def _cut(claim: str, evidence: str) -> Iterator[str]:
    """Where a claim breaks off what it takes: before its head ("fired for corruption", of "a corruption scandal"), or

    after the participle that a sentence begins with ("The crisis is ...", of "Compounding the crisis is ...").
    """
    said = set(words(claim))
    if opening := _OPENING.search(evidence):
        after = words(re.split(r"[,;:.]\s", evidence[opening.end() : opening.end() + REACH])[0])[:1]
        if said & set(after) and not said & set(words(opening[1])):
            yield f"it leaves out {opening[1]!r}"
    last = next((m.group() for m in reversed(list(WORD.finditer(claim)))), "")
    if last.islower() and words(last):
        there = re.finditer(rf"(?<!\d )\b{re.escape(last)}\b", evidence)
        heads = [head[1] if (head := _HEAD.match(evidence, place.end())) else "" for place in there]
        nouns = [words(head) and head not in _NO_HEAD and not head.endswith("ly") for head in heads]
        if heads and all(nouns) and not said & set(words(" ".join(heads))):
            yield f"it breaks off before {heads[0]!r}"


def _caused(claim: str, evidence: str) -> Iterator[str]:
    if _CAUSE.search(claim) and not _CAUSE.search(evidence):
        yield "it gives a cause, and there is none there"


def _turned(claim: str, evidence: str) -> Iterator[str]:
    """Two names that stand the other way round, neither in a place, nor because only one of both is passive."""
    if bool(re.search(r"\bby\b", claim)) == bool(re.search(r"\bby\b", evidence)):
        mine, theirs = (list(_people(text)) for text in (claim, evidence))
        both = [name for name in mine if theirs.count(name) == 1 and mine.count(name) == 1]
        if both != [name for name in theirs if name in both]:
            yield "its names have changed places"


def _titles(claim: str, evidence: str) -> Iterator[str]:
    """A title before another's name."""
    runs = [run.group().split() for run in _RUN.finditer(evidence)]
    there = {word for run in runs for word in run}
    for run in _RUN.finditer(claim):
        for title, name in pairwise(run.group().split()):
            together = any(title in own and name in own[own.index(title) :] for own in runs)
            if _TITLE.match(title) and {title, name} <= there and not together:
                yield f"{title} {name} is not there"


def _units(claim: str, evidence: str) -> Iterator[str]:
    """A number with what is counted by another."""
    held = set(words(evidence))
    for number, unit in _DIGITS.findall(claim):
        places = re.finditer(rf"(?<![\w.,]){re.escape(number)}(?!\w)", evidence)
        near = [set(words(evidence[place.end() : place.end() + 40])[:3]) for place in places]
        stems = set(words(unit))
        if near and stems and stems <= held and not any(stems & own for own in near):
            yield f"{number} {unit} is not there"


def _ends(claim: str, evidence: str) -> Iterator[str]:
    """A range or a score the other way round."""
    theirs = set(_RANGE.findall(evidence))
    for first, last in _RANGE.findall(claim):
        if (last, first) in theirs and (first, last) not in theirs:
            yield f"{first} and {last} have changed places"


def _times(claim: str, evidence: str) -> Iterator[str]:
    """The same word after another word of time: "after 90 days" of "within 90 days"."""
    theirs = {(when.casefold(), what.casefold()) for when, what in _WHEN.findall(evidence)}
    for when, what in _WHEN.findall(claim):
        here = (when.casefold(), what.casefold())
        if here not in theirs and any(here[1] == other for _, other in theirs):
            yield f"it says {when} {what}, which is not there"


def _people(text: str) -> Iterator[str]:
    """Text to the last stems of its runs of words with a capital that no preposition of place goes before."""
    for run in _RUN.finditer(text):
        stems = [] if run.group().casefold() in DATES else words(run.group())
        if stems and not _PLACED.search(text[max(0, run.start() - 20) : run.start()]):
            yield stems[-1]
