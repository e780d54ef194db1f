"""The database goes away and comes back: what hung up is not handed out, and all of it is replaced at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.conf import settings
from django.db.utils import ConnectionHandler

from apps.core.postgresql.base import DatabaseWrapper
from config.env import database

pytestmark = pytest.mark.django_db
SIZE = 10
Connect = Callable[[], DatabaseWrapper]


@pytest.fixture
def connect(django_db_setup: None) -> Iterator[Connect]:
    """Connections of Django from one pool, as those of a web process's threads."""
    own = settings.DATABASES["default"]
    entry = {**own, "OPTIONS": {**own["OPTIONS"], "pool": {"min_size": SIZE, "max_size": SIZE, "timeout": 10}}}
    given: list[DatabaseWrapper] = []

    def one() -> DatabaseWrapper:
        found = ConnectionHandler({"default": entry}).create_connection("default")
        assert isinstance(found, DatabaseWrapper)
        given.append(found)
        found.inc_thread_sharing()
        return found

    yield one
    for found in given:
        found.close()
    given[0].close_pool()


def backend(connection: DatabaseWrapper) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_after_a_restart_nobody_gets_a_dead_connection_or_waits_for_each_of_them(connect: Connect) -> None:
    people = [connect() for _ in range(SIZE)]
    before = {backend(person) for person in people}
    assert len(before) == SIZE
    for person in people:
        person.close()
    own = people[0].get_connection_params()
    with psycopg.connect(
        **{name: own[name] for name in own if name in {"dbname", "user", "password", "host", "port"}}
    ) as other:
        other.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s) pid", [list(before)])
    pool = people[0].pool
    pool.timeout = 3  # the pool's own way would need half a minute
    after = {backend(person) for person in people}
    assert len(after) == SIZE
    assert not after & before


def test_connections_that_live_are_given_again(connect: Connect) -> None:
    person, seen = connect(), set()
    for _ in range(SIZE * 3):
        seen.add(backend(person))
        person.close()
    assert len(seen) <= SIZE


@pytest.mark.parametrize("pool_size", [None, SIZE])
def test_the_backend_is_ours_with_and_without_a_pool(pool_size: int | None) -> None:
    assert database("postgres://someone@localhost/riskdesk", pool_size=pool_size)["ENGINE"] == "apps.core.postgresql"
