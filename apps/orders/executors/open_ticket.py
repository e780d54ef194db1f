"""Opens a ticket, so that people do what the card says."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.actions.executors import EffectFailed, Job, executor
from apps.actions.models import ActionCard
from apps.escalation import tickets
from apps.escalation.models import Ticket
from apps.escalation.ticket_binding import WrongState
from apps.orders.effects import order_of
from apps.orders.executors.message_customer import address_of

PRIORITIES = {"low": Ticket.Priority.NORMAL, "safety": Ticket.Priority.HIGH, "policy": Ticket.Priority.URGENT}


@executor(
    slug="open_ticket",
    title="Open a ticket",
    describe="A ticket with the finding and what to do goes to the people who answer for the shop.",
    describe_rollback="The ticket is closed, unless somebody has answered it.",
)
class OpenTicket:
    """It needs neither the customer's address nor access to the shop, so it is offered for orders from files too."""

    def available(self, card: ActionCard) -> bool:
        return True

    @transaction.atomic
    def execute(self, job: Job) -> dict[str, Any]:
        card, order, now = job.card, order_of(job.card), timezone.now()
        ticket = tickets.create(
            subject=f"{card.target}: {card.get_kind_display().lower()}"[:200],
            channel=Ticket.Channel.SYSTEM,
            summary=f"{card.draft}\n\n{card.rationale}\n\nWhat to do: {card.mitigation}",
            order_reference=order.number[:100] if order else "",
            requester_name=order.customer.name if order and order.customer else "",
            requester_contact=address_of(order) if order else "",
            priority=PRIORITIES[card.risk_tier],
            source=f"execution:{job.key}",  # another attempt finds the ticket that was made
            scope=card.scope,
            now=now,
        )
        tickets.add_link(ticket_id=ticket.pk, target=f"action_card:{card.pk}", actor=None, now=now)
        return {"ticket": ticket.number}

    def roll_back(self, job: Job) -> dict[str, Any]:
        ticket = Ticket.objects.filter(number=job.result.get("ticket")).first()
        if ticket is None:
            raise EffectFailed("There is no ticket to close.")
        try:
            tickets.withdraw(ticket_id=ticket.pk, reason="The action card was rolled back.", now=timezone.now())
        except WrongState as error:
            raise EffectFailed(str(error)) from error
        return {"ticket": ticket.number}
