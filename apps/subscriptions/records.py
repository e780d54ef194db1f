"""What happens to subscriptions is recorded here: attempts, approvals, balances, changes.

Each function checks what it is told, writes in one transaction while it holds the subscription's row, so that two records
of one subscription take turns, and has the risk calculated once the transaction is committed. Who may record what is
decided by the API and the admin.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Max

from apps.core.decisions import Entry, record
from apps.core.models import Scope, User
from apps.subscriptions import plausible, refusals, retries, scores
from apps.subscriptions.currencies import CURRENCIES, WITHOUT_CENTS
from apps.subscriptions.models import AccountBalance, Approval, RenewalAttempt, Subscription
from apps.subscriptions.renewal_dates import is_last_of_month, next_renewal

LONGEST_AHEAD = timedelta(days=3653)
MOST_ATTEMPTS = 200
_ENDED = (Subscription.Status.CANCELLED, Subscription.Status.EXPIRED)
CHANGEABLE = frozenset({"name", "price", "currency", "interval", "renews_on", "status", "payment_method"})


@transaction.atomic
def record_renewal_attempt(
    *,
    subscription_id: UUID,
    success: bool,
    error_message: str = "",
    amount: Decimal | None = None,
    currency: str | None = None,
    attempt_date: datetime | None = None,
    renewal_on: date | None = None,
    decline_code: str = "",
    payment_method: str | None = None,
    actor: User | str,
    now: datetime,
) -> RenewalAttempt:
    """Record that a renewal was tried. A success moves the renewal date on by the interval.

    Args:
        amount, currency: what was charged; the subscription's price and currency if not given, and nothing else.
        attempt_date: when; ``now`` if not given.
        renewal_on: which renewal; the one due next if not given. All tries of one renewal share it.
        decline_code: as the payment provider names it; whether it is hard or soft follows from it.
        payment_method: which stored method was tried; the present one if not given.
        actor: who recorded it, for the log of this process; attempts are facts and no decisions.

    Raises:
        DomainError: one of :mod:`apps.subscriptions.refusals`; nothing is written.
    """
    subscription = _held(subscription_id)
    _may_be_tried(subscription, success=success, declined=bool(error_message or decline_code))
    amount, currency = plausible.charged(subscription, amount, currency)
    when = plausible.past(now if attempt_date is None else attempt_date, now, "attempt_date")
    renewal = plausible.renewal(subscription, renewal_on)
    attempt = _attempt(
        subscription, renewal_on=renewal, attempt_date=when, amount=amount, currency=currency, success=success,
        error_message=error_message, decline_code=decline_code, payment_method=payment_method, recorded_at=now,
    )  # fmt: skip
    if success and renewal == subscription.renews_on:
        _move_on(subscription, now)
    retries.propose(subscription=subscription, now=now)
    scores.recalculate_after_commit(subscription.pk)
    return attempt


def _may_be_tried(subscription: Subscription, *, success: bool, declined: bool) -> None:
    """Refuse what cannot have happened.

    Raises:
        SubscriptionEnded, SuccessWithDecline: as they say.
    """
    if subscription.status in _ENDED:
        raise refusals.SubscriptionEnded
    if success and declined:
        raise refusals.SuccessWithDecline


def _attempt(
    subscription: Subscription, *, payment_method: str | None, renewal_on: date, **facts: Any
) -> RenewalAttempt:
    """Write the next try of a renewal, with what its decline means.

    Raises:
        DomainError: the renewal is paid, or was tried too often.
    """
    code, success = facts["decline_code"], facts["success"]
    return RenewalAttempt.objects.create(
        subscription=subscription,
        renewal_on=renewal_on,
        number=_next_number(subscription, renewal_on),
        decline_kind="" if success else retries.decline_kind(code, scope_id=subscription.scope_id),
        payment_method=subscription.payment_method if payment_method is None else payment_method,
        **facts,
    )


@transaction.atomic
def set_approval(
    *, subscription_id: UUID, approval_type: str, expires_at: datetime, actor: User | str, now: datetime
) -> Approval:
    """Record the owner's consent. It takes the place of an active one of the same kind, which is revoked.

    Raises:
        DomainError: the subscription has ended, or the approval would expire in the past or in more than ten years.
    """
    subscription = _held(subscription_id)
    if subscription.status in _ENDED:
        raise refusals.SubscriptionEnded
    if expires_at <= now:
        raise refusals.DateInPast(fields={"expires_at": [refusals.DateInPast.message]})
    if expires_at > now + LONGEST_AHEAD:
        raise refusals.DateOutOfRange(fields={"expires_at": [refusals.DateOutOfRange.message]})
    former = subscription.approvals.filter(approval_type=approval_type, status=Approval.Status.ACTIVE)
    replaced = former.update(status=Approval.Status.REVOKED)
    approval = Approval.objects.create(
        subscription=subscription,
        user_id=subscription.owner_id,
        approval_type=approval_type,
        expires_at=expires_at,
        created_at=now,
    )
    _log("approval_set", approval, actor, expires_at=expires_at.isoformat(), replaced=replaced)
    scores.recalculate_after_commit(subscription.pk)
    return approval


@transaction.atomic
def revoke_approval(*, approval_id: UUID, actor: User | str, now: datetime) -> Approval:
    """Take an approval back.

    Raises:
        DomainError: there is none such, or it is not active any more.
    """
    found = Approval.objects.filter(pk=approval_id).values_list("subscription_id", flat=True).first()
    if found is None:
        raise refusals.ApprovalMissing
    subscription = _held(found)
    approval = Approval.objects.get(pk=approval_id)
    if approval.status != Approval.Status.ACTIVE or approval.expires_at <= now:
        raise refusals.ApprovalNotActive
    approval.status = Approval.Status.REVOKED
    approval.save(update_fields=["status"])
    _log("approval_revoked", approval, actor)
    scores.recalculate_after_commit(subscription.pk)
    return approval


@transaction.atomic
def set_balance(
    *,
    subscription_id: UUID,
    amount: Decimal,
    currency: str,
    as_of: datetime,
    actor: User | str,
    now: datetime,
    source: str = Subscription.BalanceSource.API,
) -> AccountBalance:
    """Record what is there to pay with. News older than what is known is passed over, so that deliveries may cross.

    Args:
        amount: may be negative.
        as_of: when it was so.
        source: of :class:`Subscription.BalanceSource`.
        actor: who recorded it; balances are facts and no decisions.

    Returns:
        The balance that counts now: an older one given leaves a newer one as it is.

    Raises:
        DomainError: a wrong currency, a moment in the future, an absurd amount.
    """
    subscription = _held(subscription_id)
    plausible.check_currency(subscription, currency)
    amount = plausible.money(amount, "amount")
    as_of = plausible.past(as_of, now, "as_of")
    balance = AccountBalance.objects.filter(subscription=subscription).first()
    if balance and balance.as_of > as_of:
        return balance
    balance, _ = AccountBalance.objects.update_or_create(
        subscription=subscription, defaults={"amount": amount, "currency": currency, "as_of": as_of}
    )
    if subscription.balance_source != source:
        subscription.balance_source = source
        subscription.save(update_fields=["balance_source"])
    scores.recalculate_after_commit(subscription.pk)
    return balance


@transaction.atomic
def change_subscription(
    *,
    subscription_id: UUID,
    changes: Mapping[str, Any],
    actor: User | str,
    now: datetime,
    reason: str = "",
    seen: Mapping[str, str] | None = None,
) -> Subscription:
    """Change a subscription's own fields (:data:`CHANGEABLE`); what changed is in the decision log.

    Args:
        seen: the fields as the person saw them, see :func:`seen_values`; None for callers that look at nothing.

    Raises:
        SubscriptionChanged: a field is not as it was seen any more; its ``fields`` say how each is now.
        DomainError: a field is unknown or its value not valid; nothing is changed then.
    """
    unknown = sorted(set(changes) - CHANGEABLE)
    if unknown:
        raise refusals.ValuesInvalid(fields={name: ["This cannot be changed."] for name in unknown})
    subscription = _held(subscription_id)
    before = seen_values(subscription)
    stale = {name: [f"This is “{before[name]}” now; you saw “{was}”."]
             for name, was in (seen or {}).items() if name in before and before[name] != was}  # fmt: skip
    if stale:
        raise refusals.SubscriptionChanged(fields=stale)
    for name, value in changes.items():
        setattr(subscription, name, value)
    _check_values(subscription, changes, now)
    after = seen_values(subscription)
    changed = {name: [before[name], after[name]] for name in sorted(changes) if before[name] != after[name]}
    if not changed:
        return subscription
    subscription.updated_at = now
    subscription.save(update_fields=[*changed, "updated_at"])
    if {"status", "payment_method"} & set(changed):
        retries.propose(subscription=subscription, now=now)
    _log_change("subscription_changed", subscription, actor, reason, changed)
    scores.recalculate_after_commit(subscription.pk)
    return subscription


@transaction.atomic
def add_subscription(
    *,
    subscription_id: UUID,
    scope: Scope | None,
    owner: User,
    values: Mapping[str, Any],
    actor: User | str,
    now: datetime,
    reason: str = "",
) -> Subscription:
    """Add a subscription; its risk is calculated at once.

    Args:
        subscription_id: chosen by the caller, so that a form that is sent twice adds one.
        scope: the owner's organisation; who may add to which is decided by the caller.
        values: all of :data:`CHANGEABLE` that are not to be left at their defaults.

    Raises:
        SubscriptionExists: there is one with this id.
        DomainError: a value is missing or not valid; nothing is added then.
    """
    if not owner.is_active:
        raise refusals.ValuesInvalid(fields={"owner": ["This person is not active any more."]})
    subscription = Subscription(
        pk=subscription_id, scope=scope, owner=owner, created_at=now, updated_at=now,
        **{name: value for name, value in values.items() if name in CHANGEABLE},
    )  # fmt: skip
    _check_values(subscription, CHANGEABLE, now)
    try:
        with transaction.atomic():
            subscription.save(force_insert=True)
    except IntegrityError:
        raise refusals.SubscriptionExists from None
    _log_change(
        "subscription_added", subscription, actor, reason, {n: ["", v] for n, v in seen_values(subscription).items()}
    )
    scores.recalculate_after_commit(subscription.pk)
    return subscription


def seen_values(subscription: Subscription) -> dict[str, str]:
    """The changeable fields as texts, as a page shows them and as a change is compared with them."""
    shown = {name: getattr(subscription, name) for name in CHANGEABLE}
    if isinstance(shown["price"], Decimal) and shown["price"].is_finite():
        shown["price"] = f"{shown['price']:.2f}"
    return {name: str(value) for name, value in sorted(shown.items())}


def _check_values(subscription: Subscription, given: Collection[str], now: datetime) -> None:
    """Judge the given fields of a subscription that is to be stored."""
    problems: dict[str, list[str]] = {}
    try:
        subscription.clean_fields(exclude={"owner", "scope"})
    except ValidationError as error:
        problems |= error.message_dict
    if "currency" in given and "currency" not in problems and subscription.currency not in CURRENCIES:
        problems["currency"] = [f"“{subscription.currency}” is no currency of ISO 4217."]
    if {"price", "currency"} & set(given) and not {"price", "currency"} & set(problems):
        price = Decimal(subscription.price)
        if subscription.currency in WITHOUT_CENTS and price != price.to_integral_value():
            problems["price"] = [f"{subscription.currency} has no smaller unit, so the price is a whole number."]
    if "renews_on" in given and "renews_on" not in problems:
        off = datetime.combine(subscription.renews_on, time(), UTC) - now
        if not -plausible.LONGEST_AGO < off < LONGEST_AHEAD:
            problems["renews_on"] = [refusals.DateOutOfRange.message]
    if problems:
        raise refusals.ValuesInvalid(fields=problems)


def _log_change(
    action: str, subscription: Subscription, actor: User | str, reason: str, changed: Mapping[str, list[str]]
) -> None:
    """Record what became of which field; names and payment methods stay outside the chain."""
    shown = {name: pair for name, pair in changed.items() if name not in ("name", "payment_method")}
    payload = {"fields": sorted(changed), "changes": shown}
    subject = f"subscription:{subscription.pk}"
    record(Entry(scope="subscriptions", actor=actor, action=action, subject=subject, rationale=reason, payload=payload))


def _held(subscription_id: UUID) -> Subscription:
    """The subscription, its row held until the transaction ends."""
    found = Subscription.objects.select_for_update().filter(pk=subscription_id).first()
    if found is None:
        raise refusals.SubscriptionMissing
    return found


def _next_number(subscription: Subscription, renewal: date) -> int:
    tries = RenewalAttempt.objects.filter(subscription=subscription, renewal_on=renewal)
    if tries.filter(success=True).exists():
        raise refusals.RenewalPaid
    number = (tries.aggregate(last=Max("number"))["last"] or 0) + 1
    if number > MOST_ATTEMPTS:
        raise refusals.TooManyAttempts
    return int(number)


def _move_on(subscription: Subscription, now: datetime) -> None:
    """Set the renewal after the one that was paid. One of the 31st that fell on 28 February returns to the 31st."""
    day = subscription.renews_on
    usual = 0
    if is_last_of_month(day):
        recent = subscription.renewal_attempts.order_by("-renewal_on").values_list("renewal_on", flat=True)[:40]
        usual = max((one.day for one in recent), default=0)
    subscription.renews_on = next_renewal(day, subscription.interval, day_of_month=usual)
    subscription.updated_at = now
    subscription.save(update_fields=["renews_on", "updated_at"])


def _log(action: str, approval: Approval, actor: User | str, **payload: Any) -> None:
    payload |= {"approval": str(approval.pk), "approval_type": approval.approval_type}
    subject = f"subscription:{approval.subscription_id}"
    record(Entry(scope="subscriptions", actor=actor, action=action, subject=subject, payload=payload))
