"""People's decisions about cards, each bound to the version that was seen, in one transaction with its record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.actions.binding import (
    CannotExecute,
    CardChanged,
    CardNotFound,
    InvalidDecision,
    NotDecidable,
    Status,
    authorise,
    bind,
    count_decision,
    entry,
    key_used,
    locked,
    move,
    repeated,
    write_event,
)
from apps.actions.executors import Executor, offered_actions
from apps.actions.models import ActionCard, CardEvent, Execution
from apps.core.decisions import record, record_many
from apps.core.models import User
from apps.escalation.models import RiskFlag
from apps.escalation.services import raise_flag

DECIDE = "actions.decide_actioncard"
ROLL_BACK = "actions.rollback_actioncard"
WAITING = (Status.OPEN, Status.FAILED)
MAX_BULK = 500
MAX_MESSAGE = 10_000


def _start(execution: Execution) -> None:
    """Hand an execution to a worker after commit. If the broker is away, the resuming task finds it in a minute."""
    from apps.actions.tasks import execute_one  # tasks call services

    pk = execution.pk
    transaction.on_commit(lambda: execute_one.apply_async(args=[pk], retry=False), robust=True)


@transaction.atomic
def approve(*, card_id: int, seen_version: int, actor: User, action: str, message: str = "", key: UUID) -> Execution:
    """Approve a card: its action is executed by a worker after commit.

    Args:
        action: slug of an executor that the card offers.
        message: the edited draft, for actions that send it.
        key: idempotency key of this click; the same key again returns the same execution, with
            other words it is refused.

    Raises:
        CardChanged, NotDecidable, CannotExecute, InvalidDecision, NotAllowed, CardNotFound: nothing was done.
    """
    card = locked(card_id, actor, DECIDE)
    # Looked up while holding the row lock, so that a double click finds what the first made.
    done = Execution.objects.filter(key=key).first()
    if done is not None:
        said = {"message": message.strip()} if "message" in done.payload else {}
        return _same(done, card, actor, Execution.Direction.EXECUTE, said, action)
    bind(card, seen_version, [Status.OPEN])
    chosen = _chosen(card, action)
    payload = {"message": _message(message)} if chosen.sends_message else {}
    now = timezone.now()
    execution = _new(card, actor, now, key=key, action=action, payload=payload)
    data = move(card, Status.EXECUTING, now, decided_by=actor)
    write_event(card, CardEvent.Kind.APPROVED, actor, now, chosen.title, **data, execution=execution.pk)
    count_decision(card, "approved")
    _start(execution)
    payload_log = {"execution": str(key), "executor": action, **payload}
    record(entry(card, actor, "card_approved", f"Approved: {chosen.title}.", **payload_log))
    return execution


def _same(
    execution: Execution, card: ActionCard, actor: User, direction: str, said: dict[str, str], action: str = ""
) -> Execution:
    """The execution that the same click made before.

    Raises:
        InvalidDecision: it was another click, about something else or with other words.
    """
    before = (execution.card_id, execution.requested_by_id, execution.direction, execution.action)
    if before != (card.pk, actor.pk, direction, action or execution.action):
        raise key_used()
    if not said.items() <= execution.payload.items():
        raise key_used()
    return execution


def _new(card: ActionCard, actor: User, now: datetime, **fields: Any) -> Execution:
    """An execution that is due now.

    Raises:
        InvalidDecision: its key was used for another card at the same moment.
    """
    try:
        with transaction.atomic():
            return Execution.objects.create(
                card=card, requested_by=actor, created_at=now, next_attempt_at=now, **fields
            )
    except IntegrityError:
        raise key_used() from None


def _chosen(card: ActionCard, action: str) -> Executor:
    if not card.can_execute:
        raise CannotExecute
    chosen = next((one for one in offered_actions(card) if one.slug == action), None)
    if chosen is None:
        raise CannotExecute(f"The action {action!r} is not offered for this card.")
    return chosen


def _message(text: str) -> str:
    text = text.strip()
    if not text or len(text) > MAX_MESSAGE:
        raise InvalidDecision(
            fields={"message": [f"Write what the customer is to read, at most {MAX_MESSAGE} characters."]}
        )
    return text


def _checked_outcome(outcome: str, reason: str) -> str:
    """The trimmed reason, if the outcome is one of three and a false alarm says why it is one."""
    reason = reason.strip()
    if outcome not in ActionCard.Outcome.values:
        raise InvalidDecision(fields={"outcome": ["Choose true, benign or false."]})
    if outcome == ActionCard.Outcome.FALSE and not reason:
        raise InvalidDecision(fields={"reason": ["Say why the rule was wrong; rules learn from it."]})
    if len(reason) > 500:
        raise InvalidDecision(fields={"reason": ["At most 500 characters."]})
    return reason


@transaction.atomic
def dismiss(
    *,
    card_id: int,
    seen_version: int,
    actor: User,
    outcome: str,
    reason: str,
    key: UUID | None = None,
    now: datetime | None = None,
) -> ActionCard:
    """Take a card out of the queue, saying how the finding turned out.

    Args:
        outcome: ``true``, ``benign`` or ``false``; a false alarm needs a reason.
        key: idempotency key of this click; the same key again changes nothing and returns the card.
        now: when it was decided, for what was decided elsewhere or is made up; the present if None. The decision log
            tells when it was written down, whatever this says.

    Raises:
        CardChanged, NotDecidable, InvalidDecision, NotAllowed, CardNotFound: nothing was done.
    """
    reason = _checked_outcome(outcome, reason)
    card = locked(card_id, actor, DECIDE)
    if repeated(card, CardEvent.Kind.DISMISSED, key, actor, reason, outcome=outcome):
        return card
    bind(card, seen_version, WAITING)
    _dismiss(card, actor, outcome, reason, now or timezone.now(), key)
    record(entry(card, actor, "card_dismissed", reason, outcome=outcome))
    return card


def _dismiss(card: ActionCard, actor: User, outcome: str, reason: str, now: datetime, key: UUID | None = None) -> None:
    data = move(card, Status.DISMISSED, now, closed_at=now, decided_by=actor, outcome=outcome, outcome_reason=reason)
    write_event(card, CardEvent.Kind.DISMISSED, actor, now, reason, key, **data, outcome=outcome)
    count_decision(card, "dismissed", outcome)


@transaction.atomic
def bulk_dismiss(
    *, card_ids_versions: Mapping[int, int] | Iterable[tuple[int, int]], actor: User, outcome: str, reason: str
) -> int:
    """Dismiss several cards with one outcome and reason: all of them, or none if one is not what was seen.

    Returns:
        How many.

    Raises:
        CardChanged: some changed or were decided meanwhile; the message says how many.
        CardNotFound: one is not there for this person.
        InvalidDecision, NotAllowed: nothing was done.
    """
    reason = _checked_outcome(outcome, reason)
    seen = dict(card_ids_versions)
    authorise(actor, DECIDE)
    if len(seen) > MAX_BULK:
        raise InvalidDecision(f"At most {MAX_BULK} cards at once.")
    # In the order of ids, as sweeps lock them, so that neither waits for the other in a circle.
    visible = ActionCard.objects.visible_to(actor).filter(pk__in=seen).order_by("pk")
    cards = list(visible.select_for_update(of=("self",), no_key=True))
    if len(cards) != len(seen):
        raise CardNotFound
    changed = [card for card in cards if card.version != seen[card.pk] or card.status not in WAITING]
    if changed:
        raise CardChanged(message=f"{len(changed)} of {len(cards)} cards changed meanwhile; nothing was done.")
    now = timezone.now()
    for card in cards:
        _dismiss(card, actor, outcome, reason, now)
    return record_many(entry(card, actor, "card_dismissed", reason, outcome=outcome, bulk=len(cards)) for card in cards)


@transaction.atomic
def escalate(
    *, card_id: int, seen_version: int, actor: User, level: int, reason: str, key: UUID | None = None
) -> RiskFlag:
    """Hand a card to the escalation ladder: a risk flag is raised on its evidence, and the card leaves the queue.

    Args:
        level: 1 (Minimal) to 5 (Critical).
        key: idempotency key of this click; the same key again returns the same flag.

    Raises:
        CardChanged, NotDecidable, InvalidDecision, NotAllowed, CardNotFound: nothing was done.
    """
    reason = reason.strip()
    if not reason:
        raise InvalidDecision(fields={"reason": ["Say why it must go up the ladder."]})
    card = locked(card_id, actor, DECIDE)
    flag = _raised(card, actor, seen_version, key, reason, level)
    if flag is not None:
        return flag
    bind(card, seen_version, WAITING)
    now = timezone.now()
    data = move(card, Status.ESCALATED, now, closed_at=now, decided_by=actor, outcome_reason=reason[:500])
    event = write_event(card, CardEvent.Kind.ESCALATED, actor, now, reason, key, **data, level=level)
    flag = raise_flag(
        title=f"{card.get_kind_display()}: {card.target}",
        description=f"{reason}\n\n{card.draft}\n\n{card.rationale}",
        level=level,
        source=f"action_card:{card.pk}",
        evidence=card.evidence,
        scope=card.scope,
        raised_by=actor,
        now=now,
    )
    event.data["flag"] = flag.pk
    event.save(update_fields=["data"])
    count_decision(card, "escalated")
    record(entry(card, actor, "card_escalated", reason, level=level, risk_flag=flag.pk))
    return flag


def _raised(
    card: ActionCard, actor: User, seen_version: int, key: UUID | None, reason: str, level: int
) -> RiskFlag | None:
    """The flag that the same click raised before."""
    before = repeated(card, CardEvent.Kind.ESCALATED, key, actor, reason, level=level)
    if before is not None:
        return RiskFlag.objects.get(pk=before.data["flag"])
    # Without a key: the same person saw the version that the first click decided.
    if key or card.status != Status.ESCALATED or card.version != seen_version + 1:
        return None
    return RiskFlag.objects.filter(source=f"action_card:{card.pk}", raised_by=actor).first()


@transaction.atomic
def add_note(*, card_id: int, actor: User, text: str, key: UUID | None = None) -> CardEvent:
    """Write a line for colleagues on a card. Its version stays, for nothing that is decided upon changes.

    Args:
        key: idempotency key of this click; the same key again returns the same note.

    Raises:
        InvalidDecision, NotAllowed, CardNotFound: nothing was done.
    """
    text = text.strip()
    if not text or len(text) > 4_000:
        raise InvalidDecision(fields={"text": ["Write a note of at most 4000 characters."]})
    card = locked(card_id, actor, DECIDE)
    before = repeated(card, CardEvent.Kind.NOTE, key, actor, text)
    if before is not None:
        return before
    note = write_event(card, CardEvent.Kind.NOTE, actor, timezone.now(), text, key)
    record(entry(card, actor, "card_noted", text, event=note.pk))
    return note


@transaction.atomic
def retry(*, card_id: int, seen_version: int, actor: User, key: UUID | None = None) -> Execution:
    """Try a failed execution again, with its own idempotency key, so that what went through is not done twice.

    Args:
        key: idempotency key of this click; the same key again returns the execution as it is.

    Raises:
        CardChanged, NotDecidable, NotAllowed, CardNotFound: nothing was done.
    """
    card = locked(card_id, actor, DECIDE)
    before = repeated(card, CardEvent.Kind.APPROVED, key, actor, "Tried again.")
    if before is not None:
        return card.executions.get(pk=before.data["execution"])
    bind(card, seen_version, [Status.FAILED])
    execution = card.executions.select_for_update().filter(direction="execute").order_by("-created_at").first()
    if execution is None or execution.status != Execution.Status.FAILED:
        raise NotDecidable("There is no failed execution to try again.")
    now = timezone.now()
    execution.status, execution.attempts, execution.next_attempt_at = Execution.Status.PENDING, 0, now
    execution.failure_kind, execution.last_error, execution.finished_at = "", "", None
    execution.result = {}
    execution.save()
    data = move(card, Status.EXECUTING, now, decided_by=actor)
    write_event(card, CardEvent.Kind.APPROVED, actor, now, "Tried again.", key, **data, execution=execution.pk)
    _start(execution)
    record(entry(card, actor, "card_retried", "Tried again.", execution=str(execution.key)))
    return execution


@transaction.atomic
def roll_back(*, card_id: int, seen_version: int, actor: User, reason: str, key: UUID) -> Execution:
    """Undo what approving a card did, by a worker after commit. The card stays done until that succeeded.

    Raises:
        CardChanged, NotDecidable, InvalidDecision, NotAllowed, CardNotFound: nothing was done.
    """
    reason = reason.strip()
    if not reason:
        raise InvalidDecision(fields={"reason": ["Say why it is undone."]})
    card = locked(card_id, actor, ROLL_BACK)
    before = Execution.objects.filter(key=key).first()
    if before is not None:
        return _same(before, card, actor, Execution.Direction.ROLL_BACK, {"message": reason})
    bind(card, seen_version, [Status.EXECUTED])
    done = card.executions.filter(direction="execute", status="succeeded").order_by("-created_at").first()
    if done is None or card.executions.filter(status__in=["pending", "running"]).exists():
        raise NotDecidable("There is nothing to roll back, or it is being rolled back already.")
    now = timezone.now()
    execution = _new(
        card,
        actor,
        now,
        key=key,
        action=done.action,
        direction=Execution.Direction.ROLL_BACK,
        payload={"execution": done.pk, "message": reason} | {k: v for k, v in done.payload.items() if k != "message"},
    )
    data = move(card, Status.EXECUTED, now)
    data["changes"] = {"Rollback": ["none", "asked for"]}
    write_event(card, CardEvent.Kind.NOTE, actor, now, f"Roll back asked for: {reason}", **data, execution=execution.pk)
    _start(execution)
    record(entry(card, actor, "card_rollback_requested", reason, execution=str(key), undone=str(done.key)))
    return execution
