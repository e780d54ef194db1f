"""What is done where the order system does not answer: it is said, and a ticket sees to it that somebody looks."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils import translation
from django.utils.translation import gettext as _

from apps.chat.bot import hours, metrics
from apps.chat.bot.handing import hand_off, speak
from apps.chat.bot.language import base
from apps.chat.bot.lookup.orders import Found
from apps.chat.bot.lookup.subscriptions import Found as FoundSubscription
from apps.chat.bot.replies import Reply
from apps.chat.bot.ticketing import ticket_of
from apps.chat.models import BotTurn, Conversation, Dialogue, Handoff
from apps.escalation.models import Ticket

if TYPE_CHECKING:
    from apps.chat.bot.thinking import Heard


def down(heard: Heard, found: Found | FoundSubscription, data: dict[str, Any]) -> Reply:
    """Say that the system is down and what was known last, make a ticket, and bring in a person if one is there."""
    zone = hours.presence(hours.team_for(heard.conversation), None, heard.now).zone
    words = _("I cannot reach the order system at the moment. What I learnt last, on %(when)s: %(state)s") % {
        "when": hours.told(found.known_at, zone),
        "state": found.text,
    }

    def effect(conversation: Conversation, now: datetime) -> None:
        Dialogue.objects.filter(conversation=conversation).delete()
        ticket = _ticket(conversation, found, now)
        with translation.override(base(conversation.language)):
            number = {"number": ticket.number}
            words = _("I have made ticket %(number)s, so that a colleague looks and writes to you.") % number
            speak(conversation, words, now, {"ticket": number})
        metrics.tickets_total.labels("lookup_down").inc()
        if hours.presence(hours.team_for(conversation), conversation.category, now).there:
            hand_off(conversation.pk, Handoff.Reason.FAILURE, now=now, internal="The order system did not answer.")

    return Reply(words, BotTurn.Outcome.LOOKED_UP, data, action="ticket", effects=(effect,))


def _ticket(conversation: Conversation, found: Found | FoundSubscription, now: datetime) -> Ticket:
    known = {
        "summary": f"The order system did not answer when the customer asked how {found.number} stands. Proven by code.",
        "order_reference": found.number,
        "requester_contact": found.contact,
        "requester_name": conversation.visitor.name,
    }
    team = hours.team_for(conversation)
    ticket = ticket_of(conversation, conversation.category, team, known, Handoff.Reason.FAILURE, now)
    Conversation.objects.filter(pk=conversation.pk).update(ticket=ticket)
    return ticket
