"""The team lead's board: open flags by rung, each with the time that is left."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.escalation import levels
from apps.escalation.admin.flag_page import flag_url
from apps.escalation.admin.shared import left, level_tone
from apps.escalation.details import RAISE
from apps.escalation.ladder import ENDS, STAGES, steps_of
from apps.escalation.models import Clock, RiskFlag
from apps.escalation.rungs import circle

if TYPE_CHECKING:
    from apps.escalation.admin.flags import RiskFlagAdmin

MOST = 300
MINE, TURN = "mine", "turn"  # values of ?only=
FAR = datetime.max


@dataclass(frozen=True, slots=True)
class Line:
    """One flag of the board."""

    flag: RiskFlag
    url: str
    tone: str
    time: SafeString | str
    late: bool
    due_at: datetime | None
    waiting: str


def board(modeladmin: RiskFlagAdmin, request: HttpRequest) -> HttpResponse:
    """Show what is open, by step of the ladder, what is due first on top."""
    if not modeladmin.has_view_permission(request):
        raise PermissionDenied
    now, user = timezone.now(), request.user
    only = request.GET.get("only", "")
    rows = modeladmin.get_queryset(request).filter(status=RiskFlag.Status.OPEN).select_related("assignee", "scope")
    if only == MINE:
        rows = rows.filter(assignee=user)
    elif only == TURN:
        rows = rows.filter(step__in=steps_of(user))  # type: ignore[arg-type]  # staff only
    flags = list(
        rows.defer("evidence", "communications", "affected_customers").order_by("-level", "raised_at")[: MOST + 1]
    )
    lines = _lines(flags[:MOST], now)
    groups = [
        {"step": step, "owner": STAGES[step].owner.value, "lines": lines[step], "late": sum(one.late for one in lines[step])}
        for step in RiskFlag.Step
        if step not in ENDS and lines[step]
    ]  # fmt: skip
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": "Board",
        "opts": modeladmin.opts,
        "groups": groups,
        "counts": {group["step"]: (len(group["lines"]), group["late"]) for group in groups},  # type: ignore[arg-type]
        "stats": _stats([line for step in lines.values() for line in step]),
        "more": len(flags) > MOST,
        "only": only,
        "now": now,
        "may_raise": request.user.has_perm(RAISE),
        "media": modeladmin.media,
    }
    return TemplateResponse(request, "escalation/board.html", context)


def _lines(flags: list[RiskFlag], now: datetime) -> dict[str, list[Line]]:
    clocks: dict[int, dict[str, Clock]] = defaultdict(dict)
    for clock in Clock.objects.filter(flag__in=flags, status__in=["running", "paused"]):
        clocks[clock.flag_id or 0][clock.target] = clock
    protocol, grouped = levels.in_force(), defaultdict(list)
    for flag in flags:
        step, asked = clocks[flag.pk].get(Clock.Target.STEP), clocks[flag.pk].get(Clock.Target.ACKNOWLEDGE)
        rungs = circle(protocol, flag.step)
        waiting = "" if asked is None else _told(asked, rungs)
        due_at = step.due_at if step else None
        grouped[flag.step].append(
            Line(
                flag, flag_url(flag), level_tone(flag.level), left(due_at, now) if step else "no deadline",
                bool(due_at and due_at <= now), due_at, waiting,
            )
        )  # fmt: skip
    for found in grouped.values():
        found.sort(key=lambda line: (line.due_at.replace(tzinfo=None) if line.due_at else FAR, -line.flag.level))
    return grouped


def _told(clock: Clock, rungs: Any) -> str:
    """Who was told last and has not answered."""
    roles = rungs[clock.rung % len(rungs)]
    return f"{', '.join(role.value for role in roles)} told, nobody has it in hand yet"


def _stats(lines: list[Line]) -> list[dict[str, Any]]:
    return [
        {"value": len(lines), "label": "Open", "tone": "info"},
        {"value": sum(line.late for line in lines), "label": "Overdue", "tone": "bad"},
        {"value": sum(bool(line.waiting) for line in lines), "label": "Not in hand", "tone": "warn"},
        {
            "value": sum(line.flag.level >= RiskFlag.Level.HIGH for line in lines),
            "label": "Level 4 or 5",
            "tone": "bad",
        },
    ]
