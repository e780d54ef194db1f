"""Starts the real launcher as a person would, and watches the processes it makes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import psutil

from apps.core.launcher import devenv
from apps.core.launcher.paths import PROJECT

READY = "Riskdesk is ready"
# As root, a user namespace makes the launcher and all its children believe that they are an ordinary user.
AS_ORDINARY_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(**more: str) -> dict[str, str]:
    """What a fresh shell has: none of the variables that the test run itself was given."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **more}


def can_become_ordinary() -> bool:
    """Whether this is root and the kernel lets it enter a user namespace."""
    if os.getuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run([*AS_ORDINARY_USER, "true"], capture_output=True, check=False).returncode == 0


class Launch:
    """One `launcher run` in a session of its own, its output kept in a file."""

    def __init__(
        self, state: Path, log: Path, *, port: int | None = None, wrapper: Sequence[str] = (), **environ: str
    ) -> None:
        self.state, self.log, self.port = state, log, port or free_port()
        words = ["run", "--no-demo", "--state", str(state), "--port", str(self.port)]
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [*wrapper, sys.executable, "-m", "apps.core.launcher", *words],
                cwd=PROJECT,
                env=clean_environment(**environ),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def until_ready(self, patience: float = 180.0) -> None:
        """Wait until it has announced itself.

        Raises:
            AssertionError: with its whole log if it ended or took too long.
        """
        deadline = time.monotonic() + patience
        while READY not in self.said:
            assert self.alive, f"ended with {self.process.returncode}:\n{self.said}"
            assert time.monotonic() < deadline, f"not ready in {patience} s:\n{self.said}"
            time.sleep(0.05)

    def tree(self) -> list[psutil.Process]:
        """Every process below the launcher, itself left out."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, word: str) -> psutil.Process:
        """The launcher's own child whose command holds a word."""
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if any(word in part for part in _words(child)))

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page; the status must be a success."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()

    def addresses(self) -> dict[str, str]:
        """DATABASE_URL and REDIS_URL of its servers, as other shells find them."""
        variables = devenv.read(self.state / "dev.env")
        return {name: variables[name] for name in ("DATABASE_URL", "REDIS_URL")}

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def destroy(self) -> None:
        """Leave nothing, however the test went."""
        if self.alive:
            below = self.tree()
            self.process.kill()
            self.process.wait(10)
            remaining(below, patience=30)


def _words(process: psutil.Process) -> list[str]:
    """Its command; empty if it ended meanwhile."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # a zombie is one, too
        return []


def remaining(processes: Sequence[psutil.Process], *, patience: float) -> list[str]:
    """The commands of those that still live after so many seconds; a number given to another program does not count."""
    _, alive = psutil.wait_procs(processes, timeout=patience)
    return [" ".join(process.cmdline()) or process.name() for process in alive]
