"""The command `footnote`: ask, index, chat, doctor."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rag.errors import RagError


def main(arguments: Sequence[str] | None = None) -> int:
    """Arguments to an exit status: 0, 1 when something is wrong (said in a line), 2 when the arguments are."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack a character
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        command: Callable[[argparse.Namespace], int] = options.command
        status = command(options)
        sys.stdout.flush()
        return status
    except RagError as error:
        sys.stderr.write(f"footnote: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:  # a full disk, or a reader that has gone
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"footnote: cannot write the output: {error.strerror or error}\n")
        _discard_output()
        return 1


def _discard_output() -> None:
    """Let what is still buffered go nowhere, so that leaving does not try to write it again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="footnote", description="Answers you can check.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument(
        "--index",
        type=Path,
        metavar="DIR",
        help="a built index (else FOOTNOTE_INDEX, else the sample article's, built once)",
    )

    ask = commands.add_parser("ask", parents=[place], help="answer a question with numbered quotes")
    ask.add_argument("question", nargs="+", help="the question; its words are joined by spaces")
    ask.add_argument("--json", action="store_true", help="print the Answer as JSON")
    ask.set_defaults(command=_ask)

    index = commands.add_parser("index", help="build an index from a folder of .txt and .md files")
    index.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="the folder (else the sample article)")
    index.add_argument("--out", type=Path, metavar="DIR", help="where to (else FOOTNOTE_INDEX, else index/built)")
    index.set_defaults(command=_index)

    chat = commands.add_parser("chat", parents=[place], help="open the web chat")
    chat.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    chat.add_argument("--port", type=int, default=7860, help="the port to listen on (default: %(default)s)")
    chat.set_defaults(command=_chat)

    doctor = commands.add_parser("doctor", parents=[place], help="check the model and the index")
    doctor.add_argument("--deep", action="store_true", help="check every byte of the index and the encoder")
    doctor.set_defaults(command=_doctor)
    return parser


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _ask(options: argparse.Namespace) -> int:
    from rag.pipeline import Pipeline
    from rag.show import to_text

    answer = Pipeline.open(options.index, say=_say).ask(" ".join(options.question))
    if options.json:
        ascii_only = (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"
        sys.stdout.write(json.dumps(answer.to_dict(), indent=2, ensure_ascii=ascii_only) + "\n")
    else:
        sys.stdout.write(to_text(answer) + "\n")
    return 0


def _index(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from rag.load import packaged_corpus
    from rag.pipeline import build_index
    from rag.settings import Settings

    settings = Settings.from_environment()
    out = options.out or settings.index or Path("index") / "built"
    with tqdm(desc="encoding", unit=" passages", leave=False, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        built = build_index(options.folder or packaged_corpus(), out, settings=settings, say=_say, progress=progress)
    counts = f"{built.documents} document(s), {built.passages} passage(s)"
    done = (
        f"built {built.folder}: {counts}" if built.changed else f"{built.folder} is up to date: {counts}; nothing to do"
    )
    sys.stdout.write(f"{done}\n")
    return 0


def _chat(options: argparse.Namespace) -> int:
    from rag.chat import launch
    from rag.pipeline import Pipeline
    from rag.settings import Settings

    settings = Settings.from_environment()
    if options.index:
        settings = replace(settings, index=options.index)
    launch(lambda: Pipeline.open(settings=settings, say=_say), host=options.host, port=options.port)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from rag.doctor import examine
    from rag.settings import Settings

    settings = Settings.from_environment()
    if options.index:
        settings = replace(settings, index=options.index)
    well = True
    for finding in examine(settings, deep=options.deep):
        well = well and finding.well
        sys.stdout.write(f"{'ok  ' if finding.well else 'FAIL'}  {finding.what}: {finding.detail}\n")
    return 0 if well else 1
