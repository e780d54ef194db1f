"""The decision log: who decided what about what, why, and on which evidence.

Every entry carries the hash of the one before, so that a changed, removed, inserted or reordered row is found by
``manage.py verify_decision_log``. What names a person (the rationale, and payload values that look personal) is kept
in :class:`~apps.core.models.DecisionText` outside the chain, which holds only a salted digest of it; erasing the text
leaves the chain whole.

A payload may hold identifiers of our own rows, numbers, codes, thresholds and rule versions. Keys in
``PERSONAL_KEYS`` and values that hold an e-mail address are moved out of it, at any depth.

Limits: the head of the chain lies in the same database, so somebody who can disable the triggers can rewrite the whole
chain from some row on. The daily verification therefore writes the head to the process log, which belongs on another
machine, and ``verify_decision_log --expect SEQ:HASH`` checks a head that was kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.db.models import Model
from django.utils import timezone

from apps.core.models import Decision, DecisionHead, DecisionText, User

ERASED = "decision_text_erased"
GENESIS = "0" * 64
PERSONAL_KEYS = frozenset(
    [
        *(
            "name",
            "first_name",
            "last_name",
            "full_name",
            "customer_name",
            "billing_name",
            "shipping_name",
            "recipient",
        ),
        *("email", "phone", "address", "address1", "address2", "street", "zip", "postcode", "ip", "ip_address"),
        *("message", "draft", "note", "text", "body"),
    ]
)
_ADDRESS = re.compile(r"[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_LOCK = 7_246_903_311  # the key of the advisory lock, any constant
_CHUNK = 2_000


def system(job: str) -> str:
    """The actor's label of a job of the product itself."""
    return f"system:{job}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is to be recorded.

    Attributes:
        scope: the area of decisions, such as ``risk-monitoring``.
        actor: a person, or the label made by :func:`system`.
        action: a slug, such as ``card_dismissed``.
        subject: what it is about, such as ``action_card:17``.
        rationale: why; may name people, for it is kept outside the chain.
        evidence_url: a path of this site.
        payload: facts; see the module for what may be in it.
    """

    scope: str
    actor: User | str
    action: str
    subject: str
    rationale: str = ""
    evidence_url: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)


def record(entry: Entry) -> Decision:
    """Append one entry, in the caller's transaction.

    Call it as the last write: the lock that serialises the chain is held until the transaction ends.

    Raises:
        TransactionManagementError: outside a transaction.
        ValueError: if the actor is neither a person nor a system label, or the payload is not JSON.
    """
    return next(_append([entry]))


def record_many(entries: Iterable[Entry]) -> int:
    """Append entries in order, in the caller's transaction, and return how many. Memory stays bounded."""
    return sum(1 for _ in _append(entries))


def _append(entries: Iterable[Entry]) -> Iterator[Decision]:
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("A decision is recorded in the transaction of what it decides.")
    waiting = iter(entries)
    head: DecisionHead | None = None
    while chunk := list(islice(waiting, _CHUNK)):
        head = head or _locked_head()
        made = [_chained(entry, head) for entry in chunk]
        _copy(Decision, [decision for decision, _ in made])
        _copy(DecisionText, [text for _, text in made if text])
        head.save(update_fields=["seq", "hash"])
        yield from (decision for decision, _ in made)


def _copy(model: type[Model], rows: Sequence[Model]) -> None:
    """Insert rows by COPY: 100,000 entries took 8 s, and 13 s with ``bulk_create``."""
    fields = model._meta.concrete_fields
    columns = ", ".join(f'"{item.column}"' for item in fields)
    with connection.cursor() as cursor, cursor.copy(f'COPY "{model._meta.db_table}" ({columns}) FROM STDIN') as copy:
        for row in rows:
            copy.write_row([_written(getattr(row, item.attname)) for item in fields])


def _written(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict) else value


def _locked_head() -> DecisionHead:
    """Wait for our turn to append. The lock ends with the transaction, so an uncommitted head is never built upon."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    return DecisionHead.objects.get_or_create(pk=1, defaults={"hash": GENESIS})[0]


def _chained(entry: Entry, head: DecisionHead) -> tuple[Decision, DecisionText | None]:
    """Make the rows of an entry and move the head (in memory) to it."""
    public, personal = _split(_storable(dict(entry.payload)))
    decision = Decision(
        seq=head.seq + 1,
        at=timezone.now(),
        scope=entry.scope,
        actor=entry.actor if isinstance(entry.actor, User) else None,
        actor_label=_label(entry.actor),
        action=entry.action,
        subject=entry.subject,
        evidence_url=entry.evidence_url,
        payload=public,
        prev_hash=head.hash,
    )
    text = None
    rationale = _storable(entry.rationale)
    if rationale or personal:
        text = DecisionText(decision=decision, rationale=rationale, details=personal, salt=secrets.token_hex(16))
        decision.text_digest = text_digest(text)
    decision.hash = digest(decision)
    head.seq, head.hash = decision.seq, decision.hash
    return decision, text


def _label(actor: User | str) -> str:
    if isinstance(actor, User):
        return f"user:{actor.pk}"
    if not actor.startswith("system:"):
        raise ValueError(f"The actor {actor!r} is neither a person nor system:<job>.")
    return actor


def _storable(value: Any) -> Any:
    """The value as it will come back from PostgreSQL, whose JSON knows neither NUL nor lone surrogates nor -0.0."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    return _plain(json.loads(json.dumps(value, cls=DjangoJSONEncoder, allow_nan=False)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_storable(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # PostgreSQL writes 1e20 out as a whole number, so hash it as one
    return _storable(value) if isinstance(value, str) else value


def _split(value: Any, path: str = "") -> tuple[Any, dict[str, Any]]:
    """Take what looks personal out of a payload; return the rest, and what was taken, by its dotted path."""
    personal: dict[str, Any] = {}
    if isinstance(value, list):
        parts = [_split(item, f"{path}{number}.") for number, item in enumerate(value)]
        for _, taken in parts:
            personal |= taken
        return [rest for rest, _ in parts], personal
    if not isinstance(value, dict):
        if isinstance(value, str) and _ADDRESS.search(value):
            return None, {path.rstrip("."): value}
        return value, {}
    public: dict[str, Any] = {}
    for key, item in value.items():
        if key.lower() in PERSONAL_KEYS and isinstance(item, (str, dict, list)):
            personal[f"{path}{key}"] = item
            continue
        public[key], taken = _split(item, f"{path}{key}.")
        personal |= taken
    return public, personal


def _sha(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def text_digest(text: DecisionText) -> str:
    """The salted digest of a text, as the chain holds it. The salt keeps short texts from being guessed."""
    return _sha([text.salt, text.rationale, _plain(text.details)])


def digest(decision: Decision) -> str:
    """The hash of a row: SHA-256 over the canonical JSON of all its fields but ``hash``, in the order of the model."""
    at: datetime = decision.at
    return _sha(
        [
            decision.seq,
            int(at.timestamp()),
            at.microsecond,
            decision.scope,
            decision.actor_id,
            decision.actor_label,
            decision.action,
            decision.subject,
            decision.evidence_url,
            _plain(decision.payload),
            decision.text_digest,
            decision.prev_hash,
        ]
    )


@transaction.atomic
def erase_text(decision: Decision, *, actor: User | str, reason: str, now: datetime) -> Decision:
    """Erase the rationale and the personal data of a decision; the chain stays whole, and the erasure is recorded.

    Returns:
        The entry that records the erasure.
    """
    DecisionText.objects.filter(decision=decision, erased_at=None).update(
        rationale="", details={}, salt="", erased_at=now
    )
    return record(
        Entry(
            scope="decision-log",
            actor=actor,
            action=ERASED,
            subject=f"decision:{decision.seq}",
            rationale=reason,
            payload={"seq": decision.seq},
        )
    )


@dataclass(frozen=True, slots=True)
class Verification:
    """What checking the chain found.

    Attributes:
        checked: rows read.
        head: number and hash of the last row.
        broken_at: number of the first bad row, or None.
        reason: what is wrong with it.
    """

    checked: int
    head: tuple[int, str]
    broken_at: int | None = None
    reason: str = ""

    @property
    def whole(self) -> bool:
        return self.broken_at is None


def verify(*, expect: tuple[int, str] | None = None) -> Iterator[Verification]:
    """Check the chain row by row, yielding the state after each 10,000 rows and at the end; the last one counts.

    Args:
        expect: number and hash of a row that were noted outside the database.
    """
    seq, last = 0, GENESIS
    with transaction.atomic():
        # One snapshot, so that entries appended meanwhile do not look like a break between the rows and the head.
        if not connection.savepoint_ids:
            connection.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        erased = set(Decision.objects.filter(action=ERASED).values_list("payload__seq", flat=True))
        for decision in Decision.objects.select_related("text").order_by("seq").iterator(chunk_size=_CHUNK):
            problem = _problem(decision, seq, last, erased, expect)
            if problem:
                yield Verification(seq, (seq, last), seq + 1 if decision.seq > seq + 1 else decision.seq, problem)
                return
            seq, last = decision.seq, decision.hash
            if seq % 10_000 == 0:
                yield Verification(seq, (seq, last))
        head = DecisionHead.objects.filter(pk=1).first() or DecisionHead(seq=0, hash=GENESIS)
    if (head.seq, head.hash) != (seq, last) or (expect and expect[0] > seq):
        yield Verification(seq, (seq, last), seq + 1, "the end of the chain is missing")
    else:
        yield Verification(seq, (seq, last))


def _problem(decision: Decision, seq: int, last: str, erased: set[int], expect: tuple[int, str] | None) -> str:
    """What is wrong with a row, given the one before it; empty if nothing is."""
    if decision.seq != seq + 1:
        return "a row is missing"
    if decision.prev_hash != last:
        return "it does not follow the row before"
    if decision.hash != digest(decision):
        return "its content was changed"
    if expect and expect[0] == decision.seq and expect[1] != decision.hash:
        return "it is not the row that was expected"
    if not decision.text_digest:
        return ""
    text: DecisionText | None = getattr(decision, "text", None)
    if text is None or text.erased_at:
        return "" if decision.seq in erased else "its text was erased without a record"
    return "" if text_digest(text) == decision.text_digest else "its text was changed"
