"""A follow-up and the turns before it to a question that stands alone: by a rule, or by one short call to a model.

The rule carries words over when a question points back (it, they, that one), lacks what it is about (how soon?), or
goes on (and ...?, what about ...?). It then names, in brackets, what the last question was about: its content words,
and the first name in its answer, which often is what "he" or "it" stands for. A question that stands alone is left
as it is; one that is merely short may, and is read both ways (see `perhaps`). The figures behind the constants are
in `eval/LOG.md`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.errors import QuestionError, ServerError
from rag.server import ModelServer
from rag.text import BACK, STOP_WORDS, one_line, parts, sentences, words
from rag.types import Answer

Turn = tuple[str, str]  # a question, and the text of its answer
History = Sequence[Answer | Turn]
FEW = 2  # content words: a question of no more lacks what it is about
CARRIED = 12  # words that are carried over at the most
NAMED = 1  # names of its answer
SEEN = 3  # turns that a model is shown
WRITTEN = 60  # tokens of a question that a model writes
_ON = re.compile(
    r"^\W*(?:and|or|but|so|also|then|what about|how about|what if|why(?: not)?\W*$|i mean)\b", re.IGNORECASE
)
_WORD = re.compile(r"[^\W_]+(?:['’.\-&][^\W_]+)*")
_IDLE = frozenset(
    "tell know please thank thanks sorry like want need help ok okay hi hello yes sure also mean meant wow see got "
    "explain give say said talk interested information anyway way question questions".split()
)
_TURNS = "give a list of Answers or of pairs (question, text of its answer), oldest first"
_PROMPT = (
    "Rewrite the last question so that it can be understood without the conversation. Keep its meaning; add only what "
    "it refers to. Write the question alone, on one line."
)


def turns_of(history: History) -> list[Turn]:
    """Turns as they are given to pairs of texts; an answer's question is the one that was understood.

    Raises QuestionError for what is not a turn.
    """
    if isinstance(history, str) or not isinstance(history, Sequence):
        raise QuestionError(f"the history is of type {type(history).__name__}: {_TURNS}")
    return [_turn(place, given) for place, given in enumerate(history)]


def _turn(place: int, given: object) -> Turn:
    if isinstance(given, Answer):
        return given.understood, "" if given.abstained else given.text
    if isinstance(given, tuple | list) and len(given) == 2 and all(isinstance(text, str) for text in given):
        return given[0], given[1]
    raise QuestionError(f"turn {place + 1} of the history is {given!r:.60}: {_TURNS}")


def stand_alone(question: str, turns: Sequence[Turn], server: ModelServer | None = None) -> str:
    """A question and the turns before it, oldest first, to one that stands alone; by the rule if the server fails."""
    if not turns or not depends(question):
        return question
    if server is not None:
        try:
            return _rewritten(question, turns, server)
        except ServerError:
            pass  # the rule does without; the answer will say what is wrong with the server
    carried = _about(turns, question)
    return f"{question} ({' '.join(carried)})" if carried else question


def depends(question: str) -> bool:
    """Whether a question seems to need the turns before it."""
    return bool(_ON.search(question) or BACK.search(question) or len(_content(question)) <= FEW)


def perhaps(question: str) -> bool:
    """Whether a question that seems to need the turns before it may stand alone as well: it is short, no more."""
    return not (_ON.search(question) or BACK.search(question))


def _content(text: str) -> list[str]:
    """Text to its words that say something, as they stand, each once."""
    found = [m.group() for m in _WORD.finditer(text)]
    return list(dict.fromkeys(w for w in found if w.casefold() not in STOP_WORDS | _IDLE and words(w)))


def _about(turns: Sequence[Turn], question: str) -> list[str]:
    """The words of the last question that a question leaves out, at most CARRIED, and NAMED of the names in its answer.

    None of those names when the question has a name, number or date of its own ("What about Pokrovsk?"). When the last
    question says nothing more, those of the one before it.
    """
    held = set(words(question))
    own = any(part.kind != "word" for part in parts(question))
    for asked, answer in reversed(turns):
        lacking = [word for word in _content(asked) if not set(words(word)) <= held]
        named = [] if own else [word for word in _named(answer) if word not in lacking]
        lacking = lacking[:CARRIED] + [word for word in named if not set(words(word)) <= held][:NAMED]
        if lacking:
            return lacking
    return []


def _named(text: str) -> list[str]:
    """Text to its words with a capital; those that begin a sentence, which may be no names, come last."""
    first = {found.group() for start, end in sentences(text) if (found := _WORD.search(text, start, end))}
    return sorted((word for word in _content(text) if word[0].isupper()), key=lambda word: word in first)


def _rewritten(question: str, turns: Sequence[Turn], server: ModelServer) -> str:
    """A question to a model's wording of it; the question itself when that cannot be one."""
    talk = "\n".join(f"Q: {one_line(q, 300)}\nA: {one_line(a, 300)}" for q, a in turns[-SEEN:])
    said = server.say(
        [{"role": "system", "content": _PROMPT}, {"role": "user", "content": f"{talk}\nLast question: {question}"}],
        WRITTEN,
    )
    line = one_line(re.sub(r"(?s)<think>.*?</think>", "", said)).strip('"“” ')
    line = line.removeprefix("Last question:").removeprefix("Q:").strip()
    kept = {word for word in words(question) if any(c.isdigit() for c in word)} <= set(words(line))
    return line if line and len(line) <= 300 and kept else question
