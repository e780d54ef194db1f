"""Empties the database between tests that commit.

Django truncates every table, which makes a hundred and fifty tables with all their indexes anew, and then makes every
content type and permission again. Most tests leave rows in a dozen tables, and the types and permissions are always
the same ones, so here rows are deleted where there are any.
"""

from __future__ import annotations

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from psycopg import sql

from apps.core.roles import sync_roles
from apps.register.matrices import ensure_builtin

STAYS = {ContentType._meta.db_table, Permission._meta.db_table}


def with_rows() -> list[str]:
    """The tables that hold any row."""
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    each = [
        sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(sql.Literal(table), sql.Identifier(table))
        for table in sorted(set(tables) - STAYS)
    ]
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(" UNION ALL ").join(each))
        return [table for (table,) in cursor.fetchall()]


@transaction.atomic
def empty_the_database() -> None:
    """Leave what a migration of an empty database does: types and permissions, roles, the built-in matrices."""
    with connection.cursor() as cursor:
        # Neither the order of the tables nor the triggers of append-only ones count; a superuser may ask for that.
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in with_rows():
            cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        cursor.execute("SET LOCAL session_replication_role = origin")
    sync_roles()
    ensure_builtin()
