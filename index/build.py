"""The recipe: `python -m index.build` builds index/built from index/corpus, or says that it is up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from rag.cli import main

HERE = Path(__file__).resolve().parent

if __name__ == "__main__":
    sys.exit(main(["index", str(HERE / "corpus"), "--out", str(HERE / "built"), *sys.argv[1:]]))
