"""Probes: alive without anything, ready only with everything."""

from __future__ import annotations

import pytest
from django.db import DatabaseError
from django.test import Client

from apps.core import health


def test_alive_asks_nobody(client: Client, django_assert_num_queries) -> None:  # type: ignore[no-untyped-def]
    assert client.get("/health/live").json() == {"status": "ok"}


@pytest.mark.django_db
def test_ready_names_each_part(client: Client) -> None:
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["parts"] == {"database": "ok", "valkey": "ok", "migrations": "ok"}


@pytest.mark.django_db
def test_a_dead_valkey_is_named(client: Client, settings) -> None:  # type: ignore[no-untyped-def]
    settings.REDIS_URL = "unix:///nowhere/valkey.sock?db=0"
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["parts"]["valkey"] == "unavailable"
    assert answer.json()["parts"]["database"] == "ok"


@pytest.mark.django_db
def test_a_dead_database_is_named_without_details(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> bool:
        raise DatabaseError("password=hunter2")

    monkeypatch.setitem(health._PROBES, "database", broken)
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert b"hunter2" not in answer.content


def test_probes_are_not_cached_and_not_posted(client: Client) -> None:
    assert "no-cache" in client.get("/health/live")["Cache-Control"]
    assert client.post("/health/live").status_code == 405
