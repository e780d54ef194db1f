"""The operators' queue: what it lists, in which order, to whom, and at which cost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.actions.models import ActionCard, SavedView
from apps.core.models import User
from apps.core.paging import EXACT_UP_TO, EstimatedPaginator
from apps.core.roles import Role
from tests.actions.desk import NOW, QUEUE, make_card
from tests.core.factories import ScopeFactory, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def store():
    return ScopeFactory(name="Nordlicht")


@pytest.fixture
def operator(store) -> User:
    return person(Role.OPERATOR, store, username="olga")


@pytest.fixture
def desk(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def listed(client: Client, query: str = "") -> list[str]:
    response = client.get(QUEUE + query)
    assert response.status_code == 200
    return [card.target for card in response.context["cl"].result_list]


def test_the_most_pressing_card_stands_first(desk: Client) -> None:
    make_card(target="small", impact="10")
    make_card(target="big", impact="900")
    make_card(target="unsure", impact="900", confidence="0.5")
    make_card(target="hard", impact="900", ease=1)
    assert listed(desk) == ["big", "unsure", "hard", "small"]


def test_only_what_waits_is_listed_unless_asked(desk: Client) -> None:
    for status in ActionCard.Status:
        closed = None if status in ActionCard.LIVE else NOW
        make_card(target=status.value, status=status, closed_at=closed)
    assert sorted(listed(desk)) == ["failed", "open"]
    assert listed(desk, "?status=dismissed") == ["dismissed"]
    assert listed(desk, "?status=executing") == ["executing"]
    assert len(listed(desk, "?status=all")) == len(ActionCard.Status)


def test_cards_of_other_scopes_are_not_listed(desk: Client, store) -> None:
    make_card(target="mine", scope=store)
    make_card(target="everybody's")
    make_card(target="foreign", scope=ScopeFactory())
    assert sorted(listed(desk)) == ["everybody's", "mine"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?kind__exact=carrier-delay-alert", {"late parcel"}),
        ("?risk_tier__exact=policy", {"grave"}),
        ("?impact=1000", {"dear"}),
        ("?impact=0", {"late parcel"}),
        ("?age=hour", {"new"}),
        ("?age=over-week", {"old"}),
        ("?scope=none", {"late parcel", "grave", "dear", "new", "old"}),
    ],
)
def test_filters(desk: Client, store, query: str, expected: set[str]) -> None:
    day = timezone.now() - timedelta(hours=30)
    make_card(target="late parcel", kind=ActionCard.Kind.CARRIER_DELAY, impact="0", opened_at=day)
    make_card(target="grave", risk_tier="policy", opened_at=day)
    make_card(target="dear", impact="5000", opened_at=day)
    make_card(target="new", opened_at=timezone.now() - timedelta(minutes=5))
    make_card(target="old", opened_at=timezone.now() - timedelta(days=20))
    make_card(target="stores", scope=store, opened_at=day)
    assert set(listed(desk, query)) == expected


def test_the_scope_filter_offers_only_own_scopes_and_reaches_no_other(desk: Client, store) -> None:
    foreign = ScopeFactory(name="Foreign")
    make_card(target="mine", scope=store)
    make_card(target="foreign", scope=foreign)
    assert "Foreign" not in desk.get(QUEUE).content.decode()
    assert listed(desk, f"?scope={store.pk}") == ["mine"]
    assert listed(desk, f"?scope={foreign.pk}") == []


@pytest.mark.parametrize("term", ["1234", "#1234", "order:99", "Order:99", "ORDER #12"])
def test_search_finds_target_and_subject(desk: Client, term: str) -> None:
    make_card(target="Order #1234", subject="order:99")
    make_card(target="Other", subject="store:7")
    assert listed(desk, "?q=" + term.replace("#", "%23")) == ["Order #1234"]


def test_search_goes_through_indexes(client: Client, admin_user: User) -> None:
    make_card()
    client.force_login(admin_user)
    found = client.get(QUEUE + "?status=all&q=1234").context["cl"].queryset.order_by()
    with connection.cursor() as cursor:
        # One row is found fastest by looking at it, which says nothing about a million.
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = found.explain()
    assert "actioncard_target_words" in plan
    assert "actioncard_subject" in plan


def test_columns_say_what_the_specification_asks(desk: Client) -> None:
    make_card(target="Order #1", impact="1234.5", confidence="0.95", currency="EUR")
    page = desk.get(QUEUE).content.decode()
    for words in ("Order ageing", "Order #1", "1,234.50", "EUR", "95 %", "Safety", "View", "Dismiss", "Escalate"):
        assert words in page
    assert "expected loss × 95% confidence × ease 4 of 5" in page


def test_an_auditor_sees_the_queue_and_no_decision(client: Client) -> None:
    client.force_login(person(Role.AUDITOR))
    card = make_card()
    page = client.get(QUEUE).content.decode()
    assert card.target in page
    assert "/dismiss/" not in page
    assert "dismiss_selected" not in page


def test_without_the_role_there_is_no_queue(client: Client) -> None:
    client.force_login(person(Role.CONTENT_OWNER))
    assert client.get(QUEUE).status_code == 403


def test_nobody_gets_the_login(client: Client) -> None:
    response = client.get(QUEUE)
    assert response.status_code == 302
    assert "/admin/login/" in response["Location"]


def test_cards_are_neither_added_edited_nor_deleted_by_hand(client: Client, admin_user: User) -> None:
    client.force_login(admin_user)
    card = make_card()
    assert client.get(QUEUE + "add/").status_code == 403
    assert client.post(f"{QUEUE}{card.pk}/change/", {"target": "x"}).status_code == 405
    assert client.post(f"{QUEUE}{card.pk}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("cards", [3, 60])
def test_queries_do_not_grow_with_the_queue(desk: Client, cards: int) -> None:
    for _ in range(cards):
        make_card()
    desk.get(QUEUE)
    with CaptureQueriesContext(connection) as queries:
        desk.get(QUEUE + "?risk_tier__exact=safety&q=order")
    assert len(queries) < 20


def test_many_rows_are_estimated_and_few_are_counted() -> None:
    first = make_card()
    few = EstimatedPaginator(ActionCard.objects.order_by("pk"), 50)
    assert (few.count, few.estimated) == (1, False)
    fields = {
        f.attname: getattr(first, f.attname)
        for f in ActionCard._meta.concrete_fields
        if f.name not in ("id", "priority")
    }
    ActionCard.objects.bulk_create(ActionCard(**fields | {"subject": f"order:x{n}"}) for n in range(EXACT_UP_TO + 200))
    many = EstimatedPaginator(ActionCard.objects.order_by("pk"), 50)
    assert many.count > EXACT_UP_TO
    assert many.estimated


# ----- saved views


def test_a_view_is_saved_shown_and_removed(desk: Client, operator: User) -> None:
    desk.post(QUEUE + "views/save/", {"name": "Grave ones", "query": "risk_tier__exact=policy&p=3&e=1"})
    view = SavedView.objects.get(user=operator)
    assert view.query == "risk_tier__exact=policy"
    page = desk.get(f"{QUEUE}?risk_tier__exact=policy").content.decode()
    assert "Grave ones</a>" in page
    assert "Remove view" in page
    desk.post(f"{QUEUE}views/{view.pk}/delete/")
    assert not SavedView.objects.exists()


def test_the_same_name_replaces_the_view(desk: Client) -> None:
    for tier in ("low", "policy"):
        desk.post(QUEUE + "views/save/", {"name": "Mine", "query": f"risk_tier__exact={tier}"})
    assert [view.query for view in SavedView.objects.all()] == ["risk_tier__exact=policy"]


def test_a_view_needs_a_name_and_bounds(desk: Client) -> None:
    desk.post(QUEUE + "views/save/", {"name": " ", "query": "q=a"})
    desk.post(QUEUE + "views/save/", {"name": "long", "query": "q=" + "a" * 600})
    assert not SavedView.objects.exists()


def test_views_of_others_are_neither_shown_nor_removed(desk: Client) -> None:
    theirs = SavedView.objects.create(user=person(Role.OPERATOR), name="Theirs", query="q=x")
    assert "Theirs" not in desk.get(QUEUE).content.decode()
    assert desk.post(f"{QUEUE}views/{theirs.pk}/delete/").status_code == 404
    assert SavedView.objects.filter(pk=theirs.pk).exists()


def test_views_change_by_post_only_and_need_the_role(desk: Client, operator: User, client: Client) -> None:
    view = SavedView.objects.create(user=operator, name="Mine")
    assert desk.get(f"{QUEUE}views/{view.pk}/delete/").status_code == 405
    assert desk.get(QUEUE + "views/save/").status_code == 405
    client.force_login(person(Role.CONTENT_OWNER))
    assert client.post(QUEUE + "views/save/", {"name": "x", "query": ""}).status_code == 403
