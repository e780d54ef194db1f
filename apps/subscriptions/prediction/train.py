"""Training on the attempts in the database, and keeping the outcome as a version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection, transaction
from django.db.models import Max

from apps.core.decisions import Entry, record
from apps.core.models import User
from apps.subscriptions.models import RenewalAttempt, RenewalModel
from apps.subscriptions.prediction import store
from apps.subscriptions.prediction.features import (
    FEATURES,
    INTERVAL_DAYS,
    LEAD,
    SETTLED,
    Observation,
    Try,
    observations,
)
from apps.subscriptions.prediction.learn import Data, Learned, learn

MOST = 200_000
"""Observations; keys are random, so the first subscriptions by key are a fair sample of all."""
LOOK_BACK = timedelta(days=5 * 365)
_TRAINING = 7_221_503  # key of an advisory lock, any constant


@dataclass(frozen=True, slots=True)
class Trained:
    """A new version, and whether it is used from now on."""

    version: RenewalModel
    activated: bool
    why: str


def train(*, now: datetime, actor: User | str, threshold: float = 0.5, activate: bool | None = None,
          most: int = MOST) -> Trained:  # fmt: skip
    """Train a model on what is known now and keep it as a new version.

    Args:
        threshold: chance of failure from which people are alerted.
        activate: whether to use it; None: only if it beats the plain rule on the latest part of the history.
        most: observations to learn from.

    Raises:
        TooLittleData: nothing is kept then.
    """
    data = gathered(now=now, most=most)
    learned = learn(data, threshold=threshold)
    better = beats_rule(learned.metrics)
    return _kept(learned, data, now, actor, threshold, better if activate is None else activate, better)


def beats_rule(metrics: dict[str, Any]) -> bool:
    """Whether a model orders renewals better than the plain rule does, and its chances are nearer to the truth."""
    model, rules = metrics["model"], metrics["rules"]
    return bool(model["roc_auc"] > rules["roc_auc"] and model["brier"] < rules["brier"])


def gathered(*, now: datetime, most: int = MOST) -> Data:
    """All settled renewals with a history, in order of time."""
    found: list[Observation] = []
    for tries, interval in histories(now=now):
        found.extend(observations(tries, interval_days=interval, now=now))
        if len(found) >= most:
            break
    found.sort(key=lambda one: one.at)
    return Data(
        rows=np.array([one.values for one in found], dtype=np.float64).reshape(-1, len(FEATURES)),
        failed=np.array([one.failed for one in found], dtype=np.bool_),
        at=np.array([one.at.timestamp() for one in found]),
        names=tuple(FEATURES),
        settle=(LEAD + SETTLED).total_seconds(),
    )


def histories(*, now: datetime) -> Iterator[tuple[list[Try], int]]:
    """The tries and the interval (in days) of each subscription, subscriptions by key."""
    rows = RenewalAttempt.objects.filter(attempt_date__gte=now - LOOK_BACK, attempt_date__lt=now)
    rows = rows.order_by("subscription_id", "-attempt_date")  # as the index has them
    columns = rows.values_list(
        "subscription_id", "renewal_on", "attempt_date", "success", "decline_kind", "amount", "subscription__interval"
    )
    for _, group in groupby(columns.iterator(chunk_size=10_000), key=_subscription):
        of_one = list(group)
        tries = [
            Try(day, at, ok, kind == "hard", float(amount)) for _, day, at, ok, kind, amount, _ in reversed(of_one)
        ]
        yield tries, INTERVAL_DAYS[of_one[0][6]]


def _subscription(row: tuple[UUID, Any, Any, Any, Any, Any, Any]) -> UUID:
    return row[0]


@transaction.atomic
def _kept(learned: Learned, data: Data, now: datetime, actor: User | str, threshold: float, activate: bool,
          better: bool) -> Trained:  # fmt: skip
    with connection.cursor() as cursor:  # two who train at once get two versions
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_TRAINING])
    number = (RenewalModel.objects.aggregate(n=Max("version"))["n"] or 0) + 1
    name, digest = store.write(learned.model, number)
    if activate:
        RenewalModel.objects.filter(active=True).update(active=False)
    version = RenewalModel.objects.create(
        version=number, file=name, sha256=digest, trained_at=now, rows=len(data.failed), metrics=learned.metrics,
        observed_until=datetime.fromtimestamp(learned.fitted_until, UTC), active=activate, threshold=threshold,
        created_by=actor if isinstance(actor, User) else None,
    )  # fmt: skip
    why = "better than the plain rule" if better else "not better than the plain rule on the latest renewals"
    record(
        Entry(
            scope="subscriptions",
            actor=actor,
            action="renewal_model_trained",
            subject=f"renewal_model:{version.pk}",
            rationale=why,
            payload={"version": number, "sha256": digest, "active": activate, "metrics": learned.metrics},
        )
    )
    return Trained(version, activate, why)


@transaction.atomic
def use(version: RenewalModel, *, actor: User) -> None:
    """Predict by this version from now on.

    Raises:
        ModelUnusable: if its file cannot be read.
    """
    store.read(version)
    RenewalModel.objects.filter(active=True).exclude(pk=version.pk).update(active=False)
    RenewalModel.objects.filter(pk=version.pk).update(active=True)
    record(
        Entry(
            scope="subscriptions", actor=actor, action="renewal_model_chosen", subject=f"renewal_model:{version.pk}",
            payload={"version": version.version},
        )
    )  # fmt: skip
