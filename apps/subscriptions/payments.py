"""Executing proposed retries through the payment provider.

Guarantee: a renewal's try is charged at most once, however often a worker dies. A :class:`PaymentRetry` is committed
before the provider hears of it, and its id is the key of every repetition; one worker at a time holds it, under a lease
longer than all exchanges of one turn. What the provider says is recorded as an attempt in the transaction that ends the
retry. As long as the outcome is not known the provider is asked again: with a charge of the same key while the key is
surely still known there, afterwards, or when the charge is not wanted any more, with a question that charges nothing.
What stays unknown is left to people, who are told.

Nothing is charged without an active approval of the renewal, looked at when the retry is made and before each charge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Exists, Max, OuterRef, QuerySet

from apps.core.decisions import Entry, record, system
from apps.core.errors import DomainError
from apps.core.http import CircuitOpen, IntegrationError, PermanentFailure, TransientFailure
from apps.core.models import User
from apps.core.notifications import notify
from apps.subscriptions import records, retries
from apps.subscriptions.declines import words_for
from apps.subscriptions.metrics import retries_total
from apps.subscriptions.models import Approval, PaymentProvider, PaymentRetry, RenewalAttempt, Subscription
from apps.subscriptions.people import keepers
from apps.subscriptions.provider import Charge, Outcome, Provider, State, provider_for

logger = structlog.get_logger(__name__)

ACTOR = system("payment-retries")
LEASE = timedelta(minutes=5)
KEY_LIFE = timedelta(hours=20)
"""So long a charge is repeated; providers keep keys for 24 hours or more (docs.stripe.com/api/idempotent_requests)."""
GIVE_UP = timedelta(days=3)
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=4)
REFUSED = "refused"
NO_METHOD = "Due, but no payment method is stored."
NO_APPROVAL = "Due, but there is no active approval of the renewal."
Status = PaymentRetry.Status
Connect = Callable[[PaymentProvider], Provider]


def charged_by(provider: PaymentProvider) -> QuerySet[Subscription]:
    """The subscriptions that a provider charges. One that is switched off is not replaced by the common one."""
    if provider.scope_id:
        return Subscription.objects.filter(scope=provider.scope_id)
    own = PaymentProvider.objects.filter(scope=OuterRef("scope"))
    return Subscription.objects.filter(~Exists(own))


def approved(now: datetime) -> Exists:
    """Whether a subscription's owner approves of the renewal now."""
    return Exists(
        Approval.objects.filter(
            subscription=OuterRef("pk"), approval_type=Approval.Kind.RENEWAL, status=Approval.Status.ACTIVE, expires_at__gt=now
        )
    )  # fmt: skip


def waiting(rows: QuerySet[Subscription], now: datetime) -> QuerySet[Subscription]:
    """Those subscriptions whose proposed try has come."""
    return rows.filter(status=Subscription.Status.ACTIVE, next_attempt_at__lte=now)


def claim(provider: PaymentProvider, now: datetime) -> PaymentRetry | None:
    """Make the retry that is due next, for us. Other workers' subscriptions are passed over.

    Returns:
        The retry, committed before anybody is asked for money; None if nothing is due.
    """
    while True:
        with transaction.atomic():
            rows = waiting(charged_by(provider), now).filter(approved(now))
            rows = rows.exclude(payment_method="").order_by("next_attempt_at", "pk")
            subscription = rows.select_for_update(skip_locked=True, of=("self",)).first()
            if subscription is None:
                return None
            retry = _made(subscription, provider, now)
        if retry is not None:
            return retry


def _made(subscription: Subscription, provider: PaymentProvider, now: datetime) -> PaymentRetry | None:
    """The retry of a subscription whose row we hold; None if the policy does not want it any more."""
    if subscription.payment_retries.filter(status=Status.RUNNING).exists():
        _propose_nothing(subscription, "A retry is under way.")
        return None
    proposal = retries.proposal_for(subscription, now=now)
    if proposal.at is None or proposal.at > now:  # tries since the proposal, or another policy
        retries.propose(subscription=subscription, now=now)
        return None
    tries = RenewalAttempt.objects.filter(subscription=subscription).order_by("-renewal_on")
    renewal_on = tries.values_list("renewal_on", flat=True)[0]
    of_renewal = {"subscription": subscription, "renewal_on": renewal_on}
    last = max(
        model._default_manager.filter(**of_renewal).aggregate(n=Max("number"))["n"] or 0
        for model in (RenewalAttempt, PaymentRetry)
    )
    retry = PaymentRetry.objects.create(
        **of_renewal,
        provider=provider,
        number=last + 1,
        amount=subscription.price,
        currency=subscription.currency,
        payment_method=subscription.payment_method,
        description=subscription.name,
        tries=1,
        next_try_at=now + LEASE,
        created_at=now,
    )
    _propose_nothing(subscription, "A retry is under way.")
    return retry


def _propose_nothing(subscription: Subscription, reason: str) -> None:
    subscription.next_attempt_at, subscription.next_attempt_reason = None, reason[:200]
    subscription.save(update_fields=["next_attempt_at", "next_attempt_reason"])


@transaction.atomic
def resume(provider: PaymentProvider, now: datetime) -> PaymentRetry | None:
    """Take over a retry whose outcome is not known: its worker died, or the provider was to be asked again."""
    lost = PaymentRetry.objects.filter(provider=provider, status=Status.RUNNING, next_try_at__lte=now)
    retry = lost.select_for_update(skip_locked=True).order_by("next_try_at").first()
    if retry is None:
        return None
    retry.tries, retry.next_try_at = retry.tries + 1, now + LEASE
    retry.save(update_fields=["tries", "next_try_at"])
    return retry


def work(*, now: datetime, go_on: Callable[[], bool] = lambda: True, connect: Connect = provider_for) -> int:
    """Execute what is due with every active provider. Several workers may do so at once.

    Returns:
        How many times a provider was asked.
    """
    explain(now)
    asked = 0
    for row in PaymentProvider.objects.filter(active=True):
        provider = connect(row)
        try:
            while go_on() and (retry := resume(row, now) or claim(row, now)):
                asked += 1
                if not turn(retry, provider, now):
                    break  # it is down: further retries would only queue up
        finally:
            provider.close()
    return asked


def turn(retry: PaymentRetry, provider: Provider, now: datetime) -> bool:
    """Ask the provider once about a retry that we hold, and record what it says.

    Returns:
        Whether it is worth asking this provider about another one.
    """
    try:
        outcome = _ask(retry, provider, now)
    except IntegrationError as error:
        _unanswered(retry, error, now)
        return not isinstance(error, CircuitOpen)
    match outcome.state:
        case State.PAID | State.DECLINED:
            _settle(retry, outcome, now)
        case State.UNKNOWN:
            _finish(retry, f"Nothing was charged: {outcome.message}", now, again=True)
        case State.PENDING:
            pending = TransientFailure("The provider has not decided yet.", code="pending", maybe_done=True)
            _unanswered(retry, pending, now)
    return True


def _ask(retry: PaymentRetry, provider: Provider, now: datetime) -> Outcome:
    subscription = Subscription.objects.get(pk=retry.subscription_id)
    # As it was first asked: providers refuse a key that comes again with another body.
    charge = Charge(retry.pk, retry.amount, retry.currency, retry.payment_method, retry.description)
    unwanted = _unwanted(retry, subscription, now)
    if unwanted:
        return replace(found, message=unwanted) if (found := provider.find(charge)).state == State.UNKNOWN else found
    try:
        return provider.charge(charge)
    except PermanentFailure as error:
        if error.maybe_done:
            raise
        # This exchange was refused, but an earlier one of the same key may have gone through.
        found = provider.find(charge)
        if found.state == State.UNKNOWN:
            raise PermanentFailure(f"Nothing was charged: {error}", code=REFUSED) from None
        return found


def _unwanted(retry: PaymentRetry, subscription: Subscription, now: datetime) -> str:
    """Why a charge must not be repeated any more; empty if it may be."""
    rows = Subscription.objects.filter(pk=subscription.pk)
    paid = RenewalAttempt.objects.filter(subscription=subscription, renewal_on=retry.renewal_on, success=True)
    if paid.exists():
        return "the renewal was paid in another way."
    if subscription.status != Subscription.Status.ACTIVE:
        return "the subscription is not active any more."
    if (subscription.price, subscription.currency) != (retry.amount, retry.currency):
        return "the price has changed."
    if subscription.payment_method != retry.payment_method:
        return "the payment method has changed."
    if not rows.filter(approved(now)).exists():
        return "there is no active approval any more."
    if retry.created_at + KEY_LIFE <= now:
        return "the provider was out of reach for too long."
    return ""


@transaction.atomic
def _settle(retry: PaymentRetry, outcome: Outcome, now: datetime) -> None:
    """Record a charge or a decline and end the retry, both or neither."""
    current = _held(retry)
    if current is None:
        return
    paid = outcome.state == State.PAID
    current.status, current.charge_id = (Status.PAID if paid else Status.DECLINED), outcome.charge_id
    current.finished_at, current.next_try_at = now, None
    current.last_error = "" if paid else (outcome.message or words_for(outcome.decline_code) or "Declined")
    current.save()
    try:
        with transaction.atomic():
            records.record_renewal_attempt(
                subscription_id=current.subscription_id,
                success=paid,
                error_message=current.last_error,
                amount=current.amount,
                currency=current.currency,
                renewal_on=current.renewal_on,
                decline_code=outcome.decline_code if not paid else "",
                payment_method=current.payment_method,
                actor=ACTOR,
                now=now,
            )
    except DomainError as error:
        # Such as a price that was changed meanwhile. The money has moved all the same, so a person must put it right.
        current.last_error = f"{current.get_status_display()}, but it could not be recorded: {error.message}"
        current.save(update_fields=["last_error"])
        _tell(current)
    retries_total.labels(current.status).inc()
    _log(current)


def _unanswered(retry: PaymentRetry, error: IntegrationError, now: datetime) -> None:
    """Plan the next question, or leave it to people."""
    logger.warning("payment_retry_unanswered", retry=str(retry.pk), code=error.code, tries=retry.tries)
    if isinstance(error, PermanentFailure) or retry.created_at + GIVE_UP <= now:
        sure = error.code == REFUSED
        _finish(retry, str(error) if sure else f"Whether it was charged is not known: {error}", now, again=False)
        return
    wait = max(backoff(retry.tries), timedelta(seconds=min(error.retry_after or 0, LONGEST_WAIT.total_seconds())))
    with transaction.atomic():
        current = _held(retry)
        if current is not None:
            current.last_error, current.next_try_at = str(error), now + wait
            current.save(update_fields=["last_error", "next_try_at"])
    retries_total.labels("unanswered").inc()


@transaction.atomic
def _finish(retry: PaymentRetry, error: str, now: datetime, *, again: bool) -> None:
    """End a retry without a result.

    Args:
        again: the policy may propose another one, for nothing was charged and nobody refused. Otherwise a person is told.
    """
    current = _held(retry)
    if current is None:
        return
    current.status, current.last_error, current.finished_at, current.next_try_at = Status.FAILED, error, now, None
    current.save()
    if again:
        retries.propose(subscription=current.subscription, now=now)
    else:
        _propose_nothing(current.subscription, f"The last retry failed. {error}")
        _tell(current)
    retries_total.labels(current.status).inc()
    _log(current)


def _held(retry: PaymentRetry) -> PaymentRetry | None:
    """The retry with its subscription, locked in the order in which all writers lock them; None if it is not ours now."""
    Subscription.objects.select_for_update().get(pk=retry.subscription_id)
    current = (
        PaymentRetry.objects.select_for_update(of=("self",)).select_related("subscription__scope").get(pk=retry.pk)
    )
    ours = current.status == Status.RUNNING and current.tries == retry.tries
    return current if ours else None


def _tell(retry: PaymentRetry) -> None:
    notify(
        kind="subscriptions",
        recipients=keepers(retry.subscription.scope),
        title=f"A payment retry needs a person: {retry.subscription.name}",
        body=f"{retry}, {retry.amount} {retry.currency}. {retry.last_error}",
        url=f"/admin/subscriptions/paymentretry/{retry.pk}/change/",
        dedupe_key=f"payment_retry:{retry.pk}:{retry.tries}",
    )


def _log(retry: PaymentRetry, *, actor: User | str = ACTOR, action: str = "") -> None:
    record(
        Entry(
            scope="subscriptions",
            actor=actor,
            action=action or f"payment_retry_{retry.status}",
            subject=f"subscription:{retry.subscription_id}",
            rationale=retry.last_error,
            evidence_url=f"/admin/subscriptions/paymentretry/{retry.pk}/change/",
            payload={"retry": str(retry.pk), "amount": str(retry.amount), "currency": retry.currency, "tries": retry.tries},
        )
    )  # fmt: skip


def backoff(tries: int) -> timedelta:
    """How long to wait after so many questions: 1, 2, 4 minutes and so on, at most 4 hours."""
    return min(FIRST_WAIT * 2 ** min(tries - 1, 10), LONGEST_WAIT)


def explain(now: datetime) -> int:
    """Say on each subscription that is due but may not be charged what it waits for. Returns on how many."""
    due = waiting(Subscription.objects.all(), now)
    method = due.filter(payment_method="").exclude(next_attempt_reason=NO_METHOD)
    approval = due.exclude(payment_method="").filter(~approved(now)).exclude(next_attempt_reason=NO_APPROVAL)
    return method.update(next_attempt_reason=NO_METHOD) + approval.update(next_attempt_reason=NO_APPROVAL)


@transaction.atomic
def ask_again(*, retry: PaymentRetry, actor: User | str, now: datetime) -> bool:
    """Have the provider asked once more what became of a failed retry; its key stays, so nothing is charged twice.

    Returns:
        Whether it is asked: not if it has a result, or another retry of the subscription is under way.
    """
    Subscription.objects.select_for_update().get(pk=retry.subscription_id)
    current = PaymentRetry.objects.select_for_update().get(pk=retry.pk)
    others = PaymentRetry.objects.filter(subscription=current.subscription_id, status=Status.RUNNING)
    if current.status != Status.FAILED or others.exists():
        return False
    current.status, current.next_try_at, current.finished_at = Status.RUNNING, now, None
    current.save(update_fields=["status", "next_try_at", "finished_at"])
    _log(current, actor=actor, action="payment_retry_asked_again")
    return True
