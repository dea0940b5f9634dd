"""Settings: each dial from its variable, and the values that are refused."""

from __future__ import annotations

import os
import re
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from platformdirs import user_cache_path

from rag import Settings, SettingsError
from rag.settings import DEFAULT_MODEL


def test_defaults() -> None:
    settings = Settings()
    assert (settings.index, settings.model, settings.max_wrong, settings.threshold) == (None, DEFAULT_MODEL, 10.0, None)
    assert settings.compute == "float32"
    assert settings.cache == user_cache_path("footnote", appauthor=False)
    assert Settings.from_environment({}) == settings


def test_every_variable(tmp_path: Path) -> None:
    found = Settings.from_environment(
        {
            "FOOTNOTE_INDEX": f"{tmp_path}/中文 é",
            "FOOTNOTE_MODEL": "some/model",
            "FOOTNOTE_CACHE": str(tmp_path / "😀"),
            "FOOTNOTE_MAX_WRONG": "5",
            "FOOTNOTE_THRESHOLD": "0.25",
            "FOOTNOTE_COMPUTE": "int8",
        }
    )
    assert found == Settings(tmp_path / "中文 é", "some/model", tmp_path / "😀", 5.0, 0.25, compute="int8")


def test_an_empty_variable_is_unset() -> None:
    names = ("INDEX", "MODEL", "CACHE", "MAX_WRONG", "THRESHOLD", "COMPUTE")
    assert Settings.from_environment({f"FOOTNOTE_{name}": "" for name in names}) == Settings()


def test_the_real_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTNOTE_THRESHOLD", "1")
    monkeypatch.setenv("FOOTNOTE_INDEX", "here")
    assert Settings.from_environment() == Settings.from_environment(
        {**os.environ, "FOOTNOTE_THRESHOLD": "1.0", "FOOTNOTE_INDEX": "here"}
    )
    assert Settings.from_environment().threshold == 1.0


def test_a_tilde_is_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    found = Settings.from_environment({f"FOOTNOTE_{name}": f"~/{name} é" for name in ("INDEX", "MODEL", "CACHE")})
    assert found == Settings(tmp_path / "INDEX é", str(tmp_path / "MODEL é"), tmp_path / "CACHE é")
    assert Settings.from_environment({"FOOTNOTE_MODEL": "some/~model"}).model == "some/~model"


@pytest.mark.parametrize("threshold", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_threshold_outside_the_range_is_refused(threshold: float) -> None:
    with pytest.raises(SettingsError, match=rf"the threshold is {threshold}; .*FOOTNOTE_THRESHOLD"):
        Settings(threshold=threshold)
    with pytest.raises(SettingsError, match="FOOTNOTE_THRESHOLD"):
        Settings.from_environment({"FOOTNOTE_THRESHOLD": str(threshold)})


@pytest.mark.parametrize("most", [-1.0, 100.5, float("nan"), float("inf")])
def test_a_share_of_wrong_answers_outside_the_range_is_refused(most: float) -> None:
    with pytest.raises(SettingsError, match=rf"the share of wrong answers is {most} %; .*FOOTNOTE_MAX_WRONG"):
        Settings(max_wrong=most)
    with pytest.raises(SettingsError, match="FOOTNOTE_MAX_WRONG"):
        Settings.from_environment({"FOOTNOTE_MAX_WRONG": str(most)})
    assert Settings.from_environment({"FOOTNOTE_MAX_WRONG": "0"}).max_wrong == 0.0


@pytest.mark.parametrize("most", [[1], "10", None, True, 1j])
def test_a_share_of_wrong_answers_that_is_no_number_is_refused(most: Any) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"the share of wrong answers is {most!r} %; give a number")):
        Settings(max_wrong=most)


@pytest.mark.parametrize("text", ["high", "0,5", "😀", " "])
def test_a_threshold_that_is_no_number_is_named(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({"FOOTNOTE_THRESHOLD": text})
    assert str(caught.value) == f"FOOTNOTE_THRESHOLD is {text!r}; give a number from 0 to 1"
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({"FOOTNOTE_MAX_WRONG": text})
    assert str(caught.value) == f"FOOTNOTE_MAX_WRONG is {text!r}; give a number from 0 to 100"


@pytest.mark.parametrize("threshold", [0, 0.0, 1, 1.0])
def test_the_ends_of_the_range_are_allowed(threshold: float) -> None:
    assert Settings(threshold=threshold).threshold == threshold


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().model = "other"  # type: ignore[misc]  # that it may not be set is what is tested


def test_the_model_server_is_off_unless_named_and_its_settings_are_checked() -> None:
    assert Settings.from_environment({}).llm_url is None
    found = Settings.from_environment(
        {
            "FOOTNOTE_LLM_URL": "http://127.0.0.1:1/v1",
            "FOOTNOTE_LLM_MODEL": "m",
            "FOOTNOTE_LLM_KEY": "k",
            "FOOTNOTE_LLM_TIMEOUT": "2.5",
            "FOOTNOTE_UNSUPPORTED": "drop",
        }
    )
    assert (found.llm_url, found.llm_model, found.llm_key) == ("http://127.0.0.1:1/v1", "m", "k")
    assert (found.llm_timeout, found.unsupported) == (2.5, "drop")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FOOTNOTE_LLM_URL", "127.0.0.1:8080"),
        ("FOOTNOTE_LLM_URL", "file:///x"),
        ("FOOTNOTE_LLM_URL", "http://user:secret@host/v1"),
        ("FOOTNOTE_LLM_TIMEOUT", "soon"),
        ("FOOTNOTE_LLM_TIMEOUT", "0"),
        ("FOOTNOTE_LLM_TIMEOUT", "nan"),
        ("FOOTNOTE_UNSUPPORTED", "hide"),
        ("FOOTNOTE_COMPUTE", "int4"),
        ("FOOTNOTE_COMPUTE", "INT8"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment({name: value})
