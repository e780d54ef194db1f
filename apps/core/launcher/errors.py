"""What stops the launcher, in words for the person at the keyboard."""

from __future__ import annotations


class LaunchError(Exception):
    """Something that the person must change; ``str(error)`` says what, and how. Printed without a traceback."""


class Stopped(Exception):
    """A signal asked the launcher to stop while it was still starting."""
