"""Nothing to a Chromium: the installed one, else Debian's when root, else Playwright's own, else a clear failure.

`python -m tests.chromium` installs one if need be; the browser tests call `find`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REMEDY = (
    "no Chromium was found and none could be installed: install one (Debian, Ubuntu: apt-get install chromium; "
    "elsewhere: .venv/bin/playwright install chromium) and run the tests again"
)


def find() -> str | None:
    """The path of a Chromium that is installed, or None."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def install() -> None:
    """Try apt when root, then Playwright's own download."""
    commands = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        commands.insert(0, ["sh", "-c", "apt-get update -qq && apt-get install -y -qq chromium >/dev/null"])
    for command in commands:
        subprocess.run(command, check=False)
        if find():
            return


def main() -> int:
    """Install a Chromium if there is none; the exit status says whether there is one now."""
    if not find():
        install()
    path = find()
    sys.stdout.write(f"chromium: {path}\n" if path else f"{REMEDY}\n")
    return 0 if path else 1


if __name__ == "__main__":
    sys.exit(main())
