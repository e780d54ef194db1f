"""Letting a conversation go on as a ticket, because what is left to do takes longer than a chat."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import translation

from apps.chat.binding import bind, entry, held
from apps.chat.bot import handing, hours
from apps.chat.bot.language import base
from apps.chat.models import Conversation
from apps.chat.refusals import NotAllowed
from apps.core.decisions import record
from apps.core.models import User

MAKE = "escalation.add_ticket"


@transaction.atomic
def to_ticket(conversation_id: int, user: User, *, seen_version: int | None, now: datetime) -> Conversation:
    """Make a ticket of a conversation, or add to the one that it has, and resolve it as going on there.

    The customer is told the ticket's number and until when it is answered.

    Raises:
        NotAllowed, ConversationNotFound: not for this person.
        ConversationChanged, WrongState: it is not what was seen, or resolved.
    """
    conversation = held(conversation_id, user)
    if not user.has_perm(MAKE):
        raise NotAllowed
    bind(conversation, seen_version)
    before, had = conversation.state, conversation.assignee_id
    handoff = conversation.handoffs.filter(context=conversation.context).order_by("-requested_at").first()
    here = hours.presence(conversation.team or hours.team_for(conversation), conversation.category, now)
    with translation.override(base(conversation.language)):
        ticket = handing.as_ticket(conversation, handoff, here, now)
    conversation = Conversation.objects.get(pk=conversation_id)
    conversation.handoffs.filter(closed_at=None).update(closed_at=now)
    record(entry(conversation, user, "conversation_made_ticket", ticket=ticket.number, before=before, had_by=had))
    return conversation
