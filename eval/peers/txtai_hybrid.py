"""txtai's hybrid program."""

from __future__ import annotations

from eval.peers.program import run
from eval.peers.txtai import hybrid

if __name__ == "__main__":
    run(hybrid())
