"""A claim and the words it is said to rest on, to the facts that they do not share: numbers, names, negations.

Deterministic and small on purpose: each rule can be read, and each finding is a sentence that says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rag.text import DATES, STOP_WORDS, words

_UNITS = dict(zip("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
                  "sixteen seventeen eighteen nineteen".split(), range(20), strict=True))  # fmt: skip
_TENS = dict(zip("twenty thirty forty fifty sixty seventy eighty ninety".split(), range(20, 100, 10), strict=True))
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000, "trillion": 10**12}
_ORDINALS = dict(zip("third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(), range(3, 13),
                     strict=True)) | {"first": 1, "twentieth": 20, "nineteenth": 19, "eighteenth": 18}  # fmt: skip
_SMALL = {**_UNITS, **_TENS, **_ORDINALS}
NUMBER = re.compile(
    r"\d+(?:[.,]\d+)*|(?<![^\W\d_])(?:" + "|".join([*_SMALL, *_SCALES, "percent"]) + r")(?:s(?=\b))?(?![^\W\d_])|%",
    re.IGNORECASE,
)
_SCALE_NEXT = re.compile(rf"[\s-](?:{'|'.join(_SCALES)})\b", re.IGNORECASE)
REACH = 200  # characters after a word in which what it applies to begins
WORD = re.compile(r"[^\W_]+(?:['’.\-][^\W_]+)*")
_INITIALS = re.compile(r"\b(?:[A-Z]\. ?){2,}")
_NEGATION = re.compile(
    r"\b(?:not(?! only\b)|no|never|none|nobody|nothing|neither|nor|without|cannot|hardly|unable|fail(?:s|ed|ing)? to|"
    r"refus(?:e|es|ed|ing) to|lack(?:s|ed|ing)?|den(?:y|ies|ied))\b|n['’]t\b",
    re.IGNORECASE,
)
_SHORT = {"jan": "januari", "feb": "februari", "mar": "march", "apr": "april", "aug": "august", "sept": "septemb",
          "oct": "octob", "nov": "novemb", "dec": "decemb"}  # fmt: skip
_ALIKE = [{"us", "usa", "america", "american", "unit", "washington"}, {"uk", "britain", "british"}, {"eu", "european"},
          {"norway", "norwegian"}, {"franc", "french"}, {"spain", "spanish"}, {"poland", "polish"},
          {"dutch", "netherland"}, {"turkey", "turkish"}, {"swiss", "switzerland"}, {"greec", "greek"},
          {"dane", "danish", "denmark"}, {"swede", "swedish", "sweden"}, {"finn", "finnish", "finland"},
          {"un", "unit"}]  # fmt: skip
_OF_A_PLACE = re.compile(r"(?:ian|ean|an|n|ish|ese|i)$")
_OPPOSITES = [
    tuple(words(pair))
    for pair in (
        "increase decrease|rise fall|rose fell|grow shrink|win lose|won lost|north south|northern southern|east west|"
        "eastern western|largest smallest|highest lowest|high low|oldest youngest|accept reject|support oppose|"
        "agree disagree|begin end|start finish|open close|buy sell|bought sold|male female|husband wife|father mother|"
        "son daughter|brother sister|friend enemy|hot cold|major minor|always rarely|upper lower|inside outside|"
        "majority minority|true false|legal illegal|possible impossible|success failure|allow forbid|import export|"
        "early late|first last|best worst|left right|internal external|able unable|likely unlikely|attack defend|"
        "arrive depart|strong weak|clear unclear|stability instability|war peace|guilty innocent|maximum minimum"
    ).split("|")
    if len(words(pair)) == 2
]
# What speaks to a model is no statement about the world: it supports nothing.
_ORDER = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,60}\b(?:instructions?|rules?|prompts?|above|previous|sources?)\b|"
    r"\b(?:language model|chatbot|AI assistant|AI model|(?:the|your) assistant)\b|^\W*(?:system|assistant|user)\s*[:>]|"
    r"^\W*(?:answer|reply|respond|output|print|repeat|pretend|obey)\b|"
    r"(?:^|\b(?:must|should|please|to|and|then|will|only|now)\s+)\W*(?:answer|say|reply|respond|output|print|repeat|"
    r"claim|tell the (?:user|reader))\b(?: only| exactly| that| with\b|:|\W*[“\"‘'])|\byou are (?:now|free|an? AI)\b",
    re.IGNORECASE,
)
# "The document says that it rained" is the claim that it rained; "the key to the document is ..." is one of its own.
_SAYS = re.compile(
    r"^\W*(?:(?:the|this|that) (?:\w+ )?(?:article|text|document|passage|sentence|source|story|report)s? "
    r"(?:says?|said|states?|stated|reports?|reported|mentions?|mentioned|notes?|noted) that |"
    r"according to (?:the|this) (?:\w+ )?(?:article|text|document|passage|sentence|source|story|report)s?, |"
    r"(?:the |our )?answer(?: to (?:the|this|your) question)?(?: is(?: that)?\b:?|:) ?)",
    re.IGNORECASE,
)
_FRAME = re.compile(
    r"\b(article|text|document|passage|sentence|story|question|answer|key|paragraph|quote)s?\b", re.IGNORECASE
)
_NO_DEED = frozenset("in on at of for by from with and or as during after before since until into near over".split())
_CLAUSE = re.compile(r"[,;:()—–]\s|\s[—–(]")
_PARTS = re.compile(r";\s+|,\s+(?:(?:and|but|while|whereas)\s+)(?=(?:the|an?|this|these|those)\b|[^\W\d_a-z])")
_UNSEEN = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")
_POINTING = re.compile(
    r"^\W*(?:[\w’'-]+\W+){0,2}(?:he|she|it|they|his|her|its|their|this|these|that|those|such)\b", re.IGNORECASE
)


def disagreements(claim: str, evidence: str, before: str = "", known: frozenset[str] = frozenset()) -> list[str]:
    """A claim and what it rests on to what the evidence does not bear out; empty when nothing speaks against it.

    before: the text just before the evidence, whose names count where the evidence points back ("he", "this").
    known: stems of words that the sources write with a capital within a sentence: names, even as a first word.
    """
    claim, evidence, before = map(joined, (claim, evidence, before))
    found = [f"the number {number} is not there" for number in sorted(numbers(claim) - numbers(evidence))]
    held = set(words(evidence)) | (set(words(before)) if _POINTING.search(evidence[:REACH]) else set())
    found += [f"the name {name} is not there" for name in proper_names(claim, known) if not _named(name, held)]
    if why := _negated(claim, evidence):
        found.append(why)
    found += [f"it speaks of the {word}, which is not there" for word in _FRAME.findall(claim) if word not in evidence]
    return found + _opposed(set(words(claim)), set(words(evidence)))


def statement(text: str) -> str:
    """A sentence without "the document says that", "according to the article", "the answer is"."""
    rest = _SAYS.sub("", text)
    return rest if any(c.isalnum() for c in rest) else text


def statements(text: str) -> list[str]:
    """A sentence to its parts, if it has several that could each stand alone: each begins with what it is about."""
    return [part for part in _PARTS.split(text) if len(set(words(part))) > 2]


def another_does(claim: str, evidence: str) -> bool:
    """Whether a claim tells what a clause says after a name, without the name: another seems to do it then.

    A title, a first name, a place and the like may be left out, and so may a whole clause.
    """
    said = set(words(joined(claim)))
    for number, clause in enumerate(_CLAUSE.split(joined(evidence))):
        found = [m.group() for m in WORD.finditer(clause)]
        for place, word in enumerate(found):
            named = word[0].isupper() and word.casefold() not in STOP_WORDS | DATES and (number or place)
            full = place + 1 < len(found) and found[place + 1][0].isupper()  # more of the name follows
            goes_on = place + 1 < len(found) and found[place + 1].casefold() not in _NO_DEED
            lacks = named and goes_on and not full and not any(_named(stem, said) for stem in words(word))
            if lacks and said & set(words(" ".join(found[place + 1 :]))):
                return True
    return False


def cases(texts: Sequence[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Sentences to the stems of their words with a capital, and without; the first words do not count."""
    bare = [word.strip("“”\"'‘’()[],.;:!?") for text in texts for word in text.split()[1:]]
    upper = words(" ".join(word for word in bare if word[:1].isupper()))
    return frozenset(upper), frozenset(words(" ".join(word for word in bare if not word[:1].isupper())))


def is_order(text: str) -> bool:
    """Whether a source's sentence gives orders to whoever reads it for an answer."""
    return _ORDER.search(_UNSEEN.sub("", text)) is not None


def joined(text: str) -> str:
    """Text with initials as one word: U.S. is US, B. J. is BJ."""
    return _INITIALS.sub(lambda found: re.sub(r"[. ]", "", found.group()) + " ", text)


def numbers(text: str) -> set[str]:
    """Text to its numbers in one form: `1,500`, `fifteen hundred` are `1500`, `10 %` is `10%`; a lone `one` is none."""
    found: list[tuple[float, str]] = []  # a value and its unit
    end = -1
    for match in NUMBER.finditer(text):
        word = match.group().casefold()
        near = bool(found) and not found[-1][1] and text[end : match.start()].strip() in ("", "-", "and")
        value = found[-1][0] if found else 0.0
        if word in ("%", "percent", "percents"):
            if near:
                found[-1] = (value, "%")
        elif (scale := _SCALES.get(word.removesuffix("s"))) is not None:
            if near:
                found[-1] = (value * scale, "")
        else:
            small = _SMALL.get(word, _SMALL.get(word.removesuffix("s")))
            if near and small is not None and _joins(value, small):
                found[-1] = (value + small, "")
            else:
                found.append((_digits(word), "") if small is None else (small, "one" if word == "one" else ""))
                if word == "one" and _SCALE_NEXT.match(text, match.end()):
                    found[-1] = (1.0, "")
        end = match.end()
    return {f"{value:.12g}{unit}" for value, unit in found if unit != "one"}


def _joins(value: float, small: float) -> bool:
    """Whether a small number goes on with the one before it: twenty five, nineteen hundred (and) five."""
    return 0 < small < value and ((value in _TENS.values() and small < 10) or value % 100 == 0)


def _digits(token: str) -> float:
    """Digits with separators to their number; several points make it a version or a date: then by its digits."""
    plain = re.sub(r",(?=\d{3}(?!\d))", "", token)
    try:
        return float(plain.replace(",", "."))
    except ValueError:
        return float(re.sub(r"\D", "", plain))


def proper_names(text: str, known: frozenset[str] = frozenset()) -> Iterator[str]:
    """Text to the stems of its names: words with a capital, the first only if it is known or another name follows."""
    found = [m.group() for m in WORD.finditer(text)]
    for place, word in enumerate(found):
        if not word[0].isupper() or word.casefold() in STOP_WORDS:
            continue
        stems = words(word)
        follows = place + 1 < len(found) and found[place + 1][0].isupper()
        if place or follows or word[1:].isupper() or any(stem in known for stem in stems):
            yield from (stem for stem in stems if not stem.isdigit() and stem not in _SMALL)


def _named(name: str, held: set[str]) -> bool:
    """Whether words hold a name, as it is or as people of a place are called."""
    if name in held or _SHORT.get(name) in held or any(_SHORT.get(word) == name for word in held):
        return True
    if any(name in group and group & held for group in _ALIKE):
        return True
    root = _OF_A_PLACE.sub("", name)
    for word in held:
        other = _OF_A_PLACE.sub("", word)
        alike = len(root) > 3 and len(other) > 3 and (word.startswith(root) or name.startswith(other))
        if alike and abs(len(word) - len(name)) <= 3:
            return True
    return False


def _negated(claim: str, evidence: str) -> str:
    """Why the one denies what the other says, or nothing."""
    here, there = _denied(claim), _denied(evidence)
    said, held = set(words(claim)), set(words(evidence))
    if here and not there:
        return "it is denied, and there it is not"
    if here and there and not any(stems & held for stems in here):
        return ""
    if here and not any(mine & theirs for mine in here for theirs in there):
        affirmed = [stems for stems in here if stems & held]
        if affirmed and not any(theirs & said for theirs in there):
            return "it is denied, and there it is not"
    if not here:
        for stems in there:
            if stems and stems <= said:
                return "it is said, and there it is denied"
    return ""


def _denied(text: str) -> list[set[str]]:
    """Text to what each of its negations denies: the stems of the next two content words."""
    found = []
    for negation in _NEGATION.finditer(text):
        after = re.split(r"[,;:.]\s|\b(?:but|nor)\b", text[negation.end() : negation.end() + REACH])[0]
        found.append(set(words(after)[:2]))
    return found


def _opposed(said: set[str], held: set[str]) -> list[str]:
    found = []
    for one, other in _OPPOSITES:
        for mine, theirs in ((one, other), (other, one)):
            if mine in said and mine not in held and theirs in held and theirs not in said:
                found.append(f"it says {mine}, and there it is {theirs}")
    return found
