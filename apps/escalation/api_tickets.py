"""The API of tickets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Prefetch
from django.utils import timezone
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.models import User
from apps.escalation import api_shapes as shapes
from apps.escalation import tickets
from apps.escalation.api_base import BOUND, PAGE, WRITE, DeskView, documented, query
from apps.escalation.binding import MissingInformation
from apps.escalation.models import Category, Ticket, TicketEvent, TicketMessage
from apps.escalation.ticket_binding import CREATE, VIEW, WORK, TicketNotFound

_MOVES: dict[str, Callable[..., Ticket]] = {
    "wait": tickets.wait,
    "resume": tickets.resume,
    "resolve": tickets.resolve,
    "reopen": tickets.reopen,
    "close": tickets.close,
}
_RELATED = ("category", "scope", "team", "assignee", "merged_into")
_STATES = [str(value) for value in Ticket.Status.values]
_ONE = {200: shapes.TicketDetailSerializer}


class TicketView(DeskView):
    """What the views of tickets share."""

    sees, missing = VIEW, TicketNotFound

    def visible(self, ticket_id: int) -> Ticket:
        """The ticket, if it is there for this person."""
        rows = Ticket.objects.visible_to(self.person).select_related(*_RELATED)
        history = (
            Prefetch("messages", TicketMessage.objects.select_related("author")),
            Prefetch("events", TicketEvent.objects.select_related("actor")),
        )
        found: Ticket = self.one(rows.prefetch_related(*history, "links", "clocks"), ticket_id)
        return found

    def detail(self, ticket_id: int) -> Any:
        """The ticket as it is now."""
        return shapes.TicketDetailSerializer(self.visible(ticket_id)).data

    def category(self, slug: str | None) -> Category | None:
        """The category that a body names.

        Raises:
            MissingInformation: there is none such.
        """
        if slug is None:
            return None
        found = Category.objects.select_related("team").filter(slug=slug, active=True).first()
        if found is None:
            raise MissingInformation(fields={"category": ["There is no such category."]})
        return found

    def do(
        self, ticket_id: int, work: Callable[[], Any], values: dict[str, Any] | None = None, *, needed: bool = True
    ) -> Response:
        """Do something with a ticket, if it is what ``If-Match`` says, and answer it."""
        ticket = self.visible(ticket_id)
        self.may(WORK)
        return self.answer_change(
            ticket, work, values, needed=needed and values is not None, shown=lambda: self.detail(ticket_id)
        )


class TicketsView(TicketView):
    """All tickets that a person may see."""

    @documented(
        "tickets", {200: shapes.TicketPage}, name="tickets", summary="Tickets, newest first", refused=(400, 401, 403, 429),
        parameters=[
            *PAGE,
            query("status", {"type": "array", "items": {"type": "string", "enum": _STATES}}, "May be given several times."),
            query("order_reference", {"type": "string", "maxLength": 100}),
        ],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Tickets of your scopes."""
        rows = Ticket.objects.visible_to(self.person).filter(status__in=self.chosen("status", _STATES))
        order = request.query_params.get("order_reference", "")
        if len(order) > 100:
            raise ValidationError({"order_reference": ["At most 100 characters."]})
        if order:
            rows = rows.filter(order_reference=order.replace("\x00", ""))
        return self.page(rows.select_related(*_RELATED), shapes.TicketSerializer)

    @documented(
        "tickets", {201: shapes.TicketDetailSerializer}, name="ticket_create", summary="Make a ticket",
        request=shapes.TicketBody, refused=WRITE,
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Make a ticket; it is routed at once. 422 `missing_information` says what its category needs."""
        self.may(CREATE)
        values = self.values(shapes.TicketBody)

        def work() -> tuple[int, Any]:
            category, scope = self.category(values.pop("category", None)), self.scope(values.pop("scope", None))
            made = tickets.create(**values, category=category, scope=scope, actor=self.person, now=timezone.now())
            return 201, shapes.TicketDetailSerializer(made).data

        return self.answer_once(work)


class OneTicketView(TicketView):
    """One ticket."""

    @documented("tickets", _ONE, name="ticket", summary="A ticket")
    def get(self, request: Request, ticket_id: int) -> Response:
        """The ticket with what was said and done; its `ETag` is its version."""
        ticket = self.visible(ticket_id)
        return Response(shapes.TicketDetailSerializer(ticket).data, headers={"ETag": f'"{ticket.version}"'})


class EditView(TicketView):
    """Corrections."""

    @documented(
        "tickets",
        _ONE,
        name="ticket_edit",
        summary="Correct a ticket",
        request=shapes.EditBody,
        refused=BOUND,
        matched=True,
    )
    def post(self, request: Request, ticket_id: int) -> Response:
        """Correct what a ticket says. Another category brings its own deadlines, and perhaps another team."""
        values = self.values(shapes.EditBody)

        def work() -> None:
            seen = values.pop("seen_version")
            if "category" in values:
                values["category"] = self.category(values["category"])
            tickets.edit(ticket_id=ticket_id, seen_version=seen, fields=values, actor=self.person, now=timezone.now())

        return self.do(ticket_id, work, values)


class ReplyView(TicketView):
    """Answering the customer."""

    @documented(
        "tickets",
        _ONE,
        name="ticket_reply",
        summary="Answer the customer",
        request=shapes.ReplyBody,
        refused=WRITE,
        matched=True,
    )
    def post(self, request: Request, ticket_id: int) -> Response:
        """Answer the customer; passwords, cards and the like are masked."""
        values = self.values(shapes.ReplyBody)
        return self.do(
            ticket_id, lambda: tickets.reply(ticket_id=ticket_id, actor=self.person, now=timezone.now(), **values), values,
            needed=False,
        )  # fmt: skip


class ReceiveView(TicketView):
    """What the customer writes."""

    @documented(
        "tickets", _ONE, name="ticket_receive", summary="Take in what the customer wrote", request=shapes.WordsBody,
        refused=WRITE, matched=True,
    )  # fmt: skip
    def post(self, request: Request, ticket_id: int) -> Response:
        """Take in what the customer wrote: a ticket that waits or is resolved is open again."""
        text = self.values(shapes.WordsBody)["text"]
        return self.do(ticket_id, lambda: tickets.receive(ticket_id=ticket_id, text=text, now=timezone.now()))


class TicketNoteView(TicketView):
    """Notes for colleagues."""

    @documented(
        "tickets",
        _ONE,
        name="ticket_note",
        summary="Write a note",
        request=shapes.WordsBody,
        refused=WRITE,
        matched=True,
    )
    def post(self, request: Request, ticket_id: int) -> Response:
        """Write a line for colleagues; the customer does not see it."""
        text = self.values(shapes.WordsBody)["text"]
        return self.do(
            ticket_id, lambda: tickets.note(ticket_id=ticket_id, text=text, actor=self.person, now=timezone.now())
        )


class AssignView(TicketView):
    """Assigning."""

    @documented(
        "tickets", _ONE, name="ticket_assign", summary="Give the ticket to somebody", request=shapes.AssignBody,
        refused=BOUND, matched=True,
    )  # fmt: skip
    def post(self, request: Request, ticket_id: int) -> Response:
        """Give the ticket to somebody who works in its scope, or back to the queue."""
        values = self.values(shapes.AssignBody)

        def work() -> None:
            assignee = self._person(values.pop("assignee"))
            tickets.assign(ticket_id=ticket_id, assignee=assignee, actor=self.person, now=timezone.now(), **values)

        return self.do(ticket_id, work, values)

    @staticmethod
    def _person(username: str | None) -> User | None:
        if username is None:
            return None
        found = User.objects.filter(username=username, is_active=True).first()
        if found is None:
            raise MissingInformation(fields={"assignee": ["This person cannot work this ticket."]})
        return found


class MoveView(TicketView):
    """What becomes of a ticket."""

    @documented(
        "tickets", _ONE, name="ticket_move", summary="Wait, resume, resolve, reopen or close", request=shapes.MoveBody,
        refused=BOUND, matched=True,
    )  # fmt: skip
    def post(self, request: Request, ticket_id: int) -> Response:
        """Put the ticket into another state. 409 `ticket_changed` if it is not what you looked at."""
        values = self.values(shapes.MoveBody)
        move = _MOVES[values.pop("transition")]
        return self.do(
            ticket_id, lambda: move(ticket_id=ticket_id, actor=self.person, now=timezone.now(), **values), values
        )


class MergeView(TicketView):
    """Duplicates."""

    @documented(
        "tickets",
        _ONE,
        name="ticket_merge",
        summary="Merge a duplicate",
        request=shapes.MergeBody,
        refused=BOUND,
        matched=True,
    )
    def post(self, request: Request, ticket_id: int) -> Response:
        """Merge this duplicate into another ticket of the same scope; what its customer writes from now on goes there."""
        values = self.values(shapes.MergeBody)
        into = values.pop("into")
        now = timezone.now()
        return self.do(
            ticket_id,
            lambda: tickets.merge(ticket_id=ticket_id, into_id=into, actor=self.person, now=now, **values),
            values,
        )
