"""Compare a restored database with this one, and record the outcome."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.utils import timezone
from psycopg import sql

from apps.core.models import Decision
from apps.register.reported import report
from config.env import database

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
_COUNTED = ("core_user", "core_decision", "register_risk", "actions_actioncard")


class Command(BaseCommand):
    help = (
        "Compare a database that was restored from a backup with this one: its tables, and the end of its decision log, "
        "which must be a link of the chain here. The outcome goes to the decision log. Changes nothing in either."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("database_url", help="postgres://... of the restored database")

    def handle(self, *args: Any, database_url: str, **options: Any) -> None:
        now = timezone.now()
        try:
            restored = database(database_url, pool_size=None)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        if (restored["NAME"], restored["HOST"]) == (connection.settings_dict["NAME"], connection.settings_dict["HOST"]):
            raise CommandError("This is the database that is in use, not a restored one.")
        try:
            with _connected(restored) as there:
                problems, facts = _compared(there)
        except psycopg.Error as error:
            problems, facts = [f"it cannot be read: {type(error).__name__}"], {}
        facts |= {"whole": not problems, "problems": problems}
        found = report("restore_test", happened_at=now, facts=facts, now=now)
        if problems:
            raise CommandError(
                f"Recorded as decision {found.seq}: the restored database is not whole: {'; '.join(problems)}"
            )
        self.stdout.write(f"Recorded as decision {found.seq}: the restored database is whole. {facts}")


def _connected(restored: dict[str, Any]) -> psycopg.Connection[Any]:
    named = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    given = {key: restored[name] for key, name in named.items() if restored[name]}
    options = {"options": "-c default_transaction_read_only=on", "connect_timeout": "10"}
    return psycopg.connect(**{**given, **restored["OPTIONS"], **options})


def _compared(there: psycopg.Connection[Any]) -> tuple[list[str], dict[str, Any]]:
    problems: list[str] = []
    with connection.cursor() as cursor:
        cursor.execute(_TABLES)
        ours = {name for (name,) in cursor.fetchall()}
    theirs = {name for (name,) in there.execute(_TABLES).fetchall()}
    if ours - theirs:
        problems.append(f"{len(ours - theirs)} tables are missing, such as {min(ours - theirs)}")
    rows = {name: _count(there, name) for name in _COUNTED if name in theirs}
    last = None
    if "core_decision" in theirs:
        last = there.execute("SELECT seq, hash FROM core_decision ORDER BY seq DESC LIMIT 1").fetchone()
    if last is None:
        problems.append("its decision log is empty")
    elif not Decision.objects.filter(seq=last[0], hash=last[1]).exists():
        problems.append(f"the end of its decision log, entry {last[0]}, is no entry of ours")
    if not rows.get("core_user"):
        problems.append("it has no people")
    return problems, {"tables": len(theirs), "decisions": last[0] if last else 0, "rows": rows}


def _count(there: psycopg.Connection[Any], table: str) -> int:
    found = there.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
    return int(found[0]) if found else 0
