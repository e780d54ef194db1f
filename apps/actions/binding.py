"""What every decision about a card has in common: who may, whether the card is still what was seen, and the record.

Locks are taken in one order everywhere: cards by id, then executions, then the decision log. So decisions, sweeps and
executions wait for each other and never deadlock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.actions import metrics
from apps.actions.models import ActionCard, CardEvent
from apps.core.decisions import Entry
from apps.core.errors import DomainError
from apps.core.models import User

SCOPE = "risk-monitoring"
Status = ActionCard.Status


@dataclass(frozen=True, slots=True)
class Change:
    """What is different from what was seen, in words."""

    label: str
    before: str
    after: str


class CardNotFound(DomainError):
    """There is no such card, or it is outside the person's scope; which of the two is not told."""

    code = "not_found"
    message = "There is no such card."
    status = 404


class NotAllowed(DomainError):
    """The person's role does not include this decision."""

    code = "permission_denied"
    message = "Your role does not include this."
    status = 403


class CardChanged(DomainError):
    """The card is not what the person looked at.

    Attributes:
        changes: what changed since.
        version: the card's version now; None if several cards were meant.
    """

    code = "card_changed"
    message = "The card changed since you looked at it."
    status = 409

    def __init__(self, changes: tuple[Change, ...] = (), version: int | None = None, message: str = "") -> None:
        self.changes = changes
        self.version = version
        super().__init__(message)


class NotDecidable(DomainError):
    """The card is in a state in which this decision makes no sense."""

    code = "not_decidable"
    message = "The card was decided already."
    status = 409


class CannotExecute(DomainError):
    """The card needs a person's own work, or the chosen action is not offered for it."""

    code = "cannot_execute"
    message = "This card cannot be executed; it needs a person's own work."
    status = 409


class InvalidDecision(DomainError):
    """A value of the decision is missing or wrong; ``fields`` says which."""

    code = "invalid"
    message = "Some values are not valid."
    status = 422


def authorise(actor: User, permission: str) -> None:
    """Refuse those whose role does not include a decision.

    Raises:
        NotAllowed: they may not, or their account is closed.
    """
    if not actor.is_active or not actor.has_perm(permission):
        raise NotAllowed


def locked(card_id: int, actor: User, permission: str) -> ActionCard:
    """The card, locked until the end of the transaction, if this person may decide about it.

    Raises:
        NotAllowed, CardNotFound: they may not.
    """
    authorise(actor, permission)
    visible = ActionCard.objects.visible_to(actor).select_for_update(of=("self",), no_key=True)
    card = visible.filter(pk=card_id).first()
    if card is None:
        raise CardNotFound
    return card


def bind(card: ActionCard, seen_version: int, statuses: Iterable[str]) -> None:
    """Refuse if the card is not what was seen, or not in a state for it. Called while holding the row lock.

    Raises:
        CardChanged, NotDecidable: nothing was done.
    """
    if card.version != seen_version:
        raise CardChanged(changes_since(card, seen_version), card.version)
    if card.status not in statuses:
        raise NotDecidable(f"The card is {card.get_status_display().lower()}; this is not possible now.")


def changes_since(card: ActionCard, seen_version: int) -> tuple[Change, ...]:
    """What changed after a version, from the timeline: the first value before and the last after, by field."""
    merged: dict[str, list[str]] = {}
    events = card.events.filter(card_version__gt=seen_version, card_version__lte=card.version).order_by(
        "card_version", "id"
    )
    for event in events:
        for label, (before, after) in event.data.get("changes", {}).items():
            merged.setdefault(label, [str(before), ""])[1] = str(after)
    found = tuple(Change(label, before, after) for label, (before, after) in merged.items() if before != after)
    return found or (Change("Version", str(seen_version), str(card.version)),)


def repeated(card: ActionCard, kind: str, key: UUID | None, actor: User, text: str, **said: Any) -> CardEvent | None:
    """The event that an earlier request with this idempotency key made. Called while holding the row lock.

    Raises:
        InvalidDecision: it was another person's, or said something else, so this request is no repetition.
    """
    event = card.events.filter(kind=kind, data__key=str(key)).first() if key else None
    if event and (event.actor_id != actor.pk or event.text != text or not said.items() <= event.data.items()):
        raise key_used()
    return event


def key_used() -> InvalidDecision:
    """The refusal of an idempotency key that stands for something else already."""
    return InvalidDecision("This key was used for another decision.", fields={"key": ["It was used already."]})


def move(card: ActionCard, status: str, now: datetime, **fields: Any) -> dict[str, Any]:
    """Bring a card into a status, in its next version; returns the event's data that says so."""
    before = card.get_status_display()
    card.status, card.changed_at, card.version = status, now, card.version + 1
    for name, value in fields.items():
        setattr(card, name, value)
    card.save(update_fields=["status", "changed_at", "version", *fields])
    return {"changes": {"Status": [before, card.get_status_display()]}}


def write_event(
    card: ActionCard, kind: str, actor: User | None, now: datetime, text: str = "", key: UUID | None = None, **data: Any
) -> CardEvent:
    """Add a line to a card's timeline; a key makes it known to :func:`repeated`."""
    if key:
        data["key"] = str(key)
    return CardEvent.objects.create(
        card=card, card_version=card.version, kind=kind, actor=actor, at=now, text=text, data=data
    )


def entry(card: ActionCard, actor: User | str, action: str, rationale: str, **payload: Any) -> Entry:
    """An entry of the decision log about a card, with what identifies what was decided."""
    facts = {
        "rule": card.rule,
        "rule_version": card.rule_version_id,
        "subject": card.subject,
        "card_version": card.version,
        "tier": card.risk_tier,
        "evidence": card.evidence[-1].get("requestId", "") if card.evidence else "",
    }
    return Entry(
        scope=SCOPE,
        actor=actor,
        action=action,
        subject=f"action_card:{card.pk}",
        rationale=rationale,
        evidence_url=f"/admin/actions/actioncard/{card.pk}/change/",
        payload=facts | payload,
    )


def count_decision(card: ActionCard, decision: str, outcome: str = "") -> None:
    """Count a decision once it is committed."""

    def count() -> None:
        metrics.decisions.labels(card.kind, decision, outcome).inc()
        metrics.seconds_to_decision.labels(card.kind).observe((card.changed_at - card.opened_at).total_seconds())

    transaction.on_commit(count, robust=True)
