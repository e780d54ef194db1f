"""Customers' messages as the indicators see them: kept redacted, grouped with those that say nearly the same, and judged.

:func:`observe` writes a row in the caller's transaction and hands it out after commit; the row itself is the queue, so a
lost task loses nothing. :func:`judge` puts it into a cluster and lets the indicators judge it, once.

A report joins the cluster of the most similar one in the window before it. Likeness is the cosine of weighed words
(:mod:`apps.escalation.words`); candidates come from a GIN index over the words, asked for the rarest of them, and where all
are common, for pairs. Words of reports that left the window are dropped, so the index holds the window and not the past.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import combinations

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Q

from apps.core.models import Scope
from apps.core.redaction import redact
from apps.escalation.models import Cluster, Report
from apps.escalation.proposals import propose
from apps.escalation.signs import Finding
from apps.escalation.thresholds import InForce, in_force
from apps.escalation.words import Vocabulary, vocabulary, words

logger = structlog.get_logger(__name__)

WINDOW = timedelta(days=7)
"""How far apart reports may be to be put together."""
ALIKE = 0.5
"""Cosine from which two reports say nearly the same."""
ALIKE_UNWEIGHED = 0.65
"""The same before there are statistics, when common words count as much as telling ones."""
CANDIDATES = 1_000
"""At most so many reports are compared with a new one."""
RARE = 24
"""So many of a report's words are sought by themselves, the rarest first."""
PAIRED = 4
"""Of so many words pairs are sought where single ones are too common."""
BATCH = 5_000
_CLUSTERING = 7_331_842  # first key of an advisory lock, any constant


def observe(
    *,
    source: str,
    text: str,
    customer: str,
    category: str,
    scope: Scope | None,
    at: datetime,
    subject: str = "",
) -> Report:
    """Have the indicators see a customer's message. Seen again, it is the same report.

    Args:
        source: the message, such as ``ticket_message:4``.
        text: as written; kept redacted.
        customer: what tells customers apart, such as an address or a number; kept as a keyed digest.
        category: of the ticket or conversation, for bursts.
        at: when it was written.
        subject: what it belongs to, such as ``ticket:4``; what is found in several messages of one is proposed once.
    """
    defaults = {
        "subject": subject,
        "scope": scope,
        "customer": digest(customer),
        "category": category[:60],
        "text": redact(text).text.replace("\x00", ""),
        "at": at,
    }
    report, created = Report.objects.get_or_create(source=source, defaults=defaults)
    if created:
        transaction.on_commit(lambda: _hand_out(report.pk), robust=True)
    return report


def _hand_out(report_id: int) -> None:
    from apps.escalation.tasks import judge_report  # not at the top: the tasks call this module

    judge_report.delay(report_id)


def digest(customer: str) -> str:
    """Tells customers apart without saying who they are."""
    key = settings.SECRET_KEY.encode()
    return hmac.new(key, b"report-customer:" + customer.strip().lower().encode(), hashlib.sha256).hexdigest()[:32]


def waiting(limit: int = BATCH) -> list[int]:
    """Reports that the indicators have not judged, oldest first."""
    return list(Report.objects.filter(judged_at=None).order_by("pk").values_list("pk", flat=True)[:limit])


@transaction.atomic
def judge(report_id: int, *, now: datetime) -> Report | None:
    """Put a report into its cluster and propose what the indicators find in it.

    Returns:
        The report, or None if it is judged already or by another worker now.
    """
    # Weaker than FOR UPDATE, and skipped while another worker has it: it will be judged there.
    queue = Report.objects.select_for_update(of=("self",), skip_locked=True, no_key=True)
    report: Report | None = queue.filter(pk=report_id, judged_at=None).first()
    if report is None:
        return None
    report.judged_at = now
    if now - report.at < WINDOW:
        report.words = words(report.text)
        join(report)
    report.save(update_fields=["judged_at", "words", "cluster"])
    look("report", now=now, report=report)
    return report


def look(occasion: str, *, now: datetime, report: Report | None) -> None:
    """Let the indicators of an occasion judge, each by its thresholds in force, and propose what they find."""
    for one in in_force(occasion):
        for finding in found(one, now=now, report=report):
            propose(indicator=one.sign.slug, finding=finding, now=now, thresholds=one.version)


def found(one: InForce, *, now: datetime, report: Report | None) -> Iterator[Finding]:
    """What an indicator finds. One that fails finds nothing and is logged; the others go on."""
    try:
        with transaction.atomic():
            findings = list(one.sign.find(now=now, settings=one.settings, report=report))
    except Exception:  # the boundary between indicators: a mistake in one must not silence the others
        logger.exception("indicator_failed", indicator=one.sign.slug, report=report.pk if report else None)
        return
    yield from findings


def join(report: Report) -> Cluster | None:
    """Put a report into the cluster of the most similar one before it; two that are alike make one. Not saved."""
    if not report.words:
        return None
    # Two workers with two similar reports would not see each other's; those of one scope are compared one by one.
    scope_lock(report.scope_id or 0)
    nearest = most_alike(report, vocabulary())
    if nearest is None:
        return None
    cluster = nearest.cluster or _begin(nearest)
    _add(cluster, report)
    return cluster


def scope_lock(scope_id: int) -> None:
    """Wait until nobody else changes the clusters of a scope (0: of none), until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_CLUSTERING, scope_id % 2**31])


def most_alike(report: Report, known: Vocabulary) -> Report | None:
    """The report of the window that says most nearly the same, if any is alike; of equals the newest."""
    own = report.words or []
    best: tuple[float, datetime, int] | None = None
    length, least = known.length(own), ALIKE if known.telling else ALIKE_UNWEIGHED
    weights = {word: known.weight(word) ** 2 for word in own}
    for pk, at, others in candidates(report, known):
        shared = sum(weights.get(word, 0.0) for word in others)
        if shared < (least * length) ** 2:
            continue  # too little in common, whatever else the other says
        alike = shared / (length * known.length(others))
        if alike >= least and (best is None or (alike, at) > best[:2]):
            best = (alike, at, pk)
    return Report.objects.select_related("cluster").get(pk=best[2]) if best else None


def candidates(report: Report, known: Vocabulary) -> list[tuple[int, datetime, list[int]]]:
    """Reports of the window that share telling words: key, time and words."""
    near = Report.objects.filter(at__gt=report.at - WINDOW, at__lte=report.at + WINDOW).exclude(pk=report.pk)
    near = near.filter(scope_id=report.scope_id) if report.scope_id else near.filter(scope=None)
    sought = near.filter(telling(report.words or [], known)).order_by()
    return [(pk, at, others or []) for pk, at, others in sought.values_list("pk", "at", "words")[:CANDIDATES]]


def telling(own: list[int], known: Vocabulary) -> Q:
    """Which words to seek: single ones as long as they are rare, else pairs of those that are common, the rarest first."""
    rarest = sorted(own, key=known.often)
    single = [key[0] for key in _few([(known.often(word), [word]) for word in rarest[:RARE]])]
    sought = Q(words__overlap=single) if single else Q()
    if len(single) < 2:
        common = [word for word in rarest if word not in single][:PAIRED]
        both = [(known.often(a) * known.often(b) / max(known.reports, 1), [a, b]) for a, b in combinations(common, 2)]
        pairs = _few(sorted(both))
        if not single and not pairs:
            pairs = [min(both)[1]] if both else [rarest]
        for pair in pairs:
            sought |= Q(words__contains=pair)
    return sought


def _few(keys: list[tuple[float, list[int]]]) -> list[list[int]]:
    """Those of the keys, by how many reports have each, that together do not bring more candidates than are compared."""
    rows, chosen = 0.0, []
    for often, key in keys:
        rows += often
        if rows > CANDIDATES:
            break
        chosen.append(key)
    return chosen


def _begin(report: Report) -> Cluster:
    """A cluster of one report."""
    cluster = Cluster.objects.create(
        scope_id=report.scope_id,
        title=" ".join(report.text.split())[:200],
        reports=1,
        customers=1,
        first_at=report.at,
        last_at=report.at,
    )
    report.cluster = cluster
    report.save(update_fields=["cluster"])
    return cluster


def _add(cluster: Cluster, report: Report) -> None:
    """Count a report in its cluster. Called while holding the lock of the scope."""
    known = Report.objects.filter(cluster=cluster, customer=report.customer).exists()
    cluster.reports += 1
    cluster.customers += not known
    cluster.first_at = min(cluster.first_at, report.at)
    cluster.last_at = max(cluster.last_at, report.at)
    cluster.save(update_fields=["reports", "customers", "first_at", "last_at"])
    report.cluster = cluster


def leave_window(now: datetime) -> int:
    """Drop the words of reports that are too old to be compared with. Returns of how many."""
    old = Report.objects.filter(at__lte=now - WINDOW, words__isnull=False).order_by("at")
    count = 0
    while done := Report.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:BATCH])).update(words=None):
        count += done
    return count


def _judged(report_id: int, now: datetime) -> bool:
    """Judge one of many. One that cannot be judged stays in the queue, is logged, and holds up no other."""
    try:
        return judge(report_id, now=now) is not None
    except (OperationalError, InterfaceError, SoftTimeLimitExceeded):
        raise
    except Exception:  # whatever one report makes an indicator fail by, the others of the queue must not wait for it
        logger.exception("report_failed", report=report_id)
        return False


def watch(*, now: datetime) -> int:
    """The regular look: judge reports whose task was lost, let the sweeping indicators judge what came lately, and drop the
    words that left the window. Returns how many reports were judged."""
    judged = sum(_judged(pk, now) for pk in waiting())
    look("sweep", now=now, report=None)
    leave_window(now)
    return judged
