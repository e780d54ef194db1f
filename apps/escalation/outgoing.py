"""News that goes out to other systems: signed webhooks.

Guarantee: news whose transaction committed is sent at least once to each active endpoint that wants its kind, or stands in
the list of what was given up, from where a person sends it again. Each delivery carries the id of its news, by which the
receiver recognises a repetition; the order of arrival is not promised, so the body carries the version of what it is about.

The header ``Riskdesk-Signature: t=SECONDS,v1=HEX`` holds the HMAC-SHA256 with the endpoint's secret over ``SECONDS.BODY``.
A receiver computes it over the raw body, compares in constant time, and refuses times far from its own.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import Q, QuerySet

from apps.core.breaker import Breaker
from apps.core.decisions import Entry, record
from apps.core.http import CircuitOpen, Client, IntegrationError, PermanentFailure, Policy
from apps.core.models import User
from apps.core.networks import is_public
from apps.escalation.binding import SCOPE, NotAllowed
from apps.escalation.models import Endpoint, OutgoingNews, RiskFlag, Ticket

logger = structlog.get_logger(__name__)

MANAGE = "escalation.change_outgoingnews"
MAX_ATTEMPTS = 8
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=6)
TIMEOUT = 10.0  # seconds for one attempt
CLAIM = timedelta(minutes=2)
KEPT = timedelta(days=30)
Status = OutgoingNews.Status


@dataclass(frozen=True, slots=True)
class News:
    """One piece of news, without names, contacts or texts of people: who may know more asks the API.

    Attributes:
        kind: such as ``ticket.created``.
        key: names it, so that it goes out once.
        facts: what happened to what.
    """

    kind: str
    key: str
    facts: Mapping[str, Any]
    at: datetime


def of_ticket(ticket: Ticket, kind: str, at: datetime) -> News:
    """News about a ticket."""
    facts = {
        "ticket": ticket.pk,
        "number": ticket.number,
        "status": ticket.status,
        "priority": ticket.priority,
        "category": ticket.category.slug if ticket.category else None,
        "scope": ticket.scope.slug if ticket.scope else None,
        "version": ticket.version,
        "url": f"{settings.SITE_URL}/api/tickets/{ticket.pk}",
    }
    return News(kind, f"{kind}:{ticket.pk}:{ticket.version}", facts, at)


def of_flag(flag: RiskFlag, kind: str, key: str, at: datetime) -> News:
    """News about a risk flag; ``key`` tells this event from others of the flag."""
    facts = {
        "flag": flag.pk,
        "level": flag.level,
        "step": flag.step,
        "status": flag.status,
        "indicator": flag.indicator,
        "scope": flag.scope.slug if flag.scope else None,
        "version": flag.version,
        "url": f"{settings.SITE_URL}/api/flags/{flag.pk}",
    }
    return News(kind, f"{kind}:{flag.pk}:{key}", facts, at)


def publish(*news: News) -> int:
    """Put news down for each endpoint that wants it, in the caller's transaction. Returns how many rows there are to send."""
    kinds = {one.kind for one in news}
    wanted = list(Endpoint.objects.filter(Q(kinds=[]) | Q(kinds__overlap=list(kinds)), active=True))
    rows = [
        OutgoingNews(
            endpoint=endpoint,
            kind=one.kind,
            dedupe_key=one.key[:200],
            body=json.loads(json.dumps({"kind": one.kind, "at": one.at, **one.facts}, cls=DjangoJSONEncoder)),
            next_attempt_at=one.at,
            created_at=one.at,
        )
        for endpoint in wanted
        for one in news
        if not endpoint.kinds or one.kind in endpoint.kinds
    ]
    OutgoingNews.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def signature(secret: str, body: bytes, at: datetime) -> str:
    """What the header says of a body."""
    seconds = int(at.timestamp())
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def written(news: OutgoingNews) -> bytes:
    """The bytes of a delivery: the same at each attempt."""
    body = {"id": str(news.pk), **news.body}
    return json.dumps(body, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def deliver_one(*, now: Callable[[], datetime]) -> OutgoingNews | None:
    """Send what has been due longest.

    Args:
        now: the clock; the time is taken again after the endpoint answered.

    Returns:
        What was tried, or None if nothing is due.
    """
    news = _claim(now())
    if news is None:
        return None
    claimed = news.attempts
    try:
        _send(news, now())
    except UnusableEndpoint as error:
        _failed(news, error.code, now(), final=True)
    except CircuitOpen as error:
        news.attempts -= 1  # it was not even tried
        news.next_attempt_at = now() + max(timedelta(seconds=error.retry_after or 0), timedelta(seconds=30))
        news.last_error = f"{error.code}: {error}"
    except IntegrationError as error:
        _failed(news, f"{error.code}: {error}", now(), isinstance(error, PermanentFailure), error.retry_after)
    else:
        news.status, news.sent_at, news.next_attempt_at, news.last_error = Status.SENT, now(), None, ""
    _put_down(news, claimed)
    return news


def _put_down(news: OutgoingNews, claimed: int) -> None:
    """Write what became of an attempt, unless the claim ended meanwhile and another worker took the news over.

    A worker that was halted for longer than its claim must not turn what the other one sent into a failure. What was
    delivered counts in any case.
    """
    ours = OutgoingNews.objects.filter(pk=news.pk, status=Status.PENDING)
    if news.status != Status.SENT:
        ours = ours.filter(attempts=claimed)
    written_down = ours.update(
        status=news.status,
        attempts=news.attempts,
        next_attempt_at=news.next_attempt_at,
        sent_at=news.sent_at,
        last_error=news.last_error,
    )
    if not written_down:
        logger.warning("outgoing_claim_lost", news=str(news.pk), endpoint=news.endpoint_id)


class UnusableEndpoint(Exception):
    """The endpoint cannot be used as it is; somebody has to correct it. ``code`` says why."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


def _claim(now: datetime) -> OutgoingNews | None:
    """Take one piece of news for us; if we die, it is due again when the claim ends."""
    with transaction.atomic():
        due = OutgoingNews.objects.filter(status=Status.PENDING, next_attempt_at__lte=now).select_related("endpoint")
        news = due.order_by("next_attempt_at", "pk").select_for_update(skip_locked=True, of=("self",)).first()
        if news is not None:
            news.attempts += 1
            news.next_attempt_at = now + CLAIM
            news.save(update_fields=["attempts", "next_attempt_at"])
    return news


def _send(news: OutgoingNews, at: datetime) -> None:
    """One attempt.

    Raises:
        UnusableEndpoint: the endpoint is switched off, or its address is not one to send to.
        IntegrationError: it did not take it.
    """
    endpoint = news.endpoint
    if not endpoint.active:
        raise UnusableEndpoint("switched_off")
    if problem := unusable(endpoint.url):
        raise UnusableEndpoint(problem)
    body = written(news)
    headers = {
        "Content-Type": "application/json",
        "Riskdesk-Kind": news.kind,
        "Riskdesk-Delivery": str(news.pk),
        "Riskdesk-Signature": signature(endpoint.secret, body, at),
    }
    breaker = Breaker(f"outgoing-{endpoint.pk}", probe_seconds=TIMEOUT + 5)
    policy = Policy(attempts=1, max_bytes=64 * 1024)
    public_only = not settings.OUTGOING_PRIVATE_ADDRESSES
    with Client(
        "outgoing", endpoint.url, timeout=TIMEOUT, policy=policy, breaker=breaker, public_only=public_only
    ) as client:
        client.request("POST", endpoint.url, content=body, headers=headers, idempotency_key=str(news.pk), retry=False)


def unusable(url: str) -> str:
    """Why nothing is sent to an address, as far as it can be told without looking its host up; empty if it is fine.

    What its host's name leads to is looked at when something is sent, each time.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "not_an_address"
    if parts.scheme != "https" and not (parts.scheme == "http" and settings.DEBUG):
        return "not_https"
    if not host:
        return "not_an_address"
    if parts.username is not None or parts.password is not None:
        return "credentials_in_address"
    if settings.OUTGOING_PRIVATE_ADDRESSES:
        return ""
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return "private_address"
    try:
        return "" if is_public(host) else "private_address"
    except ValueError:
        return ""  # a name


def masked(url: str) -> str:
    """An address without what may be a secret of it: path and query tell the receiver who calls."""
    parts = urlsplit(url)
    rest = "/…" if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{rest}"


def _failed(news: OutgoingNews, why: str, now: datetime, final: bool, pause: float | None = None) -> None:
    news.last_error = why[:2000]
    if final or news.attempts >= MAX_ATTEMPTS:
        news.status, news.next_attempt_at = Status.DEAD, None
    else:
        asked = timedelta(seconds=min(pause or 0.0, LONGEST_WAIT.total_seconds()))
        news.next_attempt_at = now + max(backoff(news.attempts), asked)
    logger.warning("outgoing_failed", news=str(news.pk), endpoint=news.endpoint_id, attempts=news.attempts, why=why)


def backoff(attempts: int) -> timedelta:
    """How long to wait after so many failed attempts: 1, 4, 16 minutes and so on, at most 6 hours."""
    return min(FIRST_WAIT * 4 ** (attempts - 1), LONGEST_WAIT)


def dead_letters() -> QuerySet[OutgoingNews]:
    """What was given up, newest first."""
    return OutgoingNews.objects.filter(status=Status.DEAD).select_related("endpoint").order_by("-created_at")


@transaction.atomic
def replay(*, news_ids: list[UUID], actor: User, now: datetime) -> int:
    """Send given up news once more, with all attempts ahead of them. What is not in that list is left alone.

    Returns:
        How many.

    Raises:
        NotAllowed: the person's role does not include it.
    """
    if not actor.is_active or not actor.has_perm(MANAGE):
        raise NotAllowed
    rows = list(dead_letters().filter(pk__in=news_ids).select_for_update(of=("self",)))
    OutgoingNews.objects.filter(pk__in=[row.pk for row in rows]).update(
        status=Status.PENDING, attempts=0, next_attempt_at=now, last_error=""
    )
    if rows:
        ids = [str(row.pk) for row in rows]
        payload = {"news": ids[:200], "count": len(ids)}
        record(Entry(scope=SCOPE, actor=actor, action="outgoing_replayed", subject="outgoing_news", payload=payload))
    return len(rows)


def forget_old(*, now: datetime) -> int:
    """Delete news that was sent long ago; returns how many."""
    return OutgoingNews.objects.filter(status=Status.SENT, created_at__lt=now - KEPT).delete()[0]
