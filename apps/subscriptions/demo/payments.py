"""Payment retries of the demonstration, in each of their states. Their provider is switched off, so nobody is asked."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.core.decisions import system
from apps.subscriptions import records
from apps.subscriptions.models import PaymentProvider, PaymentRetry, RenewalAttempt, Subscription

ACTOR = system("demo")
EACH = 6
Status = PaymentRetry.Status


def show_retries(now: datetime) -> None:
    """Retries that were paid and declined, as the attempts say; one under way, one refused, and one with another method."""
    provider = PaymentProvider.objects.create(
        name="Example Bank", base_url="https://bank.example.com/v1/", api_token="demonstration", active=False  # noqa: S106
    )  # fmt: skip
    second = RenewalAttempt.objects.filter(number=2).select_related("subscription").order_by("-attempt_date")
    for success in (True, False):
        for attempt in second.filter(success=success)[:EACH]:
            _ended(provider, attempt)
    owing = Subscription.objects.active().filter(next_attempt_at__isnull=False).order_by("next_attempt_at", "pk")
    under_way, refused, *_ = owing
    _open(
        provider, under_way, now - timedelta(minutes=12), tries=4, next_try_at=now + timedelta(minutes=8),
        last_error="payments did not answer in time",
    )  # fmt: skip
    _open(
        provider, refused, now - timedelta(hours=5), status=Status.FAILED, tries=1, finished_at=now - timedelta(hours=5),
        last_error="Nothing was charged: payments refused the request (422): unknown payment method",
    )  # fmt: skip
    lost = Subscription.objects.active().filter(next_attempt_reason__startswith="Declined for good").order_by("pk")[:2]
    for subscription in lost:
        records.change_subscription(
            subscription_id=subscription.pk, changes={"payment_method": f"{subscription.payment_method}_new"},
            actor=ACTOR, now=now, reason="The owner entered another card.",
        )  # fmt: skip


def _ended(provider: PaymentProvider, attempt: RenewalAttempt) -> None:
    at = attempt.attempt_date
    PaymentRetry.objects.create(
        subscription=attempt.subscription, provider=provider, renewal_on=attempt.renewal_on, number=attempt.number,
        amount=attempt.amount, currency=attempt.currency, payment_method=attempt.payment_method,
        description=attempt.subscription.name, status=Status.PAID if attempt.success else Status.DECLINED, tries=1,
        charge_id=f"ch_{attempt.pk.hex[:12]}", created_at=at, finished_at=at, last_error=attempt.error_message,
    )  # fmt: skip


def _open(
    provider: PaymentProvider,
    subscription: Subscription,
    at: datetime,
    *,
    tries: int,
    last_error: str,
    status: Status = Status.RUNNING,
    next_try_at: datetime | None = None,
    finished_at: datetime | None = None,
) -> None:
    """A retry without an outcome; the subscription says what it waits for."""
    last = subscription.renewal_attempts.order_by("-renewal_on", "-number")[0]
    PaymentRetry.objects.create(
        subscription=subscription, provider=provider, renewal_on=last.renewal_on, number=last.number + 1,
        amount=subscription.price, currency=subscription.currency, payment_method=subscription.payment_method,
        description=subscription.name, status=status, tries=tries, next_try_at=next_try_at, created_at=at,
        finished_at=finished_at, last_error=last_error,
    )  # fmt: skip
    subscription.next_attempt_at = None
    subscription.next_attempt_reason = (
        "A retry is under way." if next_try_at else f"The last retry failed. {last_error}"[:200]
    )
    subscription.save(update_fields=["next_attempt_at", "next_attempt_reason"])
