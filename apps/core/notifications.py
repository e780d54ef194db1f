"""Telling people: the inbox and e-mail.

Guarantee: a notification whose transaction committed reaches the inbox with it, once per person and ``dedupe_key``.
Its e-mail is sent at least once, unless the person does not want it, the address is refused for good, or all attempts
failed (then the delivery says so). A worker that dies between sending and recording sends it again with the same
``Message-ID``, by which mail systems recognise the repetition.
"""

from __future__ import annotations

import smtplib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.core.models import Delivery, NotificationSetting, User

logger = structlog.get_logger(__name__)

KINDS = {
    "risk_flag": "Risk flags",
    "flag_proposals": "Proposed risk flags",
    "reviews": "Reviews and documents",
    "tickets": "Tickets",
    "chat": "Conversations",
    "training": "Training",
    "monitoring": "Monitoring of orders",
    "actions": "Action cards",
    "decision_log": "The decision log",
    "subscriptions": "Subscriptions at risk",
    "register": "The risk register",
    "incidents": "Incidents",
    "articles": "Articles of the knowledge base",
}
MAX_ATTEMPTS = 6
CLAIM = timedelta(minutes=5)
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=4)

_INSERT = """
    INSERT INTO core_notification (recipient_id, kind, title, body, url, urgent, dedupe_key, created_at)
    SELECT news.recipient, %s, news.title, news.body, news.url, news.urgent, news.dedupe_key, %s
    FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::boolean[], %s::text[])
        AS news(recipient, title, body, url, urgent, dedupe_key)
    ON CONFLICT (recipient_id, dedupe_key) DO NOTHING
    RETURNING id, recipient_id, urgent, dedupe_key
"""
# The inbox has it already; the e-mail waits, or is not wanted.
_INSERT_DELIVERIES = """
    INSERT INTO core_delivery (notification_id, channel, status, attempts, last_error, sent_at, next_attempt_at)
    SELECT news.id, way.channel, way.status, 0, '', way.sent_at, way.next_attempt_at
    FROM unnest(%s::bigint[], %s::boolean[]) AS news(id, mailed)
    CROSS JOIN LATERAL (
        VALUES
            ('in_app', 'sent', %s::timestamptz, NULL::timestamptz),
            ('email', CASE WHEN mailed THEN 'pending' ELSE 'skipped' END, NULL, CASE WHEN mailed THEN %s::timestamptz END)
    ) AS way(channel, status, sent_at, next_attempt_at)
"""


@dataclass(frozen=True, slots=True)
class News:
    """One piece of news for one person; see :func:`notify` for the words."""

    recipient: User
    title: str
    body: str
    dedupe_key: str
    url: str = ""
    urgent: bool = False
    insist: bool = False
    inbox_only: bool = False


@transaction.atomic
def notify(
    *,
    kind: str,
    recipients: Iterable[User],
    title: str,
    body: str,
    url: str = "",
    dedupe_key: str,
    urgent: bool = False,
    insist: bool = False,
    inbox_only: bool = False,
) -> int:
    """Tell people something, in the caller's transaction; e-mails go out after it committed.

    Args:
        kind: a slug; people switch e-mail on and off per kind.
        recipients: who is told; inactive people are left out.
        title: one line, cut at 200 characters.
        body: plain text.
        url: a path of this site where to act.
        dedupe_key: names the news; nobody gets the same news twice.
        urgent: goes out before other mails, and says so in its subject.
        insist: is mailed even to those who switched e-mail off for the kind.
        inbox_only: is not mailed, for it is worth something for a short while only.

    Returns:
        How many people had not been told before.
    """
    people = {person.pk: person for person in recipients}
    return notify_many(
        kind=kind,
        news=[
            News(person, title, body, dedupe_key, url, urgent, insist, inbox_only)
            for _, person in sorted(people.items())
        ],
    )


@transaction.atomic
def notify_many(*, kind: str, news: Iterable[News]) -> int:
    """Tell many people many things of one kind, in a constant number of statements.

    Returns:
        How many pieces of news had not been told before; inactive people are left out.
    """
    wanted = [one for one in news if one.recipient.is_active]
    if not wanted:
        return 0
    people = {one.recipient.pk: one.recipient for one in wanted}
    columns = [
        (one.recipient.pk, " ".join(one.title.split())[:200], one.body, one.url, one.urgent, one.dedupe_key[:200])
        for one in wanted
    ]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [kind, timezone.now(), *(list(column) for column in zip(*columns, strict=True))])
        told = cursor.fetchall()
    by_key = {(one.recipient.pk, one.dedupe_key[:200]): one for one in wanted}
    _plan_deliveries(
        [(notification, people[recipient], by_key[recipient, key]) for notification, recipient, _, key in told], kind
    )
    if any(urgent for _, _, urgent, _ in told):
        transaction.on_commit(_nudge, robust=True)
    return len(told)


def _plan_deliveries(told: Collection[tuple[int, User, News]], kind: str) -> None:
    people = {person.pk for _, person, _ in told}
    unwanted = set(
        NotificationSetting.objects.filter(user__in=people, kind=kind, email=False).values_list("user_id", flat=True)
    )
    mailed = [
        bool(person.email) and not news.inbox_only and (news.insist or person.pk not in unwanted)
        for _, person, news in told
    ]
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_DELIVERIES, [[notification for notification, _, _ in told], mailed, now, now])


def _nudge() -> None:
    """Ask for delivery at once. Without a broker the next beat does it, so nothing is retried here."""
    from apps.core.tasks import deliver_pending_notifications

    deliver_pending_notifications.apply_async(retry=False)


def deliver_one(*, now: datetime) -> Delivery | None:
    """Send the most urgent e-mail that is due.

    Returns:
        Its delivery, or None if nothing is due.
    """
    delivery = _claim(now)
    if delivery is None:
        return None
    try:
        _mail(delivery).send()
    except (OSError, smtplib.SMTPException, ValueError) as error:
        _record_failure(delivery, error, now)
    else:
        delivery.status, delivery.sent_at, delivery.last_error = "sent", now, ""
        delivery.next_attempt_at = None
    delivery.save(update_fields=["status", "sent_at", "last_error", "next_attempt_at"])
    return delivery


def _claim(now: datetime) -> Delivery | None:
    """Take one e-mail for us; if we die, it is due again when the claim ends."""
    with transaction.atomic():
        due = Delivery.objects.due(now).select_related("notification__recipient")
        delivery = due.select_for_update(skip_locked=True, of=("self",)).first()
        if delivery is not None:
            delivery.attempts += 1
            delivery.next_attempt_at = now + CLAIM
            delivery.save(update_fields=["attempts", "next_attempt_at"])
    return delivery


def _mail(delivery: Delivery) -> EmailMessage:
    news = delivery.notification
    host = urlsplit(settings.SITE_URL).hostname or "localhost"
    link = f"\n\n{settings.SITE_URL}{news.url}" if news.url else ""
    return EmailMessage(
        subject=f"[Urgent] {news.title}" if news.urgent else news.title,
        body=f"{news.body}{link}\n\nChange which mails you get: {settings.SITE_URL}/inbox/settings/\n",
        to=[news.recipient.email],
        headers={"Message-ID": f"<delivery-{delivery.pk}-{news.created_at:%Y%m%d%H%M%S}@{host}>"},
    )


def _record_failure(delivery: Delivery, error: Exception, now: datetime) -> None:
    delivery.last_error = f"{type(error).__name__}: {error}"[:2000]
    if is_permanent(error) or delivery.attempts >= MAX_ATTEMPTS:
        delivery.status, delivery.next_attempt_at = "failed", None
    else:
        delivery.next_attempt_at = now + backoff(delivery.attempts)
    logger.warning("email_failed", delivery=delivery.pk, attempts=delivery.attempts, status=delivery.status)


def backoff(attempts: int) -> timedelta:
    """How long to wait after so many failed attempts: 1, 4, 16 minutes and so on, at most 4 hours."""
    return min(FIRST_WAIT * 4 ** (attempts - 1), LONGEST_WAIT)


def is_permanent(error: Exception) -> bool:
    """Whether trying again is useless: the server refused the person or the message (5xx), or it is malformed.

    A refused login is the operator's to mend, so it counts as transient, as do refused connections and 4xx.
    """
    if isinstance(error, smtplib.SMTPAuthenticationError | smtplib.SMTPConnectError | smtplib.SMTPHeloError):
        return False
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code >= 500
    return isinstance(error, ValueError)


def retry_failed(deliveries: QuerySet[Delivery]) -> int:
    """Queue failed e-mails once more, with all attempts ahead of them. Returns how many."""
    failed = deliveries.filter(channel="email", status="failed")
    return failed.update(status="pending", attempts=0, next_attempt_at=timezone.now())
