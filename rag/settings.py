"""The environment to a frozen `Settings`: the few dials, each with its variable."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from os.path import expanduser
from pathlib import Path

from rag.errors import SettingsError

DEFAULT_MODEL = "all-MiniLM-L6-v2"


def _user_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("footnote", appauthor=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user may set.

    index: a built index folder (FOOTNOTE_INDEX); None is the packaged article's, built once in the cache.
    model: a sentence-transformers id or folder to build with (FOOTNOTE_MODEL).
    cache: where exports and the packaged article's index are kept (FOOTNOTE_CACHE).
    max_wrong: at most this many percent of the answers shown should be wrong (FOOTNOTE_MAX_WRONG), of questions a
        third of which the sources do not answer; 100 always answers.
    threshold: answers with less confidence are withheld, in [0, 1] (FOOTNOTE_THRESHOLD), instead of what max_wrong
        comes to; None leaves it to that.
    """

    index: Path | None = None
    model: str = DEFAULT_MODEL
    cache: Path = field(default_factory=_user_cache)
    max_wrong: float = 10.0
    threshold: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.max_wrong, bool | str) or not 0 <= self.max_wrong <= 100:
            raise SettingsError(
                f"the share of wrong answers is {self.max_wrong} %; give a number from 0 to 100 (always answer) "
                "(FOOTNOTE_MAX_WRONG), or leave it out"
            )
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise SettingsError(
                f"the threshold is {self.threshold}; give a number from 0 (always answer) to 1 "
                "(FOOTNOTE_THRESHOLD), or leave it out"
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Variables to settings; an empty variable counts as unset, a `~` is the home. Raises SettingsError."""
        env = os.environ if environment is None else environment
        index, model, cache = (expanduser(env.get(f"FOOTNOTE_{name}", "")) for name in ("INDEX", "MODEL", "CACHE"))
        return cls(
            index=Path(index) if index else None,
            model=model or DEFAULT_MODEL,
            cache=Path(cache) if cache else _user_cache(),
            max_wrong=10.0 if (most := _number(env, "FOOTNOTE_MAX_WRONG", 100)) is None else most,
            threshold=_number(env, "FOOTNOTE_THRESHOLD", 1),
        )


def _number(env: Mapping[str, str], name: str, most: int) -> float | None:
    """A variable to its number; None when it is unset or empty. Raises SettingsError."""
    text = env.get(name)
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise SettingsError(f"{name} is {text!r}; give a number from 0 to {most}") from None
