"""What findings weigh: by evaluator, by environment, by organisation; and versions that nobody changes."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings as project
from django.db import DatabaseError, transaction

from apps.core.models import Decision
from apps.subscriptions.factors import (
    InvalidFactors,
    advice,
    evaluators,
    factor_set,
    factor_sets,
    new_factor_version,
)
from apps.subscriptions.models import FactorVersion, RiskScore
from apps.subscriptions.scores import recalculate
from config.env import Environment
from tests.core.factories import ScopeFactory, UserFactory
from tests.subscriptions.factories import NOW, SubscriptionFactory

SPECIFIED = {
    "consecutive_failures": {"NONE": 0, "MEDIUM": 5, "HIGH": 10},
    "balance_projection": {"NONE": 0, "MEDIUM": 5, "HIGH": 10},
    "approval_expiration": {"NONE": 0, "HIGH": 10},
}


def version(scope: Any, factors: dict[str, Any], reason: str = "Trial") -> FactorVersion:
    return new_factor_version(scope=scope, factors=factors, reason=reason, actor=UserFactory(), now=NOW)


def test_the_defaults_are_those_of_the_specification() -> None:
    assert {one.slug: dict(one.weights) for one in evaluators} == SPECIFIED
    assert {one.slug: one.default_weights() for one in evaluators} == SPECIFIED


def test_every_variable_belongs_to_one_weight_with_the_same_default() -> None:
    named = {variable: Decimal(one.weights[name]) for one in evaluators for name, variable in one.variables.items()}
    fields = Environment.model_fields
    assert named == {name.upper(): fields[name].default for name in fields if name.startswith("risk_weight_")}
    assert len(named) == 8


@pytest.mark.django_db
def test_the_environments_weights_count(settings: Any) -> None:
    usual = settings.RISK_WEIGHTS
    settings.RISK_WEIGHTS = usual | {"RISK_WEIGHT_APPROVAL_EXPIRED": Decimal("4.5")}
    before = factor_set(None).label
    subscription = SubscriptionFactory()
    recalculate([subscription.pk], now=NOW)
    score = RiskScore.objects.get()
    assert (score.risk_level, score.total_weight) == ("LOW", Decimal("4.5"))
    assert score.risk_factors[0]["weight_value"] == 4.5
    assert score.rule_version == before
    settings.RISK_WEIGHTS = usual
    assert factor_set(None).label != before


def test_a_bad_weight_stops_the_start_and_names_the_variable() -> None:
    environment = os.environ | {"RISK_WEIGHT_BALANCE_LOW": "plenty"}
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=project.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    assert "RISK_WEIGHT_BALANCE_LOW" in done.stderr
    assert "plenty" not in done.stderr


@pytest.mark.django_db
def test_an_organisation_switches_factors_off_and_weighs_others_otherwise() -> None:
    acme, other = ScopeFactory(), ScopeFactory()
    version(acme, {"approval_expiration": {"enabled": False}, "consecutive_failures": {"weights": {"MEDIUM": 7.5}}})
    version(None, {"approval_expiration": {"weights": {"HIGH": 6}}})
    sets = factor_sets([acme.pk, other.pk, None])
    assert "approval_expiration" not in sets[acme.pk].weights
    assert sets[acme.pk].weights["consecutive_failures"] == {"NONE": 0, "MEDIUM": Decimal("7.5"), "HIGH": 10}
    assert sets[other.pk] == sets[None]
    assert sets[None].weights["approval_expiration"]["HIGH"] == 6

    mine, theirs = SubscriptionFactory(scope=acme), SubscriptionFactory(scope=other)
    recalculate([mine.pk, theirs.pk], now=NOW)
    assert RiskScore.objects.get(subscription=mine).risk_level == "LOW"
    score = RiskScore.objects.get(subscription=theirs)
    assert (score.risk_level, score.total_weight) == ("MEDIUM", 6)
    assert score.rule_version.startswith("everybody v1 ")


@pytest.mark.django_db
def test_the_newest_version_counts_and_former_ones_stay() -> None:
    acme = ScopeFactory()
    version(acme, {"approval_expiration": {"enabled": False}})
    second = version(acme, {"balance_projection": {"weights": {"HIGH": 9}}})
    assert second.number == 2
    assert factor_set(acme.pk).label.startswith(f"organisation {acme.pk} v2 ")
    assert "approval_expiration" in factor_set(acme.pk).weights
    assert list(Decision.objects.values_list("action", flat=True)) == ["factor_version_made"] * 2
    for change in (lambda: second.delete(), lambda: FactorVersion.objects.update(factors={})):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("factors", "field"),
    [
        ({"phase_of_the_moon": {}}, "phase_of_the_moon"),
        ({"approval_expiration": {"weights": {"MEDIUM": 5}}}, "approval_expiration"),
        ({"approval_expiration": {"weights": {"HIGH": -1}}}, "approval_expiration"),
        ({"approval_expiration": {"weights": {"HIGH": "NaN"}}}, "approval_expiration"),
        ({"approval_expiration": {"weights": {"HIGH": 1001}}}, "approval_expiration"),
        ({"approval_expiration": {"weights": {"HIGH": 1.234}}}, "approval_expiration"),
        ({"approval_expiration": {"weights": {"HIGH": True}}}, "approval_expiration"),
        ({"approval_expiration": {"enabled": "no"}}, "approval_expiration"),
        ({"approval_expiration": {"wieghts": {}}}, "approval_expiration"),
        ({"approval_expiration": 3}, "approval_expiration"),
        ({slug: {"enabled": False} for slug in SPECIFIED}, "__all__"),
    ],
)
def test_what_does_not_fit_is_refused(factors: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidFactors) as caught:
        version(None, factors)
    assert list(caught.value.fields) == [field]
    assert not FactorVersion.objects.exists()


@pytest.mark.django_db
def test_a_reason_is_asked_for() -> None:
    with pytest.raises(InvalidFactors) as caught:
        version(None, {}, reason=" ")
    assert list(caught.value.fields) == ["reason"]


@pytest.mark.django_db
def test_what_a_version_says_of_former_evaluators_is_ignored() -> None:
    FactorVersion.objects.create(number=1, factors={"gone": {"enabled": False}}, reason="Old", created_at=NOW)
    assert factor_set(None).weights == {one.slug: one.default_weights() for one in evaluators}


def test_advice_follows_from_the_factors_and_the_last_decline() -> None:
    def factor(slug: str, weight: str, value: float, **details: Any) -> dict[str, Any]:
        return {"factor_type": slug, "weight": weight, "weight_value": value, "details": details}

    found = advice(
        [
            factor("consecutive_failures", "MEDIUM", 5, last_decline_kind="hard"),
            factor("approval_expiration", "HIGH", 10),
            factor("balance_projection", "NONE", 0),
            factor("gone", "HIGH", 10),
        ]
    )
    assert len(found) == 2
    assert "approve the renewal again" in found[0]
    assert "update the payment method" in found[1]
    soft = advice([factor("consecutive_failures", "MEDIUM", 5, last_decline_kind="soft")])
    assert "retry" in soft[0]
