"""A claim and the words it rests on to the liberties that it takes: each word is there, and yet it says another thing.

It makes more of something, adds a cause, breaks a phrase off, or lets names change places. Rules, as in `facts`; what
they were made after is in `eval/LOG.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag.facts import NUMBER, WORD, joined
from rag.text import DATES, STOP_WORDS, words

# Words that make less of what follows them; a claim must make as little of it. Those of a line stand for one another.
_LESS = [
    re.compile(rf"\b(?:{line})", re.IGNORECASE)
    for line in (
        r"(?:most|some|few|several|parts?|partly|half|majority|minority|mostly|mainly|largely)\b",
        r"(?:about|around|roughly|nearly|almost|approximately|some|at least|at most|up to|no more than|no less than|"
        rf"more than|less than|fewer than|under|over) (?={NUMBER.pattern})",
        r"(?:(?-i:may)|might|could|can|would|should|if|unless|whether|appear(?:s|ed)?|seem(?:s|ed)?|apparently|"
        r"seemingly|reportedly|alleged(?:ly)?|accused|suspect(?:s|ed)?|likely|probably|possibly|perhaps|potential(?:ly)?|"
        r"possible|believ(?:e|es|ed)|thinks?|thought|expect(?:s|ed)?|plan(?:s|ned)?|propos(?:e|es|ed)|"
        r"threat(?:en(?:s|ed|ing)?)?|attempt(?:s|ed|ing)?|tr(?:y|ies|ied|ying)|hop(?:e|es|ed|ing)|want(?:s|ed)?|"
        r"claim(?:s|ed)?|set to|due to|about to|intend(?:s|ed)?|aim(?:s|ed|ing)?|consider(?:s|ed|ing)?|set out)\b",
    )
]
# What a claim may not add: a cause, where the source has none.
_CAUSE = re.compile(
    r"\b(?:because|due to|owing to|thanks to|as a result|so that|in order to|caus(?:e|es|ed)|led to|leads? to|"
    r"(?:for|by) [“\"‘']?(?:\w+ )??\w+ing|reasons?)\b",
    re.IGNORECASE,
)
# What a noun that ends a claim may not lose: the noun after it, with which the source's phrase ends.
_HEAD = re.compile(rf" ([a-z]+)(?=[^\w\s]|$| (?:{'|'.join(sorted(STOP_WORDS))})\b)")
_OPENING = re.compile(r"^\W*(\w+ing)\b")
_NEXT = 3  # content words that such a word makes less of
_PLACED = re.compile(
    r"\b(?:in|at|from|near|on|off|to|for|with|of|under|below|between|across)\s+(?:the\s+)?$", re.IGNORECASE
)


def liberties(claim: str, evidence: str) -> list[str]:
    """A claim and what it rests on to what it makes of that on its own account; empty when it takes no liberties."""
    claim, evidence = joined(claim), joined(evidence)
    found = _lessened(claim, evidence) + _cut(claim, evidence)
    if _CAUSE.search(claim) and not _CAUSE.search(evidence):
        found.append("it gives a cause, and there is none there")
    if _turned(claim, evidence):
        found.append("its names have changed places")
    return found


def _lessened(claim: str, evidence: str) -> list[str]:
    """What makes less of something that the claim says as well, without making less of it."""
    said, found = set(words(claim)), []
    for line in _LESS:
        if not line.search(claim):
            for less in line.finditer(evidence):
                rest = re.split(r"[,;:.]\s", evidence[less.end() :])[0]
                for other in _LESS:
                    rest = other.sub(" ", rest)
                after = set(words(rest)[:_NEXT])
                if after and after <= said:
                    found.append(f"it leaves out {less.group()!r}")
    return found


def _cut(claim: str, evidence: str) -> list[str]:
    """Where a claim breaks off what it takes: before its head ("fired for corruption", of "a corruption scandal"), or

    after the participle that a sentence begins with ("The crisis is ...", of "Compounding the crisis is ...").
    """
    said, found = words(claim), []
    if opening := _OPENING.search(evidence):
        after = words(re.split(r"[,;:.]\s", evidence[opening.end() :])[0])[:1]
        if after and after[0] in said and not set(words(opening[1])) & set(said):
            found.append(f"it leaves out {opening[1]!r}")
    last = next((m.group() for m in reversed(list(WORD.finditer(claim)))), "")
    there = [evidence[m.end() :] for m in re.finditer(rf"(?<!\d )\b{re.escape(last)}\b", evidence)]
    heads = [m[1] if (m := _HEAD.match(rest)) else "" for rest in there] if last.islower() and words(last) else []
    if heads and all(words(head) and not set(words(head)) & set(said) for head in heads):
        found.append(f"it breaks off before {heads[0]!r}")
    return found


def _turned(claim: str, evidence: str) -> bool:
    """Whether two names stand the other way round, and neither in a place nor because only one of both is passive."""
    if bool(re.search(r"\bby\b", claim)) != bool(re.search(r"\bby\b", evidence)):
        return False
    mine, theirs = (list(_people(text)) for text in (claim, evidence))
    both = [name for name in mine if theirs.count(name) == 1 and mine.count(name) == 1]
    return both != [name for name in theirs if name in both]


def _people(text: str) -> Iterator[str]:
    """Text to the last stems of its runs of words with a capital that no preposition of place goes before."""
    for run in re.finditer(r"[A-Z][\w’'-]*(?: [A-Z][\w’'-]*)*", text):
        stems = [] if run.group().casefold() in DATES else words(run.group())
        if stems and not _PLACED.search(text[: run.start()]):
            yield stems[-1]
