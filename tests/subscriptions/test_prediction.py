"""Predictions: trained on the database, kept in files that only we write, beside the rules and never instead of them."""

from __future__ import annotations

import hashlib
import random
import stat
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core.decisions import system
from apps.core.models import Decision, Notification
from apps.core.roles import Role
from apps.subscriptions.models import (
    RecalculationRun,
    RenewalAttempt,
    RenewalModel,
    RenewalPrediction,
    RiskScore,
    Subscription,
)
from apps.subscriptions.prediction import predict, store, train
from apps.subscriptions.prediction.features import FEATURES, Try, known, midnight, values
from apps.subscriptions.prediction.learn import TooLittleData
from apps.subscriptions.prediction.model import Calibration, Model, Tree
from apps.subscriptions.prediction.train import LOOK_BACK
from tests.core.factories import ScopeFactory, person
from tests.subscriptions.factories import NOW, RENEWS_ON, RenewalAttemptFactory, SubscriptionFactory
from tests.support.races import at_once

pytestmark = pytest.mark.django_db
ACTOR = system("tests")


@pytest.fixture(autouse=True)
def folder(settings, tmp_path: Path) -> Path:
    settings.RENEWAL_MODEL_DIR = str(tmp_path / "models")
    return tmp_path / "models"


def stump() -> Model:
    """Says 80 % for those whose last renewal failed, 10 % for others."""
    tree = Tree(feature=(1, -1, -1), threshold=(0.5, 0, 0), left=(1, 0, 0), right=(2, 0, 0), value=(0.0, -1.0, 1.0))
    calibration = Calibration(kind="isotonic", x=(-1.0, 1.0), y=(0.1, 0.8))
    return Model(features=tuple(FEATURES), base=0.0, trees=(tree,), calibration=calibration)


def version(model: Model | None = None, **fields) -> RenewalModel:
    name, digest = store.write(model or stump(), 1)
    return RenewalModel.objects.create(
        **{"version": 1, "file": name, "sha256": digest, "trained_at": NOW, "observed_until": NOW, "rows": 1000,
           "active": True, **fields}
    )  # fmt: skip


def subscription(*, failing: bool, level: str = "LOW", **fields) -> Subscription:
    made = SubscriptionFactory(**fields)
    RenewalAttemptFactory(subscription=made, success=not failing)
    RiskScore.objects.create(
        subscription=made, user=made.owner, risk_level=level, last_calculated_at=NOW, rule_version="v"
    )
    return made


def history(number: int = 120, months: int = 14, seed: int = 4) -> None:
    """Some owners fail seldom, some often; attempts of months past."""
    chance = random.Random(seed)
    rows = []
    for _ in range(number):
        made, bad = SubscriptionFactory(scope=None), chance.random() < 0.3
        for month in range(months):
            day = date(2024 + (11 + month) // 12, (11 + month) % 12 + 1, 1)
            at = datetime(day.year, day.month, 1, 8, tzinfo=UTC)
            ok = chance.random() > (0.7 if bad else 0.08)
            rows.append(
                RenewalAttempt(
                    subscription=made, renewal_on=day, attempt_date=at, amount=made.price, currency="USD", success=ok,
                    decline_code="" if ok else "51", decline_kind="" if ok else "soft", recorded_at=at,
                )
            )  # fmt: skip
    RenewalAttempt.objects.bulk_create(rows)


def test_training_keeps_a_version_with_figures_beside_the_plain_rule(folder, monkeypatch) -> None:
    history()
    trained = train.train(now=NOW, actor=ACTOR)
    row = RenewalModel.objects.get()
    assert trained.activated == row.active == train.beats_rule(row.metrics)
    assert row.metrics["model"]["roc_auc"] > 0.7
    assert {"roc_auc", "calibration_error", "brier"} <= set(row.metrics["rules"])
    # The label of the last renewal that was fitted on was known before the part that judges began.
    assert row.observed_until < NOW
    file = folder / row.file
    assert hashlib.sha256(file.read_bytes()).hexdigest() == row.sha256
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert store.read(row).features == tuple(FEATURES)
    assert Decision.objects.get(action="renewal_model_trained").payload["sha256"] == row.sha256


def test_training_does_not_look_at_what_happened_after_now() -> None:
    history()
    before = train.gathered(now=NOW)
    made = Subscription.objects.first()
    RenewalAttemptFactory(subscription=made, renewal_on=date(2026, 3, 1), attempt_date=NOW, success=False)
    after = train.gathered(now=NOW)
    assert (before.rows == after.rows).all()
    assert (before.failed == after.failed).all()


def test_too_little_history_keeps_nothing_and_says_so(folder) -> None:
    history(number=10)
    with pytest.raises(TooLittleData):
        train.train(now=NOW, actor=ACTOR)
    with pytest.raises(CommandError, match="at least 500 are needed"):
        call_command("train_renewal_model")
    assert not RenewalModel.objects.exists()
    assert not folder.exists()


def test_the_command_trains_and_can_keep_the_version_in_use() -> None:
    history()
    out = StringIO()
    call_command("train_renewal_model", "--activate", "--threshold", "0.4", stdout=out)
    call_command("train_renewal_model", "--keep", stdout=out)
    assert "Plain rule  ROC AUC" in out.getvalue()
    assert list(RenewalModel.objects.order_by("version").values_list("version", "active", "threshold")) == [
        (1, True, 0.4), (2, False, 0.5)
    ]  # fmt: skip
    with pytest.raises(CommandError, match="between 0 and 1"):
        call_command("train_renewal_model", "--threshold", "1")


def test_a_model_that_is_not_better_than_the_rule_is_not_used() -> None:
    same = {"roc_auc": 0.7, "brier": 0.1}
    assert not train.beats_rule({"model": same, "rules": same})
    assert not train.beats_rule({"model": {"roc_auc": 0.8, "brier": 0.2}, "rules": same})
    assert train.beats_rule({"model": {"roc_auc": 0.8, "brier": 0.09}, "rules": same})


@pytest.mark.parametrize("name", ["../secrets.json", "/etc/passwd", "renewal-1.pkl", "renewal-1-000000000000.json\n"])
def test_only_names_that_the_system_gives_are_opened(name) -> None:
    with pytest.raises(store.ModelUnusable, match="name"):
        store.read(version(file=name))


def test_a_file_that_was_changed_is_not_used(folder) -> None:
    row = version()
    subscription(failing=True)
    file = folder / row.file
    file.write_bytes(file.read_bytes().replace(b"0.8", b"0.9"))
    with pytest.raises(store.ModelUnusable, match="not the one that was written"):
        predict.predict_all(now=NOW)
    file.unlink()
    with pytest.raises(store.ModelUnusable, match="not there"):
        predict.predict_all(now=NOW)
    assert not RenewalPrediction.objects.exists()


def test_a_file_with_the_right_hash_must_still_fit_the_schema(folder) -> None:
    row = version()
    (folder / row.file).write_bytes(b'{"format": "other"}')
    row.sha256 = hashlib.sha256(b'{"format": "other"}').hexdigest()
    with pytest.raises(store.ModelUnusable, match="does not fit"):
        store.read(row)
    other = stump().model_copy(update={"features": tuple(f"f{n}" for n in range(len(FEATURES)))})
    with pytest.raises(store.ModelUnusable, match="other features"):
        store.read(version(other, version=2, active=False))


def test_every_active_subscription_with_a_history_is_predicted_with_reasons() -> None:
    row = version()
    failing, paying = subscription(failing=True), subscription(failing=False)
    SubscriptionFactory()  # never charged: nothing to go by
    subscription(failing=True, status="paused")
    assert predict.predict_all(now=NOW).subscriptions == 2
    one = RenewalPrediction.objects.get(subscription=failing)
    assert (one.chance, one.model, one.renewal_on) == (pytest.approx(0.8), row, RENEWS_ON)
    assert one.reasons == [{"feature": "last_failed", "title": "The last renewal failed", "value": 1.0, "effect": 1.0}]
    assert RenewalPrediction.objects.get(subscription=paying).chance == pytest.approx(0.1)


def test_the_number_of_queries_does_not_grow_with_the_subscriptions(
    django_assert_num_queries, django_assert_max_num_queries
) -> None:
    version()
    for _ in range(3):
        subscription(failing=False)
    with django_assert_max_num_queries(20) as few:
        predict.predict_all(now=NOW)
    for _ in range(30):
        subscription(failing=False)
    with django_assert_num_queries(len(few)):
        predict.predict_all(now=NOW + timedelta(days=1))


def test_predictions_of_what_has_ended_go() -> None:
    version()
    made = subscription(failing=True)
    predict.predict_all(now=NOW)
    Subscription.objects.filter(pk=made.pk).update(status="cancelled")
    predict.predict_all(now=NOW + timedelta(days=1))
    assert not RenewalPrediction.objects.exists()


def test_the_score_stays_the_rules() -> None:
    version()
    made = subscription(failing=True)
    predict.predict_all(now=NOW)
    assert RiskScore.objects.get(subscription=made).risk_level == "LOW"


class TestAlerts:
    @pytest.fixture(autouse=True)
    def _model(self) -> None:
        self.version = version()
        self.scope = ScopeFactory()
        self.operator = person(Role.OPERATOR, self.scope)

    def news(self) -> list[Notification]:
        return list(Notification.objects.filter(recipient=self.operator).order_by("pk"))

    def test_people_are_told_once_of_what_the_rules_do_not_see(self) -> None:
        subscription(failing=True, scope=self.scope, name="Gold plan")
        subscription(failing=True, scope=self.scope)
        subscription(failing=False, scope=self.scope)
        other = person(Role.OPERATOR, ScopeFactory())
        assert predict.predict_all(now=NOW).alerted == 2
        assert predict.predict_all(now=NOW + timedelta(days=1)).alerted == 0
        (news,) = self.news()
        assert news.title == "2 renewals may fail although the rules say LOW"
        assert "Gold plan: 80% for the renewal of 2026-03-10" in news.body
        assert "The last renewal failed: 1 (more likely)" in news.body
        assert not Notification.objects.filter(recipient=other).exists()

    def test_each_organisation_reads_its_number_and_the_ten_worst(self, monkeypatch) -> None:
        monkeypatch.setattr(predict, "BATCH", 5)
        for number in range(11):
            subscription(failing=True, scope=self.scope, name=f"Plan {number}.")
        subscription(failing=True, scope=self.scope, name="The dear plan", price=Decimal("900.00"))
        elsewhere = ScopeFactory()
        stranger = person(Role.OPERATOR, elsewhere)
        subscription(failing=True, scope=elsewhere, name="Elsewhere")
        RenewalModel.objects.update(threshold=0.1)
        assert predict.predict_all(now=NOW).alerted == 13
        (news,) = self.news()
        assert news.title == "12 renewals may fail although the rules say LOW"
        chances = RenewalPrediction.objects.filter(subscription__scope=self.scope).order_by("-chance", "pk")
        expected = list(chances.values_list("subscription__name", flat=True)[:10])
        lines = news.body.splitlines()
        assert [line.partition(":")[0] for line in lines[:10]] == expected
        assert lines[10] == "And 2 more."
        (other,) = Notification.objects.filter(recipient=stranger)
        assert other.title == "A renewal may fail although the rules say LOW"
        assert "Elsewhere" in other.body
        assert "Plan" not in other.body

    @pytest.mark.parametrize("level", ["MEDIUM", "HIGH"])
    def test_what_the_rules_see_is_not_said_again(self, level) -> None:
        subscription(failing=True, level=level, scope=self.scope)
        assert predict.predict_all(now=NOW).alerted == 0

    def test_below_the_threshold_nobody_is_told(self) -> None:
        RenewalModel.objects.update(threshold=0.81)
        subscription(failing=True, scope=self.scope)
        assert predict.predict_all(now=NOW).alerted == 0

    def test_it_is_said_again_once_the_chance_had_fallen(self) -> None:
        made = subscription(failing=True, scope=self.scope)
        predict.predict_all(now=NOW)
        paid = RenewalAttemptFactory(subscription=made, renewal_on=NOW.date(), attempt_date=NOW + timedelta(hours=1))
        predict.predict_all(now=NOW + timedelta(days=1))
        assert RenewalPrediction.objects.get().alerted_at is None
        paid.delete()
        assert predict.predict_all(now=NOW + timedelta(days=2)).alerted == 1
        assert len(self.news()) == 2


@pytest.mark.django_db(transaction=True)
def test_of_rounds_at_once_one_tells_people_of_each() -> None:
    made, scope = version(), ScopeFactory()
    operator = person(Role.OPERATOR, scope)
    for _ in range(4):
        subscription(failing=True, scope=scope)
    RenewalModel.objects.update(threshold=0.99)
    predict.predict_all(now=NOW)
    made.threshold = 0.5
    rounds = [partial(predict.alert, made, now=NOW + timedelta(seconds=number)) for number in range(4)]
    assert sorted(at_once(*rounds)) == [0, 0, 0, 4]
    assert Notification.objects.filter(recipient=operator).count() == 1


def test_predictions_are_due_after_each_recalculation_of_all() -> None:
    assert not predict.due()
    run = RecalculationRun.objects.create(
        trigger="schedule", status="finished", as_of=NOW, batch_size=100, finished_at=NOW
    )
    assert not predict.due()  # there is no model
    version()
    subscription(failing=False)
    assert predict.due() == NOW
    predict.predict_all(now=NOW + timedelta(minutes=1))
    assert not predict.due()
    run.finished_at = NOW + timedelta(days=1)
    run.save()
    assert predict.due() == NOW + timedelta(days=1)


def test_a_round_that_was_cut_off_goes_on_and_alerts_at_its_end(monkeypatch) -> None:
    monkeypatch.setattr(predict, "BATCH", 2)
    version()
    for _ in range(5):
        subscription(failing=True)
    later = NOW + timedelta(minutes=10)
    turns = iter([True, True, False])
    assert predict.predict_all(now=NOW, since=NOW, go_on=lambda: next(turns)) == predict.Predicted(4, 0)
    assert predict.predict_all(now=later, since=NOW) == predict.Predicted(1, 5)
    assert RenewalPrediction.objects.filter(predicted_at=NOW).count() == 4
    assert predict.predict_all(now=later, since=NOW) == predict.Predicted(0, 0)


def test_an_amount_that_rises_is_seen() -> None:
    made = subscription(failing=False, price=Decimal("20.00"))
    past = predict.renewals({made.pk: 30}, at=NOW)[made.pk]
    same, dearer = (values(past, amount=amount, interval_days=30) for amount in (20.0, 40.0))
    place = list(FEATURES).index("amount_change")
    assert same[place] == 0
    assert dearer[place] == pytest.approx(0.693, abs=0.001)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 900), st.lists(st.tuples(st.integers(-40, 400), st.booleans()), min_size=1, max_size=3)
        ),
        max_size=40,
        unique_by=lambda one: one[0],
    )
)
@settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_the_database_puts_renewals_together_as_training_does(drawn: list[tuple[int, list[tuple[int, bool]]]]) -> None:
    made, tries = SubscriptionFactory(interval="quarterly"), []
    for days, of_one in drawn:
        day, paid = NOW.date() - timedelta(days=days), False
        for number, (hours, success) in enumerate(of_one):
            success, paid = success and not paid, paid or success
            at = midnight(day) + timedelta(hours=hours, minutes=number)
            kind = "" if success else "hard" if hours % 3 else "soft"
            amount = Decimal(10 + days % 7 + number)
            RenewalAttempt.objects.create(
                subscription=made, renewal_on=day, number=number + 1, attempt_date=at, amount=amount, currency="USD",
                success=success, decline_kind=kind, recorded_at=at,
            )  # fmt: skip
            if NOW - LOOK_BACK <= at < NOW:
                tries.append(Try(day, at, success, kind == "hard", float(amount)))
    wanted = known(tries, at=NOW, interval_days=91)
    found = predict.renewals({made.pk: 91}, at=NOW).get(made.pk, [])
    assert [(one.failed, one.tries, one.hard, one.amount) for one in found] == [
        (one.failed, one.tries, one.hard, one.amount) for one in wanted
    ]
    assert [one.late for one in found] == pytest.approx([one.late for one in wanted])
    RenewalAttempt.objects.all().delete()
