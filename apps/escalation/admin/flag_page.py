"""The page of one risk flag: where it stands on the ladder, why this deadline, what happened, and what can be done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from apps.core.asking import found
from apps.core.facts import evidence
from apps.core.models import User
from apps.core.people import user_of
from apps.escalation import levels
from apps.escalation.admin.shared import CLOCK_TONES, field_words, left, level_tone, links, masked_words
from apps.escalation.details import RAISE, may_edit
from apps.escalation.flags import may_acknowledge
from apps.escalation.ladder import ENDS, LEADS, RISK, STAGES, allowed, may_change_level, roles_of
from apps.escalation.levels import Protocol
from apps.escalation.models import Clock, FlagEvent, Handover, RiskFlag
from apps.escalation.rungs import circle

if TYPE_CHECKING:
    from apps.escalation.admin.flags import RiskFlagAdmin

Kind = FlagEvent.Kind
EVENT_TONES = {
    Kind.TOLD: "muted",
    Kind.OVERDUE: "bad",
    Kind.LEVEL: "warn",
    Kind.ACKNOWLEDGED: "ok",
    Kind.EDITED: "muted",
}
MOST_EVENTS = 200


def flag_page(modeladmin: RiskFlagAdmin, request: HttpRequest, pk: str) -> HttpResponse:
    """Show a flag."""
    flag: RiskFlag = found(modeladmin, request, pk, "raised_by", "scope", "assignee")
    now, protocol = timezone.now(), levels.in_force()
    user = user_of(request)
    asked = _asked(flag)
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": flag.title,
        "opts": modeladmin.opts,
        "flag": flag,
        "now": now,
        "tone": level_tone(flag.level),
        "level": protocol.level(flag.level),
        "source": links([flag.source])[0],
        "references": links(one for one in flag.references if one != flag.source),
        "evidence": evidence(flag.evidence),
        **_ladder(flag, protocol),
        **_history(flag, protocol, now),
        "offers": _offers(flag, user),
        "waits": asked and may_acknowledge(flag, user),
        "asked": asked,
        "asks": flag.step in ENDS and user.has_perm(RAISE) and not flag.feedback.filter(by=user).exists(),
        "media": modeladmin.media,
    }
    return TemplateResponse(request, "escalation/flag.html", context)


def flag_url(flag: RiskFlag, name: str = "change", *args: object) -> str:
    """The address of one of a flag's pages."""
    return reverse(f"admin:escalation_riskflag_{name}", args=[flag.pk, *args])


def _ladder(flag: RiskFlag, protocol: Protocol) -> dict[str, Any]:
    """Where the flag is, whose turn it is, and who is told when nobody answers."""
    if flag.step in ENDS:
        return {"stage": None, "rungs": []}
    return {
        "stage": STAGES[flag.step],
        "rungs": [", ".join(role.value for role in roles) for roles in circle(protocol, flag.step)],
    }


def _history(flag: RiskFlag, protocol: Protocol, now: datetime) -> dict[str, Any]:
    events = list(flag.events.select_related("actor").order_by("-id")[:MOST_EVENTS])
    clocks = list(flag.clocks.select_related("calendar").order_by("-id"))
    running = [clock for clock in clocks if clock.status in ("running", "paused")]
    names = {one.name: one.label for one in (*protocol.to_risk, *protocol.to_support)}
    return {
        "events": [
            (event, EVENT_TONES.get(Kind(event.kind), ""), _facts(event), masked_words(event.data.get("masked", ())))
            for event in events
        ],
        "passed": list(dict.fromkeys(step for event in reversed(events) for step in _steps(event))),
        "deadlines": [(clock, left(clock.due_at, now)) for clock in running],
        "past_clocks": [(clock, CLOCK_TONES[Clock.Status(clock.status)]) for clock in clocks if clock not in running],
        "handovers": [
            (told, [(names.get(name, name), told.fields[name]) for name in _in_order(told, names)])
            for told in flag.handovers.select_related("by").order_by("-id")
        ],
        "feedback": list(flag.feedback.select_related("by")),
    }


def _in_order(told: Handover, names: Mapping[str, str]) -> list[str]:
    """The information of a handover as the protocol lists it; what is no longer on the list stands last."""
    order = list(names)
    return sorted(told.fields, key=lambda name: order.index(name) if name in names else len(order))


def _steps(event: FlagEvent) -> list[str]:
    """The steps that an event left behind."""
    if event.kind == Kind.STEP:
        return [event.data["before"]]
    if event.kind == Kind.LEVEL and "step" in event.data:
        return [event.data["step"][0]]
    return []


def _facts(event: FlagEvent) -> str:
    """What the data of an event says, in words."""
    if event.kind == Kind.STEP:
        before, after = (RiskFlag.Step(event.data[name]).label for name in ("before", "after"))
        return f"{before} → {after}" + (f", recorded as {event.data['risk']}" if event.data.get("risk") else "")
    if event.kind == Kind.LEVEL:
        return f"Level {event.data['before']} → {event.data['level']}"
    if event.kind == Kind.EDITED:
        return "Changed: " + ", ".join(map(field_words, event.data.get("changes", {})))
    return ""


def _offers(flag: RiskFlag, user: User) -> list[dict[str, str]]:
    """What this person may do with the flag now."""
    offers = [
        {
            "url": flag_url(flag, "move", one.name), "words": one.label,
            "tone": "" if one.name in ("reject", "send_back") else "primary",
            "icon": "x" if one.name == "reject" else "undo" if one.name == "send_back" else "escalate",
        }
        for one in allowed(flag, user)
    ]  # fmt: skip
    if may_change_level(flag, user):
        offers.append({"url": flag_url(flag, "level"), "words": "Change level", "icon": "up"})
    if may_edit(flag, user):
        offers.append({"url": flag_url(flag, "edit"), "words": "Correct", "icon": "edit"})
    if flag.step not in ENDS:
        held = roles_of(user)
        for direction, roles, words in (
            (Handover.Direction.TO_RISK, LEADS, "Tell Risk Management more"),
            (Handover.Direction.TO_SUPPORT, RISK, "Tell Customer Support more"),
        ):
            if roles & held and flag.confirmed_at:
                offers.append({"url": flag_url(flag, "tell", direction.value), "words": words, "icon": "send"})
    if user.has_perm(RAISE):
        offers.append({"url": flag_url(flag, "note"), "words": "Add note", "icon": "note"})
        offers.append({"url": flag_url(flag, "feedback"), "words": "Feedback", "icon": "check-circle"})
    return offers


def _asked(flag: RiskFlag) -> bool:
    """Whether the flag waits for somebody of its rung to say that they have it in hand."""
    return flag.clocks.filter(status__in=["running", "paused"], target=Clock.Target.ACKNOWLEDGE).exists()
