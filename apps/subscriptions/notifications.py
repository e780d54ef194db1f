"""Telling people that a subscription came to HIGH risk, or left it.

Guarantee: whoever is to be told of a change is told once in the inbox, in the transaction that stores the score: either
the score, the mark that it was told (``last_notified_risk_level``) and the news are all there, or none of them is and the
next calculation tells. The e-mail that follows is sent at least once; see :mod:`apps.core.notifications`.

A person gets up to :data:`DAILY` such news a day (UTC). What comes after is gathered in one piece of news that leads to
the list, so that an outage of a payment provider does not bury anybody in mails.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib.auth.models import Permission
from django.db import connection, transaction
from django.db.models import Count, Q
from guardian.models import GroupObjectPermission, UserObjectPermission

from apps.core.home import address
from apps.core.models import Notification, User
from apps.core.notifications import News, notify_many
from apps.core.roles import Role, people_with
from apps.subscriptions.factors import advice
from apps.subscriptions.models import RiskLevel, Subscription
from apps.subscriptions.reasons import contributing, money

if TYPE_CHECKING:
    from apps.subscriptions.scores import Transition

KIND = "subscriptions"
CONCERNED = (Role.OPERATOR, Role.SUPPORT_MANAGER)
"""Who acts on subscriptions at risk; those of them are told who work in the subscription's organisation."""
DAILY = 25

# Whoever claims a change first tells it; a second calculation of the same change finds nothing left to claim.
_CLAIM = """
    UPDATE subscription_risk_scores SET last_notified_risk_level = risk_level
    WHERE subscription_id = ANY(%(ids)s::uuid[])
        AND (risk_level = 'HIGH') <> (last_notified_risk_level = 'HIGH')
    RETURNING subscription_id, risk_level
"""


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of level that is to be told."""

    subscription: Subscription
    transition: Transition
    at: datetime

    @property
    def rose(self) -> bool:
        return self.transition.level == RiskLevel.HIGH

    @property
    def previous(self) -> str:
        return self.transition.previous or "not calculated before"


@transaction.atomic
def tell_of_transitions(transitions: Collection[Transition], *, now: datetime) -> int:
    """Tell owners and the staff concerned of changes to HIGH, and from HIGH to lower.

    Called in the transaction that stored the scores. Other changes are passed over, and so are those already told. The
    number of queries does not depend on the number of changes.

    Args:
        now: when the scores were calculated.

    Returns:
        How many pieces of news went to people.
    """
    by_id = {one.subscription_id: one for one in transitions}
    claimed = _claim(by_id)
    if not claimed:
        return 0
    found = Subscription.objects.filter(pk__in=claimed).select_related("owner").order_by("pk")
    changes = [_Change(one, by_id[one.pk], now) for one in found]
    staff = staff_of({one.subscription.scope_id for one in changes})
    wanted = [
        (person, change) for change in changes for person in _people(change.subscription, staff) if person.is_active
    ]
    return notify_many(kind=KIND, news=_within_limits(wanted, now))


def _claim(transitions: dict[UUID, Transition]) -> list[UUID]:
    """The changes that nobody has been told of, marked as told."""
    ids = [pk for pk, one in transitions.items() if RiskLevel.HIGH in (one.level, one.previous)]
    if not ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"ids": ids})
        return [pk for pk, level in cursor.fetchall() if level == transitions[pk].level]


def staff_of(scope_ids: Collection[int | None]) -> dict[int | None, list[User]]:
    """The staff concerned with each organisation, by a constant number of queries; what belongs to none concerns all."""
    people = {person.pk: person for person in people_with(*CONCERNED).filter(is_staff=True).order_by("pk")}
    everywhere = set(
        User.objects.filter(pk__in=people)
        .filter(Q(is_superuser=True) | Q(groups__permissions__in=_work_in_scope()))
        .values_list("pk", flat=True)
    )
    keys = [str(scope) for scope in scope_ids if scope is not None]
    granted: dict[int, set[int]] = defaultdict(set)
    direct = UserObjectPermission.objects.filter(permission__in=_work_in_scope(), object_pk__in=keys)
    for scope, person in direct.values_list("object_pk", "user_id"):
        granted[int(scope)].add(person)
    by_role = GroupObjectPermission.objects.filter(permission__in=_work_in_scope(), object_pk__in=keys)
    for scope, person in by_role.values_list("object_pk", "group__user"):
        granted[int(scope)].add(person)
    return {
        scope: [one for pk, one in people.items() if scope is None or pk in everywhere or pk in granted[scope]]
        for scope in scope_ids
    }


def _work_in_scope() -> Iterable[int]:
    rows = Permission.objects.filter(content_type__app_label="core", codename="work_in_scope")
    return rows.values_list("pk", flat=True)


def _people(subscription: Subscription, staff: dict[int | None, list[User]]) -> list[User]:
    """The owner and the staff concerned, each once."""
    return list({person.pk: person for person in (subscription.owner, *staff[subscription.scope_id])}.values())


def _within_limits(wanted: list[tuple[User, _Change]], now: datetime) -> Iterator[News]:
    """One piece of news for each change, and one for all beyond a person's limit of the day."""
    today = datetime.combine(now.date(), time(), UTC)
    people = {person.pk for person, _ in wanted}
    told = Counter(
        dict(
            Notification.objects.filter(recipient__in=people, kind=KIND, created_at__gte=today)
            .order_by()
            .values_list("recipient")
            .annotate(count=Count("pk"))
        )
    )
    for person, change in wanted:
        told[person.pk] += 1
        if told[person.pk] <= DAILY:
            yield _news(person, change)
        elif told[person.pk] == DAILY + 1:
            yield _rest(person, now)


def _news(person: User, change: _Change) -> News:
    one, level = change.subscription, change.transition.level
    title = f"{one.name}: {level} risk" if change.rose else f"{one.name}: no longer at HIGH risk, now {level}"
    return News(
        recipient=person,
        title=title,
        body="\n".join(_lines(change)),
        url=address("admin:subscriptions_subscription_change", one.pk) if person.is_staff else "",
        dedupe_key=f"subscription-risk:{one.pk}:{level}:{change.at.isoformat()}",
    )


def _lines(change: _Change) -> Iterator[str]:
    one, factors = change.subscription, change.transition.factors
    yield f"Subscription: {one.name}"
    yield f"Price: {money(one.price, one.currency)}, {one.get_interval_display().lower()}"
    yield f"Risk level: {change.transition.level} (before: {change.previous})"
    yield f"Next renewal: {one.renews_on}"
    yield ""
    found = contributing(factors)
    yield "What contributes to it:" if found else "Nothing contributes to its risk any more."
    yield from (f"- {reason}" for reason in found)
    steps = advice(factors)
    if change.rose and steps:
        yield ""
        yield "What to do:"
        yield from (f"- {step}" for step in steps)


def _rest(person: User, now: datetime) -> News:
    url = address("admin:subscriptions_riskscore_changelist")
    return News(
        recipient=person,
        title="More subscriptions changed their risk today",
        body=f"You were told of {DAILY} subscriptions today that came to HIGH risk or left it. There are more; they are not "
        "told one by one. All of them stand in the list, the worst first.",
        url=f"{url}?level=HIGH" if person.is_staff and url else "",
        dedupe_key=f"subscription-risk-more:{now.date()}",
    )
