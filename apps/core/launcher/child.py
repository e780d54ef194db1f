"""Runs one command that dies with its launcher: ``python child.py SIGNAL PARENT -- COMMAND...``.

It is a program of its own, and not a ``preexec_fn``, because entering a user namespace (see servers.py) clears the
parent-death signal: it must be asked for after that, as the last thing before the command. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Replace this process by the command, after asking the kernel to signal it when the parent dies."""
    number, parent, command = int(arguments[0]), int(arguments[1]), arguments[3:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        # The parent may have died before the request above; then nobody would ever send the signal.
        if os.getppid() != parent:
            raise SystemExit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606 - running a given command is what this program is for
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        raise SystemExit(127) from None


if __name__ == "__main__":
    main(sys.argv[1:])
