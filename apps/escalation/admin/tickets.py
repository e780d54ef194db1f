"""Tickets as a list: whose turn it is, and how much time is left."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Min, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.asking import page
from apps.core.templatetags.desk import ago, badge
from apps.escalation.admin import ticket_steps
from apps.escalation.admin.shared import DASH, STATUS_TONES, left
from apps.escalation.admin.ticket_page import ticket_page, ticket_url
from apps.escalation.models import Ticket
from apps.escalation.ticket_binding import CREATE, UNDONE

PRIORITY_TONES = {Ticket.Priority.URGENT: "bad", Ticket.Priority.HIGH: "warn", Ticket.Priority.LOW: "muted"}


class StateFilter(admin.SimpleListFilter):
    """What is not done yet, unless something else is chosen."""

    title = "status"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*Ticket.Status.choices, ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        found = list(super().choices(changelist))
        found[0]["display"] = "Not done"
        return found

    def queryset(self, request: HttpRequest, queryset: QuerySet[Ticket]) -> QuerySet[Ticket]:
        value = self.value()
        if value in Ticket.Status.values:
            return queryset.filter(status=value)
        return queryset if value == "all" else queryset.filter(status__in=UNDONE)


class WhoseFilter(admin.SimpleListFilter):
    """One's own, or nobody's."""

    title = "whose"
    parameter_name = "whose"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("mine", "Mine"), ("nobody", "Nobody’s")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Ticket]) -> QuerySet[Ticket]:
        if self.value() == "mine":
            return queryset.filter(assignee=request.user.pk)
        return queryset.filter(assignee=None) if self.value() == "nobody" else queryset


@admin.register(Ticket)
class TicketAdmin(ScopedAdmin, ReadOnlyAdmin):
    """Tickets are changed on pages of their own, each bound to the version that was seen."""

    list_display = ["link", "requester", "category", "urgency", "state", "time", "who", "age"]
    list_display_links = None
    list_filter = [StateFilter, WhoseFilter, "priority", "category", "team", "channel"]
    list_select_related = ["category", "assignee"]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["=number", "subject", "requester_contact__istartswith", "=order_reference"]
    search_help_text = "Number, subject, contact or order"
    sortable_by = ["age", "time", "urgency"]
    change_list_template = "escalation/tickets.html"

    class Media:
        css = {"all": ["escalation/escalation.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Ticket]:
        due = Min("clocks__due_at", filter=Q(clocks__status="running"))
        return super().get_queryset(request).annotate(next_due=due)

    @admin.display(description="ticket")
    def link(self, ticket: Ticket) -> SafeString:
        return format_html('<a href="{}"><strong>{}</strong> {}</a>', ticket_url(ticket), ticket.number, ticket.subject)

    @admin.display(description="requester")
    def requester(self, ticket: Ticket) -> SafeString | str:
        return ticket.requester_name or ticket.requester_contact or DASH

    @admin.display(description="priority", ordering="priority")
    def urgency(self, ticket: Ticket) -> SafeString:
        return badge(PRIORITY_TONES.get(Ticket.Priority(ticket.priority), "info"), ticket.get_priority_display())

    @admin.display(description="status")
    def state(self, ticket: Ticket) -> SafeString:
        return badge(STATUS_TONES[Ticket.Status(ticket.status)], ticket.get_status_display())

    @admin.display(description="time left", ordering="next_due")
    def time(self, ticket: Ticket) -> SafeString:
        due = ticket.next_due  # type: ignore[attr-defined]  # annotated by get_queryset
        return left(due, timezone.now()) if due else DASH

    @admin.display(description="assignee")
    def who(self, ticket: Ticket) -> SafeString | str:
        return str(ticket.assignee) if ticket.assignee else SafeString('<span class="muted">Nobody</span>')

    @admin.display(description="since", ordering="created_at")
    def age(self, ticket: Ticket) -> SafeString:
        return ago(ticket.created_at, timezone.now(), short=True)

    def get_urls(self) -> list[URLPattern]:
        pages = [page(self, "new/", "new", ticket_steps.create)]
        for name in ticket_steps.SIMPLE:
            pages.append(page(self, f"<int:pk>/{name}/", name, partial(ticket_steps.simple, name=name)))
        for name in ("assign", "merge", "note", "edit", "reply"):
            pages.append(page(self, f"<int:pk>/{name}/", name, getattr(ticket_steps, name)))
        return pages + super().get_urls()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        more = {"title": "Tickets", "may_create": request.user.has_perm(CREATE), **(extra_context or {})}
        return super().changelist_view(request, more)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One ticket; see :mod:`apps.escalation.admin.ticket_page`."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return ticket_page(self, request, object_id)
