"""The API of scores: the specified shapes, who may do what, and how it refuses."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.cache import cache
from rest_framework.test import APIClient

from apps.core.models import Scope, User
from apps.core.roles import ROLE_PERMISSIONS, Role
from apps.subscriptions import scores
from apps.subscriptions.models import RecalculationRun, RiskScore, RiskScoreHistory, Subscription
from tests.core.factories import ScopeFactory, UserFactory, person
from tests.subscriptions.factories import (
    NOW,
    ApprovalFactory,
    BalanceFactory,
    RenewalAttemptFactory,
    SubscriptionFactory,
)

pytestmark = pytest.mark.django_db

KEEPS = {Role.SUPPORT_MANAGER, Role.SUPPORT_DIRECTOR, Role.RISK_MANAGER, Role.OPERATOR, Role.ADMINISTRATOR}
SEES_ALL = {role for role in Role if ROLE_PERMISSIONS[role] & {"core.work_in_scope", "*"}}


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


def client(user: User | None = None) -> APIClient:
    found = APIClient()
    if user:
        found.force_login(user)
    return found


@pytest.fixture
def subscription() -> Subscription:
    """One with three failed renewals, no approval and money enough."""
    found = SubscriptionFactory()
    BalanceFactory(subscription=found)
    for months in (1, 2, 3):
        RenewalAttemptFactory(
            subscription=found,
            renewal_on=found.renews_on - timedelta(days=30 * months),
            attempt_date=NOW - timedelta(days=30 * months),
            success=False,
        )
    scores.recalculate([found.pk], now=NOW)
    return found


def paths(subscription: Subscription) -> dict[str, tuple[str, str, Any]]:
    """Every operation about one subscription: method, address, body."""
    score, rows = f"/api/risk-score/{subscription.pk}", f"/api/subscriptions/{subscription.pk}"
    approval = ApprovalFactory(subscription=subscription, approval_type="payment")
    return {
        "score": ("get", score, None),
        "history": ("get", f"{score}/history", None),
        "attempts": ("get", f"{rows}/attempts", None),
        "approvals": ("get", f"{rows}/approvals", None),
        "balance": ("get", f"{rows}/balance", None),
        "calculate": ("post", f"{score}/calculate", None),
        "attempt": ("post", f"{rows}/attempts", {"success": False}),
        "approve": (
            "post", f"{rows}/approvals", {"approval_type": "renewal", "expires_at": "2026-12-31T00:00:00Z"},
        ),
        "revoke": ("post", f"{rows}/approvals/{approval.pk}/revoke", None),
        "set_balance": (
            "put", f"{rows}/balance", {"amount": "12.50", "currency": "USD", "as_of": "2026-03-02T08:00:00Z"},
        ),
    }  # fmt: skip


READS = ["score", "history", "attempts", "approvals", "balance"]
OWNERS_WRITE = ["calculate", "approve", "revoke"]
WRITES = [*OWNERS_WRITE, "attempt", "set_balance"]


def ask(api: APIClient, operation: tuple[str, str, Any], **headers: str) -> Any:
    method, path, body = operation
    headers = {"Idempotency-Key": str(uuid4())} | headers
    return getattr(api, method)(path, body, format="json", headers=headers)


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


# The specified shapes


def test_one_score(subscription: Subscription) -> None:
    answer = client(subscription.owner).get(f"/api/risk-score/{subscription.pk}")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["success"], body["data"]["subscription_id"]) == (True, str(subscription.pk))
    assert body["data"]["risk_level"] == "HIGH"
    assert body["data"]["last_calculated_at"] == "2026-03-02T09:00:00Z"
    assert (body["data"]["degraded"], body["data"]["degraded_reason"]) == (False, "")
    factor = next(one for one in body["data"]["risk_factors"] if one["factor_type"] == "consecutive_failures")
    assert factor["weight"] == "HIGH"
    assert factor["details"]["consecutive_failures"] == 3
    assert factor["details"]["total_attempts"] == 3


def test_all_scores(subscription: Subscription) -> None:
    body = client(subscription.owner).get("/api/risk-score").json()
    assert (body["success"], body["total"], body["total_exact"], body["next"]) == (True, 1, True, None)
    one = client(subscription.owner).get(f"/api/risk-score/{subscription.pk}").json()["data"]
    assert body["data"] == [one]


def test_calculating_again(subscription: Subscription) -> None:
    ApprovalFactory(subscription=subscription)
    subscription.renewal_attempts.all().delete()
    answer = client(subscription.owner).post(f"/api/risk-score/{subscription.pk}/calculate")
    assert (answer.status_code, answer.json()["success"], answer.json()["data"]["risk_level"]) == (200, True, "LOW")


def test_recalculating_all(subscription: Subscription, django_capture_on_commit_callbacks: Any) -> None:
    admin = client(person(Role.ADMINISTRATOR))
    answer = admin.post("/api/risk-score/recalculate")
    assert answer.status_code == 202
    run = RecalculationRun.objects.get()
    assert answer.json()["data"]["id"] == run.pk
    assert (run.trigger, run.status) == ("api", "waiting")
    assert admin.post("/api/risk-score/recalculate").json()["data"]["id"] == run.pk  # it does what is asked already
    state = admin.get(answer["Location"]).json()["data"]
    assert (state["status"], state["as_of"]) == ("waiting", "2026-03-02T09:00:00Z")
    assert code(admin.get("/api/risk-score/recalculate/99999")) == (404, "not_found")


def test_history_newest_first_in_pages(subscription: Subscription) -> None:
    for number in range(5):
        RiskScoreHistory.objects.create(
            subscription=subscription, calculated_at=NOW + timedelta(days=number // 2), risk_level="LOW",
            previous_level="HIGH", rule_version="v",
        )  # fmt: skip
    api, url, seen = client(subscription.owner), f"/api/risk-score/{subscription.pk}/history?page_size=2", []
    for _ in range(4):
        body = api.get(url).json()
        assert (body["total"], body["total_exact"]) == (6, True)
        seen += [(row["calculated_at"], row["risk_level"]) for row in body["data"]]
        url = body["next"]
        if url is None:
            break
    assert len(seen) == 6
    assert [moment for moment, _ in seen] == sorted((moment for moment, _ in seen), reverse=True)


def test_a_subscription_without_a_score() -> None:
    subscription = SubscriptionFactory()
    assert code(client(subscription.owner).get(f"/api/risk-score/{subscription.pk}")) == (404, "score_missing")
    assert code(client(subscription.owner).get(f"/api/subscriptions/{subscription.pk}/balance")) == (
        404,
        "balance_missing",
    )


def test_a_degraded_score_says_so(subscription: Subscription) -> None:
    RiskScore.objects.update(degraded=True, degraded_reason="balance_projection: broken")
    data = client(subscription.owner).get(f"/api/risk-score/{subscription.pk}").json()["data"]
    assert (data["degraded"], data["degraded_reason"]) == (True, "balance_projection: broken")


# The list


def score(level: str, weight: str = "10", owner: User | None = None, **fields: Any) -> RiskScore:
    of = {name: fields.pop(name) for name in ("scope",) if name in fields}
    subscription = SubscriptionFactory(**({"owner": owner} if owner else {}), **of)
    return RiskScore.objects.create(
        subscription=subscription, user=subscription.owner, risk_level=level, total_weight=Decimal(weight),
        last_calculated_at=NOW, rule_version="v", **fields,
    )  # fmt: skip


def listed(api: APIClient, query: str = "") -> list[str]:
    """The ids of all pages."""
    url, found = f"/api/risk-score?{query}", []
    for _ in range(50):
        body = api.get(url).json()
        found += [row["subscription_id"] for row in body["data"]]
        url = body["next"]
        if url is None:
            return found
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_the_list_is_worst_first_in_pages_of_any_size(size: int) -> None:
    made = [score(level, weight) for level in ("LOW", "HIGH", "MEDIUM") for weight in ("5", "20", "5", "0.5")]
    rank = {"HIGH": 0, "MEDIUM": 1, "LOW": 2}
    wanted = sorted(made, key=lambda one: (rank[one.risk_level], -one.total_weight, one.pk))
    found = listed(client(person(Role.RISK_MANAGER)), f"page_size={size}")
    assert found == [str(one.subscription_id) for one in wanted]


def test_filters() -> None:
    scope = ScopeFactory()
    high, low = score("HIGH", scope=scope), score("LOW")
    odd = score("MEDIUM", degraded=True)
    api = client(person(Role.AUDITOR))
    for query, wanted in {
        "level=HIGH": [high], "level=LOW&level=MEDIUM": [odd, low], "degraded=true": [odd],
        "degraded=false": [high, low], f"scope={scope.slug}": [high], "scope=unknown": [], "level=HIGH&degraded=true": [],
    }.items():  # fmt: skip
        assert listed(api, query) == [str(one.subscription_id) for one in wanted], query
        assert api.get(f"/api/risk-score?{query}").json()["total"] == len(wanted)


@pytest.mark.parametrize(
    "query",
    ["level=high", "degraded=1", "scope=a%20b", "page_size=0", "page_size=201", "page_size=x", "cursor=x", "level="],
)
def test_a_list_that_is_asked_for_wrongly(query: str) -> None:
    answer = client(person(Role.AUDITOR)).get(f"/api/risk-score?{query}")
    assert code(answer) == (400, "invalid")
    assert list(answer.json()["error"]["fields"]) == [query.split("=")[0]]


def test_the_total_is_counted_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.subscriptions.api_lists.MOST_COUNTED", 2)
    api = client(person(Role.AUDITOR))
    for count, wanted in ((1, (1, True)), (2, (2, True)), (3, (2, False))):
        score("LOW")
        body = api.get("/api/risk-score?page_size=1").json()
        assert (body["total"], body["total_exact"]) == wanted, count


def test_a_page_behind_the_last_one_is_empty_and_still_says_how_many_there_are() -> None:
    score("LOW")
    score("HIGH")
    body = (
        client(person(Role.AUDITOR)).get(f"/api/risk-score?cursor=LOW~0.00~{'f' * 8}-ffff-4fff-8fff-{'f' * 12}").json()
    )
    assert body == {"success": True, "data": [], "total": 2, "total_exact": True, "next": None}


def test_one_score_is_the_same_in_the_list_and_alone() -> None:
    reasons = [{"factor_type": "x", "details": {"ä": "\\ \n"}}]
    one = score("MEDIUM", "7.5", risk_factors=reasons)
    RiskScore.objects.update(rule_version='Käse "v1" <b>')
    api = client(person(Role.AUDITOR))
    (listed,) = api.get("/api/risk-score").json()["data"]
    assert api.get(f"/api/risk-score/{one.subscription_id}").json() == {"success": True, "data": listed}
    assert listed == {
        "subscription_id": str(one.subscription_id), "risk_level": "MEDIUM", "total_weight": "7.50", "degraded": False,
        "risk_factors": reasons, "last_calculated_at": "2026-03-02T09:00:00Z", "degraded_reason": "",
        "rule_version": 'Käse "v1" <b>',
    }  # fmt: skip


# Who may


@pytest.mark.parametrize("role", Role)
def test_the_list_holds_what_a_role_sees(role: Role) -> None:
    mine, other = ScopeFactory(), ScopeFactory()
    one, two = score("HIGH", scope=mine), score("HIGH", scope=other)
    user = person(role, mine)
    own = score("LOW", owner=user, scope=other)
    wanted = {one, two, own} if role in SEES_ALL else {own} if role is Role.CONTENT_OWNER else {one, own}
    assert set(listed(client(user))) == {str(found.subscription_id) for found in wanted}


@pytest.mark.parametrize("role", Role)
def test_what_a_role_does_in_its_scope(role: Role, subscription: Subscription) -> None:
    assert subscription.scope
    api = client(person(role, subscription.scope))
    found = {name: ask(api, operation).status_code for name, operation in paths(subscription).items()}
    if role is Role.CONTENT_OWNER:  # whose role does not see subscriptions
        assert set(found.values()) == {404}
        return
    assert {name for name in READS if found[name] != 200} == set()
    refused = {name for name in WRITES if found[name] == 403}
    assert refused == (set() if role in KEEPS else set(WRITES))
    assert all(status < 300 for name, status in found.items() if name not in refused)


@pytest.mark.parametrize("role", [role for role in Role if role not in SEES_ALL])
def test_other_scopes_do_not_exist(role: Role, subscription: Subscription) -> None:
    api = client(person(role, ScopeFactory()))
    for name, operation in paths(subscription).items():
        assert code(ask(api, operation)) == (404, "not_found"), name


def test_what_an_owner_may(subscription: Subscription) -> None:
    found = {name: ask(client(subscription.owner), one).status_code for name, one in paths(subscription).items()}
    assert {name for name, status in found.items() if status == 403} == {"attempt", "set_balance"}
    assert all(status < 300 for name, status in found.items() if name not in ("attempt", "set_balance"))


def test_somebody_elses_does_not_exist(subscription: Subscription) -> None:
    unknown = Subscription(pk=uuid4(), scope=Scope())
    other = client(UserFactory())
    for name, operation in paths(subscription).items():
        method, path, body = operation
        nowhere = (method, path.replace(str(subscription.pk), str(unknown.pk)), body)
        answers = [ask(other, operation), ask(other, nowhere)]
        assert [code(answer) for answer in answers] == [(404, "not_found")] * 2, name
        assert answers[0].json()["error"]["message"] == answers[1].json()["error"]["message"]


def test_an_approval_of_another_subscription(subscription: Subscription) -> None:
    foreign = ApprovalFactory()
    path = f"/api/subscriptions/{subscription.pk}/approvals/{foreign.pk}/revoke"
    assert code(client(subscription.owner).post(path)) == (404, "not_found")
    foreign.refresh_from_db()
    assert foreign.status == "active"


def test_strangers(subscription: Subscription) -> None:
    everything = [*paths(subscription).values(), ("get", "/api/risk-score", None)]
    everything += [("post", "/api/risk-score/recalculate", None), ("get", "/api/risk-score/recalculate/1", None)]
    for operation in everything:
        answer = ask(client(), operation)
        assert code(answer) == (401, "not_authenticated"), operation
        assert answer["WWW-Authenticate"] == "Bearer"


def test_who_left_is_a_stranger(subscription: Subscription) -> None:
    api = client(subscription.owner)
    User.objects.filter(pk=subscription.owner_id).update(is_active=False)
    assert api.get("/api/risk-score").status_code == 401


@pytest.mark.parametrize("role", Role)
def test_recalculating_is_for_administrators(role: Role) -> None:
    answer = client(person(role)).post("/api/risk-score/recalculate")
    assert answer.status_code == (202 if role is Role.ADMINISTRATOR else 403)
    assert RecalculationRun.objects.exists() is (role is Role.ADMINISTRATOR)
    run = RecalculationRun.objects.create(trigger="api", as_of=NOW, batch_size=1)
    state = client(person(role)).get(f"/api/risk-score/recalculate/{run.pk}")
    assert state.status_code == (403 if role is Role.CONTENT_OWNER else 200)


def test_sessions_need_the_forms_token(subscription: Subscription) -> None:
    api = APIClient(enforce_csrf_checks=True)
    api.force_login(subscription.owner)
    assert api.post(f"/api/risk-score/{subscription.pk}/calculate").status_code == 403


def test_too_much_is_refused_for_a_while(subscription: Subscription, settings: Any) -> None:
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"api_user": "3/minute"}
    cache.clear()
    api = client(subscription.owner)
    found = [api.get("/api/risk-score") for _ in range(4)]
    assert [answer.status_code for answer in found] == [200, 200, 200, 429]
    assert found[-1].json()["error"]["code"] == "rate_limited"
    assert 1 <= int(found[-1]["Retry-After"]) <= 60
