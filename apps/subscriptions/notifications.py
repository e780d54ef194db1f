"""Telling people that a subscription came to HIGH risk, or left it.

Guarantee: whoever is to be told of a change is told once in the inbox, in the transaction that stores the score: either
the score, the mark that it was told (``last_notified_risk_level``) and the news are all there, or none of them is and the
next calculation tells. The e-mail that follows is sent at least once; see :mod:`apps.core.notifications`.

A person gets up to :data:`DAILY` such news a day (UTC), those to HIGH before others. What comes after is gathered in one
piece of news an hour, so that an outage of a payment provider does not bury anybody in mails. None of it is lost: each
change is a line of the hour's news, which is unread again with every line that is added; past :data:`LONGEST` characters
it says that there are more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from django.db import connection, transaction

from apps.core.home import address
from apps.core.models import User
from apps.core.notifications import News, notify_many
from apps.core.roles import Role
from apps.subscriptions.factors import advice
from apps.subscriptions.models import RiskLevel, Subscription
from apps.subscriptions.reasons import contributing, money

if TYPE_CHECKING:
    from apps.subscriptions.scores import Transition

logger = structlog.get_logger(__name__)

KIND = "subscriptions"
CONCERNED = (Role.OPERATOR, Role.SUPPORT_MANAGER)
"""Who acts on subscriptions at risk; those of them are told who work in the subscription's organisation."""
DAILY = 25
LONGEST = 20_000

# Whoever claims a change first tells it; a second calculation of the same change finds nothing left to claim.
_CLAIM = """
    UPDATE subscription_risk_scores SET last_notified_risk_level = risk_level
    WHERE subscription_id = ANY(%(ids)s::uuid[])
        AND (risk_level = 'HIGH') <> (last_notified_risk_level = 'HIGH')
    RETURNING subscription_id, risk_level
"""
# What was gathered before in the same hour goes on: its lines grow, and it is unread again. News that was inserted just now
# says these lines already. Rows are locked in order, so that two batches wait for each other and do not lock crosswise.
_APPEND = """
    WITH held AS MATERIALIZED (
        SELECT news.id, more.lines
        FROM core_notification AS news
        JOIN unnest(%(people)s::bigint[], %(bodies)s::text[], %(lines)s::text[]) AS more(person, body, lines)
            ON news.recipient_id = more.person AND news.body <> more.body
        WHERE news.dedupe_key = %(key)s
        ORDER BY news.id
        FOR UPDATE OF news
    )
    UPDATE core_notification AS news SET read_at = NULL, body = CASE
        WHEN length(news.body) + length(held.lines) <= %(longest)s THEN news.body || E'\n' || held.lines
        WHEN news.body LIKE '%%' || %(rest)s THEN news.body
        ELSE news.body || E'\n' || %(rest)s
    END
    FROM held WHERE news.id = held.id
"""
_MORE = "And more; all of them stand in the list."


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


@transaction.atomic(savepoint=False)  # who calls it in a transaction decides what becomes of it
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
    changes.sort(key=lambda change: not change.rose)  # who is told of some only, is told of those to HIGH
    wanted = [
        (person, change) for change in changes for person in _people(change.subscription, staff) if person.is_active
    ]
    single, rest = _within_limits(wanted, now)
    gathered = {person: _rest(person, _in_lines(changes), now) for person, changes in rest.items()}
    told = notify_many(kind=KIND, news=[*single, *gathered.values()])
    _append(gathered, rest)  # after the insertion, which waits for a batch that gathers in the same hour
    logger.info("risk_changes_told", changes=len(changes), to_high=sum(one.rose for one in changes), news=told)
    return told


def _claim(transitions: dict[UUID, Transition]) -> list[UUID]:
    """The changes that nobody has been told of, marked as told."""
    ids = [pk for pk, one in transitions.items() if RiskLevel.HIGH in (one.level, one.previous)]
    if not ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"ids": ids})
        return [pk for pk, level in cursor.fetchall() if level == transitions[pk].level]


# In one statement, for a run asks it with each batch: who holds one of the roles, and where each of them works.
_STAFF = """
    WITH work AS (
        SELECT p.id FROM auth_permission p JOIN django_content_type t ON t.id = p.content_type_id
        WHERE t.app_label = 'core' AND p.codename = 'work_in_scope'
    )
    SELECT u.id, u.email, u.is_active, u.is_staff,
        u.is_superuser OR EXISTS (
            SELECT FROM core_user_groups m JOIN auth_group_permissions g ON g.group_id = m.group_id
            WHERE m.user_id = u.id AND g.permission_id IN (SELECT id FROM work)
        ) AS everywhere,
        ARRAY(
            SELECT o.object_pk FROM guardian_userobjectpermission o
            WHERE o.user_id = u.id AND o.object_pk = ANY(%(scopes)s::text[]) AND o.permission_id IN (SELECT id FROM work)
            UNION ALL
            SELECT o.object_pk FROM guardian_groupobjectpermission o JOIN core_user_groups m ON m.group_id = o.group_id
            WHERE m.user_id = u.id AND o.object_pk = ANY(%(scopes)s::text[]) AND o.permission_id IN (SELECT id FROM work)
        ) AS granted
    FROM core_user u
    WHERE u.is_staff AND u.is_active AND u.id IN (
        SELECT m.user_id FROM core_user_groups m JOIN auth_group g ON g.id = m.group_id WHERE g.name = ANY(%(roles)s)
    )
    ORDER BY u.id
"""


def staff_of(scope_ids: Collection[int | None]) -> dict[int | None, list[User]]:
    """The staff concerned with each organisation, by one query; what belongs to none concerns all."""
    keys = [str(scope) for scope in scope_ids if scope is not None]
    people: Any = User.objects.raw(_STAFF, {"scopes": keys, "roles": [role.value for role in CONCERNED]})
    people = list(people)
    return {
        scope: [one for one in people if scope is None or one.everywhere or str(scope) in one.granted]
        for scope in scope_ids
    }


def _people(subscription: Subscription, staff: dict[int | None, list[User]]) -> list[User]:
    """The owner and the staff concerned, each once."""
    return list({person.pk: person for person in (subscription.owner, *staff[subscription.scope_id])}.values())


_TOLD = """
    SELECT recipient_id, count(*) FROM core_notification
    WHERE recipient_id = ANY(%s::bigint[]) AND kind = %s AND created_at >= %s GROUP BY recipient_id
"""


def _within_limits(wanted: list[tuple[User, _Change]], now: datetime) -> tuple[list[News], dict[User, list[_Change]]]:
    """The pieces of news for one change each, and what is beyond a person's limit of the day."""
    today = datetime.combine(now.date(), time(), UTC)
    people = list({person.pk for person, _ in wanted})
    with connection.cursor() as cursor:
        cursor.execute(_TOLD, [people, KIND, today])
        told = Counter(dict(cursor.fetchall()))
    single: list[News] = []
    rest: dict[User, list[_Change]] = defaultdict(list)
    for person, change in wanted:
        told[person.pk] += 1
        if told[person.pk] <= DAILY:
            single.append(_news(person, change))
        else:
            rest[person].append(change)
    return single, rest


def _append(gathered: dict[User, News], rest: dict[User, list[_Change]]) -> None:
    """Add lines to the news of the hour of those who had one before."""
    if not gathered:
        return
    people = [person.pk for person in gathered]
    bodies = [news.body for news in gathered.values()]
    lines = [_in_lines(rest[person]) for person in gathered]
    key = next(iter(gathered.values())).dedupe_key
    with connection.cursor() as cursor:
        cursor.execute(
            _APPEND,
            {"people": people, "bodies": bodies, "lines": lines, "key": key, "longest": LONGEST, "rest": _MORE},
        )


def _in_lines(changes: list[_Change]) -> str:
    """A line for each change, as far as there is room."""
    lines = [f"- {change.subscription.name}: {change.transition.level}, before {change.previous}" for change in changes]
    text = "\n".join(lines)
    return text if len(text) <= LONGEST else text[:LONGEST].rpartition("\n")[0] + f"\n{_MORE}"


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


def _rest(person: User, lines: str, now: datetime) -> News:
    url = address("admin:subscriptions_riskscore_changelist")
    return News(
        recipient=person,
        title="More subscriptions changed their risk today",
        body=f"You were told of {DAILY} subscriptions today. These came to HIGH risk or left it besides:\n{lines}",
        url=f"{url}?level=HIGH" if person.is_staff and url else "",
        dedupe_key=f"subscription-risk-more:{now.astimezone(UTC):%Y-%m-%dT%H}",
    )
