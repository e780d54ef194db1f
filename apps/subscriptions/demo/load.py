"""Loads the subscriptions of the demonstration: all three levels, with months of history, and changes of today.

The past is judged by the same evaluators as the present, a day at a time, by the facts as they were known then. Nobody is
told of it. What is HIGH today came about today or is told today, so the inbox and the queue have something to show. The
chances of failing are those of a model that is trained here and now on the invented tries.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from random import Random
from time import perf_counter

import structlog
from django.contrib.auth.hashers import make_password
from django.db import transaction

from apps.actions.models import RuleRun
from apps.actions.runs import run_rules
from apps.core.decisions import system
from apps.core.models import Scope, User
from apps.subscriptions import levels, retries, scores
from apps.subscriptions.declines import classify
from apps.subscriptions.demo.lives import LONG_AGO, OWNERS, Life, lives
from apps.subscriptions.demo.past import judge
from apps.subscriptions.demo.payments import show_retries
from apps.subscriptions.models import (
    AccountBalance,
    Approval,
    RecalculationRun,
    RenewalAttempt,
    RiskScore,
    Subscription,
)
from apps.subscriptions.prediction.learn import TooLittleData
from apps.subscriptions.prediction.predict import predict_all
from apps.subscriptions.prediction.train import train

logger = structlog.get_logger(__name__)

COUNT = 144
ALERT_FROM = 0.4
"""Chance of failing from which the demonstration alerts."""
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
    with transaction.atomic():
        for subscription, _ in pairs:
            retries.propose(subscription=subscription, now=now)
        show_retries(now)
    _today(now)
    _predict(now)
    return True


def _start_told() -> None:
    """What the past brought to HIGH was told then, except for what is told today."""
    for score in RiskScore.objects.filter(risk_level="HIGH").order_by("pk")[5:]:
        score.last_notified_risk_level = score.risk_level
        score.save(update_fields=["last_notified_risk_level"])


def _today(now: datetime) -> None:
    """The run of today, by the same code as every day, and those of the days before, as rows only."""
    ids = list(Subscription.objects.active().values_list("pk", flat=True))
    began = perf_counter()
    with _quiet("apps.subscriptions.assess"):
        done = scores.recalculate(ids, now=now, occasion="run")
    seconds = round(perf_counter() - began, 3)
    levels.count(day=now.date())
    run_rules(now=now, trigger=RuleRun.Trigger.COMMAND, rules=["high-risk"])
    two = datetime.combine(now.date(), time(2), UTC)
    for back in range(6, 0, -1):
        _run(two - timedelta(days=back), seconds, total=len(ids), succeeded=len(ids), changed=back % 4)
    _run(now, seconds, total=len(ids), succeeded=done.succeeded, failed=done.failed, degraded=done.degraded,
         changed=done.changed)  # fmt: skip


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Without a logger's lines: the factor that fails here is meant to, and its traceback would look like a broken demo."""
    log = logging.getLogger(name)
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)


def _run(at: datetime, seconds: float, **counts: int) -> None:
    RecalculationRun.objects.create(
        trigger=RecalculationRun.Trigger.SCHEDULE, status=RecalculationRun.Status.FINISHED, as_of=at, started_at=at,
        finished_at=at, heartbeat_at=at, batch_size=100, seconds=seconds, **counts,
    )  # fmt: skip


def _predict(now: datetime) -> None:
    """Train on the invented tries and predict, as the daily tasks do. Without a model the pages say so."""
    try:
        train(now=now, actor=system("demo"), threshold=ALERT_FROM)
    except (TooLittleData, OSError) as error:  # such as a folder that cannot be written
        logger.warning("demo_without_model", reason=str(error))
        return
    predict_all(now=now)
    run_rules(now=now, trigger=RuleRun.Trigger.COMMAND, rules=["predicted-failure"])


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
    pairs: list[tuple[Subscription, Life]] = []
    born = datetime.combine(now.date() - timedelta(days=LONG_AGO), time(9), UTC)
    for life in lives(Random(11), today=now.date(), count=COUNT):  # noqa: S311 - a game
        place = 0 if life.plan in ("Lamp care", "Bulb box", "Showroom licence") else 1
        one = Subscription(
            scope=scopes[place], owner=owners[life.owner], name=f"{life.plan}, {OWNERS[life.owner]}", price=life.price,
            currency=SCOPES[place][2], renews_on=life.renews_on, created_at=born, updated_at=born,
            balance_source="provider", payment_method=f"pm_{len(pairs) + 1:04}",
            status="paused" if life.story == "paused" else "active",
        )  # fmt: skip
        pairs.append((one, life))
    Subscription.objects.bulk_create([one for one, _ in pairs])
    RenewalAttempt.objects.bulk_create([row for one, life in pairs for row in _attempts(one, life)])
    odd = next(one for one, life in pairs if life.story == "calm" and one.currency != "USD")
    AccountBalance.objects.bulk_create(
        [
            AccountBalance(
                # One bank reports in another currency, which cannot be compared: that score is degraded, and says why.
                subscription=one, amount=life.balances[-1][1], currency="USD" if one is odd else one.currency,
                as_of=life.balances[-1][0],
            )
            for one, life in pairs
        ]
    )  # fmt: skip
    Approval.objects.bulk_create([row for n, (one, life) in enumerate(pairs) for row in _approvals(n, one, life, born)])
    return pairs


def _approvals(n: int, one: Subscription, life: Life, born: datetime) -> list[Approval]:
    """The approval that counts; some replaced an earlier one, and some owners approved of the method too."""
    made = [("renewal", life.approval_ends, "active", born)] if life.approval_ends else []
    if n % 13 == 0:
        made.append(("renewal", born + timedelta(days=30), "revoked", born - timedelta(days=30)))
    if n % 9 == 0:
        made.append(("payment", born + timedelta(days=365), "active", born))
    return [
        Approval(subscription=one, user=one.owner, approval_type=kind, expires_at=ends, status=status, created_at=since)
        for kind, ends, status, since in made
    ]


def _attempts(one: Subscription, life: Life) -> list[RenewalAttempt]:
    return [
        RenewalAttempt(
            subscription=one, renewal_on=each.renewal_on, number=each.number, attempt_date=each.at, recorded_at=each.at,
            amount=one.price, currency=one.currency, success=each.paid, decline_code=each.code,
            decline_kind=classify(each.code) if each.code else "", payment_method=one.payment_method,
            error_message="" if each.paid else "The card issuer declined the payment.",
        )
        for each in life.tries
    ]  # fmt: skip
