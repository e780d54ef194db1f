"""Handing a conversation to people: at once, with what is known, and never into the void.

:func:`hand_off` puts it into the team's queue in the same moment; while the customer waits, the bot asks for what the category
needs, one by one. Where nobody is there, the conversation goes on as a ticket with a promised time. :func:`rescue` does so
with those that were left waiting.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from apps.chat.binding import moved
from apps.chat.bot import hours, intake, metrics
from apps.chat.bot.hearing import PATIENCE
from apps.chat.bot.language import base
from apps.chat.bot.replies import choices
from apps.chat.bot.summary import summary_of
from apps.chat.bot.ticketing import make_ticket, promised
from apps.chat.bot.wishes import plain
from apps.chat.conversations import turn_over
from apps.chat.models import Conversation, Dialogue, Event, Handoff
from apps.chat.saying import locked, say
from apps.chat.telling import tell_team
from apps.escalation.models import Category, Ticket

logger = structlog.get_logger(__name__)

QUIET = timedelta(minutes=10)
"""After so long without a word, nobody answers the bot's questions any more."""
LONGEST_WAIT = timedelta(hours=1)
"""Nobody is kept waiting longer than that: it becomes a ticket, although the team is open."""
State, Reason = Conversation.State, Handoff.Reason


@transaction.atomic
def hand_off(
    conversation_id: int, reason: str, *, now: datetime, category: Category | None = None, internal: str = ""
) -> Handoff | None:
    """Give a conversation to the team that answers for it. What the bot still owes is void from here on.

    Args:
        reason: of :class:`~apps.chat.models.Handoff.Reason`.
        category: what it is about, if that is known; otherwise guessed from the customer's words.
        internal: a line for the person who takes it.

    Returns:
        The hand-off; the waiting one if there is one; None if a person has the conversation or it is over.

    Raises:
        ConversationNotFound: there is none.
    """
    conversation = locked(conversation_id)
    if conversation.state in (State.PERSON, State.RESOLVED):
        return None
    waiting = _waiting(conversation)
    if waiting is not None:
        return _again(waiting, reason)
    said = intake.messages_of(conversation)
    category = category or conversation.category or guessed(said)
    here = hours.presence(hours.team_for(conversation, category), category, now)
    _queue(conversation, category, here, now)
    moved(
        conversation, now, kind=Event.Kind.HANDOFF, by=None, what="handed_off", reason=reason, text="",
        team=here.team.name if here.team else "",
    )  # fmt: skip
    needs, known = intake.needed(category, contact=not here.there), intake.known(conversation, said)
    missing = [name for name in needs if name not in known]
    if not conversation.subject and known.get("summary"):
        Conversation.objects.filter(pk=conversation.pk).update(subject=known["summary"].splitlines()[0][:200])
    handoff = Handoff.objects.create(
        conversation=conversation, context=conversation.context, reason=reason, category=category, team=here.team,
        fields=known, missing=missing, transcript_to_seq=conversation.seq, requested_at=now,
        summary=summary_of(conversation, reason, known, internal),
    )  # fmt: skip
    metrics.handoffs_total.labels(reason).inc()
    if here.there and here.team:
        tell_team(conversation, here.team, Reason(reason).label)
    with translation.override(base(conversation.language)):
        _tell(conversation, handoff, here, missing, now)
    return handoff


def _waiting(conversation: Conversation) -> Handoff | None:
    if conversation.state != State.WAITING:
        return None
    return Handoff.objects.filter(conversation=conversation, accepted_at=None, closed_at=None).first()


def _again(handoff: Handoff, reason: str) -> Handoff:
    """A sign of risk outweighs why it was handed over first."""
    if reason == Reason.RISK and handoff.reason != Reason.RISK:
        handoff.reason = Reason.RISK
        handoff.save(update_fields=["reason"])
    return handoff


def _queue(conversation: Conversation, category: Category | None, here: hours.Presence, now: datetime) -> None:
    conversation.category, conversation.misses = category, 0
    conversation.save(update_fields=["category"])
    turn_over(conversation, now)  # an answer that a worker is about to store is for a turn that has passed
    conversation.state, conversation.waiting_since = State.WAITING, conversation.waiting_since or now
    conversation.team, conversation.assignee = here.team, None


def _tell(
    conversation: Conversation, handoff: Handoff, here: hours.Presence, missing: list[str], now: datetime
) -> None:
    """Say what happens now, ask the first question or make the ticket."""
    lines = [opening(handoff.reason), _comes(here)]
    if missing:
        lines.append(intake.question(missing[0]))
    speak(conversation, " ".join(line for line in lines if line), now, form(missing[0]) if missing else {})
    if missing:
        ask(conversation, missing[0], now)
        return
    Dialogue.objects.filter(conversation=conversation).delete()
    if not here.there:
        as_ticket(conversation, handoff, here, now)


def opening(reason: str) -> str:
    """The first words of a hand-off."""
    return {
        Reason.WISH.value: _("Of course, I am passing you on to a colleague."),
        Reason.MISSES.value: _("I cannot answer this well enough, so I am passing you on to a colleague."),
        Reason.ANGER.value: _("I am sorry about this. A colleague will look at it personally."),
        Reason.RISK.value: _("Thank you for telling us. A colleague will look at this personally."),
        Reason.FAILURE.value: _(
            "Something does not work on my side at the moment, so I am passing you on to a colleague."
        ),
        Reason.NO_BOT.value: _("Thank you for your message."),
    }.get(reason, _("I am passing you on to a colleague."))


def _comes(here: hours.Presence) -> str:
    if here.there:
        return _("Somebody will be with you here shortly.")
    if here.opens_at:
        back = _("Nobody is there at the moment; we are back on %(when)s.") % {
            "when": hours.told(here.opens_at, here.zone)
        }
    else:
        back = _("Nobody is there at the moment.")
    return f"{back} " + _("Nothing is lost: your message becomes a ticket.")


def speak(conversation: Conversation, text: str, now: datetime, data: dict[str, Any] | None = None) -> None:
    """Say something as the bot, in the caller's transaction, whoever's turn it is."""
    say(conversation_id=conversation.pk, author=Event.Author.BOT, text=text, data=data or {}, now=now)


def ask(conversation: Conversation, field: str, now: datetime, tries: int = 0) -> None:
    """From now on the customer's next message is read as the answer to a field."""
    Dialogue.objects.update_or_create(
        conversation=conversation,
        defaults={
            "context": conversation.context, "matter": Dialogue.Matter.HANDOFF, "asking": field, "heard": "",
            "tries": tries, "expires_at": now + PATIENCE,
        },
        create_defaults={
            "context": conversation.context, "matter": Dialogue.Matter.HANDOFF, "asking": field,
            "expires_at": now + PATIENCE,
        },
    )  # fmt: skip


def form(field: str) -> dict[str, Any]:
    """What a message carries that asks for a field: its name, and the choice to pass it over."""
    skip = _("Skip")
    return {"form": {"field": field, "label": intake.label(field)}, "choices": choices((skip, skip))}


def answered(conversation: Conversation, field: str, value: str, now: datetime) -> None:
    """Take in the answer to a field (empty: not given), then ask for the next one or bring the hand-off to its end.

    Called while holding the conversation's row lock.
    """
    handoff = _waiting(conversation)
    if handoff is None:  # somebody took it meanwhile, and asks for themselves
        Dialogue.objects.filter(conversation=conversation).delete()
        return
    if value:
        handoff.fields = {**handoff.fields, field: value[: intake.LONGEST[field]]}
        handoff.missing = [name for name in handoff.missing if name != field]
    dialogue = Dialogue.objects.filter(conversation=conversation).first()
    asked = {*(dialogue.known.get("asked", []) if dialogue else []), field}
    handoff.summary = summary_of(conversation, handoff.reason, handoff.fields)
    handoff.transcript_to_seq = conversation.seq
    handoff.save(update_fields=["fields", "missing", "summary", "transcript_to_seq"])
    left = [name for name in handoff.missing if name not in asked]
    with translation.override(base(conversation.language)):
        if left:
            speak(conversation, _("Thank you.") + " " + intake.question(left[0]), now, form(left[0]))
            ask(conversation, left[0], now)
            Dialogue.objects.filter(conversation=conversation).update(known={"asked": sorted(asked)})
        else:
            _finish(conversation, handoff, now)


def _finish(conversation: Conversation, handoff: Handoff, now: datetime) -> None:
    Dialogue.objects.filter(conversation=conversation).delete()
    here = hours.presence(handoff.team, handoff.category, now)
    if here.there:
        speak(conversation, _("Thank you, I have passed this on. Somebody will be with you here shortly."), now)
    else:
        as_ticket(conversation, handoff, here, now)


def enough(conversation: Conversation, now: datetime) -> None:
    """The customer wants no more questions."""
    if handoff := _waiting(conversation):
        with translation.override(base(conversation.language)):
            _finish(conversation, handoff, now)


def as_ticket(conversation: Conversation, handoff: Handoff | None, here: hours.Presence, now: datetime) -> Ticket:
    """Let a conversation go on as a ticket, and tell its customer; called while holding the row lock."""
    ticket = make_ticket(conversation, handoff, here.team, now)
    words = _("Your ticket is %(number)s.") % {"number": ticket.number}
    if by := promised(ticket) or here.answer_by:
        words += " " + _("You get an answer by %(when)s.") % {"when": hours.told(by, here.zone)}
    words += " " + _("If you have another question meanwhile, just ask me.")
    speak(conversation, words, now, {"ticket": {"number": ticket.number}})
    metrics.tickets_total.labels(handoff.reason if handoff else "left").inc()
    return ticket


def guessed(messages: list[str]) -> Category | None:
    """The category whose name the customer's words hold, if exactly one fits best."""
    words = set(plain(" ".join(messages)).split())
    stems = {word.rstrip("s") for word in words if len(word) > 3}
    ranked = []
    for category in Category.objects.filter(active=True):
        named = {
            word.rstrip("s")
            for word in plain(f"{category.name} {category.slug}".replace("-", " ")).split()
            if len(word) > 3
        }
        if hits := len(named & stems):
            ranked.append((hits, category))
    ranked.sort(key=lambda one: -one[0])
    if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
        return None
    return ranked[0][1]


def rescue(now: datetime) -> int:
    """Make tickets of conversations that wait where nobody will come. Returns how many."""
    waiting = Conversation.objects.waiting().filter(waiting_since__lte=now - timedelta(minutes=1))
    return sum(_rescued(pk, now) for pk in list(waiting.values_list("pk", flat=True)[:200]))


@transaction.atomic
def _rescued(conversation_id: int, now: datetime) -> bool:
    free = Conversation.objects.select_for_update(of=("self",), skip_locked=True)
    conversation = free.filter(pk=conversation_id, state=State.WAITING).first()
    if conversation is None or conversation.waiting_since is None:
        return False
    last = conversation.last_customer_at or conversation.waiting_since
    asked = Dialogue.objects.filter(conversation=conversation).exists()
    if asked and now - last < QUIET:
        return False  # the customer is answering
    here = hours.presence(conversation.team, conversation.category, now)
    if here.there and now - conversation.waiting_since < LONGEST_WAIT:
        return False
    Dialogue.objects.filter(conversation=conversation).delete()
    with translation.override(base(conversation.language)):
        if here.there:
            speak(conversation, _("I am sorry that you have waited so long; all colleagues are busy."), now)
        as_ticket(conversation, _waiting(conversation), here, now)
    return True
