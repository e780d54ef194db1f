"""A worker keeps its database connection from task to task, and a restart of the database costs it none."""

from __future__ import annotations

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from apps.core.worker import close_broken_connections
from config.celery import app

pytestmark = pytest.mark.django_db(transaction=True)


def session() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_a_whole_connection_is_kept() -> None:
    before = session()
    close_broken_connections()
    assert session() == before
    assert app.conf.get("CELERY_DB_REUSE_MAX") == settings.CELERY_DB_REUSE_MAX > 1, (
        "Celery closes it after each task else"
    )


def test_a_connection_that_broke_between_two_tasks_is_opened_anew() -> None:
    before, kept = session(), connection.connection
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [before])
    close_broken_connections()
    assert session() != before
    assert connection.connection is not kept
