"""Ends what is left of the launcher's children when the launcher was killed: ``python reaper.py``, lines on stdin.

The kernel's parent-death signal (child.py) reaches the children but not their own children, and a program may be unable
to act on it: a Celery worker without its queue waits for ever. This process outlives the launcher and sees to the
rest. Each line is ``GROUP SECONDS``: a process group, and how long it may take to end by itself once the launcher is
gone; negative seconds take the group off the list. The end of the input is the launcher's death. Standard library only.
"""

from __future__ import annotations

import os
import signal
import sys
import time

# After SIGKILL only zombies stay, and in a container they may never be collected.
ZOMBIE_SECONDS = 1.0
STEP = 0.02


def listen() -> dict[int, float]:
    """The groups that are on the list when the launcher goes away."""
    groups: dict[int, float] = {}
    for line in sys.stdin:
        group, seconds = line.split()
        if float(seconds) < 0:
            groups.pop(int(group), None)
        else:
            groups[int(group)] = float(seconds)
    return groups


def reap(groups: dict[int, float]) -> None:
    """Wait for each group to end; kill it when its time is over."""
    began = time.monotonic()
    left = dict(groups)
    while left:
        elapsed = time.monotonic() - began
        for group, seconds in list(left.items()):
            if not _send(group, signal.SIGKILL if elapsed >= seconds else 0) or elapsed > seconds + ZOMBIE_SECONDS:
                del left[group]
        time.sleep(STEP)


def _send(group: int, number: int) -> bool:
    """Whether the group is still there."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    # Whoever ends the launcher's children one by one must not end the one that tidies up after them.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    reap(listen())
