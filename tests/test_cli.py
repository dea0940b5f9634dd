"""The command: what each subcommand prints, its exit status, and how it fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path
from statistics import median
from typing import Any

import jsonschema
import pytest

import rag.chat
import rag.cli
import rag.doctor
import rag.pipeline
from rag import Pipeline, Settings
from rag.cli import main
from rag.doctor import Finding
from rag.show import to_text
from tests.fakes import HashEncoder, opens
from tests.modelserver import says, serving

ROOT = Path(__file__).resolve().parent.parent
QUESTION = ["Who", "led", "the", "Normans", "😀?"]


@pytest.fixture(autouse=True)
def hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A place and a cache of its own, no threshold, and the HashEncoder where a model would be opened."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOOTNOTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FOOTNOTE_THRESHOLD", "0")
    opens(monkeypatch, lambda model, cache, **named: HashEncoder())


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Arguments to the exit status, and what was printed to stdout and stderr."""
    status = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def corpus(folder: Path) -> Path:
    """A folder of two documents."""
    folder.mkdir(exist_ok=True)
    (folder / "é.txt").write_bytes("Rice is cooked in water 😀.\r\n“Salt” is added.".encode())
    (folder / "b.md").write_text("中文句子在这里。Fish swim.", "utf-8")
    return folder


# -- ask --


def test_ask_prints_the_answer(capsys: pytest.CaptureFixture[str], built: Path, pipeline: Pipeline) -> None:
    answer = pipeline.ask(" ".join(QUESTION))
    assert run(capsys, "ask", *QUESTION, "--index", built) == (0, to_text(answer) + "\n", "")
    assert run(capsys, "ask", "--index", built, " ".join(QUESTION)) == (0, to_text(answer) + "\n", "")
    assert "Rollo 😀 led them in the 10th century." in to_text(answer)


def test_ask_prints_a_models_answer_as_it_comes(
    capsys: pytest.CaptureFixture[str], built: Path, encoder: HashEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "Rollo 😀 led them in the 10th century. The moon is cheese."
    with serving(says(said), says(said), says(said)) as script:
        monkeypatch.setenv("FOOTNOTE_LLM_URL", script.url)
        answer = Pipeline.open(built, settings=Settings.from_environment(), encoder=encoder).ask(" ".join(QUESTION))
        assert [str(claim.verdict) for claim in answer.claims] == ["supported", "unsupported"]
        assert run(capsys, "ask", *QUESTION, "--index", built) == (0, to_text(answer) + "\n", "")
        code, out, _ = run(capsys, "ask", *QUESTION, "--index", built, "--json", "--max-wrong", "100")
        assert (code, json.loads(out)["text"]) == (0, answer.text)


def test_ask_json_is_the_answers_data(capsys: pytest.CaptureFixture[str], built: Path, pipeline: Pipeline) -> None:
    status, out, err = run(capsys, "ask", "--json", "--index", built, *QUESTION)
    assert (status, err) == (0, "")
    data = json.loads(out)
    jsonschema.validate(data, json.loads(resources.files("rag").joinpath("answer.schema.json").read_text("utf-8")))
    assert {**data, "timings": 0} == {**pipeline.ask(" ".join(QUESTION)).to_dict(), "timings": 0}
    assert set(data["timings"]) == {"retrieve", "read", "answer"}
    assert "😀" in out  # readable, not escaped


def test_ask_takes_the_environments_index_and_threshold(
    capsys: pytest.CaptureFixture[str], built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOTNOTE_INDEX", str(built))
    monkeypatch.setenv("FOOTNOTE_THRESHOLD", "1")
    status, out, err = run(capsys, "ask", *QUESTION)
    assert (status, out.splitlines()[0], err) == (0, "The source does not say.", "")
    assert "The nearest passages:" in out


def test_ask_without_an_index_builds_the_article_and_says_so_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, out, err = run(capsys, "ask", "Who", "is", "Friedrich", "Merz?")
    assert status == 0
    assert "Chancellor Friedrich Merz" in out
    (line,) = err.splitlines()
    assert line.startswith(f"building the sample article's index in {tmp_path / 'cache' / 'article-'}")
    assert run(capsys, "ask", "Who", "is", "Friedrich", "Merz?") == (0, out, "")


def test_what_index_has_built_in_the_usual_place_is_asked_and_that_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: Path
) -> None:
    launched: list[Pipeline] = []
    monkeypatch.setattr(rag.chat, "launch", lambda source, **named: launched.append(source()))
    assert run(capsys, "index", corpus(tmp_path / "corpus"))[0] == 0
    usual = Path("index") / "built"
    line = f"using the index in {usual} (name another by --index or FOOTNOTE_INDEX)\n"
    status, out, err = run(capsys, "ask", "Is", "rice", "cooked?")
    assert (status, "Rice is cooked in water 😀." in out, err) == (0, True, line)
    assert run(capsys, "chat") == (0, "", line)
    assert [document.id for document in launched[0].documents] == ["b.md", "é.txt"]
    status, out, err = run(capsys, "doctor")
    assert f"index: {usual}, 2 document(s)" in out
    assert err == line
    assert run(capsys, "ask", *QUESTION, "--index", built)[2] == ""
    monkeypatch.setenv("FOOTNOTE_INDEX", str(built))
    assert run(capsys, "ask", *QUESTION)[2] == ""


def test_a_folder_in_the_usual_place_that_holds_no_index_is_not_asked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "index" / "built").mkdir(parents=True)
    assert run(capsys, "ask", "Who?")[2].startswith("building the sample article's index in ")


def test_a_model_that_is_not_the_indexs_is_told(
    capsys: pytest.CaptureFixture[str], built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOTNOTE_MODEL", "gone/model")
    status, _, err = run(capsys, "ask", *QUESTION, "--index", built)
    assert status == 0
    assert err == (
        f"the index in {built} is asked with the model it was built with, hash; "
        "FOOTNOTE_MODEL (gone/model) counts when an index is built\n"
    )


# -- index --

ENCODING = "encoding 2 passage(s) of 2 document(s) ...\n"


def test_index_builds_and_then_has_nothing_to_do(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "made é"
    folder = corpus(tmp_path / "corpus")
    assert run(capsys, "index", folder, "--out", out) == (0, f"built {out}: 2 document(s), 2 passage(s)\n", ENCODING)
    before = (out / "CURRENT").read_text()
    assert run(capsys, "index", folder, "--out", out) == (
        0, f"{out} is up to date: 2 document(s), 2 passage(s); nothing to do\n", "",
    )  # fmt: skip
    assert (out / "CURRENT").read_text() == before
    (folder / "c.txt").write_text("More é.", "utf-8")
    assert run(capsys, "index", folder, "--out", out)[1] == f"built {out}: 3 document(s), 3 passage(s)\n"
    assert run(capsys, "ask", "rice", "water", "--index", out)[0] == 0


def test_index_builds_where_the_environment_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOTNOTE_INDEX", str(tmp_path / "there"))
    assert run(capsys, "index", corpus(tmp_path / "corpus"))[0] == 0
    assert (tmp_path / "there" / "CURRENT").is_file()


def test_index_of_the_sample_article_in_the_usual_place(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, "index")
    assert (status, err.splitlines()[0]) == (0, "no FOLDER is named: the sample article is indexed")
    assert re.fullmatch(r"encoding \d+ passage\(s\) of 1 document\(s\) \.\.\.", err.splitlines()[1])
    assert "no FOLDER" not in run(capsys, "index", corpus(tmp_path / "corpus"), "--out", tmp_path / "own")[2]
    assert out.startswith(f"built {Path('index') / 'built'}: 1 document(s), ")
    assert (tmp_path / "index" / "built" / "CURRENT").is_file()


def test_index_of_one_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = corpus(tmp_path / "corpus") / "é.txt"
    assert run(capsys, "index", path, "--out", tmp_path / "made")[1].endswith(": 1 document(s), 1 passage(s)\n")


def test_index_leaves_out_what_it_cannot_read_and_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder, out = corpus(tmp_path / "corpus"), tmp_path / "made"
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    told = f"left out: {folder / 'latin.txt'} is not UTF-8 text (byte 3): save it as UTF-8\n"
    counts = "2 document(s), 2 passage(s); 1 file(s) left out"
    assert run(capsys, "index", folder, "--out", out) == (0, f"built {out}: {counts}\n", told + ENCODING)
    again = f"{out} is up to date: {counts}; nothing to do\n"
    assert run(capsys, "index", folder, "--out", out) == (0, again, told)
    error = told.replace("left out", "footnote")
    assert run(capsys, "index", folder / "latin.txt", "--out", tmp_path / "other") == (1, "", error)
    assert not (tmp_path / "other").exists()


def test_index_tells_how_far_it_is_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rag.cli, "EVERY", 0.0)
    err = run(capsys, "index", corpus(tmp_path / "corpus"), "--out", tmp_path / "made")[2]
    assert err == ENCODING + "encoded 1 of 2 passages\nencoded 2 of 2 passages\n"


def test_a_tilde_that_the_shell_left_is_the_home(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    corpus(tmp_path / "corpus")
    assert run(capsys, "index", "~/corpus", "--out", "~/made")[0] == 0
    assert (tmp_path / "made" / "CURRENT").is_file()
    assert run(capsys, "ask", "rice", "--index", "~/made")[0] == 0


# -- failing --


def test_a_missing_index_is_one_line_with_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    line = f"footnote: there is nothing built in {gone}; build it: footnote index [FOLDER] --out {gone}\n"
    assert run(capsys, "ask", "Who?", "--index", gone) == (1, "", line)


def test_the_command_in_the_message_mends_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    command = run(capsys, "ask", "Who?", "--index", gone)[2].partition("build it: footnote ")[2].split()
    assert run(capsys, *[str(corpus(tmp_path / "c")) if word == "[FOLDER]" else word for word in command])[0] == 0
    assert run(capsys, "ask", "Who?", "--index", gone)[0] == 0


@pytest.mark.parametrize("question", ["", "  ", "\u200b"])
def test_an_empty_question(capsys: pytest.CaptureFixture[str], built: Path, question: str) -> None:
    status, out, err = run(capsys, "ask", question, "--index", built)
    assert (status, out) == (1, "")
    assert err.startswith("footnote: the question ")
    assert err.endswith(" is empty: write what you want to know\n")


@pytest.mark.parametrize("command", [["ask", "Who?"], ["index"], ["doctor"], ["chat"]])
def test_a_bad_setting(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setenv("FOOTNOTE_THRESHOLD", "high")
    assert run(capsys, *command) == (
        1, "", "footnote: FOOTNOTE_THRESHOLD is 'high'; give a number from 0 to 1\n",
    )  # fmt: skip


def test_a_corpus_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, err = run(capsys, "index", tmp_path / "gone", "--out", tmp_path / "made")
    assert (status, out) == (1, "")
    assert err == f"footnote: cannot read the folder {tmp_path / 'gone'}: No such file or directory\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["bogus"], ["ask"], ["ask", "--json"], ["ask", "Who?", "--nope"], ["index", "a", "b"], ["index", "--out"],
        ["ask", "Who?", "--index", ""], ["chat", "--index="], ["index", ""], ["index", "--out", ""],
        ["chat", "--port", "é"], ["chat", "extra"], ["doctor", "--deep=1"], ["doctor", "extra"],
    ],
)  # fmt: skip
def test_wrong_arguments(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    printed = capsys.readouterr()
    assert (caught.value.code, printed.out) == (2, "")
    assert printed.err.startswith("usage: footnote")


def test_an_empty_folder_name_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["ask", "Who?", "--index", ""])
    assert capsys.readouterr().err.endswith("argument --index: it is empty: name a folder, or leave it out\n")


def test_the_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: {"footnote": "1.2.3"}[name])
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert (caught.value.code, *capsys.readouterr()) == (0, "footnote 1.2.3\n", "")


def test_the_version_where_footnote_is_not_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert (caught.value.code, capsys.readouterr().err) == (0, "")


def test_an_interrupt_is_silent(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: Any, **named: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(rag.pipeline.Pipeline, "open", interrupted)
    assert run(capsys, "ask", "Who?") == (130, "", "")


@pytest.mark.parametrize("error", [ZeroDivisionError, OSError])
def test_an_unforeseen_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def broken(*given: Any, **named: Any) -> Any:
        raise error

    monkeypatch.setattr(rag.pipeline.Pipeline, "open", broken)
    with pytest.raises(error):
        main(["ask", "Who?"])


# -- chat --


def test_chat_hands_over_a_way_to_open_and_the_address(
    capsys: pytest.CaptureFixture[str], built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[tuple[Callable[[], Pipeline], dict[str, Any]]] = []
    monkeypatch.setattr(rag.chat, "launch", lambda source, **named: launched.append((source, named)))
    assert run(capsys, "chat", "--index", built, "--port", "0") == (0, "", "")
    assert run(capsys, "chat", "--index", built, "--host", "::1", "--queue", "3") == (0, "", "")
    assert [named for _, named in launched] == [
        {"host": "127.0.0.1", "port": 0, "queue": 200},
        {"host": "::1", "port": 7860, "queue": 3},
    ]
    assert launched[0][0]().ask("Who led them?").citations[0].document.id == "mixed.txt"


# -- doctor --


@pytest.mark.parametrize(("well", "status", "mark"), [(True, 0, "ok  "), (False, 1, "FAIL")])
def test_doctor_prints_its_findings(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    well: bool,
    status: int,
    mark: str,
) -> None:
    asked: list[tuple[Path | None, bool]] = []

    def examine(settings: Settings, *, deep: bool = False) -> list[Finding]:
        asked.append((settings.index, deep))
        return [Finding("first", True, "fine é"), Finding("second", well, "mend it: so"), Finding("third", True, "x")]

    monkeypatch.setattr(rag.doctor, "examine", examine)
    lines = f"ok    first: fine é\n{mark}  second: mend it: so\nok    third: x\n"
    assert run(capsys, "doctor") == (status, lines, "")
    assert run(capsys, "doctor", "--deep", "--index", tmp_path) == (status, lines, "")
    assert asked == [(None, False), (tmp_path, True)]


def test_doctor_of_a_damaged_index(capsys: pytest.CaptureFixture[str], built: Path) -> None:
    status, out, _ = run(capsys, "doctor", "--index", built, "--deep")
    (line,) = (line for line in out.splitlines() if " index: " in line)
    assert (status, line[:4]) == (0, "ok  ")
    (built / "v1" / "passages.npy").write_bytes(b"x")
    status, out, _ = run(capsys, "doctor", "--index", built)
    (line,) = (line for line in out.splitlines() if " index: " in line)
    assert (status, line[:4]) == (1, "FAIL")
    assert line.endswith(f"rebuild: footnote index [FOLDER] --out {built}")


# -- as a process --


def process(code: str, *, stdout: int = subprocess.PIPE, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Python code to a finished process of it, in the repository's root, its streams buffered as they usually are."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | variables
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=stdout, stderr=subprocess.PIPE, check=False
    )


HELP = "import sys; from rag.cli import main; main(['--help'])"


def test_the_module_runs_as_the_command() -> None:
    done = process("import runpy, sys; sys.argv[1:] = ['--help']; runpy.run_module('rag.cli', run_name='__main__')")
    assert (done.returncode, b"serve-model" in done.stdout) == (0, True)


def test_help_is_quick_and_names_the_commands() -> None:
    def seconds(code: str) -> float:
        start = time.perf_counter()
        process(code)
        return time.perf_counter() - start

    pairs = [(seconds("import argparse, json, pathlib"), seconds(HELP)) for _ in range(5)]
    assert min(help - bare for bare, help in pairs) < 0.3
    assert median(help for _, help in pairs) < 0.3 + max(bare for bare, _ in pairs)
    done = process(HELP)
    assert (done.returncode, done.stderr) == (0, b"")
    for command in ("ask", "index", "chat", "doctor"):
        assert f"\n    {command} ".encode() in done.stdout
        assert process(HELP.replace("'--help'", f"'{command}', '--help'")).returncode == 0


FINDING = (
    "import sys, rag.doctor; from rag.cli import main;"
    "rag.doctor.examine = lambda *a, **k: [rag.doctor.Finding('x', True, {!r} * {})];"
    "sys.exit(main(['doctor', '--index', 'x']))"
)


@pytest.mark.parametrize("times", [1, 100_000], ids=["buffered", "large"])
def test_a_reader_that_has_gone_is_no_traceback(times: int) -> None:
    read, write = os.pipe()
    os.close(read)
    done = process(FINDING.format("words", times), stdout=write)
    os.close(write)
    assert done.stderr == b""
    assert done.returncode in (0, 1)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_terminal_that_lacks_a_character_is_no_traceback(encoding: str) -> None:
    done = process(FINDING.format("“é” 😀 中文 end", 1), PYTHONIOENCODING=encoding)
    assert done.stderr == b""
    assert done.returncode == 0
    assert done.stdout.startswith(b"ok    x: ")
    assert done.stdout.rstrip().endswith(b" end")


def test_the_dial_wins_over_a_threshold_in_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, built: Path
) -> None:
    for threshold, most, silent in (("1", "100", False), ("0", "0", True)):
        monkeypatch.setenv("FOOTNOTE_THRESHOLD", threshold)
        status, out, _ = run(capsys, "ask", *QUESTION, "--index", built)
        assert (status, "does not say" in out) == (0, not silent)
        status, out, _ = run(capsys, "ask", *QUESTION, "--index", built, "--max-wrong", most)
        assert (status, "does not say" in out) == (0, silent)
