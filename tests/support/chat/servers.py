"""Servers of one's own that can be killed: the web server as a process, Valkey, and a database that throws everybody out."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from apps.core.launcher.paths import PROJECT
from apps.core.launcher.servers import valkey_program
from tests.support.launch import free_port

STARTS_WITHIN = 90.0


class Valkey:
    """A Valkey that remembers nothing, on a socket in ``folder`` (whose path must be short)."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.socket = folder, folder / "v.sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    def start(self) -> None:
        options = ["--port", "0", "--unixsocket", str(self.socket), "--appendonly", "no", "--save", ""]
        self.process = subprocess.Popen(
            [str(valkey_program()), *options], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + STARTS_WITHIN
        while not self.socket.exists():
            assert time.monotonic() < deadline, "Valkey did not start"
            time.sleep(0.02)

    def kill(self) -> None:
        """As a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.socket.unlink(missing_ok=True)


class Web:
    """The product's web server on a port of its own."""

    def __init__(
        self,
        *,
        database: str,
        valkey: str,
        log: Path,
        settings: str = "tests.support.chat.settings",
        application: str = "config.asgi:application",
        **more: str,
    ) -> None:
        self.port, self.log, self.application = free_port(), log, application
        self.environment: Mapping[str, str] = {
            **os.environ, "DATABASE_URL": database, "REDIS_URL": valkey, "DATABASE_POOL": "true",
            "DJANGO_SETTINGS_MODULE": settings, "LOG_LEVEL": "WARNING", "DEBUG": "false", **more,
        }  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, without waiting."""
        words = [
            "uvicorn",
            self.application,
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--lifespan",
            "off",
        ]
        words += ["--ws-per-message-deflate", "false", "--no-access-log", "--log-level", "warning", "--backlog", "4096"]
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *words, "--timeout-graceful-shutdown", "5"],
                cwd=PROJECT, env=self.environment, stdout=stream, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def alive(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/live", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    async def ready(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + STARTS_WITHIN
        while not await asyncio.to_thread(self.alive):
            assert self.process is not None
            assert self.process.poll() is None, f"the server ended: {self.log.read_text()[-2000:]}"
            assert time.monotonic() < deadline, "the server did not start"
            await asyncio.sleep(0.1)

    def kill(self) -> None:
        """As a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As a deployment does."""
        self._end(signal.SIGTERM)

    def _end(self, sign: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(sign)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Outage:
    """What a restart of the database looks like to everybody who uses one of its databases."""

    def __init__(self, database: str) -> None:
        self.name = urlsplit(database).path.strip("/")
        self.server = urlunsplit(urlsplit(database)._replace(path="/postgres"))

    def begin(self) -> None:
        """Throw everybody out, and let nobody in."""
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f'ALTER DATABASE "{self.name}" ALLOW_CONNECTIONS false')  # type: ignore[call-overload]
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self.name])

    def end(self) -> None:
        """Let them in again."""
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f'ALTER DATABASE "{self.name}" ALLOW_CONNECTIONS true')  # type: ignore[call-overload]
