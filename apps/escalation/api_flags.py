"""The API of risk flags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django.db.models import Prefetch
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apps.escalation import api_shapes as shapes
from apps.escalation import flags
from apps.escalation.api_base import BOUND, PAGE, WRITE, DeskView, documented, query
from apps.escalation.binding import VIEW, FlagNotFound, MissingInformation
from apps.escalation.details import RAISE
from apps.escalation.models import FlagEvent, RiskFlag, Ticket

_RELATED = ("scope", "assignee", "raised_by")
_STATES = [str(value) for value in RiskFlag.Status.values]
_LEVELS = [str(value) for value in RiskFlag.Level.values]
_ONE = {200: shapes.FlagDetailSerializer}


class FlagView(DeskView):
    """What the views of flags share."""

    sees, missing = VIEW, FlagNotFound

    def visible(self, flag_id: int) -> RiskFlag:
        """The flag, if it is there for this person."""
        rows = RiskFlag.objects.visible_to(self.person).select_related(*_RELATED)
        history = Prefetch("events", FlagEvent.objects.select_related("actor"))
        found: RiskFlag = self.one(rows.prefetch_related(history, "clocks"), flag_id)
        return found

    def detail(self, flag: RiskFlag) -> Any:
        """The flag as it is now."""
        return shapes.FlagDetailSerializer(flag, context={"person": self.person}).data

    def do(self, flag_id: int, work: Callable[[], Any], values: dict[str, Any] | None = None) -> Response:
        """Do something with a flag, if it is what ``If-Match`` says, and answer it."""
        flag = self.visible(flag_id)
        return self.answer_change(
            flag, work, values, needed=values is not None, shown=lambda: self.detail(self.visible(flag_id))
        )


class FlagsView(FlagView):
    """All flags that a person may see."""

    @documented(
        "flags", {200: shapes.FlagPage}, name="flags", summary="Risk flags, newest first", refused=(400, 401, 403, 429),
        parameters=[
            *PAGE,
            query("status", {"type": "array", "items": {"type": "string", "enum": _STATES}}, "May be given several times."),
            query("level", {"type": "array", "items": {"type": "string", "enum": _LEVELS}}, "May be given several times."),
        ],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Flags of your scopes."""
        rows = RiskFlag.objects.visible_to(self.person).filter(
            status__in=self.chosen("status", _STATES), level__in=self.chosen("level", _LEVELS)
        )
        return self.page(rows.select_related(*_RELATED), shapes.FlagSerializer)

    @documented(
        "flags", {201: shapes.FlagDetailSerializer}, name="flag_raise", summary="Raise a risk flag",
        request=shapes.FlagBody, refused=WRITE,
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Raise a flag by the Risk Flag template; the ladder begins at its level. From a ticket, it belongs to the ticket's
        scope, and the ticket's open flag is answered if it has one."""
        self.may(RAISE)
        values = self.values(shapes.FlagBody)

        def work() -> tuple[int, Any]:
            scope = self.scope(values.pop("scope", None))
            source = f"api:{uuid4()}"
            ticket = self._ticket(values.pop("ticket", None))
            if ticket:
                scope, source = ticket.scope, f"ticket:{ticket.pk}"
                values["references"] = [source, *values["references"]]
            if not values["title"].strip() or not values["description"].strip():
                raise MissingInformation(fields={"title": ["Say what it is about, and describe it."]})
            made = flags.raise_flag(
                **values, scope=scope, source=source, evidence=[], raised_by=self.person, now=timezone.now()
            )
            return 201, self.detail(made)

        return self.answer_once(work)

    def _ticket(self, ticket_id: int | None) -> Ticket | None:
        if ticket_id is None:
            return None
        mine = Ticket.objects.visible_to(self.person) if self.person.has_perm("escalation.view_ticket") else None
        found: Ticket | None = mine.select_related("scope").filter(pk=ticket_id).first() if mine is not None else None
        if found is None:
            raise MissingInformation(fields={"ticket": ["There is no such ticket."]})
        return found


class OneFlagView(FlagView):
    """One flag."""

    @documented("flags", _ONE, name="flag", summary="A risk flag")
    def get(self, request: Request, flag_id: int) -> Response:
        """The flag with its timeline, its deadlines and the steps that you may take; its `ETag` is its version."""
        flag = self.visible(flag_id)
        return Response(self.detail(flag), headers={"ETag": f'"{flag.version}"'})


class StepView(FlagView):
    """Steps on the ladder."""

    @documented(
        "flags",
        _ONE,
        name="flag_step",
        summary="Take a step on the ladder",
        request=shapes.StepBody,
        refused=BOUND,
        matched=True,
    )
    def post(self, request: Request, flag_id: int) -> Response:
        """Take one of the flag's `transitions`. 409 `flag_changed` if it is not what you looked at."""
        values = self.values(shapes.StepBody)
        fields = values.pop("information")
        now = timezone.now()
        return self.do(
            flag_id, lambda: flags.move(flag_id=flag_id, fields=fields, actor=self.person, now=now, **values), values
        )


class AcknowledgeView(FlagView):
    """Taking a flag in hand."""

    @documented(
        "flags", _ONE, name="flag_acknowledge", summary="Say that you have the flag in hand",
        refused=(400, 401, 403, 404, 409, 412, 413, 429), matched=True,
    )  # fmt: skip
    def post(self, request: Request, flag_id: int) -> Response:
        """Nobody further up is told from now on."""
        return self.do(flag_id, lambda: flags.acknowledge(flag_id=flag_id, actor=self.person, now=timezone.now()))


class LevelView(FlagView):
    """Levels."""

    @documented(
        "flags",
        _ONE,
        name="flag_level",
        summary="Set another level",
        request=shapes.LevelBody,
        refused=BOUND,
        matched=True,
    )
    def post(self, request: Request, flag_id: int) -> Response:
        """Set another level, with a reason; deadlines count again."""
        values = self.values(shapes.LevelBody)
        return self.do(
            flag_id,
            lambda: flags.change_level(flag_id=flag_id, actor=self.person, now=timezone.now(), **values),
            values,
        )


class FlagNoteView(FlagView):
    """Notes for colleagues."""

    @documented(
        "flags", _ONE, name="flag_note", summary="Write a note", request=shapes.WordsBody, refused=WRITE, matched=True
    )
    def post(self, request: Request, flag_id: int) -> Response:
        """Write a line for colleagues."""
        text = self.values(shapes.WordsBody)["text"]
        return self.do(
            flag_id, lambda: flags.add_note(flag_id=flag_id, text=text, actor=self.person, now=timezone.now())
        )
