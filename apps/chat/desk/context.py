"""What the desk shows beside a talk: who the customer is, what they bought, and what was before."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from apps.chat.models import Conversation, Verification
from apps.core.models import User
from apps.escalation.models import Proposal, Report, RiskFlag, Ticket
from apps.orders.models import Customer, Order
from apps.subscriptions.models import Subscription

MOST = 5


def context_of(conversation: Conversation, user: User) -> dict[str, Any]:
    """The customer, as far as this person may see: what another role or scope hides is left out.

    An e-mail address that no page signed is what the customer says, and is shown as that.
    """
    visitor = conversation.visitor
    return {
        "visitor": {
            "name": visitor.name, "email": visitor.email, "known": bool(visitor.external_id),
            "language": conversation.language, "site": conversation.site.name, "since": visitor.created_at,
            "seen_at": visitor.seen_at,
        },
        "proven": _proven(conversation),
        "orders": _orders(conversation, user),
        "subscriptions": _subscriptions(visitor.email, user),
        "earlier": _earlier(conversation, user),
        "tickets": _tickets(conversation, user),
        "flags": _flags(conversation, user),
        "proposed": _proposed(conversation, user),
    }  # fmt: skip


def _proven(conversation: Conversation) -> list[dict[str, Any]]:
    passed = conversation.verifications.filter(passed_at__isnull=False, context=conversation.context)[:MOST]
    return [{"matter": one.get_matter_display(), "at": one.passed_at} for one in passed]


def _orders(conversation: Conversation, user: User) -> list[dict[str, Any]]:
    """Orders of the customer's e-mail address, and those that they proved to be theirs."""
    if not user.has_perm("orders.view_order"):
        return []
    proven = conversation.verifications.filter(passed_at__isnull=False, matter=Verification.Matter.ORDER)
    keys = [key for key in proven.values_list("subject_id", flat=True) if key]
    email = conversation.visitor.email
    seen = Order.objects.visible_to(user).existing().select_related("store")
    found = {order.pk: order for order in seen.filter(pk__in=keys)}
    if email:
        customers = Customer.objects.visible_to(user).filter(email__in={email, email.lower()})
        found |= {order.pk: order for order in seen.filter(customer__in=customers).order_by("-created_at")[:MOST]}
    latest = sorted(found.values(), key=lambda order: order.created_at, reverse=True)[:MOST]
    return [
        {
            "number": order.number, "total": f"{order.total} {order.currency}", "at": order.created_at,
            "paid": order.get_financial_status_display(), "sent": order.get_fulfillment_status_display(),
            "cancelled": order.cancelled_at is not None, "proven": order.pk in keys,
            "url": reverse("admin:orders_order_change", args=[order.pk]),
        }
        for order in latest
    ]  # fmt: skip


def _subscriptions(email: str, user: User) -> list[dict[str, Any]]:
    if not (email and user.has_perm("subscriptions.view_subscription")):
        return []
    mine = Subscription.objects.visible_to(user).filter(owner__email__iexact=email).select_related("risk_score")
    return [
        {
            "name": one.name, "status": one.get_status_display(), "renews_on": one.renews_on,
            "price": f"{one.price} {one.currency}", "level": one.risk_score.risk_level if hasattr(one, "risk_score") else "",
            "url": reverse("admin:subscriptions_subscription_change", args=[one.pk]),
        }
        for one in mine.order_by("-renews_on")[:MOST]
    ]  # fmt: skip


def _earlier(conversation: Conversation, user: User) -> list[dict[str, Any]]:
    """Other conversations of the same visitor; of the same address only where a page signed who it is."""
    visitor = conversation.visitor
    rows = Conversation.objects.visible_to(user).exclude(pk=conversation.pk)
    if visitor.external_id and visitor.email:
        rows = rows.filter(visitor__email=visitor.email).exclude(visitor__external_id="")
    else:
        rows = rows.filter(visitor=visitor)
    return [
        {"id": str(one.public_id), "subject": str(one), "at": one.last_event_at, "state": one.get_state_display()}
        for one in rows.order_by("-opened_at")[:MOST]
    ]


def _tickets(conversation: Conversation, user: User) -> list[dict[str, Any]]:
    if not user.has_perm("escalation.view_ticket"):
        return []
    rows = Ticket.objects.visible_to(user)
    email = conversation.visitor.email
    found = list(rows.filter(pk=conversation.ticket_id)) if conversation.ticket_id else []
    if email:
        found += rows.filter(requester_contact=email).exclude(pk=conversation.ticket_id).order_by("-id")[:MOST]
    return [
        {
            "number": one.number, "subject": one.subject, "status": one.get_status_display(),
            "url": reverse("admin:escalation_ticket_change", args=[one.pk]),
        }
        for one in found[:MOST]
    ]  # fmt: skip


def _flags(conversation: Conversation, user: User) -> list[dict[str, Any]]:
    if not user.has_perm("escalation.view_riskflag"):
        return []
    rows = RiskFlag.objects.visible_to(user).filter(references__contains=[f"conversation:{conversation.pk}"])
    return [
        {
            "title": one.title, "level": one.get_level_display(), "step": one.get_step_display(),
            "open": one.status == RiskFlag.Status.OPEN,
            "url": reverse("admin:escalation_riskflag_change", args=[one.pk]),
        }
        for one in rows.order_by("-raised_at")[:MOST]
    ]  # fmt: skip


def _proposed(conversation: Conversation, user: User) -> list[dict[str, Any]]:
    """Flags that the indicators propose for this conversation, alone or with others like it, and nobody decided yet."""
    if not user.has_perm("escalation.view_proposal"):
        return []
    about = f"conversation:{conversation.pk}"
    alike = Report.objects.filter(subject=about, cluster__isnull=False).values_list("cluster", flat=True).distinct()
    subjects = [about, *(f"cluster:{key}" for key in alike[:MOST])]
    rows = Proposal.objects.visible_to(user).filter(status=Proposal.Status.OPEN, subject__in=subjects)
    return [
        {
            "title": one.title, "level": one.level, "why": str(one.reasons[0]) if one.reasons else "",
            "url": reverse("admin:escalation_proposal_change", args=[one.pk]),
        }
        for one in rows[:MOST]
    ]  # fmt: skip
