"""Rewordings of true sentences, and the same with a number, a name or a negation swapped: does the checker tell?

    python -m eval.swaps [--show]

`eval/swaps.txt` was written by hand, of sentences of our own making. A rewording shares its source's facts and at most
70 % of its words in order; three swaps of each change one thing. Prints the share of swaps that the checker catches,
by kind, and of unswapped rewordings that it takes for unsupported, beside word overlap alone at the threshold that
lets as many rewordings pass. --show prints the checker's mistakes.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rag import Checker, Draft, Hit, Passage, Pipeline, SentenceId, Span, Verdict, make_document

FILE = Path(__file__).parent / "swaps.txt"
KINDS = ("number", "name", "negation")


class Row(NamedTuple):
    """A source, its rewording, and the rewording with one thing swapped, by kind."""

    source: str
    rewording: str
    swapped: dict[str, str]


def load(path: Path = FILE) -> list[Row]:
    """The file to its rows."""
    rows = []
    for line in path.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            source, rewording, *swaps = line.split(" | ")
            pairs = [swap.split(" > ") for swap in swaps]
            swapped = {kind: rewording.replace(old, new, 1) for kind, (old, new) in zip(KINDS, pairs, strict=True)}
            rows.append(Row(source, rewording, swapped))
    return rows


def supported(checker: Checker, claim: str, source: str) -> bool:
    """Whether a claim is found supported by a source of that one sentence, which it names."""
    document = make_document(source, id=source)
    span = Span(0, len(document.text))
    hit = Hit(Passage(document, span, (span,)), 1.0, (1.0,))
    return checker(Draft(claim, (SentenceId(0, 0),)), [hit])[0] is not Verdict.UNSUPPORTED


def overlap(claim: str, source: str) -> float:
    """The share of a claim's words that its source has."""
    said = re.findall(r"\w+", claim.casefold())
    held = set(re.findall(r"\w+", source.casefold()))
    return sum(word in held for word in said) / len(said)


def main(arguments: Sequence[str] | None = None) -> int:
    """Arguments to an exit status; prints the figures."""
    parser = argparse.ArgumentParser(prog="python -m eval.swaps", description="Swapped facts: are they caught?")
    parser.add_argument("--show", action="store_true", help="print the mistakes")
    options = parser.parse_args(arguments)
    rows, checker = load(), Pipeline.open().checker
    alarms = [row for row in rows if not supported(checker, row.rewording, row.source)]
    print(f"false alarms: {len(alarms)} of {len(rows)} rewordings ({len(alarms) / len(rows):.3f})")
    passed = sorted(overlap(row.rewording, row.source) for row in rows)[len(alarms)]
    for kind in KINDS:
        missed = [row.swapped[kind] for row in rows if supported(checker, row.swapped[kind], row.source)]
        plain = sum(overlap(row.swapped[kind], row.source) < passed for row in rows)
        caught = len(rows) - len(missed)
        print(f"{kind}: {caught} of {len(rows)} caught ({caught / len(rows):.3f}); by word overlap {plain}")
        if options.show:
            print("".join(f"  missed: {claim}\n" for claim in missed), end="")
    if options.show:
        print("".join(f"  false alarm: {row.rewording}\n" for row in alarms), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
