"""Sends the customer the message that the operator approved."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import validate_email

from apps.actions.executors import EffectFailed, Job, executor
from apps.actions.models import ActionCard
from apps.orders.effects import order_of, required_order
from apps.orders.models import Order


@executor(
    slug="message_customer",
    title="Send the customer a message",
    describe="An e-mail with this text goes to the customer of the order.",
    describe_rollback="A second e-mail tells the customer that the first one is no longer valid; the first cannot be unsent.",
    sends_message=True,
)
class MessageCustomer:
    """An e-mail cannot be repeated harmlessly, so its beginning is recorded before it is sent."""

    def available(self, card: ActionCard) -> bool:
        order = order_of(card)
        return order is not None and bool(address_of(order))

    def execute(self, job: Job) -> dict[str, Any]:
        text = str(job.payload.get("message") or "").strip()
        if not text:
            raise EffectFailed("There is no text to send.")
        order = required_order(job.card)
        return _send(job, order, f"Your order {order.number}", text)

    def roll_back(self, job: Job) -> dict[str, Any]:
        order = required_order(job.card)
        name = order.customer.name if order.customer else ""
        text = (
            f"Hello {name or 'there'},\n\nplease disregard our last message about your order {order.number}; "
            "it is no longer valid. You need not do anything. We are sorry for the confusion.\n\n"
            f"Kind regards\n{order.store.name}"
        )
        return _send(job, order, f"Correction: your order {order.number}", text)


def address_of(order: Order) -> str:
    """Where to write about an order; empty if nowhere. Somebody who asked to be forgotten is not written to."""
    if order.customer and order.customer.redacted_at:
        return ""
    found = order.email or (order.customer.email if order.customer else "")
    try:
        validate_email(found)
    except ValidationError:
        return ""
    return found


def _send(job: Job, order: Order, subject: str, text: str) -> dict[str, Any]:
    address = address_of(order)
    if not address:
        raise EffectFailed("There is no address to which this could be sent.")
    # The key as message id: whoever looks into a mail log finds the card's execution, and repetitions are recognised.
    headers = {"Message-ID": f"<{job.key}@riskdesk>", "Auto-Submitted": "no"}
    mail = EmailMessage(subject=" ".join(subject.split()), body=text, to=[address], headers=headers)
    job.begin()
    mail.send()
    return {"order": order.external_id, "subject": mail.subject}
