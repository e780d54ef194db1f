"""Statements planned once for each connection."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection

from apps.core.prepared import prepared

pytestmark = pytest.mark.django_db


def planned() -> int:
    """How many of this connection's statements PostgreSQL keeps the plan of."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s", ["%%a story%%"])
        return int(cursor.fetchone()[0])


def test_asked_often_it_is_planned_once_and_counted_as_a_query(django_assert_num_queries: object) -> None:
    with django_assert_num_queries(12):  # type: ignore[operator]
        answers = [prepared("SELECT %s::text || ' is a story'", [f"{n}%"]) for n in range(12)]
    assert answers[-1] == [("11% is a story",)]
    assert planned() == 1


def test_what_is_wrong_is_an_error_of_the_database() -> None:
    with pytest.raises(DatabaseError):
        prepared("SELECT nothing FROM nowhere WHERE %s", [1])


@pytest.mark.django_db(transaction=True)
def test_a_migration_that_changes_a_column_costs_nobody_the_request() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE migrated (name varchar(5))")
        cursor.execute("INSERT INTO migrated VALUES ('one')")
    before = [prepared("SELECT name FROM migrated WHERE name = %s", ["one"]) for _ in range(7)]
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE migrated ALTER name TYPE varchar(9)")
    assert prepared("SELECT name FROM migrated WHERE name = %s", ["one"]) == before[0] == [("one",)]
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE migrated")
