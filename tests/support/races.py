"""Doing things at the same moment, each on a database connection of its own, and killing who is in the middle of one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from django.db import connection, connections

RUNS = int(os.environ.get("RACES", "10"))
"""How often a race is run. Whoever changes what races runs it oftener: ``RACES=50``."""


def at_once(*deeds: Callable[[], object]) -> list[object]:
    """What each returned or raised, in their order. PostgreSQL ends a deadlock within a second, and the test sees it."""
    start = Barrier(len(deeds))

    def one(deed: Callable[[], object]) -> object:
        try:
            start.wait(10)
            return deed()
        except Exception as error:  # whatever it is, the test judges it
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(deeds)) as pool:
        return list(pool.map(one, deeds))


def kill(worker: subprocess.Popen[str]) -> None:
    """As a crash does; returns when PostgreSQL, too, has seen that it is gone, and has let go of what it held."""
    worker.send_signal(signal.SIGKILL)
    assert worker.wait(20) == -signal.SIGKILL
    held = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND state LIKE 'idle in transaction%'"
    )
    deadline = time.monotonic() + 20
    while True:
        with connection.cursor() as cursor:
            cursor.execute(held)
            if cursor.fetchone()[0] == 0:
                return
        assert time.monotonic() < deadline, "the worker's transaction is still open"
        time.sleep(0.02)
