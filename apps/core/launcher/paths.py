"""Where the launcher keeps its files, and the lock that makes it the only one there."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from apps.core.launcher.errors import LaunchError

PROJECT = Path(__file__).resolve().parents[3]
# Linux allows 107 bytes for a socket's path; the names that PostgreSQL and Valkey add take up to 20.
LONGEST_SOCKET_FOLDER = 80
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")
MIB = 1024 * 1024
SPACE_FOR_FIRST_START = 400 * MIB
SPACE_FOR_START = 100 * MIB


@dataclass(frozen=True)
class Layout:
    """The folders of one installation. ``state`` is ``var`` in the project, or a temporary folder."""

    state: Path
    sockets: Path

    @property
    def postgres(self) -> Path:
        return self.state / "postgres"

    @property
    def valkey(self) -> Path:
        return self.state / "valkey"

    @property
    def env_file(self) -> Path:
        return self.state / "dev.env"

    @property
    def demo_marker(self) -> Path:
        return self.state / "demo-loaded"

    @property
    def metrics(self) -> Path:
        return self.state / "metrics"


def prepare(state: Path) -> Layout:
    """Make the folders and see that there is room.

    Raises:
        LaunchError: if the folder cannot be made, the disk is nearly full, or the socket folder is not ours.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        first = not (state / "postgres").exists()
        check_space(state, SPACE_FOR_FIRST_START if first else SPACE_FOR_START)
        return Layout(state=state, sockets=socket_folder(state))
    except OSError as error:
        raise LaunchError(explain_os_error(error, state)) from None


def check_space(folder: Path, needed: int) -> None:
    """Refuse to begin on a disk that would be full half-way."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise LaunchError(
            f"The disk that holds {folder} has only {free // MIB} MB free; {needed // MIB} MB are needed. "
            "Make room, then start again. Nothing was changed."
        )


def explain_os_error(error: OSError, folder: Path) -> str:
    """A sentence for the errors a file system gives."""
    where = error.filename or folder
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"The disk is full: {where} could not be written. Make room, then start again."
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return (
            f"{where} may not be written by this user ({error.strerror}). If an earlier start ran as another user, "
            f"give the folder back with: sudo chown -R $(id -un) '{folder}'"
        )
    return f"{where}: {error.strerror}. Move {folder} out of the way, or correct it, and start again."


def socket_folder(state: Path) -> Path:
    """A folder for Unix sockets with a short and plain path.

    ``state/run`` where that serves; else a private folder of this user under the temporary folder, named after a
    digest of ``state``, because a socket's path is limited and goes into addresses that not every client unquotes.

    Raises:
        LaunchError: if the folder under the temporary folder belongs to somebody else.
    """
    own = state / "run"
    if PLAIN_PATH.fullmatch(str(own)) and len(os.fsencode(own)) <= LONGEST_SOCKET_FOLDER:
        own.mkdir(mode=0o700, exist_ok=True)
        return own
    digest = hashlib.sha256(os.fsencode(state)).hexdigest()[:12]
    name = f"riskdesk-{os.getuid()}-{digest}"
    candidates = [Path(base) / name for base in (tempfile.gettempdir(), "/tmp")]  # noqa: S108 - checked below
    folder = next(c for c in candidates if PLAIN_PATH.fullmatch(str(c)) and len(str(c)) <= LONGEST_SOCKET_FOLDER)
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    # Anyone may make folders there; one that is not ours, or a link, could lead our clients to a stranger's server.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.getuid(), 65534} or found.st_mode & 0o077:
        raise LaunchError(f"{folder} exists but is not a private folder of this user. Remove it and start again.")
    return folder


class Lock:
    """The only launcher on a state folder.

    The lock is an ``flock``, so a stale file means nothing. Every child inherits the descriptor: as long as one
    process of an earlier start is alive, the lock is taken, and the next start waits for it instead of colliding.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def acquire(self, *, patience: float, tell: Callable[[str], None]) -> None:
        """Take the lock, waiting ``patience`` seconds for the remains of a launcher that was killed.

        Raises:
            LaunchError: if a launcher is alive, or processes of a killed one do not end.
        """
        give_up = time.monotonic() + patience
        told = False
        while not self.try_once():
            holder = self._holder()
            if holder and is_launcher(holder):
                raise LaunchError(
                    f"Riskdesk is already running here (process {holder}). Stop that one first with Ctrl-C or "
                    f"`kill {holder}`, or use it: `manage.py` in another shell talks to its servers."
                )
            if time.monotonic() > give_up:
                raise LaunchError(
                    f"Processes of an earlier start have not ended and still hold {self.path}. "
                    f"See them with `fuser -v '{self.path}'`, end them, and start again."
                )
            if not told:
                tell("An earlier start was killed; waiting for its last processes to end.")
                told = True
            time.sleep(0.1)
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.close(self.descriptor)

    def try_once(self) -> bool:
        """Take the lock if it is free."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _holder(self) -> int | None:
        text = os.pread(self.descriptor, 32, 0).strip()
        return int(text) if text.isdigit() else None


def is_launcher(process: int) -> bool:
    """Whether a process is a living launcher; the number may have been given to another program since."""
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return b"apps.core.launcher" in command and state != "Z"
