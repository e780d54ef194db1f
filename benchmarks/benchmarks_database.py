"""A scratch database for measurements, on the server of ``DATABASE_URL``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit


@contextmanager
def scratch_database(url: str, name: str, *, keep: bool = False) -> Iterator[None]:
    """An empty, migrated database with Django set up for it; dropped at the end unless it is to be kept."""
    import psycopg

    server = urlunsplit(urlsplit(url)._replace(path="/postgres"))

    def administer(*statements: str) -> None:
        with psycopg.connect(server, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]  # built from constants

    administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
    sys.path[0] = str(Path(__file__).parents[1])  # instead of this folder, whose names must not hide modules
    own = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    os.environ.update(DATABASE_URL=own, DJANGO_SETTINGS_MODULE="config.settings", LOG_LEVEL="ERROR")
    import django
    from django.core.management import call_command
    from django.db import connections

    django.setup()
    call_command("migrate", verbosity=0)
    try:
        yield
    finally:
        connections.close_all()
        if not keep:
            administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
