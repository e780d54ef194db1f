"""The launcher's whole tree: real PostgreSQL, Valkey, web server, worker and beat, in a folder with spaces.

The tests share one data folder and one running tree. Each asks for a running one and gets the one that is there; those
that end it come last, and each also works alone.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from apps.core.launcher.paths import PROJECT
from tests.support.launch import (
    AS_ORDINARY_USER,
    Launch,
    can_become_ordinary,
    clean_environment,
    free_port,
    remaining,
)

# Whole installations start one after another; side by side on few cores they would outlast each other's patience.
pytestmark = pytest.mark.xdist_group("installations")
# An orphan has at most this long: PostgreSQL and Valkey first write what they hold.
ORPHANS_END_SECONDS = 15.0


class Installation:
    """One data folder, and the launcher that runs on it, if one does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "data with spaces"
        self.current: Launch | None = None
        self.starts = 0

    def start(self, *, wrapper: tuple[str, ...] = ()) -> Launch:
        self.starts += 1
        self.current = Launch(self.state, self.folder / f"start {self.starts}.log", wrapper=wrapper)
        self.current.until_ready()
        return self.current

    def running(self) -> Launch:
        return self.current if self.current and self.current.alive else self.start()

    def other(self, name: str, *, state: Path | None = None, port: int | None = None, **environ: str) -> Launch:
        """Another launcher beside it."""
        return Launch(state or self.folder / name, self.folder / f"{name}.log", port=port, **environ)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("an installation"))
    yield made
    if made.current:
        made.current.destroy()


def test_it_serves_and_says_what_it_does(installation: Installation) -> None:
    launch = installation.running()
    status, body = launch.get("/health/ready")
    assert status == 200
    assert set(json.loads(body)["parts"].values()) == {"ok"}
    said = launch.said
    steps = [said.index(f"Step {number} of 4") for number in (1, 2, 3, 4)]
    assert steps == sorted(steps)
    assert "Applying core.0001" in said, "the migrations' progress is shown"
    assert f"http://localhost:{launch.port}/admin/" in said
    assert "Stop with Ctrl-C" in said


def listens_on(process: psutil.Process) -> set[int]:
    """The ports of a process; none if it ended meanwhile, as helpers of PostgreSQL do."""
    try:
        return {c.laddr.port for c in process.net_connections("inet") if c.status == "LISTEN"}
    except psutil.NoSuchProcess:
        return set()


def test_what_it_makes_is_private(installation: Installation) -> None:
    launch = installation.running()
    assert (launch.state / "dev.env").stat().st_mode & 0o077 == 0
    assert (launch.state / "postgres").stat().st_mode & 0o077 == 0
    listening = {port for process in launch.tree() for port in listens_on(process)}
    assert listening == {launch.port}, "the servers are reached through Unix sockets alone"


def test_a_second_launcher_is_refused_and_the_first_goes_on(installation: Installation) -> None:
    first = installation.running()
    for port in (first.port, free_port()):
        second = installation.other("second", state=first.state, port=port)
        assert second.process.wait(30) == 1
        assert f"already running here (process {first.process.pid})" in second.said
        assert f"kill {first.process.pid}" in second.said
        assert "Traceback" not in second.said
    assert first.get("/health/live")[0] == 200


def test_a_port_in_use_names_a_way_out_and_starts_nothing(installation: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        launch = installation.other("taken", port=port)
        assert launch.process.wait(30) == 1
    assert f"Port {port} is in use by another program. Choose another: make run PORT={port + 1}" in launch.said
    assert not (launch.state / "postgres").exists()


def test_given_servers_are_used_and_none_are_started(installation: Installation) -> None:
    first = installation.running()
    guest = installation.other("guest", **first.addresses())
    try:
        guest.until_ready()
        names = {process.name() for process in guest.tree()}
        assert json.loads(guest.get("/health/ready")[1])["parts"]["database"] == "ok"
        assert not names & {"postgres", "valkey-server"}
        assert not (guest.state / "postgres").exists()
        below = guest.tree()
        assert guest.interrupt() == 0
        assert remaining(below, patience=1) == []
    finally:
        guest.destroy()
    assert first.get("/health/ready")[0] == 200


def test_a_command_finds_the_running_servers(installation: Installation) -> None:
    first = installation.running()
    command = [sys.executable, "manage.py", "migrate", "--check"]
    words = [sys.executable, "-m", "apps.core.launcher", "exec", "--state", str(first.state), "--", *command]
    done = subprocess.run(words, cwd=PROJECT, env=clean_environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_after_kill_9_nothing_stays_and_the_next_start_takes_over(installation: Installation) -> None:
    first = installation.running()
    below = first.tree()
    assert {"postgres", "valkey-server"} <= {process.name() for process in below}
    first.process.kill()
    first.process.wait(10)
    second = installation.start()  # at once: the lock's file and the servers' files are still there
    assert remaining(below, patience=ORPHANS_END_SECONDS) == []
    assert second.get("/health/ready")[0] == 200
    assert "Step 1 of 4" in second.said


def test_a_child_that_dies_ends_the_tree_and_is_named(installation: Installation) -> None:
    launch = installation.running()
    below = launch.tree()
    launch.child("celery").send_signal(signal.SIGKILL)
    assert launch.process.wait(60) == 1
    assert "worker ended by itself (exit code -9); all is stopped." in launch.said
    assert remaining(below, patience=1) == []


def test_ctrl_c_stops_everything_and_the_data_stay(installation: Installation) -> None:
    """The start is one more on the same data; as root it is made as an ordinary user."""
    if installation.current and installation.current.alive:
        assert installation.current.interrupt() == 0
    wrapper = AS_ORDINARY_USER if can_become_ordinary() else ()
    launch = installation.start(wrapper=wrapper)
    assert launch.get("/health/ready")[0] == 200
    below = launch.tree()
    assert launch.interrupt() == 0
    assert remaining(below, patience=1) == []
    assert "Everything is stopped." in launch.said
    assert "killing it" not in launch.said, "each ended when it was asked to"
    assert not (launch.state / "postgres" / "postmaster.pid").exists()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_throw_away_servers_end_with_their_launcher(tmp_path: Path, end: signal.Signals) -> None:
    proof = tmp_path / "pid"
    script = (
        f"import os, pathlib, time; pathlib.Path({str(proof)!r}).write_text(os.environ['DATABASE_URL']); time.sleep(60)"
    )
    words = ["-m", "apps.core.launcher", "exec", "--ephemeral", "--", sys.executable, "-c", script]
    env = clean_environment(TMPDIR=str(tmp_path), DATABASE_URL="postgres://nobody@nowhere/precious")
    launcher = psutil.Popen([sys.executable, *words], cwd=PROJECT, env=env)
    deadline = time.monotonic() + 30
    while not (proof.exists() and proof.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "precious" not in proof.read_text(), "tests never touch a database that was named"
    below = launcher.children(recursive=True)
    os.kill(launcher.pid, end)
    launcher.wait(30)
    assert remaining(below, patience=ORPHANS_END_SECONDS) == []
