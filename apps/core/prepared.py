"""Statements that PostgreSQL plans once for each connection: for the few that every request asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.db import NotSupportedError, connection


def prepared(statement: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement, which is planned only when a connection asks it for the first few times.

    Django writes values into the text of a statement, so that it is planned each time, which can take longer than to
    carry it out. (psycopg: Prepared statements.)

    Args:
        statement: SQL with ``%s`` or ``%(name)s`` for each value. It should name its columns, as ``*`` changes with a migration.

    Raises:
        DatabaseError: like any statement.
    """
    connection.ensure_connection()
    dressed = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    try:
        with dressed(psycopg.Cursor(connection.connection)) as cursor:  # type: ignore[arg-type]  # the stubs take wrappers only
            cursor.execute(statement, values)
            return list(cursor.fetchall())
    except NotSupportedError:  # a migration changed the type of a column since it was planned
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())
