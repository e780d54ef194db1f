# ruff: noqa: UP006, UP031, UP035, S603
"""Makes `.venv` and installs the pinned requirements: ``python3 install.py FOLDER REQUIREMENTS...``.

Runs before anything is installed, perhaps by an old Python, which must still be able to read this file in order to say
so: standard library only, no new syntax. A file with the requirements' digest tells the next start that all is there.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from typing import List, NoReturn

OLDEST = (3, 11)


def fail(words: str) -> NoReturn:
    """Say what is wrong and end without a traceback."""
    sys.stderr.write("\nRiskdesk cannot be installed. " + words + "\n")
    sys.exit(1)


def check_python() -> None:
    """End if this Python is too old, or cannot make virtual environments (Debian splits that into a package)."""
    if sys.version_info[:2] < OLDEST:
        current = ".".join(map(str, sys.version_info[:2]))
        fail(
            "It needs Python 3.11 or later, and this is %s (%s). Install one, then: make run PYTHON=python3.12"
            % (current, sys.executable)
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        fail("Python's venv module is missing. On Debian and Ubuntu: sudo apt-get install python3-venv")


def digest(files: List[str]) -> str:
    """What identifies this set of requirements for this Python."""
    state = hashlib.sha256(("%d.%d" % sys.version_info[:2]).encode())
    for name in files:
        with open(name, "rb") as stream:
            state.update(stream.read())
    return state.hexdigest()


def read(path: str) -> str:
    """The text of a file, empty if there is none."""
    try:
        with open(path) as stream:
            return stream.read()
    except OSError:
        return ""


def works(python: str) -> bool:
    """Whether the environment's Python runs, is of this version and has pip; a moved or half made one does not."""
    question = "import sys, pip; sys.exit(sys.version_info[:2] != (%d, %d))" % sys.version_info[:2]
    try:
        return subprocess.call([python, "-c", question], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def main(folder: str, files: List[str]) -> None:
    """Bring the environment up to date; at once if nothing changed."""
    check_python()
    wanted = digest(files)
    stamp = os.path.join(folder, "installed-" + "-".join(os.path.basename(f).replace(".txt", "") for f in files))
    python = os.path.join(folder, "bin", "python")
    if read(stamp) == wanted and os.access(python, os.X_OK):
        return
    if shutil.disk_usage(".").free < 2 * 1024**3 and not read(stamp):
        fail("The disk has less than 2 GB free, and the packages need that much. Make room, then start again.")
    if not works(python):
        sys.stdout.write("Making the virtual environment in %s\n" % folder)
        sys.stdout.flush()
        if subprocess.call([sys.executable, "-m", "venv", "--clear", folder]) != 0:
            fail("The virtual environment could not be made in %s; see above." % folder)
    sys.stdout.write("Installing the packages of %s (pinned, checked by hash)\n" % ", ".join(files))
    sys.stdout.flush()
    command = [python, "-m", "pip", "install", "--require-hashes", "--no-input", "--disable-pip-version-check"]
    if not sys.stdout.isatty():
        command += ["--progress-bar", "off"]
    for name in files:
        command += ["-r", name]
    if subprocess.call(command) != 0:
        fail("The packages could not be installed; see above. Is there a network, and room on the disk?")
    with open(stamp, "w") as stream:
        stream.write(wanted)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2:])
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        fail("%s: %s" % (error.filename, error.strerror))
