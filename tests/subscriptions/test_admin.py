"""The admin pages of subscriptions: what they show, what they let whom do, and what they refuse."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from apps.core.models import Scope, User
from apps.core.roles import Role
from apps.subscriptions import tasks
from apps.subscriptions.models import (
    Approval,
    FactorVersion,
    LevelCount,
    RecalculationRun,
    RenewalAttempt,
    RiskScore,
    RiskScoreHistory,
    Subscription,
)
from apps.subscriptions.scores import recalculate
from apps.subscriptions.templatetags.risk_plots import DayCounts, Step, counts_plot, level_plot, share_bar
from tests.core.factories import ScopeFactory, person
from tests.subscriptions.factories import NOW, ApprovalFactory, BalanceFactory, SubscriptionFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_nine() -> Any:
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def scope() -> Scope:
    return ScopeFactory(name="Acme")


@pytest.fixture
def olga(scope: Scope) -> User:
    return person(Role.OPERATOR, scope)


@pytest.fixture
def plan(scope: Scope) -> Subscription:
    """A subscription without an approval, so at HIGH risk, with a thin balance."""
    one = SubscriptionFactory(scope=scope, name="Team plan")
    BalanceFactory(subscription=one, amount=Decimal("21.00"))
    recalculate([one.pk], now=NOW - timedelta(days=30))
    return one


def page(client: Client, name: str, *args: object, status: int = 200, **query: Any) -> str:
    answer = client.get(reverse(f"admin:subscriptions_{name}", args=args), query)
    assert answer.status_code == status, answer.content.decode()[:500]
    return answer.content.decode()


def address(name: str, *args: object) -> str:
    return reverse(f"admin:subscriptions_{name}", args=args)


def test_a_subscription_shows_its_level_reasons_and_history(client: Client, olga: User, plan: Subscription) -> None:
    client.force_login(olga)
    shown = page(client, "subscription_change", plan.pk)
    for words in (
        "there is no approval to renew",
        "USD 21.00 for a renewal of USD 20.00, 105 % of it",
        "Ask the owner to approve the renewal again",
        "Risk level over time",
        "High from 2026-01-31 09:00",
        "Remind the owner to top up",
    ):
        assert words in shown
    assert " style=" not in shown, "the policy allows no style attribute"
    assert "<script>" not in shown


def test_reasons_stand_in_the_lists(client: Client, olga: User, plan: Subscription) -> None:
    client.force_login(olga)
    for name in ("riskscore_changelist", "subscription_changelist", "riskscorehistory_changelist"):
        assert "there is no approval to renew" in page(client, name)
    assert "Team plan" not in page(client, "riskscore_changelist", level="LOW")
    assert "Team plan" in page(client, "riskscore_changelist", level="all")
    assert "Team plan" in page(client, "subscription_changelist", level="HIGH", q=str(plan.pk))
    assert "Team plan" not in page(client, "subscription_changelist", level="none")


def test_rows_are_found_by_the_name_or_the_id_of_their_subscription(
    client: Client, olga: User, plan: Subscription, scope: Scope
) -> None:
    other = SubscriptionFactory(scope=scope, name="Other plan")
    recalculate([other.pk], now=NOW)
    client.force_login(olga)
    for name in ("riskscore_changelist", "riskscorehistory_changelist"):
        for words in (str(plan.pk), "team"):
            shown = (
                page(client, name, q=words, level="all")
                if name == "riskscore_changelist"
                else page(client, name, q=words)
            )
            assert "Team plan" in shown
            assert "Other plan" not in shown


def test_a_degraded_score_says_so(client: Client, olga: User, plan: Subscription) -> None:
    RiskScore.objects.update(degraded=True, degraded_reason="Balance projection failed: X")
    client.force_login(olga)
    assert "Degraded" in page(client, "riskscore_changelist", degraded__exact=1)
    assert "Balance projection failed: X" in page(client, "subscription_change", plan.pk)


def test_a_subscription_of_another_organisation_is_not_there(client: Client, plan: Subscription) -> None:
    client.force_login(person(Role.OPERATOR, ScopeFactory()))
    page(client, "subscription_change", plan.pk, status=404)
    page(client, "record", plan.pk, "attempt", status=404)
    assert client.post(address("recalculate", plan.pk)).status_code == 404
    assert "Team plan" not in page(client, "riskscore_changelist", level="all")
    assert "Acme" not in page(client, "subscription_changelist")
    page(client, "subscription_change", "no-uuid", status=404)


def test_recalculating_one_and_the_selected(client: Client, olga: User, plan: Subscription) -> None:
    ApprovalFactory(subscription=plan)
    client.force_login(olga)
    assert client.post(address("recalculate", plan.pk)).url == address("subscription_change", plan.pk)
    assert RiskScore.objects.get().risk_level == "MEDIUM"
    Approval.objects.all().delete()
    score = RiskScore.objects.get()
    client.post(
        address("riskscore_changelist") + "?level=all", {"action": "recalculate", "_selected_action": [str(score.pk)]}
    )
    assert RiskScore.objects.get().risk_level == "HIGH"
    client.post(address("subscription_changelist"), {"action": "recalculate", "_selected_action": [str(plan.pk)]})
    assert RiskScore.objects.get().last_calculated_at == NOW


def test_who_may_only_look_cannot_recalculate(client: Client, scope: Scope, plan: Subscription) -> None:
    client.force_login(person(Role.SUPPORT_AGENT, scope))
    assert client.post(address("recalculate", plan.pk)).status_code == 403
    client.post(address("subscription_changelist"), {"action": "recalculate", "_selected_action": [str(plan.pk)]})
    assert RiskScore.objects.get().last_calculated_at == NOW - timedelta(days=30)
    assert "Recalculate" not in page(client, "subscription_change", plan.pk)


def test_recalculating_all_is_for_administrators(
    client: Client, olga: User, plan: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[int] = []
    monkeypatch.setattr(tasks, "wake", lambda: woken.append(1))
    client.force_login(olga)
    assert client.post(address("recalculate_all")).status_code == 403
    assert not RecalculationRun.objects.exists()
    client.force_login(person(Role.ADMINISTRATOR))
    for _ in range(2):
        client.post(address("recalculate_all"))
    assert RecalculationRun.objects.get().trigger == "admin"
    assert woken == [1, 1]
    assert "not started" in page(client, "recalculationrun_changelist")


def test_a_run_shows_its_progress(client: Client, olga: User) -> None:
    RecalculationRun.objects.create(
        trigger="schedule", status="running", as_of=NOW, batch_size=100, total=400, succeeded=90, failed=10, seconds=2
    )
    client.force_login(olga)
    shown = page(client, "recalculationrun_changelist")
    assert "25 %" in shown
    assert "100 of 400" in shown
    assert "50/s" in shown
    assert "Recalculate all" not in shown


def test_recording_goes_through_the_records(client: Client, olga: User, plan: Subscription) -> None:
    client.force_login(olga)
    answer = client.post(
        address("record", plan.pk, "attempt"),
        {"success": "0", "attempt_date": "2026-03-02T08:00", "decline_code": "expired_card", "error_message": "No."},
    )
    assert answer.status_code == 302
    assert RenewalAttempt.objects.get().decline_kind == "hard"
    client.post(address("record", plan.pk, "approval"), {"approval_type": "renewal", "expires_at": "2027-03-02T08:00"})
    approval = Approval.objects.get()
    client.post(address("record", plan.pk, "balance"), {"amount": "55.00", "as_of": "2026-03-02T08:00"})
    plan.refresh_from_db()
    assert (plan.balance.amount, plan.balance_source) == (Decimal("55.00"), "manual")
    client.post(address("revoke", plan.pk, approval.pk))
    approval.refresh_from_db()
    assert approval.status == "revoked"


def test_what_the_records_refuse_stands_in_the_form(client: Client, olga: User, plan: Subscription) -> None:
    client.force_login(olga)
    answer = client.post(address("record", plan.pk, "attempt"), {"success": "0", "attempt_date": "2027-03-02T08:00"})
    assert answer.status_code == 422
    assert "Nothing was recorded" in answer.content.decode()
    assert not RenewalAttempt.objects.exists()
    assert client.get(address("record", plan.pk, "edit")).status_code == 403
    assert client.get(address("record", plan.pk, "nothing")).status_code == 404


# Factors


def factor_values(**changes: str) -> dict[str, str]:
    return {
        "seen": "0", "reason": "Trial.", "consecutive_failures__enabled": "on", "consecutive_failures__NONE": "0",
        "consecutive_failures__MEDIUM": "5", "consecutive_failures__HIGH": "10", "balance_projection__enabled": "on",
        "balance_projection__NONE": "0", "balance_projection__MEDIUM": "5", "balance_projection__HIGH": "10",
        "approval_expiration__enabled": "on", "approval_expiration__NONE": "0", "approval_expiration__HIGH": "10",
    } | changes  # fmt: skip


def test_an_organisation_gets_its_own_factors(client: Client, scope: Scope, plan: Subscription) -> None:
    client.force_login(person(Role.RISK_MANAGER))
    values = factor_values(approval_expiration__HIGH="4")
    del values["balance_projection__enabled"]
    assert client.post(address("factors", scope.pk), values).status_code == 302
    version = FactorVersion.objects.get()
    assert (version.scope, version.number) == (scope, 1)
    assert version.factors["approval_expiration"]["weights"] == {"HIGH": 4}
    assert version.factors["balance_projection"]["enabled"] is False
    assert "consecutive_failures" not in version.factors
    recalculate([plan.pk], now=NOW)
    assert RiskScore.objects.get().risk_level == "LOW"
    shown = page(client, "factors", scope.pk)
    assert "Version 1" in shown
    assert "Trial." in shown
    assert "Own factors" in page(client, "factorversion_changelist")


def test_a_version_made_meanwhile_and_wrong_weights_are_refused(client: Client, scope: Scope) -> None:
    client.force_login(person(Role.RISK_MANAGER))
    client.post(address("factors", scope.pk), factor_values(approval_expiration__HIGH="4"))
    late = client.post(address("factors", scope.pk), factor_values(approval_expiration__HIGH="9"))
    assert late.status_code == 400
    assert "made meanwhile" in late.content.decode()
    wrong = client.post(address("factors", scope.pk), factor_values(seen="1", approval_expiration__HIGH="-1"))
    assert wrong.status_code == 400
    same = client.post(address("factors", scope.pk), factor_values(seen="1", approval_expiration__HIGH="4"))
    assert same.status_code == 302
    assert FactorVersion.objects.count() == 1


def test_who_may_look_at_factors_does_not_change_them(client: Client, scope: Scope, olga: User) -> None:
    client.force_login(olga)
    assert "Only Risk Managers" in page(client, "factors", scope.pk)
    assert client.post(address("factors", scope.pk), factor_values()).status_code == 403
    page(client, "factors", ScopeFactory().pk, status=404)
    page(client, "factors", 0)


# Trends


def test_the_trend_counts_what_the_person_sees(client: Client, scope: Scope, olga: User) -> None:
    for back in (0, 8):
        for where, number in ((scope, 7 + back), (ScopeFactory(), 1_000)):
            for level in ("LOW", "MEDIUM", "HIGH"):
                LevelCount.objects.create(
                    day=NOW.date() - timedelta(days=back), scope=where, risk_level=level, subscriptions=number
                )
    client.force_login(olga)
    shown = page(client, "levelcount_changelist", days="30")
    assert "On the last day: 7 high, 7 medium, 7 low." in shown
    assert "15 a week before" in shown
    assert "As a table" in shown
    assert "1,000" not in shown
    assert " style=" not in shown
    page(client, "levelcount_changelist", organisation="999999", status=404)
    client.force_login(person(Role.AUDITOR))
    assert "1,007 high" in page(client, "levelcount_changelist")


def test_plots_say_in_words_what_they_draw() -> None:
    steps = [Step(NOW - timedelta(days=3), "LOW"), Step(NOW - timedelta(days=1), "HIGH", degraded=True)]
    drawn = str(level_plot(steps, NOW, "Risk <b>"))
    assert "High from 2026-03-01 09:00, degraded" in drawn
    assert "Risk &lt;b&gt;" in drawn
    assert drawn.count("<rect") == 2
    assert "No data yet" in level_plot([], NOW, "Risk")
    assert "No data yet" in counts_plot([], "Counts")
    assert counts_plot([DayCounts(NOW.date(), 1, 2, 3)], "Counts").count("<polygon") == 3
    assert 'aria-label="3 high, 2 medium, 1 low"' in share_bar(1, 2, 3)
    assert share_bar(0, 0, 0) == ""


def test_the_home_page_shows_the_worst(client: Client, olga: User, plan: Subscription) -> None:
    client.force_login(olga)
    shown = client.get(reverse("admin:index")).content.decode()
    assert "Subscriptions at risk" in shown
    assert "Team plan" in shown


def test_the_page_of_a_subscription_asks_a_bounded_number_of_queries(
    client: Client, olga: User, plan: Subscription, django_assert_max_num_queries: Any
) -> None:
    for n in range(60):
        RiskScoreHistory.objects.create(
            subscription=plan, calculated_at=NOW - timedelta(days=n), risk_level="LOW", rule_version="v"
        )
    client.force_login(olga)
    with django_assert_max_num_queries(45):
        page(client, "subscription_change", plan.pk)
