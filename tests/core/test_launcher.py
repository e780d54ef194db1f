"""The launcher's parts: folders, lock, remembered environment, supervisor. No server is started here."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.launcher import __main__ as command_line
from apps.core.launcher import devenv, paths, running
from apps.core.launcher.errors import LaunchError, Stopped
from apps.core.launcher.paths import PROJECT, Lock, prepare
from apps.core.launcher.supervisor import Supervisor, require_success
from tests.support.launch import clean_environment, remaining

PYTHON = sys.executable


def test_a_nearly_full_disk_is_refused_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=30 * paths.MIB))
    with pytest.raises(LaunchError, match=r"only 30 MB free; 400 MB are needed. Make room"):
        prepare(tmp_path / "data")
    (tmp_path / "data" / "postgres").mkdir()
    with pytest.raises(LaunchError, match=r"100 MB are needed"):
        prepare(tmp_path / "data")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "The disk is full: /data/file could not be written. Make room"),
        (errno.EDQUOT, "The disk is full"),
        (errno.EACCES, "sudo chown -R"),
        (errno.EROFS, "may not be written by this user"),
        (errno.ENOTDIR, "Move /data out of the way"),
    ],
)
def test_a_file_systems_errors_are_explained(number: int, words: str) -> None:
    error = OSError(number, os.strerror(number), "/data/file")
    assert words in paths.explain_os_error(error, Path("/data"))


def test_a_disk_that_fills_up_under_the_launcher_is_said_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "dev.env"))

    monkeypatch.setattr(devenv, "refresh", full)
    monkeypatch.setattr(running.Run, "_start_servers", lambda self: {})
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Supervisor, "catch_signals", lambda self: None)
    assert command_line.main(["run", "--state", str(tmp_path), "--port", "0" * 4 + "9"]) == 1
    assert "The disk is full" in capsys.readouterr().err


def test_sockets_lie_with_the_data_when_the_path_allows_it(tmp_path: Path) -> None:
    short = tmp_path / "d"
    if len(str(short / "run")) > paths.LONGEST_SOCKET_FOLDER:
        pytest.skip("the temporary folder's own path is too long")
    assert prepare(short).sockets == short / "run"


@pytest.mark.parametrize("name", ["with spaces", "long" * 30, "it's"])
def test_sockets_lie_in_a_private_short_folder_otherwise(tmp_path: Path, name: str) -> None:
    folder = prepare(tmp_path / name).sockets
    try:
        assert paths.PLAIN_PATH.fullmatch(str(folder))
        assert len(str(folder)) <= paths.LONGEST_SOCKET_FOLDER
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert prepare(tmp_path / name).sockets == folder, "the same on the next start"
    finally:
        folder.rmdir()


def test_a_strangers_socket_folder_is_not_used(tmp_path: Path) -> None:
    state = tmp_path / "with spaces"
    folder = prepare(state).sockets
    folder.chmod(0o755)
    try:
        with pytest.raises(LaunchError, match="not a private folder of this user"):
            prepare(state)
        folder.rmdir()
        folder.symlink_to(tmp_path)
        with pytest.raises(LaunchError, match="not a private folder of this user"):
            prepare(state)
    finally:
        folder.unlink() if folder.is_symlink() else folder.rmdir()


def test_a_lock_file_without_a_holder_means_nothing(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(f"{os.getpid()}\n")
    lock = Lock(tmp_path / "lock")
    lock.acquire(patience=0, tell=pytest.fail)
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    lock.release()


def test_the_remains_of_a_killed_launcher_are_waited_for_and_then_named(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("999999999\n")
    left_behind, new = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert left_behind.try_once()
    told: list[str] = []
    with pytest.raises(LaunchError, match="fuser -v"):
        new.acquire(patience=0.3, tell=told.append)
    assert told == ["An earlier start was killed; waiting for its last processes to end."]
    left_behind.release()
    new.acquire(patience=0, tell=told.append)
    new.release()


names = st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True)
values = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=60)


@given(variables=st.dictionaries(names, values, max_size=6))
def test_the_remembered_environment_comes_back_as_it_was(
    variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("env") / "dev.env"
    devenv.write(file, variables)
    assert devenv.read(file) == variables
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_secrets_and_a_persons_changes_survive_the_next_start(tmp_path: Path) -> None:
    file = tmp_path / "dev.env"
    first = devenv.refresh(file, {"DATABASE_URL": "a"}, {"DEBUG": "false"})
    devenv.write(file, {**first, "DEBUG": "true"})
    second = devenv.refresh(file, {"DATABASE_URL": "b"}, {"DEBUG": "false"})
    assert second["SECRET_KEY"] == first["SECRET_KEY"]
    assert second["FIELD_KEYS"] == first["FIELD_KEYS"]
    assert (second["DEBUG"], second["DATABASE_URL"]) == ("true", "b")


def test_a_damaged_remembered_environment_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "dev.env"
    file.write_text("# comment\n\nDEBUG='true'\nSECRET_KEY=unquoted\n")
    with pytest.raises(LaunchError, match=r"Line 4 of .*dev.env is damaged"):
        devenv.read(file)


def test_one_of_two_addresses_is_refused() -> None:
    with pytest.raises(LaunchError, match="DATABASE_URL is set but REDIS_URL is not"):
        running.own_servers({"DATABASE_URL": "postgres://x/y", "REDIS_URL": ""})
    with pytest.raises(LaunchError, match="REDIS_URL is set but DATABASE_URL is not"):
        running.own_servers({"REDIS_URL": "redis://x"})
    assert running.own_servers({}) is None


@pytest.mark.parametrize("text", ["", "80a", "0", "65536", "-1"])
def test_a_port_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["run", f"--port={text}"]) == 1
    assert "PORT must be a number from 1 to 65535" in capsys.readouterr().err


def test_an_address_that_is_not_this_machines_is_refused() -> None:
    with pytest.raises(LaunchError, match=r"192\.0\.2\.1:8000 cannot be used.*Try HOST=127\.0\.0\.1"):
        running.check_port("192.0.2.1", 8000)


@pytest.mark.parametrize(
    ("host", "site", "names"),
    [
        ("127.0.0.1", "localhost", []),
        ("::1", "localhost", []),
        ("0.0.0.0", "localhost", ["thismachine"]),
        ("192.0.2.7", "192.0.2.7", ["192.0.2.7"]),
        ("2001:db8::7", "[2001:db8::7]", ["[2001:db8::7]"]),
        ("desk.example", "desk.example", ["desk.example"]),
    ],
)
def test_the_site_answers_to_the_name_that_it_was_given(
    host: str, site: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.socket, "gethostname", lambda: "ThisMachine")
    assert running.public_name(host) == site
    assert running.names_of(host) == [*running.LOCAL, *names]


def test_a_reserved_port_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(running.socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(running.socket, "socket", Refusing)
    with pytest.raises(LaunchError, match="Choose one above 1023: make run PORT=8001"):
        running.check_port("127.0.0.1", 80)


def test_an_exec_without_a_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["exec", "--ephemeral", "--"]) == 1
    assert "exec needs a command" in capsys.readouterr().err


def test_children_stop_in_order_and_the_stubborn_are_killed(tmp_path: Path) -> None:
    lines: list[str] = []
    supervisor = Supervisor(write=lines.append)
    note = "import signal, sys, time; {}; print('up', flush=True); time.sleep(60)"
    polite = "signal.signal(15, lambda *_: (open({!r}, 'a').write({!r}), sys.exit()))"
    deaf = "signal.signal(15, signal.SIG_IGN)"
    record = str(tmp_path / "order")
    for name in ("postgres", "valkey", "web", "beat", "extra"):
        code = note.format(deaf if name == "web" else polite.format(record, name + " "))
        child = supervisor.start(
            name, [PYTHON, "-c", code], env=os.environ, cwd=tmp_path, grace=0.5 if name == "web" else 9
        )
        assert supervisor.wait_until(child, lambda child=child: "up" in child.tail, patience=20)
    processes = [psutil.Process(child.process.pid) for child in supervisor.children.values()]
    supervisor.stop_all(running.STOP_ORDER)
    assert (tmp_path / "order").read_text().split() == ["beat", "valkey", "postgres", "extra"]
    assert any("web did not end in time; killing it." in line for line in lines)
    assert remaining(processes, patience=1) == []
    assert supervisor.children == {}


def test_a_swallowed_stop_signal_is_sent_again(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "got = []\n"
        "def stop(*_):\n    got.append(1)\n    if len(got) == 2: sys.exit(0)\n"
        "signal.signal(15, stop)\nprint('up', flush=True)\n"
        "while True: time.sleep(1)\n"
    )
    supervisor = Supervisor(write=lambda line: None)
    child = supervisor.start("beat", [PYTHON, "-c", code], env=os.environ, cwd=tmp_path, grace=9, repeat=0.2)
    assert supervisor.wait_until(child, lambda: "up" in child.tail, patience=20)
    supervisor.stop_all(["beat"])
    assert child.process.returncode == 0


def test_a_signal_while_starting_stops_the_start(tmp_path: Path) -> None:
    supervisor = Supervisor(write=lambda line: None)
    child = supervisor.start(
        "web", [PYTHON, "-c", "import time; time.sleep(60)"], env=os.environ, cwd=tmp_path, grace=5
    )
    supervisor.stop_requests = 1
    with pytest.raises(Stopped):
        supervisor.finish(child)
    with pytest.raises(Stopped):
        supervisor.wait_until(child, lambda: True, patience=1)
    supervisor.stop_all([])


def test_quiet_children_are_heard_when_it_matters_and_a_full_disk_is_told_once(tmp_path: Path) -> None:
    lines: list[str] = []
    supervisor = Supervisor(write=lines.append)
    said = "LOG:  all is well\\nERROR:  could not extend file: No space left on device\\nPANIC: No space left on device\\nno newline"
    child = supervisor.start("postgres", ["printf", said], env=os.environ, cwd=tmp_path, quiet=True)
    code = supervisor.finish(child)
    assert (code, child.tail[-1]) == (0, "no newline")
    assert not any("all is well" in line for line in lines)
    assert sum("The disk is full. Make room" in line for line in lines) == 1
    with pytest.raises(LaunchError, match=r"(?s)The disk is full: Loading failed \(exit code 3\).*PANIC"):
        require_success(child, 3, "Loading")
    supervisor.stop_all([])


def test_a_progress_bar_is_seen_while_it_moves(tmp_path: Path) -> None:
    lines: list[str] = []
    supervisor = Supervisor(write=lines.append)
    bar = "printf '\\r 10%%'; sleep 0.2; printf '\\r 50%%'; sleep 60"
    child = supervisor.start("load_demo", ["sh", "-c", bar], env=os.environ, cwd=tmp_path, grace=5)
    assert supervisor.wait_until(child, lambda: any("10%" in line for line in lines), patience=20)
    supervisor.stop_all([])
    assert lines[0].split("|")[1].strip() == "10%"


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    supervisor = Supervisor(write=lambda line: None)
    child = supervisor.start("web", ["/no/such/program"], env=os.environ, cwd=tmp_path)
    assert supervisor.finish(child) == 127
    assert list(child.tail) == ["/no/such/program: No such file or directory"]
    supervisor.stop_all([])


LAUNCHER_OF_A_FAMILY = """
import os, signal, sys, time
from pathlib import Path
from apps.core.launcher.supervisor import Supervisor
supervisor = Supervisor()
family = "import signal, subprocess, sys, time; signal.signal(15, signal.SIG_IGN);" \\
    "subprocess.Popen([sys.executable, '-c', 'import time; print(\\"up\\", flush=True); time.sleep(60)']); time.sleep(60)"
child = supervisor.start("worker", [sys.executable, "-c", family], env=os.environ, cwd=Path("/"), orphan_grace=0.3)
supervisor.wait_until(child, lambda: "up" in child.tail, patience=20)
print("family complete", flush=True)
supervisor.watch()
"""


def test_a_killed_launchers_deaf_child_and_grandchild_are_killed() -> None:
    words = [PYTHON, "-c", LAUNCHER_OF_A_FAMILY]
    with psutil.Popen(words, cwd=PROJECT, env=clean_environment(), stdout=subprocess.PIPE) as launcher:
        while b"family complete" not in (line := launcher.stdout.readline()):
            assert line, "the launcher ended early"
        below = launcher.children(recursive=True)
        assert len(below) == 3, "the child, its child and the reaper"
        began = time.monotonic()
        launcher.send_signal(signal.SIGKILL)
    assert remaining(below, patience=10) == []
    assert time.monotonic() - began > 0.2, "they had their time"
