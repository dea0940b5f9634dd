"""`python app.py` starts the web chat, over index/built where that exists and FOOTNOTE_INDEX names no other index."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rag.cli import main

BUILT = Path(__file__).resolve().parent / "index" / "built"

if __name__ == "__main__":
    if BUILT.is_dir() and not os.environ.get("FOOTNOTE_INDEX"):
        os.environ["FOOTNOTE_INDEX"] = str(BUILT)
    sys.exit(main(["chat", *sys.argv[1:]]))
