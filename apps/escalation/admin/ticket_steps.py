"""What people do with a ticket, each as a page bound to the version that was shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from apps.core.asking import Words, ask, found, person
from apps.core.models import Scope, User
from apps.core.scope import scopes_of, sees_every_scope
from apps.escalation import ticket_moves, tickets
from apps.escalation.admin.asking import about
from apps.escalation.admin.shared import STATUS_TONES
from apps.escalation.admin.ticket_page import ticket_url
from apps.escalation.binding import MissingInformation
from apps.escalation.models import Ticket
from apps.escalation.ticket_binding import CREATE, WORK
from apps.escalation.ticket_forms import (
    AssignForm,
    CreateForm,
    EditForm,
    MergeForm,
    ReasonForm,
    ReplyForm,
    TicketNoteForm,
)

if TYPE_CHECKING:
    from apps.escalation.admin.tickets import TicketAdmin

# Steps that need no more than a reason: service, words, and whether the reason has to be given.
SIMPLE: dict[str, tuple[Callable[..., Ticket], Words, bool]] = {
    "wait": (
        ticket_moves.wait,
        Words("Wait for the customer", "Wait", "Deadlines are held until the customer writes; say what is needed."),
        True,
    ),
    "resume": (ticket_moves.resume, Words("Go on without an answer", "Go on", "Deadlines run again."), False),
    "resolve": (
        ticket_moves.resolve,
        Words("Resolve", "Resolve", "Its deadlines end. If the customer writes again, it is open again."),
        True,
    ),
    "reopen": (ticket_moves.reopen, Words("Reopen", "Reopen", "It needs an answer and a resolution anew."), True),
    "close": (
        ticket_moves.close,
        Words("Close", "Close", "What the customer writes from now on is a new ticket."),
        False,
    ),
}


def _about(
    modeladmin: TicketAdmin,
    request: HttpRequest,
    ticket: Ticket,
    words: Words,
    make: Callable[[Any], Any],
    run: Callable[[Any], str],
) -> HttpResponse:
    more = {"ticket": ticket, "tone": STATUS_TONES[Ticket.Status(ticket.status)], "now": timezone.now()}
    question = about(words, make, run, ticket_url(ticket), ticket.number, "escalation/ticket_form.html", more)
    return ask(modeladmin, request, question)


def _mine(modeladmin: TicketAdmin, request: HttpRequest, pk: int) -> Ticket:
    ticket: Ticket = found(modeladmin, request, pk, "scope", "category")
    if not request.user.has_perm(WORK):
        raise PermissionDenied
    return ticket


def simple(modeladmin: TicketAdmin, request: HttpRequest, pk: int, *, name: str) -> HttpResponse:
    """One of :data:`SIMPLE`."""
    ticket = _mine(modeladmin, request, pk)
    service, words, needed = SIMPLE[name]

    def run(form: ReasonForm) -> str:
        given = form.cleaned_data
        moved = service(
            ticket_id=ticket.pk, seen_version=given["seen"], actor=person(request), reason=given["reason"],
            now=timezone.now(),
        )  # fmt: skip
        return f"{moved.number}: {moved.get_status_display().lower()}."

    make = partial(ReasonForm, initial={"seen": ticket.version}, needed=needed)
    return _about(modeladmin, request, ticket, words, make, run)


def assign(modeladmin: TicketAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Give the ticket to somebody."""
    ticket = _mine(modeladmin, request, pk)
    people = User.objects.filter(is_active=True, is_staff=True).order_by("first_name", "username")
    if ticket.team_id:
        people = people.filter(team_memberships__team=ticket.team_id) | people.filter(pk=person(request).pk)
    initial = {"seen": ticket.version, "assignee": ticket.assignee_id or person(request).pk}

    def run(form: AssignForm) -> str:
        given = form.cleaned_data
        moved = tickets.assign(
            ticket_id=ticket.pk, seen_version=given["seen"], assignee=given["assignee"], reason=given["reason"],
            actor=person(request), now=timezone.now(),
        )  # fmt: skip
        return f"{moved.number} is now {moved.assignee}’s." if moved.assignee else f"{moved.number} waits in the queue."

    words = Words(
        "Assign", "Assign", "Whoever gets it is told. Capacity is for routing; you may go beyond it knowingly."
    )
    make = partial(AssignForm, people=people.distinct(), initial=initial)
    return _about(modeladmin, request, ticket, words, make, run)


def merge(modeladmin: TicketAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Merge the ticket, a duplicate, into another one."""
    ticket = _mine(modeladmin, request, pk)

    def run(form: MergeForm) -> str:
        given = form.cleaned_data
        number = given["into"].strip().upper()
        into = modeladmin.get_queryset(request).filter(number=number).values_list("pk", flat=True).first()
        if into is None:
            raise MissingInformation(fields={"into": ["There is no such ticket."]})
        merged = tickets.merge(
            ticket_id=ticket.pk, seen_version=given["seen"], into_id=into, actor=person(request),
            reason=given["reason"], now=timezone.now(),
        )  # fmt: skip
        return f"{ticket.number} is now part of {merged.number}."

    lead = "It keeps its messages and passes on what the customer still writes; the other ticket is answered."
    make = partial(MergeForm, initial={"seen": ticket.version})
    return _about(modeladmin, request, ticket, Words("Merge a duplicate", "Merge", lead), make, run)


def note(modeladmin: TicketAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Add a note."""
    ticket = _mine(modeladmin, request, pk)

    def run(form: TicketNoteForm) -> str:
        given = form.cleaned_data
        tickets.note(
            ticket_id=ticket.pk, text=given["text"], key=given["key"], actor=person(request), now=timezone.now()
        )
        return "The note is on the ticket."

    return _about(modeladmin, request, ticket, Words("Add a note", "Add note"), TicketNoteForm, run)


def edit(modeladmin: TicketAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Correct the details."""
    ticket = _mine(modeladmin, request, pk)

    def make(data: Any) -> EditForm:
        # A copy, because a model form writes what was typed onto its instance.
        return EditForm(data, instance=Ticket.objects.get(pk=ticket.pk), initial={"seen": ticket.version})

    def run(form: EditForm) -> str:
        given = dict(form.cleaned_data)
        tickets.edit(
            ticket_id=ticket.pk, seen_version=given.pop("seen"), fields=given, actor=person(request), now=timezone.now()
        )
        return "The details are corrected."

    lead = "Another category brings its own times, and its team."
    return _about(modeladmin, request, ticket, Words("Correct details", "Save", lead), make, run)


def reply(modeladmin: TicketAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the customer; the form stands on the ticket's page."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    ticket = _mine(modeladmin, request, pk)

    def run(form: ReplyForm) -> str:
        given = form.cleaned_data
        tickets.reply(
            ticket_id=ticket.pk, text=given["text"], seen_version=given["seen"], then_wait=given["then_wait"],
            key=given["key"], actor=person(request), now=timezone.now(),
        )  # fmt: skip
        return "The answer is on its way." if not given["then_wait"] else "Answered; now it waits for the customer."

    return _about(modeladmin, request, ticket, Words("Answer", "Send answer"), ReplyForm, run)


def create(modeladmin: TicketAdmin, request: HttpRequest) -> HttpResponse:
    """Make a ticket by hand."""
    user = person(request)
    if not (modeladmin.has_view_permission(request) and user.has_perm(CREATE)):
        raise PermissionDenied
    scopes = Scope.objects.all() if sees_every_scope(user) else Scope.objects.filter(pk__in=scopes_of(user))
    made: list[Ticket] = []

    def run(form: CreateForm) -> str:
        given = dict(form.cleaned_data)
        key = given.pop("key")
        made.append(tickets.create(**given, source=f"desk:{key}", actor=user, now=timezone.now()))
        return f"{made[0].number} is made."

    url = reverse("admin:escalation_ticket_changelist")
    words = Words("New ticket", "Create", "It is routed at once; the ticket says to whom, and why.")
    answer = ask(modeladmin, request, about(words, partial(CreateForm, scopes=scopes), run, url, "Tickets"))
    return HttpResponseRedirect(ticket_url(made[0])) if made else answer
