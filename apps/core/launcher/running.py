"""`run` and `exec`: what the launcher's commands do, step by step."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from apps.core.launcher import devenv
from apps.core.launcher.errors import LaunchError, Stopped
from apps.core.launcher.paths import PROJECT, Layout, Lock, is_launcher, prepare
from apps.core.launcher.servers import Postgres, Valkey
from apps.core.launcher.supervisor import Child, Supervisor, require_success

STOP_ORDER = ("beat", "worker", "answers", "web", "valkey", "postgres")
LOCK_PATIENCE = 40.0


def own_servers(environ: Mapping[str, str]) -> dict[str, str] | None:
    """The addresses of servers that the person named, or None to start embedded ones.

    Raises:
        LaunchError: if only one of the two is set; the other would silently be an empty one.
    """
    given = {name: environ[name] for name in ("DATABASE_URL", "REDIS_URL") if environ.get(name)}
    if len(given) == 1:
        missing = ({"DATABASE_URL", "REDIS_URL"} - given.keys()).pop()
        raise LaunchError(
            f"{next(iter(given))} is set but {missing} is not. Set both to use your own servers, or neither."
        )
    return given or None


def check_port(host: str, port: int) -> None:
    """See that the web server will be able to listen.

    Raises:
        LaunchError: if something listens there already, or this user may not.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            raise LaunchError(f"This user may not use port {port}. Choose one above 1023: make run PORT=8001") from None
        except OSError as error:
            if error.errno != 98:
                raise LaunchError(f"{host}:{port} cannot be used: {error.strerror}. Try HOST=127.0.0.1.") from None
            raise LaunchError(
                f"Port {port} is in use by another program. Choose another: make run PORT={port + 1}"
            ) from None


LOCAL = ("localhost", "127.0.0.1", "[::1]")
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - only compared with


def public_name(host: str) -> str:
    """How a browser spells the address that the web server listens on."""
    if host in {*EVERY_ADDRESS, *LOCAL, "::1"}:
        return "localhost"
    return f"[{host}]" if ":" in host else host


def names_of(host: str) -> list[str]:
    """The names under which the site answers: this machine's own, and the address or name that it was given."""
    own = socket.gethostname() if host in EVERY_ADDRESS else public_name(host)
    return [*LOCAL, *({own.lower()} - {*LOCAL, ""})]


class Run:
    """One `make run`, from the lock to the orderly stop."""

    def __init__(self, *, state: Path, host: str, port: int, demo: bool) -> None:
        self.host, self.port, self.demo = host, port, demo
        self.given = own_servers(os.environ)
        self.layout = prepare(state)
        self.lock = Lock(state / "lock")
        self.supervisor = Supervisor(keep_open=[self.lock.descriptor])
        self.began = time.monotonic()

    def main(self) -> int:
        """Run until a signal or a failure; 0 if it was asked to stop while everything ran."""
        # The lock first: who starts Riskdesk twice is to hear that, and not that its port is in use.
        self.lock.acquire(patience=LOCK_PATIENCE, tell=self.tell)
        check_port(self.host, self.port)
        self.supervisor.catch_signals()
        try:
            self._serve()
        except Stopped:
            self.tell("Stopping before the start was finished.")
            return 130
        finally:
            self.supervisor.stop_all(STOP_ORDER)
        self.tell("Everything is stopped. The data stay in " + str(self.layout.state))
        return 0

    def tell(self, words: str) -> None:
        self.supervisor.say("launcher", words)

    def _serve(self) -> None:
        self.tell("Step 1 of 4: database and queue")
        env = self._environment(self.given or self._start_servers())
        self.tell("Step 2 of 4: migrations")
        self._manage("migrate", "--noinput", env=env, what="Bringing the database up to date")
        self.tell("Step 3 of 4: demo data")
        self._load_demo(env)
        self.tell("Step 4 of 4: web server, worker and scheduler")
        self._start_programs(env)
        self._announce(env)
        ended = self.supervisor.watch()
        if ended is not None:
            words = "\n".join(f"    {line}" for line in list(ended.tail)[-8:])
            raise LaunchError(
                f"{ended.name} ended by itself (exit code {ended.process.returncode}); all is stopped.\n{words}"
            )
        self.tell("Stopping.")

    def _start_servers(self) -> dict[str, str]:
        return start_servers(self.layout, self.supervisor, throw_away=False)

    def _environment(self, addresses: Mapping[str, str]) -> dict[str, str]:
        mail = self.layout.state / "mail"
        mail.mkdir(exist_ok=True)
        (PROJECT / "var" / "static").mkdir(parents=True, exist_ok=True)  # WhiteNoise warns if it is not there
        shutil.rmtree(self.layout.metrics, ignore_errors=True)
        self.layout.metrics.mkdir()
        defaults = {
            "RISKDESK_ENV": "development",
            "DEBUG": "false",
            "LOG_FORMAT": "console",
            "EMAIL_URL": f"file://{quote(str(mail))}",
        }
        site = f"http://{public_name(self.host)}:{self.port}"
        file = devenv.refresh(self.layout.env_file, {**addresses, "SITE_URL": site}, defaults)
        hosts = {"ALLOWED_HOSTS": ",".join(names_of(self.host))}
        shared = {"PROMETHEUS_MULTIPROC_DIR": str(self.layout.metrics), "PYTHONUNBUFFERED": "1"}
        return {**hosts, **file, **shared, **os.environ}

    def _manage(self, *arguments: str, env: Mapping[str, str], what: str) -> Child:
        name = arguments[0]
        command = [sys.executable, str(PROJECT / "manage.py"), *arguments]
        child = self.supervisor.start(name, command, env=env, cwd=PROJECT)
        require_success(child, self.supervisor.finish(child), what)
        return child

    def _load_demo(self, env: Mapping[str, str]) -> None:
        """Load the demo once for each database; the command itself changes nothing on a second run."""
        marker = self.layout.demo_marker
        database = hashlib.sha256(env["DATABASE_URL"].encode()).hexdigest()
        if not self.demo:
            self.tell("Left out, as asked.")
        elif marker.exists() and marker.read_text() == database:
            self.tell("Loaded on an earlier start.")
        else:
            quiet = {"LOG_LEVEL": "WARNING", **env}  # each piece of news asks for a task, which the log would tell
            self._manage("load_demo", env=quiet, what="Loading the demo data")
            marker.write_text(database)

    def _start_programs(self, env: Mapping[str, str]) -> None:
        python = [sys.executable, "-m"]
        web = [*python, "uvicorn", "config.asgi:application", "--host", self.host, "--port", str(self.port)]
        web += ["--lifespan", "off", "--ws-per-message-deflate", "false", "--ws-max-size", "65536", "--no-access-log"]
        # A browser that keeps a connection open must not keep the launcher from stopping.
        web += ["--timeout-graceful-shutdown", "5"]
        celery = [*python, "celery", "-A", "config", "--quiet"]
        # Both say much while all is well, and would push the addresses and logins off the screen.
        background = {"LOG_LEVEL": "WARNING", **env}
        child = self.supervisor.start("web", web, env={**env, "DATABASE_POOL": "true"}, cwd=PROJECT, orphan_grace=6.0)
        # An orphaned worker must not finish its tasks first: with its queue gone it would wait for ever. It is killed
        # with its children; unfinished tasks are taken up again because they are acknowledged late.
        for name, queue in (("worker", "celery"), ("answers", "answers")):
            words = ["worker", "-Q", queue, "-n", f"{queue}@%h", "--concurrency", "2", "--loglevel", "INFO"]
            self.supervisor.start(
                name,
                [*celery, *words, "--without-mingle", "--without-gossip"],
                env=background,
                cwd=PROJECT,
                orphan_signal=signal.SIGKILL,
                grace=20.0,
                orphan_grace=0.0,
            )
        # Beat can swallow a SIGTERM that arrives inside a call to the queue, so it is sent again.
        self.supervisor.start(
            "beat",
            [*celery, "beat", "--loglevel", "INFO"],
            env=background,
            cwd=PROJECT,
            orphan_signal=signal.SIGKILL,
            orphan_grace=0.0,
            repeat=2.0,
        )
        if not self.supervisor.wait_until(child, lambda: responds(self.host, self.port), patience=90.0):
            raise LaunchError(f"The web server does not answer on port {self.port}. It said:\n{child.last_words()}")

    def _announce(self, env: Mapping[str, str]) -> None:
        site = env["SITE_URL"]
        logins = demo_logins(env) if self.demo else ""
        lines = [
            "",
            f"Riskdesk is ready after {time.monotonic() - self.began:.0f} s.",
            f"  Operators' desk   {site}/admin/",
            f"  Health            {site}/health/ready",
            f"  Mails             {self.layout.state / 'mail'}",
            *(f"  {line}" for line in logins.splitlines()),
            "  Stop with Ctrl-C. `manage.py` in another shell talks to the same servers.",
            "",
        ]
        for line in lines:
            self.tell(line)


def demo_logins(env: Mapping[str, str]) -> str:
    """The demo's people and passwords, as its command prints them."""
    command = [sys.executable, str(PROJECT / "manage.py"), "load_demo", "--show-logins"]
    said = subprocess.run(command, env=dict(env), cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    return said.stdout if said.returncode == 0 else ""


def responds(host: str, port: int) -> bool:
    """Whether a web server answers, with whatever status."""
    target = dict(zip(EVERY_ADDRESS, ("127.0.0.1", "::1"), strict=True)).get(host, host)
    connection = http.client.HTTPConnection(target, port, timeout=5)
    try:
        connection.request("GET", "/health/live", headers={"Host": "localhost"})
        return connection.getresponse().status < 600
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def start_servers(layout: Layout, supervisor: Supervisor, *, throw_away: bool) -> dict[str, str]:
    """Start PostgreSQL and Valkey; their addresses."""
    postgres = Postgres(layout, supervisor, throw_away=throw_away)
    valkey = Valkey(layout, supervisor, throw_away=throw_away)
    postgres.start()
    valkey.start()
    return {"DATABASE_URL": postgres.url, "REDIS_URL": valkey.url}


@contextmanager
def throw_away_state() -> Iterator[Path]:
    """A temporary state folder; those that killed launchers left behind are removed first."""
    base = Path(tempfile.gettempdir())
    for old in base.glob(f"riskdesk-test-{os.getuid()}-*"):
        process = old.name.split("-")[3]
        if process.isdigit() and not is_launcher(int(process)):
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"riskdesk-test-{os.getuid()}-{os.getpid()}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def exec_ephemeral(command: Sequence[str]) -> int:
    """Run a command with throw-away servers; its exit code.

    The servers are always fresh ones, also when DATABASE_URL is set: tests empty the database and the cache.
    """
    with throw_away_state() as state:
        layout = prepare(state)
        supervisor = Supervisor()
        supervisor.catch_signals()
        try:
            env = start_servers(layout, supervisor, throw_away=True)
            env |= {"RISKDESK_ENV": "test", "DEBUG": "false", "EMAIL_URL": "memory://", "LOG_FORMAT": "console"}
            env |= devenv.fresh_secrets()
            return _foreground(supervisor, command, {**os.environ, **env})
        except Stopped:
            return 130
        finally:
            supervisor.stop_all(("command", *STOP_ORDER))
            if layout.sockets.parent != layout.state:
                shutil.rmtree(layout.sockets, ignore_errors=True)


def exec_development(command: Sequence[str], *, state: Path) -> int:
    """Run a command with the servers of `make run`, starting them if they are not running; its exit code."""
    layout = prepare(state)
    given = own_servers(os.environ)
    lock = Lock(state / "lock")
    supervisor = Supervisor(keep_open=[lock.descriptor])
    running = layout.env_file.exists() and not lock.try_once()
    if running or given:
        lock.release()
        return subprocess.run(command, env={**devenv.read(layout.env_file), **os.environ}, check=False).returncode  # noqa: S603
    lock.acquire(patience=LOCK_PATIENCE, tell=lambda words: supervisor.say("launcher", words))
    supervisor.catch_signals()
    try:
        defaults = {"RISKDESK_ENV": "development", "DEBUG": "false", "LOG_FORMAT": "console", "EMAIL_URL": "console://"}
        env = devenv.refresh(layout.env_file, start_servers(layout, supervisor, throw_away=False), defaults)
        return _foreground(supervisor, command, {**env, **os.environ})
    except Stopped:
        return 130
    finally:
        supervisor.stop_all(("command", *STOP_ORDER))


def _foreground(supervisor: Supervisor, command: Sequence[str], env: Mapping[str, str]) -> int:
    """Run an interactive command. Ctrl-C reaches it from the terminal; a SIGTERM to the launcher is passed on."""
    child = supervisor.start("command", command, env=env, cwd=Path.cwd(), foreground=True)
    signal.signal(signal.SIGINT, lambda number, frame: None)
    while child.process.poll() is None:
        if supervisor.stop_requests:
            child.send(signal.SIGTERM)
            supervisor.stop_requests = 0
        supervisor.pump(0.05)
    code = child.process.returncode
    return code if code >= 0 else 128 - code
