"""Reconciling: what a rule finds now, against its cards.

A new hit opens a card; a known one whose facts changed updates it (the tier may rise, evidence is appended); a hit that
is gone resolves the card. An unchanged hit writes nothing. All of it is a handful of statements over a temporary table,
however many hits there are, in one transaction with the timeline and the decision log.

What people decided is kept: while the finding behind a dismissed, escalated or executed card persists, no new card opens,
unless the tier rises above the decided one, or the rule's ``remind_after_days`` have passed. The decision ends when the
finding goes away; if it comes back, that is a new card. A rolled back card decides nothing, for nothing handles its risk.

Cards whose effect is under way, or failed, are never resolved by a sweep: a person must see how that ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction

from apps.actions import metrics
from apps.actions.models import RuleVersion
from apps.actions.rules import Hit, Rule, Subjects
from apps.core.decisions import Entry, record_many, system

ACTOR = system("risk-monitoring")
SCOPE = "risk-monitoring"
EVIDENCE_CAP = 20
"""So many entries stay on a card: the first, by which it was opened, and the newest."""
ENTRIES_EACH = 200
"""Up to so many findings of one run have an entry of the decision log each; a backlog is recorded in batches."""
BATCH = 500
CHUNK = 5_000

_encode = DjangoJSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How many cards a run opened, updated and resolved, from how many hits."""

    opened: int = 0
    updated: int = 0
    resolved: int = 0
    hits: int = 0

    @property
    def changed(self) -> bool:
        return bool(self.opened or self.updated or self.resolved)


_RANK = "array_position(ARRAY['low','safety','policy'], {}::text)"

_TABLES = """
    DROP TABLE IF EXISTS pg_temp.actions_hit, pg_temp.actions_touched;
    CREATE TEMP TABLE actions_hit (
        subject text, scope_id bigint, target text, draft text, message text, rationale text, data jsonb,
        source text, operation text, query text, observed_at timestamptz, expected_impact numeric(14, 2),
        currency text, expected_loss numeric(14, 2), confidence numeric(4, 3), ease smallint, tier text,
        can_execute boolean, mitigation text, fingerprint text
    ) ON COMMIT DROP;
    CREATE TEMP TABLE actions_touched (
        card_id bigint, what text, tier text, impact numeric, confidence numeric, ease smallint, executable boolean, draft text
    ) ON COMMIT DROP
"""

# The cards of the territory that was judged: those of one scope, or those of all scopes but some.
_JUDGED = """
    (%(only)s::bigint IS NULL OR c.scope_id = %(only)s) AND (c.scope_id IS NULL OR c.scope_id <> ALL(%(without)s::bigint[]))
"""

# Rows are locked in the order of their ids, as decisions about several cards lock them. A card that somebody decides
# meanwhile is read again after the wait and drops out.
_TOUCH = f"""
    INSERT INTO actions_touched
    SELECT c.id, CASE WHEN h.subject IS NULL THEN 'gone' ELSE 'changed' END,
           c.risk_tier, c.expected_impact, c.confidence, c.ease, c.can_execute, c.draft
    FROM actions_actioncard c LEFT JOIN actions_hit h ON h.subject = c.subject
    WHERE c.rule = %(rule)s AND c.status IN ('open', 'executing', 'failed') AND (
        (h.subject IS NULL AND c.status = 'open' AND (%(keys)s::text[] IS NULL OR c.subject = ANY(%(keys)s::text[]))
            AND {_JUDGED})
        OR (h.fingerprint <> c.fingerprint AND c.status IN ('open', 'failed'))
    )
    ORDER BY c.id FOR NO KEY UPDATE OF c
"""  # noqa: S608  # made of constants only

_ENTRY = """
    jsonb_build_array(jsonb_build_object(
        'source', h.source,
        'requestId', h.source || '-' || h.operation || '-' || %(day)s || '-'
            || to_char(nextval('actions_evidence_seq'), 'FM9999999999999000'),
        'query', h.query, 'timestamp', %(stamp)s, 'data', h.data
    ))
"""

_UPDATE = f"""
    UPDATE actions_actioncard c SET
        version = c.version + 1, changed_at = %(at)s, fingerprint = h.fingerprint, observed_at = h.observed_at,
        scope_id = h.scope_id, target = h.target, draft = h.draft, message = h.message, rationale = h.rationale,
        expected_impact = h.expected_impact, currency = h.currency, expected_loss = h.expected_loss,
        confidence = h.confidence, ease = h.ease, can_execute = h.can_execute,
        mitigation = coalesce(nullif(h.mitigation, ''), c.mitigation),
        risk_tier = CASE WHEN {_RANK.format("h.tier")} > {_RANK.format("c.risk_tier")} THEN h.tier ELSE c.risk_tier END,
        evidence = CASE WHEN jsonb_array_length(c.evidence) >= %(cap)s THEN c.evidence - 1 ELSE c.evidence END || {_ENTRY}
    FROM actions_hit h, actions_touched t
    WHERE t.card_id = c.id AND t.what = 'changed' AND h.subject = c.subject
"""  # noqa: S608  # made of constants only

_RESOLVE = """
    UPDATE actions_actioncard c SET status = 'resolved', version = c.version + 1, changed_at = %(at)s, closed_at = %(at)s
    FROM actions_touched t WHERE t.card_id = c.id AND t.what = 'gone'
"""

_END = f"""
    UPDATE actions_actioncard c SET hit_ended_at = %(at)s
    WHERE c.rule = %(rule)s AND c.status IN ('dismissed', 'escalated', 'executed') AND c.hit_ended_at IS NULL
        AND (%(keys)s::text[] IS NULL OR c.subject = ANY(%(keys)s::text[])) AND {_JUDGED}
        AND NOT EXISTS (SELECT FROM actions_hit h WHERE h.subject = c.subject)
"""  # noqa: S608  # made of constants only

_OPEN = f"""
    WITH made AS (
        INSERT INTO actions_actioncard (
            rule, rule_version_id, kind, mitigation, escalation, rollback_plan, status, version, opened_at, changed_at,
            outcome, outcome_reason, subject, scope_id, target, draft, message, rationale, evidence, observed_at,
            expected_impact, currency, expected_loss, confidence, ease, risk_tier, can_execute, fingerprint
        )
        SELECT %(rule)s, %(version)s, %(kind)s, coalesce(nullif(h.mitigation, ''), %(mitigation)s), %(escalation)s, %(rollback)s, 'open', 1, %(at)s, %(at)s,
            '', '', h.subject, h.scope_id, h.target, h.draft, h.message, h.rationale, {_ENTRY}, h.observed_at,
            h.expected_impact, h.currency, h.expected_loss, h.confidence, h.ease, h.tier, h.can_execute, h.fingerprint
        FROM actions_hit h
        WHERE NOT EXISTS (
            SELECT FROM actions_actioncard c
            WHERE c.rule = %(rule)s AND c.subject = h.subject AND c.status IN ('open', 'executing', 'failed')
        ) AND NOT EXISTS (
            SELECT FROM actions_actioncard d
            WHERE d.rule = %(rule)s AND d.subject = h.subject AND d.status IN ('dismissed', 'escalated', 'executed')
                AND d.hit_ended_at IS NULL AND d.closed_at > %(reminded)s
                AND {_RANK.format("d.risk_tier")} >= {_RANK.format("h.tier")}
        )
        ORDER BY h.subject
        ON CONFLICT (rule, subject) WHERE status IN ('open', 'executing', 'failed') DO NOTHING
        RETURNING id
    )
    INSERT INTO actions_touched (card_id, what) SELECT id, 'new' FROM made
"""  # noqa: S608  # made of constants only

# Each change is written as [before, after] by label, so that a refused decision can say what is different.
_EVENTS = """
    INSERT INTO actions_cardevent (card_id, card_version, kind, at, text, data)
    SELECT c.id, c.version,
        CASE t.what WHEN 'new' THEN 'opened' WHEN 'gone' THEN 'resolved'
            ELSE CASE WHEN c.risk_tier <> t.tier THEN 'raised' ELSE 'updated' END END,
        %(at)s,
        CASE t.what WHEN 'gone' THEN 'The rule does not find it any more.'
            ELSE coalesce(c.evidence -> -1 ->> 'requestId', '') END,
        CASE t.what WHEN 'new' THEN jsonb_build_object('rule_version', c.rule_version_id)
            WHEN 'gone' THEN '{"changes": {"Status": ["Open", "Resolved by itself"]}}'::jsonb
            ELSE jsonb_build_object('changes', jsonb_strip_nulls(jsonb_build_object(
                'Tier', CASE WHEN c.risk_tier <> t.tier THEN jsonb_build_array(t.tier, c.risk_tier) END,
                'Impact', CASE WHEN c.expected_impact <> t.impact
                    THEN jsonb_build_array(t.impact::text, c.expected_impact::text) END,
                'Confidence', CASE WHEN c.confidence <> t.confidence
                    THEN jsonb_build_array(t.confidence::text, c.confidence::text) END,
                'Ease', CASE WHEN c.ease <> t.ease THEN jsonb_build_array(t.ease, c.ease) END,
                'Can be executed', CASE WHEN c.can_execute <> t.executable
                    THEN jsonb_build_array(t.executable, c.can_execute) END,
                'Description', CASE WHEN c.draft <> t.draft THEN jsonb_build_array(t.draft, c.draft) END
            ))) END
    FROM actions_touched t JOIN actions_actioncard c ON c.id = t.card_id
    ORDER BY c.id
"""

_DECIDED = """
    SELECT c.id, CASE t.what WHEN 'new' THEN 'detected' WHEN 'gone' THEN 'resolved' ELSE 'raised' END, c.subject,
        c.risk_tier, c.version, coalesce(c.evidence -> -1 ->> 'requestId', ''), {rationale}
    FROM actions_touched t JOIN actions_actioncard c ON c.id = t.card_id
    WHERE t.what <> 'changed' OR c.risk_tier <> t.tier
    ORDER BY 2, c.id
"""

_ANY_CARD = """
    SELECT EXISTS (SELECT FROM actions_actioncard WHERE rule = %s AND subject = ANY(%s) AND (
        status IN ('open', 'executing', 'failed')
        OR (status IN ('dismissed', 'escalated', 'executed') AND hit_ended_at IS NULL)))
"""


@dataclass(frozen=True, slots=True)
class Territory:
    """Which scopes a run judges; the cards of others are left as they are.

    Attributes:
        only: key of the one scope that is judged; None for all but ``without``.
        without: keys of scopes that are passed by, for they are judged as of a moment of their own.
    """

    only: int | None = None
    without: frozenset[int] = frozenset()

    def holds(self, hit: Hit) -> bool:
        """Whether a hit lies in it."""
        return hit.scope_id == self.only if self.only is not None else hit.scope_id not in self.without


EVERYWHERE = Territory()


@transaction.atomic
def reconcile(
    *,
    rule: Rule,
    version: RuleVersion,
    hits: Iterable[Hit],
    now: datetime,
    subjects: Subjects | None,
    recorded_at: datetime | None = None,
    territory: Territory = EVERYWHERE,
) -> Reconciled:
    """Bring a rule's cards in line with its hits.

    Args:
        version: whose settings found the hits; new cards name it.
        hits: at most one per subject; read in chunks, so memory stays bounded.
        now: the moment that was judged.
        subjects: what was judged; only cards about these are resolved. None if everything was.
        recorded_at: when cards are said to be opened and changed; ``now`` if None.
        territory: the scopes that were judged; hits elsewhere are passed by, and cards elsewhere left alone.

    Raises:
        IntegrityError: if two hits are about one subject, which is a mistake in the rule.
    """
    waiting = (hit for hit in hits if territory.holds(hit))
    first = list(islice(waiting, CHUNK))
    keys = sorted(subjects.keys) if subjects else None
    with connection.cursor() as cursor:
        if keys is not None and not first and not _has_cards(cursor, rule, keys):
            return Reconciled()  # the usual case after an event; it should cost one query
        count = _load(cursor, first, waiting)
        values = _values(rule, version, now, recorded_at or now, keys)
        values |= {"only": territory.only, "without": sorted(territory.without)}
        cursor.execute(_TOUCH, values)
        cursor.execute(_UPDATE, values)
        updated = cursor.rowcount
        cursor.execute(_RESOLVE, values)
        resolved = cursor.rowcount
        cursor.execute(_END, values)
        cursor.execute(_OPEN, values)
        opened = cursor.rowcount
        cursor.execute(_EVENTS, values)
        record_many(_entries(cursor, rule, version))
    _count(rule.kind, opened, resolved)
    return Reconciled(opened=opened, updated=updated, resolved=resolved, hits=count)


def _has_cards(cursor: Any, rule: Rule, keys: list[str]) -> bool:
    cursor.execute(_ANY_CARD, [rule.slug, keys])
    return bool(cursor.fetchone()[0])


def _values(rule: Rule, version: RuleVersion, now: datetime, at: datetime, keys: list[str] | None) -> dict[str, Any]:
    days = version.settings.get("remind_after_days") or rule.settings.model_fields["remind_after_days"].default
    return {
        "rule": rule.slug,
        "version": version.pk,
        "kind": rule.kind,
        "mitigation": rule.mitigation,
        "escalation": rule.escalation,
        "rollback": rule.rollback,
        "at": at,
        "day": f"{now:%Y%m%d}",
        "stamp": now.isoformat(),
        "cap": EVIDENCE_CAP,
        "reminded": at - timedelta(days=days),
        "keys": keys,
    }


def _load(cursor: Any, first: list[Hit], more: Iterator[Hit]) -> int:
    """Copy hits into the temporary table, chunk by chunk: detectors read by the same connection between two chunks."""
    cursor.execute(_TABLES)
    count, chunk = 0, first
    while chunk:
        with cursor.copy("COPY actions_hit FROM STDIN") as copy:
            for hit in chunk:
                copy.write_row(_row(hit))
        count += len(chunk)
        chunk = list(islice(more, CHUNK))
    cursor.execute("CREATE UNIQUE INDEX ON actions_hit (subject)")
    if count > CHUNK:
        cursor.execute("ANALYZE actions_hit")
    return count


def _row(hit: Hit) -> tuple[Any, ...]:
    loss = hit.expected_impact if hit.expected_loss is None else hit.expected_loss
    data = _encode(hit.data)
    return (
        hit.subject, hit.scope_id, hit.target, hit.draft, hit.message, hit.rationale, data, hit.source, hit.operation,
        hit.query, hit.observed_at, hit.expected_impact, hit.currency, loss, hit.confidence, hit.ease, hit.tier,
        hit.can_execute, hit.mitigation, fingerprint(hit, data),
    )  # fmt: skip


def fingerprint(hit: Hit, data: str) -> str:
    """A digest of all that a card shows of a hit. When it was observed is left out: seeing the same again is no change."""
    shown = (
        hit.target, hit.draft, hit.message, hit.rationale, data, str(hit.expected_impact), hit.currency,
        str(hit.expected_loss), str(hit.confidence), str(hit.ease), hit.tier, str(hit.can_execute), str(hit.scope_id),
        hit.mitigation,
    )  # fmt: skip
    return hashlib.md5("\x1f".join(shown).encode(), usedforsecurity=False).hexdigest()


def _entries(cursor: Any, rule: Rule, version: RuleVersion) -> Iterator[Entry]:
    """What the decision log says: an entry for each finding, or for each batch of a backlog.

    Updates that leave the tier alone decide nothing; they stand on the card's timeline only.
    """
    cursor.execute(_DECIDED.format(rationale="''"))
    rows = cursor.fetchall()
    if len(rows) > ENTRIES_EACH:
        yield from _batches(rows, rule, version)
        return
    if rows:
        cursor.execute(_DECIDED.format(rationale="c.rationale"))
        rows = cursor.fetchall()
    for card, what, subject, tier, card_version, request_id, rationale in rows:
        yield Entry(
            scope=SCOPE,
            actor=ACTOR,
            action=f"{action_name(rule)}_{what}",
            subject=f"action_card:{card}",
            rationale=rationale,
            evidence_url=f"/admin/actions/actioncard/{card}/change/",
            payload={
                "rule": rule.slug,
                "rule_version": version.pk,
                "subject": subject,
                "card_version": card_version,
                "tier": tier,
                "evidence": request_id,
            },
        )


def _batches(rows: list[Any], rule: Rule, version: RuleVersion) -> Iterator[Entry]:
    for what in ("detected", "raised", "resolved"):
        cards = [[row[0], row[2], row[3], row[4]] for row in rows if row[1] == what]
        for start in range(0, len(cards), BATCH):
            part = cards[start : start + BATCH]
            yield Entry(
                scope=SCOPE,
                actor=ACTOR,
                action=f"{action_name(rule)}_{what}",
                subject=f"rule:{rule.slug}",
                payload={
                    "rule": rule.slug,
                    "rule_version": version.pk,
                    "columns": ["card", "subject", "tier", "card_version"],
                    "cards": part,
                },
            )


def action_name(rule: Rule) -> str:
    """The stem of the action in the decision log, such as ``order_aging``."""
    return rule.kind.removesuffix("-alert").replace("-", "_")


def _count(kind: str, opened: int, resolved: int) -> None:
    def count() -> None:
        metrics.cards_opened.labels(kind).inc(opened)
        metrics.cards_resolved.labels(kind).inc(resolved)

    transaction.on_commit(count, robust=True)
