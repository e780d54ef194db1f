"""Finds a Chromium for the browser tests, or installs Debian's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from apps.core.launcher.errors import LaunchError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_browser() -> str | None:
    """The path of an installed Chromium or Chrome; ``CHROMIUM`` names another."""
    named = os.environ.get("CHROMIUM")
    return named if named and os.access(named, os.X_OK) else next(filter(None, map(shutil.which, NAMES)), None)


def ensure_browser() -> str:
    """The path of a browser, installed by the system's package manager if need be and allowed.

    Raises:
        LaunchError: if there is none and none can be installed; it says how to get one.
    """
    found = find_browser()
    if found:
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("No Chromium here; installing Debian's package (about 400 MB).", file=sys.stderr, flush=True)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update", "-q"], ["install", "-qy", "--no-install-recommends", "chromium"]):
            subprocess.run(["apt-get", *arguments], env=quiet, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)  # noqa: S603, S607
        found = find_browser()
    if found:
        return found
    raise LaunchError(
        "No Chromium or Chrome was found. Install one (Debian: sudo apt-get install chromium) or set CHROMIUM."
    )
