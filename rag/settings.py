"""The environment to a frozen `Settings`: the few dials, each with its variable."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from os.path import expanduser
from pathlib import Path

from rag.errors import SettingsError

MAX_WRONG = 10.0  # percent
DEFAULT_MODEL = "all-MiniLM-L6-v2"
LONGEST_SILENCE = 3600  # seconds
UNSUPPORTED = ("mark", "drop")
FLOAT32, INT8 = COMPUTES = ("float32", "int8")
_ADDRESS = re.compile(r"https?://[^\s/@]+(?:/\S*)?")


def _user_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("footnote", appauthor=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user may set.

    index: a built index folder (FOOTNOTE_INDEX); None is the packaged article's, built once in the cache.
    model: a sentence-transformers id or folder to build with (FOOTNOTE_MODEL).
    compute: what the encoder computes in when an index is built (FOOTNOTE_COMPUTE): "float32", or "int8", which is
        faster and a little less exact. An index is asked in what it was built in.
    cache: where exports and the packaged article's index are kept (FOOTNOTE_CACHE).
    max_wrong: at most this many percent of the answers shown should be wrong (FOOTNOTE_MAX_WRONG), of questions a
        third of which the sources do not answer; 100 always answers.
    threshold: answers with less confidence are withheld, in [0, 1] (FOOTNOTE_THRESHOLD), instead of what max_wrong
        comes to; None leaves it to that.
    llm_url: an OpenAI-compatible server's base address, as http://127.0.0.1:11434/v1 (FOOTNOTE_LLM_URL); None is no
        server: nothing is contacted. llm_model: the model's name there (FOOTNOTE_LLM_MODEL); "" is its first.
    llm_key: its key (FOOTNOTE_LLM_KEY). llm_timeout: its longest silence, in seconds (FOOTNOTE_LLM_TIMEOUT).
    unsupported: what becomes of a model's sentence that the sources do not support (FOOTNOTE_UNSUPPORTED): "mark"
        shows it struck through and marked, "drop" leaves it out.
    """

    index: Path | None = None
    model: str = DEFAULT_MODEL
    cache: Path = field(default_factory=_user_cache)
    max_wrong: float = MAX_WRONG
    threshold: float | None = None
    llm_url: str | None = None
    llm_model: str = ""
    llm_key: str = field(default="", repr=False)
    llm_timeout: float = 60.0
    unsupported: str = "mark"
    compute: str = FLOAT32

    def __post_init__(self) -> None:
        number = isinstance(self.max_wrong, Real) and not isinstance(self.max_wrong, bool)
        if not number or not 0 <= self.max_wrong <= 100:
            raise SettingsError(
                f"the share of wrong answers is {self.max_wrong!r:.40} %; give a number from 0 to 100 (always answer) "
                "(--max-wrong, FOOTNOTE_MAX_WRONG), or leave it out"
            )
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise SettingsError(
                f"the threshold is {self.threshold}; give a number from 0 (always answer) to 1 "
                "(FOOTNOTE_THRESHOLD), or leave it out"
            )
        if self.llm_url is not None and not _ADDRESS.fullmatch(self.llm_url):
            raise SettingsError(
                f"the model server's address is {self.llm_url!r}; give one that starts with http:// or https://, "
                "as http://127.0.0.1:11434/v1 (FOOTNOTE_LLM_URL)"
            )
        if not 0 < self.llm_timeout <= LONGEST_SILENCE:
            raise SettingsError(
                f"the model server's time-out is {self.llm_timeout}; give seconds, more than 0 and at most "
                f"{LONGEST_SILENCE} (FOOTNOTE_LLM_TIMEOUT)"
            )
        if self.unsupported not in UNSUPPORTED:
            raise SettingsError(f"FOOTNOTE_UNSUPPORTED is {self.unsupported!r}; give one of {', '.join(UNSUPPORTED)}")
        if self.compute not in COMPUTES:
            raise SettingsError(f"FOOTNOTE_COMPUTE is {self.compute!r}; give one of {', '.join(COMPUTES)}")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Variables to settings; an empty variable counts as unset, a `~` is the home. Raises SettingsError."""
        env = os.environ if environment is None else environment
        index, model, cache = (expanduser(env.get(f"FOOTNOTE_{name}", "")) for name in ("INDEX", "MODEL", "CACHE"))
        timeout = _number(env, "FOOTNOTE_LLM_TIMEOUT", "a number of seconds")
        return cls(
            index=Path(index) if index else None,
            model=model or DEFAULT_MODEL,
            cache=Path(cache) if cache else _user_cache(),
            max_wrong=MAX_WRONG
            if (most := _number(env, "FOOTNOTE_MAX_WRONG", "a number from 0 to 100")) is None
            else most,
            threshold=_number(env, "FOOTNOTE_THRESHOLD", "a number from 0 to 1"),
            llm_url=env.get("FOOTNOTE_LLM_URL") or None,
            llm_model=env.get("FOOTNOTE_LLM_MODEL", ""),
            llm_key=env.get("FOOTNOTE_LLM_KEY", ""),
            llm_timeout=60.0 if timeout is None else timeout,
            unsupported=env.get("FOOTNOTE_UNSUPPORTED") or "mark",
            compute=env.get("FOOTNOTE_COMPUTE") or FLOAT32,
        )


def folder_of(index: object) -> Path:
    """What names an index to its folder. Raises SettingsError for what is no path."""
    if not isinstance(index, str | os.PathLike):
        raise SettingsError(f"the index is {index!r:.40}, of type {type(index).__name__}: give its folder's path")
    return Path(index)


def _number(env: Mapping[str, str], name: str, wanted: str) -> float | None:
    """A variable to its number, None when it is not set. Raises SettingsError."""
    if not (text := env.get(name)):
        return None
    try:
        return float(text)
    except ValueError:
        raise SettingsError(f"{name} is {text!r}; give {wanted}") from None
