"""When a renewal that was declined softly is tried again.

The limit of the card networks stands above every policy: a stored method is tried at most 15 times in any 30 days, the
first try included. Visa's excessive reattempts rule allowed 15 repetitions in 30 days from April 2021 and allows 20 since
May 2025 (Visa Core Rules, table 7-2); Mastercard allows 35 in 30 days and 10 a day. The older, stricter figure is kept,
for acquirers go on enforcing it, and nothing is gained by a sixteenth try.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Annotated

from django.db import connection, transaction
from pydantic import BaseModel, ConfigDict, Field

from apps.core.decisions import Entry, record
from apps.core.models import Scope, User
from apps.subscriptions.declines import classify, words_for
from apps.subscriptions.models import RenewalAttempt, RetryPolicyVersion, Subscription

NETWORK_TRIES = 15
NETWORK_WINDOW = timedelta(days=30)
_VERSIONS = 7_221_504  # key of an advisory lock, any constant
Code = Annotated[str, Field(min_length=1, max_length=60)]


class RetryPolicy(BaseModel):
    """How an organisation retries; each change is a new :class:`RetryPolicyVersion`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(True, title="Retries", description="When off, nothing is ever tried again by itself.")
    wait_hours: tuple[Annotated[int, Field(ge=1, le=720)], ...] = Field(
        (24, 72, 120, 168),
        max_length=NETWORK_TRIES - 1,
        title="Waits",
        description="Hours before the first, second, ... retry, each after the try before; then no more.",
    )
    give_up_days: int = Field(
        28,
        ge=1,
        le=90,
        title="Give up after",
        description="Days after a renewal's date from which it is not tried again.",
    )
    tries_in_30_days: int = Field(
        NETWORK_TRIES,
        ge=1,
        le=NETWORK_TRIES,
        title="Tries in 30 days",
        description="Of one subscription, all its renewals and first tries included. The card networks' limit is the "
        "highest value.",
    )
    hard_codes: tuple[Code, ...] = Field(
        (), max_length=100, title="More hard codes", description="Decline codes after which there is no other try."
    )
    soft_codes: tuple[Code, ...] = Field(
        (), max_length=100, title="More soft codes", description="Decline codes after which another try may work."
    )


@dataclass(frozen=True, slots=True)
class Tried:
    """One try, as the policy sees it."""

    at: datetime
    success: bool
    code: str = ""
    kind: str = ""
    method: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """When the next try should be, or None, and why."""

    at: datetime | None
    reason: str


def next_try(
    policy: RetryPolicy,
    *,
    renewal: Sequence[Tried],
    others: Sequence[datetime],
    renewal_end: datetime,
    now: datetime,
    method: str = "",
) -> Proposal:
    """When to try a renewal again. Pure.

    A declined method is not the new one's fault: with another payment method the schedule begins anew, at once. The
    networks' limit counts the tries of all methods, so that changing them never makes room.

    Args:
        policy: of the subscription's organisation.
        renewal: all tries of the renewal, at least one, in order of time.
        others: when other renewals of the subscription were tried; they count towards the networks' limit.
        renewal_end: when the day on which it was due began.
        now: nothing is proposed for the past.
        method: the payment method that would be tried.
    """
    refusal = _refusal(policy, renewal, method)
    if refusal:
        return Proposal(None, refusal)
    with_it = [one for one in renewal if one.method == method]
    if with_it:
        wait = policy.wait_hours[len(with_it) - 1]
        at = max(with_it[-1].at + timedelta(hours=wait), now)
        words = f"Retry {len(with_it)} of {len(policy.wait_hours)}"
        reason = f"{words}, {wait} h after the try before"
    else:
        at, words = now, "First try with another payment method"
        reason = words
    tried = sorted([*others, *(one.at for one in renewal)])
    limit = policy.tries_in_30_days
    if len(tried) >= limit and tried[-limit] + NETWORK_WINDOW >= at:
        # The window is closed at both ends, so the next try lies beyond it.
        at = tried[-limit] + NETWORK_WINDOW + timedelta(seconds=1)
        reason = f"{words}, put off: at most {limit} tries in 30 days"
    if at > renewal_end + timedelta(days=policy.give_up_days):
        return Proposal(None, f"Given up: more than {policy.give_up_days} days after the renewal date.")
    return Proposal(at, reason)


def _refusal(policy: RetryPolicy, renewal: Sequence[Tried], method: str) -> str:
    """Why a renewal is not tried again with a method; empty if it may be."""
    with_it = [one for one in renewal if one.method == method]
    if any(one.success for one in renewal):
        return "Paid."
    if not policy.enabled:
        return "Retries are switched off."
    hard = next((one for one in with_it if kind_of(policy, one) == RenewalAttempt.DeclineKind.HARD), None)
    if hard:
        return f"Declined for good ({words_for(hard.code) or 'hard decline'}): another payment method is needed."[:200]
    if not with_it and not method:
        return "No payment method is stored."
    if not policy.wait_hours:
        return "The policy allows no retries."
    if len(with_it) > len(policy.wait_hours):
        return (
            "The only retry was used."
            if len(policy.wait_hours) == 1
            else f"All {len(policy.wait_hours)} retries were used."
        )
    return ""


def kind_of(policy: RetryPolicy, tried: Tried) -> str:
    """Whether a failed try was a hard or a soft decline: what was recorded, unless the policy names the code."""
    own = {code.strip().lower() for code in (*policy.hard_codes, *policy.soft_codes)}
    if tried.kind and tried.code.strip().lower() not in own:
        return tried.kind
    return classify(tried.code, hard=policy.hard_codes, soft=policy.soft_codes)


def current_policy(scope_id: int | None) -> RetryPolicy:
    """The newest policy of an organisation; else the newest one for everybody; else the defaults."""
    versions = RetryPolicyVersion.objects.order_by("-number")
    own = versions.filter(scope=scope_id).first() if scope_id else None
    newest = own or versions.filter(scope=None).first()
    return RetryPolicy.model_validate(newest.settings) if newest else RetryPolicy()


def decline_kind(code: str, *, scope_id: int | None) -> RenewalAttempt.DeclineKind:
    """What to record as the kind of a decline, by the organisation's policy."""
    policy = current_policy(scope_id)
    return classify(code, hard=policy.hard_codes, soft=policy.soft_codes)


def proposal_for(subscription: Subscription, *, now: datetime) -> Proposal:
    """When the newest renewal of a subscription should be tried again. Two or three queries."""
    if subscription.status != Subscription.Status.ACTIVE:
        return Proposal(None, "The subscription is not active.")
    tries = list(RenewalAttempt.objects.filter(subscription=subscription).order_by("-attempt_date", "-number")[:200])
    if not tries:
        return Proposal(None, "")
    newest = max(one.renewal_on for one in tries)
    renewal = sorted((one for one in tries if one.renewal_on == newest), key=lambda one: (one.attempt_date, one.number))
    return next_try(
        current_policy(subscription.scope_id),
        renewal=[
            Tried(one.attempt_date, one.success, one.decline_code, one.decline_kind, one.payment_method)
            for one in renewal
        ],
        others=[one.attempt_date for one in tries if one.renewal_on != newest],
        renewal_end=datetime.combine(newest, time(), UTC),
        now=now,
        method=subscription.payment_method,
    )


@transaction.atomic
def propose(*, subscription: Subscription, now: datetime) -> None:
    """Write the proposed next try on the subscription; called after each attempt, in its transaction."""
    proposal = proposal_for(subscription, now=now)
    subscription.next_attempt_at, subscription.next_attempt_reason = proposal.at, proposal.reason[:200]
    subscription.save(update_fields=["next_attempt_at", "next_attempt_reason"])


@transaction.atomic
def new_policy(
    *, scope: Scope | None, policy: RetryPolicy, reason: str, actor: User, now: datetime
) -> RetryPolicyVersion:
    """Let an organisation retry by another policy from now on; None for all that have none of their own.

    What was proposed before is looked at again when its moment comes, and follows the newest policy then.
    """
    with connection.cursor() as cursor:  # two who save at once get two numbers
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_VERSIONS])
    last = RetryPolicyVersion.objects.filter(scope=scope).order_by("-number").first()
    version = RetryPolicyVersion.objects.create(
        scope=scope,
        number=last.number + 1 if last else 1,
        settings=policy.model_dump(mode="json"),
        reason=reason.strip()[:300],
        created_by=actor,
        created_at=now,
    )
    record(
        Entry(
            scope="subscriptions",
            actor=actor,
            action="retry_policy_made",
            subject=f"scope:{scope.pk}" if scope else "scope:all",
            rationale=version.reason,
            evidence_url=f"/admin/subscriptions/retrypolicyversion/{version.pk}/change/",
            payload={"number": version.number, "settings": version.settings, "former": last.settings if last else {}},
        )
    )
    return version
