"""The home page and the rail: for each role what it may open, in few queries however much there is."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.core import home
from apps.core.notifications import notify
from apps.core.roles import Role
from apps.core.site import PLACES
from tests.core.factories import ScopeFactory, person
from tests.core.rows import ROWS

pytestmark = pytest.mark.django_db
MOST_QUERIES = 40


def queries(client: Client) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(reverse("admin:index")).status_code == 200
    return len(captured)


@pytest.mark.parametrize("role", Role)
def test_the_home_page_takes_few_queries_however_much_there_is(client: Client, role: Role) -> None:
    scopes = [ScopeFactory() for _ in range(3)]
    someone = person(role, *scopes)
    client.force_login(someone)
    client.get(reverse("admin:index"))  # fills the caches that a process fills once
    empty = queries(client)
    for number, scope in enumerate(scopes):
        for label, make in ROWS.items():
            if label not in ("core.delivery", "django_celery_beat.periodictask", "actions.rulerun"):
                make(scope)
        notify(kind="actions", recipients=[someone], title="t", body="b", dedupe_key=f"home:{number}")
    full = queries(client)
    assert full <= MOST_QUERIES
    assert full <= empty + 3, "a query for each row"


@pytest.mark.parametrize("role", Role)
def test_every_link_of_the_rail_opens(client: Client, role: Role) -> None:
    client.force_login(person(role, ScopeFactory()))
    page = client.get(reverse("admin:index")).content.decode()
    links = set(re.findall(r'<a[^>]+href="(/[^"#]*)"', page))
    assert len(links) > 2
    assert [link for link in links if client.get(link).status_code >= 400] == []


def test_every_list_has_its_place_and_icon() -> None:
    assert {model._meta.label_lower for model in admin.site._registry} <= set(PLACES)


def test_two_panels_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two home panels"):
        home.panel(slug="inbox", title="t", icon="bell", order=1)(lambda user, now: None)
