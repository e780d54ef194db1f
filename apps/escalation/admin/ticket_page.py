"""The page of one ticket: what was said and done, its deadlines, and what can be done now."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from apps.core.asking import found, person
from apps.core.numbers import whole
from apps.escalation import canned
from apps.escalation.admin.shared import CLOCK_TONES, STATUS_TONES, left, links, masked_words
from apps.escalation.models import Clock, Ticket, TicketEvent, TicketMessage
from apps.escalation.ticket_binding import UNDONE, WORK
from apps.escalation.ticket_forms import ReplyForm

if TYPE_CHECKING:
    from apps.escalation.admin.tickets import TicketAdmin

Status = Ticket.Status
MOST = 300
MESSAGE_TONES = {
    TicketMessage.Kind.CUSTOMER: "warn",
    TicketMessage.Kind.AGENT: "ok",
    TicketMessage.Kind.NOTE: "muted",
}
# What is offered in which states: page, words, icon.
OFFERS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("assign", "Assign", "user", UNDONE),
    ("wait", "Wait for customer", "clock", (Status.NEW, Status.OPEN)),
    ("resume", "Go on", "play", (Status.WAITING,)),
    ("resolve", "Resolve", "check", UNDONE),
    ("reopen", "Reopen", "undo", (Status.RESOLVED, Status.CLOSED)),
    ("close", "Close", "lock", (Status.RESOLVED,)),
    ("note", "Add note", "note", tuple(Status)),
    ("edit", "Correct", "edit", UNDONE),
    ("merge", "Merge", "link", (*UNDONE, Status.RESOLVED)),
)
WORDS = {"note": "Note", "created": "Created", "routed": "Routed"}


def ticket_page(modeladmin: TicketAdmin, request: HttpRequest, pk: str) -> HttpResponse:
    """Show a ticket."""
    related = ("category", "team", "assignee", "scope", "merged_into")
    ticket: Ticket = found(modeladmin, request, pk, *related)
    now, user = timezone.now(), person(request)
    works = user.has_perm(WORK)
    chosen = _canned(ticket, request)
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": str(ticket),
        "opts": modeladmin.opts,
        "ticket": ticket,
        "now": now,
        "tone": STATUS_TONES[Status(ticket.status)],
        "timeline": _timeline(ticket),
        **_clocks(ticket, now),
        "links": links(ticket.links.order_by("id").values_list("target", flat=True)[:50]),
        "duplicates": list(ticket.merged_tickets.order_by("id")[:50]),
        "offers": [
            (ticket_url(ticket, name), words, icon) for name, words, icon, states in OFFERS if works and ticket.status in states
        ],
        "flag_url": _flag_url(ticket, user),
        "canned": canned.offered(ticket) if works else [],
        "chosen": chosen,
        "reply": _reply(ticket, chosen) if works and ticket.status in UNDONE else None,
        "media": modeladmin.media,
    }  # fmt: skip
    return TemplateResponse(request, "escalation/ticket.html", context)


def ticket_url(ticket: Ticket, name: str = "change") -> str:
    """The address of one of a ticket's pages."""
    return reverse(f"admin:escalation_ticket_{name}", args=[ticket.pk])


def _canned(ticket: Ticket, request: HttpRequest) -> tuple[int, str] | None:
    """The prepared answer that was chosen: its key and its text."""
    key = whole(request.GET.get("canned", ""))
    reply = canned.offered(ticket).filter(pk=key).first() if key is not None else None
    return (reply.pk, canned.rendered(reply, ticket=ticket, agent=person(request))) if reply else None


def _reply(ticket: Ticket, chosen: tuple[int, str] | None) -> ReplyForm:
    return ReplyForm(initial={"seen": ticket.version, "text": chosen[1] if chosen else ""})


def _flag_url(ticket: Ticket, user: Any) -> str:
    """The form that raises a flag from the ticket."""
    may = user.has_perms(["escalation.view_riskflag", "escalation.add_riskflag"])
    return f"{reverse('admin:escalation_riskflag_raise')}?source=ticket:{ticket.pk}" if may else ""


def _timeline(ticket: Ticket) -> list[dict[str, Any]]:
    """Messages and events, the latest first."""
    said = ticket.messages.select_related("author").order_by("-id")[:MOST]
    done = ticket.events.select_related("actor").order_by("-id")[:MOST]
    lines = [
        {"at": one.created_at, "key": (1, one.pk), "who": one.author, "what": one.get_kind_display(), "text": one.body,
         "tone": MESSAGE_TONES[TicketMessage.Kind(one.kind)], "masked": masked_words(one.masked), "message": True}
        for one in said
    ]  # fmt: skip
    lines += [
        {"at": one.at, "key": (0, one.pk), "who": one.actor, "what": _what(one), "text": one.reason, "tone": "muted"}
        for one in done
        if one.kind != "answered"
    ]
    return sorted(lines, key=lambda line: (line["at"], line["key"]), reverse=True)


def _what(event: TicketEvent) -> str:
    return WORDS.get(event.kind, event.kind.replace("_", " ").capitalize())


def _clocks(ticket: Ticket, now: datetime) -> dict[str, Any]:
    clocks = list(ticket.clocks.select_related("calendar").order_by("-id"))
    running = [clock for clock in clocks if clock.status in ("running", "paused")]
    return {
        "deadlines": [(clock, left(clock.due_at, now)) for clock in running],
        "past_clocks": [(clock, CLOCK_TONES[Clock.Status(clock.status)]) for clock in clocks if clock not in running],
    }
