"""The page of one piece of outgoing news: what was given up is sent again from there."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from apps.core.models import Decision
from apps.core.roles import Role
from apps.escalation.models import Endpoint, OutgoingNews
from tests.core.factories import person

pytestmark = pytest.mark.django_db
Status = OutgoingNews.Status


def news(status: str) -> OutgoingNews:
    endpoint = Endpoint.objects.create(name="e", url="https://hooks.example", secret="s")
    return OutgoingNews.objects.create(
        endpoint=endpoint, kind="flag.raised", dedupe_key="d", body={}, created_at=timezone.now(), status=status,
        attempts=9, last_error="timeout",
    )  # fmt: skip


def page(row: OutgoingNews) -> str:
    return f"/admin/escalation/outgoingnews/{row.pk}/"


def test_given_up_news_is_sent_again_from_its_page(client: Client) -> None:
    row = news(Status.DEAD)
    client.force_login(person(Role.ADMINISTRATOR))
    shown = client.get(f"{page(row)}change/")
    assert f'action="{page(row)}again/"' in shown.text
    done = client.post(f"{page(row)}again/", follow=True)
    assert "It will be sent again." in done.text
    assert f'action="{page(row)}again/"' not in done.text
    row.refresh_from_db()
    assert (row.status, row.attempts, row.last_error) == (Status.PENDING, 0, "")
    assert Decision.objects.filter(action="outgoing_replayed").count() == 1


def test_what_was_sent_is_not_offered_and_not_done(client: Client) -> None:
    row = news(Status.SENT)
    client.force_login(person(Role.ADMINISTRATOR))
    assert "again/" not in client.get(f"{page(row)}change/").text
    done = client.post(f"{page(row)}again/", follow=True)
    assert "nothing was done" in done.text
    row.refresh_from_db()
    assert row.status == Status.SENT


def test_who_may_only_look_is_refused(client: Client) -> None:
    row = news(Status.DEAD)
    client.force_login(person(Role.AUDITOR))
    assert "again/" not in client.get(f"{page(row)}change/").text
    assert client.post(f"{page(row)}again/").status_code == 403
    row.refresh_from_db()
    assert row.status == Status.DEAD
