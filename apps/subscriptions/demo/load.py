"""Loads the subscriptions of the demonstration: all three levels, with months of history, and changes of today.

The past is judged by the same evaluators as the present, a day at a time, by the facts as they were known then. Nobody is
told of it. What is HIGH today came about today or is told today, so the inbox and the queue have something to show.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from random import Random

from django.contrib.auth.hashers import make_password
from django.db import transaction

from apps.actions.models import RuleRun
from apps.actions.runs import run_rules
from apps.core.models import Scope, User
from apps.subscriptions import levels, retries, scores
from apps.subscriptions.declines import classify
from apps.subscriptions.demo.lives import DAYS, OWNERS, Life, lives
from apps.subscriptions.demo.past import judge
from apps.subscriptions.models import (
    AccountBalance,
    Approval,
    RecalculationRun,
    RenewalAttempt,
    RiskScore,
    Subscription,
)

COUNT = 144
Report = Callable[[str, int], object]
SCOPES = (("northlight", "Northlight Lamps", "USD"), ("fjord", "Fjord Outdoor", "EUR"))


def load(*, now: datetime, report: Report) -> bool:
    """Load the subscriptions, all or none.

    Returns:
        False if there are subscriptions already.
    """
    if Subscription.objects.exists():
        return False
    report("Subscriptions", 0)
    with transaction.atomic():
        pairs = _make(now)
        judge(pairs, now=now)
        _start_told()
    for subscription, _ in pairs:
        with transaction.atomic():
            retries.propose(subscription=subscription, now=now)
    _today(now)
    return True


def _start_told() -> None:
    """What the past brought to HIGH was told then, except for what is told today."""
    for score in RiskScore.objects.filter(risk_level="HIGH").order_by("pk")[5:]:
        score.last_notified_risk_level = score.risk_level
        score.save(update_fields=["last_notified_risk_level"])


def _today(now: datetime) -> None:
    """The run of today, by the same code as every day."""
    ids = list(Subscription.objects.active().values_list("pk", flat=True))
    done = scores.recalculate(ids, now=now, occasion="run")
    levels.count(day=now.date())
    run_rules(now=now, trigger=RuleRun.Trigger.COMMAND, rules=["high-risk"])
    RecalculationRun.objects.create(
        trigger=RecalculationRun.Trigger.SCHEDULE, status=RecalculationRun.Status.FINISHED, as_of=now, started_at=now,
        finished_at=now, heartbeat_at=now, batch_size=100, total=len(ids), succeeded=done.succeeded, failed=done.failed,
        degraded=done.degraded, changed=done.changed, seconds=0.4,
    )  # fmt: skip


def _owners() -> list[User]:
    """People who own subscriptions; they are not staff, and nobody logs in as them."""
    unusable, made = make_password(None), []
    for name in OWNERS:
        first, _, last = name.partition(" ")
        user, _ = User.objects.get_or_create(
            username=f"owner.{first.lower()}",
            defaults={"email": f"{first.lower()}.{last.lower()}@customers.example.com", "first_name": first,
                      "last_name": last, "password": unusable},
        )  # fmt: skip
        made.append(user)
    return made


def _make(now: datetime) -> list[tuple[Subscription, Life]]:
    owners = _owners()
    scopes = [Scope.objects.get_or_create(slug=slug, defaults={"name": name})[0] for slug, name, _ in SCOPES]
    pairs = []
    born = datetime.combine(now.date() - timedelta(days=DAYS), time(9), UTC)
    for life in lives(Random(11), today=now.date(), count=COUNT):  # noqa: S311 - a game
        place = 0 if life.plan in ("Lamp care", "Bulb box", "Showroom licence") else 1
        one = Subscription(
            scope=scopes[place], owner=owners[life.owner], name=f"{life.plan}, {OWNERS[life.owner]}", price=life.price,
            currency=SCOPES[place][2], renews_on=life.renews_on, created_at=born, updated_at=born,
            balance_source="provider", payment_method="stored card",
            status="paused" if life.story == "paused" else "active",
        )  # fmt: skip
        pairs.append((one, life))
    Subscription.objects.bulk_create([one for one, _ in pairs])
    RenewalAttempt.objects.bulk_create([row for one, life in pairs for row in _attempts(one, life)])
    AccountBalance.objects.bulk_create(
        [AccountBalance(subscription=one, amount=life.balances[-1][1], currency=one.currency, as_of=life.balances[-1][0])
         for one, life in pairs]
    )  # fmt: skip
    Approval.objects.bulk_create(
        [Approval(subscription=one, user=one.owner, approval_type="renewal", expires_at=life.approval_ends, created_at=born)
         for one, life in pairs if life.approval_ends]
    )  # fmt: skip
    return pairs


def _attempts(one: Subscription, life: Life) -> list[RenewalAttempt]:
    return [
        RenewalAttempt(
            subscription=one, renewal_on=each.renewal_on, number=each.number, attempt_date=each.at, recorded_at=each.at,
            amount=one.price, currency=one.currency, success=each.paid, decline_code=each.code,
            decline_kind=classify(each.code) if each.code else "",
            error_message="" if each.paid else "The card issuer declined the payment.",
        )
        for each in life.tries
    ]  # fmt: skip
