"""The API of cards: what it shows, what it lets people decide, and how it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from apps.actions import execute, services
from apps.actions.models import ActionCard, CardEvent, Execution
from apps.actions.reconcile import reconcile
from apps.actions.rules import rules
from apps.core.models import Decision, User
from apps.core.roles import Role
from apps.escalation.models import RiskFlag
from tests.actions.factories import (
    NOW,
    CardFactory,
    Ledger,
    example_executor,
    example_rule,
    example_version,
    hit,
)
from tests.core.factories import ScopeFactory, UserFactory, person

pytestmark = pytest.mark.django_db

SEES = [role for role in Role if role is not Role.CONTENT_OWNER]
MAY_DECIDE = [
    Role.OPERATOR,
    Role.SUPPORT_MANAGER,
    Role.SUPPORT_DIRECTOR,
    Role.RISK_MANAGER,
    Role.ADMINISTRATOR,
]
BODIES: dict[str, dict[str, Any]] = {
    "approve": {"action": "note-down"},
    "dismiss": {"outcome": "benign"},
    "escalate": {"level": 4, "reason": "Looks organised."},
    "note": {"text": "I called them."},
    "retry": {},
    "roll-back": {"reason": "Wrong order."},
}
STATE = {"retry": "failed", "roll-back": "executed"}
each_decision = pytest.mark.parametrize("name", BODIES)


@pytest.fixture(autouse=True)
def ledger() -> Iterator[Ledger]:
    with example_rule(), example_executor() as ledger:
        yield ledger


def client(user: User | None = None) -> APIClient:
    found = APIClient(enforce_csrf_checks=False)
    if user:
        found.force_login(user)
    return found


@pytest.fixture
def operator() -> User:
    return person(Role.OPERATOR)


@pytest.fixture
def api(operator: User) -> APIClient:
    return client(operator)


def ready(name: str, actor: User, **fields: Any) -> ActionCard:
    """A card about which a decision may be made."""
    status = STATE.get(name, "open")
    card = CardFactory(status=status, **fields)
    if name in STATE:
        done = "failed" if status == "failed" else "succeeded"
        Execution.objects.create(card=card, action="note-down", status=done, requested_by=actor, created_at=NOW)
    return card


def decide(api: APIClient, name: str, card: ActionCard, headers: dict[str, str] | None = None, **body: Any) -> Any:
    values = BODIES[name] | ({} if name == "note" else {"seen_version": card.version}) | body
    return api.post(f"/api/cards/{card.pk}/{name}/", values, format="json", headers=headers or {})


# Who may


@pytest.mark.parametrize("role", Role)
def test_who_sees_cards(role: Role) -> None:
    card = CardFactory()
    for path in ("/api/cards/", f"/api/cards/{card.pk}/"):
        assert client(person(role)).get(path).status_code == (200 if role in SEES else 403)


def test_strangers_see_nothing() -> None:
    card = CardFactory()
    for path in ("/api/cards/", f"/api/cards/{card.pk}/"):
        response = client().get(path)
        assert (response.status_code, response.json()["error"]["code"]) == (401, "not_authenticated")
    assert client(UserFactory()).get("/api/cards/").status_code == 403


@each_decision
@pytest.mark.parametrize("role", Role)
def test_who_decides(name: str, role: Role) -> None:
    actor = person(role)
    card = ready(name, actor)
    response = decide(client(actor), name, card)
    if role in MAY_DECIDE:
        assert response.status_code in (200, 202), response.json()
        assert Decision.objects.filter(actor=actor).exists()
    else:
        assert (response.status_code, response.json()["error"]["code"]) == (403, "permission_denied")
        assert not Decision.objects.exists()


@each_decision
def test_strangers_decide_nothing(name: str) -> None:
    card = ready(name, person(Role.OPERATOR))
    assert decide(client(), name, card).status_code == 401


@each_decision
def test_a_card_of_another_scope_is_not_there(name: str) -> None:
    ours, theirs = ScopeFactory(), ScopeFactory()
    actor = person(Role.OPERATOR, ours)
    api = client(actor)
    assert decide(api, name, ready(name, actor, scope=ours)).status_code in (200, 202)

    foreign = ready(name, actor, scope=theirs)
    response = decide(api, name, foreign)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")
    assert api.get(f"/api/cards/{foreign.pk}/").status_code == 404
    shown = [card["id"] for card in api.get("/api/cards/?status=open&status=failed&status=executed").json()["results"]]
    assert foreign.pk not in shown


def test_a_browser_needs_the_token(operator: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator)
    card = CardFactory()
    response = strict.post(f"/api/cards/{card.pk}/dismiss/", {"outcome": "benign"}, content_type="application/json")
    assert response.status_code == 403
    card.refresh_from_db()
    assert card.status == "open"


# What is shown


def test_a_card_has_every_field_of_the_structure(api: APIClient) -> None:
    scope = ScopeFactory(slug="shop")
    card = CardFactory(scope=scope)
    api = client(person(Role.OPERATOR, scope))
    response = api.get(f"/api/cards/{card.pk}/")
    shown = response.json()
    assert response.headers["ETag"] == '"1"'
    assert set(shown) >= {
        "type", "target", "draft", "evidence", "expected_impact", "currency", "confidence", "ease", "risk_tier",
        "can_execute", "rollback_plan", "freshness_label", "rationale", "mitigation", "escalation", "version",
    }  # fmt: skip
    assert (shown["type"], shown["scope"], shown["rule_version"]) == ("order-aging-alert", "shop", 1)
    assert (shown["expected_impact"], shown["confidence"]) == ("100.00", "0.950")
    assert (shown["priority"], shown["outcome"]) == ("380.00000", "")
    assert shown["evidence"][0]["requestId"] == "shopify-order-query-20260311-001"
    assert [action["slug"] for action in shown["actions"]] == ["note-down"]
    assert shown["freshness_label"].startswith("stale")  # its rule never ran


def test_the_list_is_the_queue_most_urgent_first(api: APIClient) -> None:
    small = CardFactory(expected_loss=Decimal(10))
    large = CardFactory(expected_loss=Decimal(1000), status="failed")
    CardFactory(status="dismissed")
    page = api.get("/api/cards/").json()
    assert [card["id"] for card in page["results"]] == [large.pk, small.pk]
    assert page["next"] is None


def test_pages_show_each_card_once_though_many_are_equal(api: APIClient) -> None:
    version = example_version()
    cards = CardFactory.build_batch(30, rule_version=version)
    made = {card.pk for card in ActionCard.objects.bulk_create(cards)}
    for query in ("page_size=7", "page_size=7&status=open"):
        url, seen = f"/api/cards/?{query}", []
        while url:
            page = api.get(url).json()
            seen += [card["id"] for card in page["results"]]
            url = page["next"]
        assert sorted(seen) == sorted(made)
        assert len(seen) == 30


def test_a_card_that_is_decided_meanwhile_moves_no_other_between_pages(api: APIClient, operator: User) -> None:
    cards = [CardFactory(expected_loss=Decimal(loss)) for loss in (50, 40, 30, 20)]
    page = api.get("/api/cards/?page_size=2").json()
    services.dismiss(card_id=cards[0].pk, seen_version=1, actor=operator, outcome="benign", reason="")
    assert [card["id"] for card in api.get(page["next"]).json()["results"]] == [cards[2].pk, cards[3].pk]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("type=fraud-pattern-alert", {"fraud"}),
        ("type=fraud-pattern-alert&type=order-aging-alert", {"fraud", "old", "plain"}),
        ("risk_tier=policy", {"fraud"}),
        ("scope=shop", {"shop"}),
        ("rule=another", {"fraud"}),
        ("subject=order:7000077", {"plain"}),
        ("can_execute=false", {"shop"}),
        ("status=dismissed", {"gone"}),
        ("opened_before=2026-01-01T00:00:00Z", {"old"}),
        ("opened_after=2026-01-01T00:00:00Z&risk_tier=low", {"plain", "shop"}),
    ],
)
def test_filters(query: str, expected: set[str]) -> None:
    shop = ScopeFactory(slug="shop")
    new, old = datetime(2026, 3, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC)
    CardFactory(target="fraud", kind="fraud-pattern-alert", risk_tier="policy", rule="another", opened_at=new)
    CardFactory(target="old", risk_tier="safety", opened_at=old)
    CardFactory(target="plain", subject="order:7000077", opened_at=new)
    CardFactory(target="shop", kind="carrier-delay-alert", scope=shop, can_execute=False, opened_at=new)
    CardFactory(target="gone", kind="carrier-delay-alert", status="dismissed", opened_at=new)
    results = client(person(Role.AUDITOR)).get(f"/api/cards/?{query}").json()["results"]
    assert {card["target"] for card in results} == expected


@pytest.mark.parametrize(
    "query",
    ["type=unknown", "page_size=0", "page_size=201", "page_size=x", "cursor=x", "cursor=priority~NaN~1",
     "cursor=opened_at~1.5~1", "cursor=", "opened_after=x", "opened_after=", "opened_after=9999-12-31T23:59:59-23:00",
     "status=open&cursor=opened_at~99999999999999999~1", "can_execute=null", "can_execute=", "can_execute=1"],
)  # fmt: skip
def test_malformed_questions_are_refused_with_the_field(api: APIClient, query: str) -> None:
    response = api.get(f"/api/cards/?{query}")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid")
    assert response.json()["error"]["fields"]


def test_a_cursor_is_of_one_order(api: APIClient) -> None:
    for query in ("cursor=opened_at~1~1", "status=open&cursor=priority~1~1"):
        response = api.get(f"/api/cards/?{query}")
        assert (response.status_code, response.json()["error"]["code"]) == (422, "cursor_of_another_list")


def test_queries_do_not_grow_with_the_page(api: APIClient, django_assert_max_num_queries: Any) -> None:
    CardFactory.create_batch(20, scope=None)
    with django_assert_max_num_queries(10):
        assert len(api.get("/api/cards/").json()["results"]) == 20


# Deciding


def test_approve_starts_the_effect_and_shows_it(api: APIClient, ledger: Ledger) -> None:
    card = CardFactory()
    response = decide(api, "approve", card)
    body = response.json()
    assert (response.status_code, response.headers["ETag"]) == (202, '"2"')
    assert (body["card"]["status"], body["execution"]["status"]) == ("executing", "pending")

    execute.execute(body["execution"]["id"])
    shown = api.get(f"/api/cards/{card.pk}/").json()
    assert (shown["status"], shown["executions"][0]["status"]) == ("executed", "succeeded")
    assert [event["kind"] for event in shown["events"]] == ["approved", "executed"]

    undone = decide(api, "roll-back", ActionCard.objects.get(pk=card.pk)).json()
    assert undone["execution"]["direction"] == "roll_back"


def test_dismiss_escalate_and_note(api: APIClient) -> None:
    dismissed = decide(api, "dismiss", CardFactory(), outcome="false", reason="A wholesaler.").json()["card"]
    assert (dismissed["status"], dismissed["outcome"]) == ("dismissed", "false")
    escalated = decide(api, "escalate", CardFactory()).json()
    assert escalated["card"]["status"] == "escalated"
    assert RiskFlag.objects.get(pk=escalated["risk_flag"]).level == 4
    noted = decide(api, "note", CardFactory()).json()["card"]
    assert (noted["version"], noted["events"][-1]["text"]) == (1, "I called them.")


@pytest.mark.parametrize("name", [name for name in BODIES if name != "note"])
def test_a_decision_about_an_old_version_is_refused(api: APIClient, operator: User, name: str) -> None:
    card = ready(name, operator, version=2)
    assert decide(api, name, card, seen_version=1).status_code == 409
    response = api.post(f"/api/cards/{card.pk}/{name}/", BODIES[name], format="json", headers={"If-Match": '"1"'})
    assert (response.status_code, response.json()["error"]["code"]) == (409, "card_changed")
    assert response.json()["error"]["version"] == 2
    assert response.json()["error"]["request_id"] is not None


def test_a_refusal_says_what_changed(api: APIClient) -> None:
    for impact in (100, 250):
        reconcile(
            rule=rules["example"], version=example_version(), hits=[hit(expected_impact=Decimal(impact))], now=NOW,
            subjects=None,
        )  # fmt: skip
    response = decide(api, "dismiss", ActionCard.objects.get(), seen_version=1)
    assert response.status_code == 409
    assert response.json()["error"]["changes"] == [{"label": "Impact", "before": "100.00", "after": "250.00"}]


@pytest.mark.parametrize("name", [name for name in BODIES if name != "note"])
def test_a_decision_must_say_what_was_seen(api: APIClient, operator: User, name: str) -> None:
    card = ready(name, operator)
    response = api.post(f"/api/cards/{card.pk}/{name}/", BODIES[name], format="json")
    assert (response.status_code, response.json()["error"]["code"]) == (428, "version_required")
    response = api.post(f"/api/cards/{card.pk}/{name}/", BODIES[name], format="json", headers={"If-Match": '"1"'})
    assert response.status_code in (200, 202)


@pytest.mark.parametrize("tag", ["*", "1", '"x"', '"1", "2"', '"2"'])
def test_if_match_names_one_version_and_agrees_with_the_body(api: APIClient, tag: str) -> None:
    response = decide(api, "dismiss", CardFactory(), headers={"If-Match": tag})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid")


@each_decision
def test_the_same_key_again_does_nothing_more(api: APIClient, operator: User, name: str) -> None:
    card, headers = ready(name, operator), {"Idempotency-Key": str(uuid4())}
    first = decide(api, name, card, headers=headers)
    count = CardEvent.objects.count()
    second = decide(api, name, card, headers=headers)
    assert second.status_code == first.status_code in (200, 202)
    assert second.json()["execution"] == first.json()["execution"]
    assert second.json()["risk_flag"] == first.json()["risk_flag"]
    assert CardEvent.objects.count() == count


def test_a_key_is_a_uuid(api: APIClient) -> None:
    response = decide(api, "dismiss", CardFactory(), headers={"Idempotency-Key": "again"})
    assert "Idempotency-Key" in response.json()["error"]["fields"]


@pytest.mark.parametrize(
    ("name", "body", "field", "status"),
    [
        ("approve", {"action": ""}, "action", 400),
        ("approve", {"action": 1}, "action", 400),
        ("dismiss", {"outcome": "maybe"}, "outcome", 400),
        ("dismiss", {"outcome": ""}, "outcome", 400),
        ("dismiss", {"outcome": "false", "reason": ""}, "reason", 422),
        ("dismiss", {"seen_version": 0}, "seen_version", 400),
        ("dismiss", {"seen_version": "1"}, "seen_version", 400),
        ("dismiss", {"reasn": "A wholesaler."}, "reasn", 400),
        ("escalate", {"level": 9}, "level", 400),
        ("escalate", {"level": "4"}, "level", 400),
        ("escalate", {"reason": " "}, "reason", 422),
        ("note", {"text": ""}, "text", 422),
    ],
)
def test_wrong_values_are_named(api: APIClient, name: str, body: dict[str, Any], field: str, status: int) -> None:
    response = decide(api, name, CardFactory(), **body)
    assert response.status_code == status
    assert field in response.json()["error"]["fields"]
    assert ActionCard.objects.get().status == "open"


def test_what_cannot_be_executed_is_refused(api: APIClient) -> None:
    response = decide(api, "approve", CardFactory(can_execute=False))
    assert (response.status_code, response.json()["error"]["code"]) == (409, "cannot_execute")


def test_what_is_decided_is_refused(api: APIClient) -> None:
    response = decide(api, "dismiss", CardFactory(status="escalated"))
    assert (response.status_code, response.json()["error"]["code"]) == (409, "not_decidable")


def test_there_is_no_other_way_to_change_a_card(api: APIClient) -> None:
    card = CardFactory()
    for method in (api.put, api.patch, api.delete):
        assert method(f"/api/cards/{card.pk}/", {"status": "dismissed"}, format="json").status_code in (403, 405)
    assert api.post("/api/cards/", {}, format="json").status_code in (403, 405)


def test_too_many_requests_are_refused_with_a_pause(api: APIClient, settings: Any) -> None:
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"api_user": "2/minute"}
    codes = [api.get("/api/cards/").status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    assert int(api.get("/api/cards/").headers["Retry-After"]) >= 1


# The schema


def test_the_schema_is_valid() -> None:
    out = StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=out)
    assert "/api/cards/{id}/roll-back/" in out.getvalue()


def test_the_schema_is_for_those_who_are_logged_in(api: APIClient) -> None:
    assert api.get("/api/schema/").status_code == 200
    assert client().get("/api/schema/").status_code == 401


def test_a_card_that_a_run_refreshed_says_how_old_its_facts_are(api: APIClient) -> None:
    now = timezone.now()
    card = CardFactory(observed_at=now - timedelta(minutes=5))
    with example_rule([], slug="fresh"):
        services.run_rules(now=now, trigger="schedule", rules=["fresh"])
        ActionCard.objects.filter(pk=card.pk).update(rule="fresh", status="open")
        label = api.get(f"/api/cards/{card.pk}/").json()["freshness_label"]
    assert label == "5 minutes ago"
