"""Predictions for all active subscriptions, and the alert about those of which the rules say nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection, transaction
from django.db.models import Count, Exists, OuterRef, QuerySet, Window
from django.db.models.functions import RowNumber

from apps.core.models import Scope
from apps.core.notifications import notify
from apps.subscriptions.facts import uuid_array
from apps.subscriptions.models import RecalculationRun, RenewalModel, RenewalPrediction, Subscription
from apps.subscriptions.models.scores import RiskLevel
from apps.subscriptions.people import keepers
from apps.subscriptions.prediction import store
from apps.subscriptions.prediction.features import FEATURES, INTERVAL_DAYS, REMEMBERED, Renewal, values
from apps.subscriptions.prediction.model import Matrix, Model
from apps.subscriptions.prediction.train import LOOK_BACK

BATCH = 5_000
REASONS = 3
SLIGHT = 0.05
"""Parts of the log odds below this are no reason."""
CALM = 0.9
"""An alert may be repeated once the chance fell below this share of the threshold, so that it does not flicker."""
NAMED = 10


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a round of predictions did."""

    subscriptions: int
    alerted: int


def active_model() -> RenewalModel | None:
    """The version that predictions are made by; None if none was trained or chosen."""
    return RenewalModel.objects.filter(active=True).first()


def due() -> datetime | None:
    """When the last recalculation of all subscriptions ended, if some prediction is older than that; else None."""
    ended = RecalculationRun.objects.filter(status=RecalculationRun.Status.FINISHED).order_by("-finished_at")
    last = ended.values_list("finished_at", flat=True).first()
    if last is None or active_model() is None:
        return None
    made = RenewalPrediction.objects
    return last if made.filter(predicted_at__lt=last).exists() or not made.exists() else None


def predict_all(*, now: datetime, since: datetime | None = None, go_on: Callable[[], bool] = lambda: True) -> Predicted:
    """Predict the next renewal of every active subscription that was ever charged, and alert.

    A constant number of queries for each :data:`BATCH`; it may be repeated at any time.

    Args:
        since: predictions made at or after it are left as they are, so that a round that was cut off goes on.
        go_on: asked before each batch; once it says no, the round ends there, and nobody is alerted yet.

    Raises:
        ModelUnusable: if the active version's file cannot be used; nothing is changed then.
    """
    version = active_model()
    if version is None:
        return Predicted(0, 0)
    model, done, since = store.read(version), 0, since or now
    for batch in _batches(since):
        if not go_on():
            return Predicted(done, 0)
        done += _predict(batch, version, model, now)
    # What was not predicted in this round has ended or has no tries any more.
    RenewalPrediction.objects.filter(predicted_at__lt=since).delete()
    return Predicted(done, alert(version, now=now))


def predict(ids: Sequence[UUID], *, now: datetime) -> int:
    """Predict for some subscriptions, such as one that just changed. Returns for how many there was a prediction."""
    version = active_model()
    if version is None:
        return 0
    return _predict(list(Subscription.objects.active().filter(pk__in=ids)), version, store.read(version), now)


def _batches(since: datetime) -> Iterator[list[Subscription]]:
    fresh = RenewalPrediction.objects.filter(subscription=OuterRef("pk"), predicted_at__gte=since)
    rows, last = Subscription.objects.active().exclude(Exists(fresh)).order_by("pk"), None
    while batch := list((rows.filter(pk__gt=last) if last else rows)[:BATCH]):
        yield batch
        last = batch[-1].pk


# One row for each prediction, of which the alert stays as it was.
_WRITE = """
    INSERT INTO subscriptions_renewalprediction AS kept (subscription_id, model_id, chance, reasons, renewal_on, predicted_at)
    SELECT subscription, %(model)s, chance, reasons, renewal_on, %(now)s
    FROM json_to_recordset(%(rows)s::json) AS new(subscription uuid, chance float8, reasons jsonb, renewal_on date)
    ON CONFLICT (subscription_id) DO UPDATE SET model_id = EXCLUDED.model_id, chance = EXCLUDED.chance,
        reasons = EXCLUDED.reasons, renewal_on = EXCLUDED.renewal_on, predicted_at = EXCLUDED.predicted_at
"""


def _predict(batch: list[Subscription], version: RenewalModel, model: Model, now: datetime) -> int:
    past = renewals({one.pk: INTERVAL_DAYS[one.interval] for one in batch}, at=now)
    charged = [subscription for subscription in batch if subscription.pk in past]
    if not charged:
        return 0
    matrix = np.array(
        [
            values(past[one.pk], amount=float(one.price), interval_days=INTERVAL_DAYS[one.interval])
            for one in charged
        ],
        dtype=np.float64,
    )  # fmt: skip
    chances, parts = model.predict(matrix)
    made = [
        {
            "subscription": str(subscription.pk), "chance": float(chances[n]), "reasons": reasons(matrix[n], parts[n]),
            "renewal_on": subscription.renews_on.isoformat(),
        }
        for n, subscription in enumerate(charged)
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, {"model": version.pk, "now": now, "rows": json.dumps(made, allow_nan=False)})
    return len(made)


# What features.known() does with tries: each renewal from its tries, the newest of them, oldest first.
_RENEWALS = """
    SELECT subscription_id, json_agg(
        json_build_array(paid IS NULL, tries, extract(epoch FROM coalesce(paid, %(at)s) - day)::float8, hard, amount::float8)
        ORDER BY day)::text
    FROM (
        SELECT subscription_id, renewal_on::timestamp AT TIME ZONE 'UTC' AS day, count(*) AS tries,
            min(attempt_date) FILTER (WHERE success) AS paid, bool_or(decline_kind = 'hard') AS hard,
            (array_agg(amount ORDER BY attempt_date DESC))[1] AS amount,
            row_number() OVER (PARTITION BY subscription_id ORDER BY renewal_on DESC) AS place
        FROM subscription_renewal_attempts
        WHERE subscription_id = ANY(%(ids)s::uuid[]) AND attempt_date >= %(since)s AND attempt_date < %(at)s
        GROUP BY subscription_id, renewal_on
    ) renewal
    WHERE place <= %(most)s
    GROUP BY subscription_id
"""


def renewals(interval_days: Mapping[UUID, int], *, at: datetime) -> dict[UUID, list[Renewal]]:
    """The renewals of many subscriptions as known at a moment, oldest first, put together by the database.

    Args:
        interval_days: days between renewals, by subscription.
    """
    asked: dict[str, Any] = {"ids": uuid_array(interval_days), "at": at, "since": at - LOOK_BACK, "most": REMEMBERED}
    with connection.cursor() as cursor:
        cursor.execute(_RENEWALS, asked)
        found = cursor.fetchall()
    return {
        key: [
            Renewal(failed, tries, max(0.0, late / 86400 / interval_days[key]), hard, amount)
            for failed, tries, late, hard, amount in json.loads(text)
        ]
        for key, text in found
    }


def reasons(row: Matrix, parts: Matrix) -> list[dict[str, Any]]:
    """What moved a chance most, strongest first; ``effect`` is its part of the log odds, above 0 towards failing."""
    names, given, effects = list(FEATURES), row.tolist(), parts.tolist()
    order = sorted(range(len(names)), key=lambda n: -abs(effects[n]))[:REASONS]
    return [
        {"feature": names[n], "title": FEATURES[names[n]], "value": round(given[n], 3), "effect": round(effects[n], 3)}
        for n in order
        if abs(effects[n]) >= SLIGHT
    ]


def silent(version: RenewalModel) -> QuerySet[RenewalPrediction]:
    """Predictions at or over the threshold of active subscriptions whose score is LOW: what the rules do not see."""
    return RenewalPrediction.objects.filter(
        chance__gte=version.threshold, subscription__status="active", subscription__risk_score__risk_level=RiskLevel.LOW
    )


@transaction.atomic
def alert(version: RenewalModel, *, now: datetime) -> int:
    """Tell people of predictions that crossed the threshold while the rules say LOW: once each, one message for each
    organisation.

    Returns:
        Of how many subscriptions they were told.
    """
    RenewalPrediction.objects.filter(alerted_at__isnull=False, chance__lt=version.threshold * CALM).update(
        alerted_at=None
    )
    new = RenewalPrediction.objects.filter(alerted_at=None, pk__in=silent(version).values("pk"))
    crossed = new.update(alerted_at=now)  # of two rounds at once, the second finds them taken
    if not crossed:
        return 0
    scope = "subscription__scope_id"
    worst = (
        RenewalPrediction.objects.filter(alerted_at=now)
        .select_related("subscription__scope")
        .annotate(
            place=Window(RowNumber(), partition_by=scope, order_by=["-chance", "pk"]),
            of=Window(Count("*"), partition_by=scope),
        )
        .filter(place__lte=NAMED)
        .order_by(scope, "place")
    )
    for organisation, predictions in groupby(worst, key=lambda one: one.subscription.scope):
        _tell(organisation, list(predictions), version, now)
    return crossed


def _tell(scope: Scope | None, worst: list[Any], version: RenewalModel, now: datetime) -> None:
    """``worst``: the highest chances, each with ``of``, how many there are with the others."""
    lines = [
        f"{one.subscription.name}: {one.chance:.0%} for the renewal of {one.renewal_on}. {in_words(one.reasons)}"
        for one in worst
    ]
    count = worst[0].of
    more = count - len(lines)
    number = f"{count} renewals" if count > 1 else "A renewal"
    notify(
        kind="subscriptions",
        recipients=keepers(scope),
        title=f"{number} may fail although the rules say LOW",
        body="\n".join([*lines, *([f"And {more} more."] if more else []), f"Predicted by {version}."]),
        url="/admin/subscriptions/renewalprediction/?rules=low",
        dedupe_key=f"renewal_predicted:{scope.pk if scope else 0}:{now.isoformat()}",
    )


def in_words(found: list[dict[str, Any]]) -> str:
    """Reasons in one line."""
    return "; ".join(
        f"{one['title']}: {one['value']:g} ({'more' if one['effect'] > 0 else 'less'} likely)" for one in found
    )
