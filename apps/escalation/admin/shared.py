"""What the admin pages of the escalation share: words, tones, references and time left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.utils.safestring import SafeString

from apps.core.facts import label
from apps.core.home import address
from apps.core.redaction import KINDS
from apps.core.templatetags.desk import age, ago, badge
from apps.escalation.models import Clock, RiskFlag, Ticket

DASH = SafeString('<span class="muted">–</span>')
# Where the kinds that references name have a page.
PAGES = {
    "action_card": "admin:actions_actioncard_change",
    "risk_flag": "admin:escalation_riskflag_change",
    "risk": "admin:register_risk_change",
    "ticket": "admin:escalation_ticket_change",
    "conversation": "chat_desk_number",
    "cluster": "admin:escalation_cluster_change",
    "proposal": "admin:escalation_proposal_change",
}
STATUS_TONES = {
    Ticket.Status.NEW: "warn",
    Ticket.Status.OPEN: "info",
    Ticket.Status.WAITING: "muted",
    Ticket.Status.RESOLVED: "ok",
    Ticket.Status.CLOSED: "muted",
    Ticket.Status.MERGED: "muted",
}
CLOCK_TONES = {
    Clock.Status.RUNNING: "info",
    Clock.Status.PAUSED: "muted",
    Clock.Status.MET: "ok",
    Clock.Status.MISSED: "bad",
    Clock.Status.CANCELLED: "muted",
}


def source_url(source: str) -> str:
    """The page of what a flag was raised from, such as ``action_card:17``; empty where there is none."""
    kind, _, key = source.partition(":")
    name = PAGES.get(kind, "")
    return address(name, int(key)) if name and key.isdigit() else ""


def source_words(source: str) -> str:
    """``action_card:17`` as ``Action card 17``."""
    kind, _, key = source.partition(":")
    if kind == "desk":
        return "By hand"
    return f"{label(kind)} {key}".strip()


def field_words(name: str) -> str:
    """A flag's field as its form calls it."""
    words = getattr(RiskFlag._meta.get_field(name), "verbose_name", name)
    return str(words).capitalize()


def masked_words(masked: Iterable[Mapping[str, Any]]) -> str:
    """What was masked before a text was kept, in words: ``2 × card number``."""
    return ", ".join(f"{one['count']} × {KINDS.get(one['kind'], one['kind'])}" for one in masked)


def links(sources: Iterable[str]) -> list[tuple[str, str]]:
    """Words and pages of several references; tickets by their numbers, in one query."""
    listed = list(sources)
    keys = {one.removeprefix("ticket:") for one in listed if one.startswith("ticket:")}
    wanted = [int(key) for key in keys if key.isascii() and key.isdigit() and len(key) < 18]
    numbers = dict(Ticket.objects.filter(pk__in=wanted).values_list("pk", "number")) if wanted else {}
    names = {f"ticket:{pk}": f"Ticket {number}" for pk, number in numbers.items()}
    return [(names.get(one) or source_words(one), source_url(one)) for one in listed]


def level_tone(level: int) -> str:
    """The tone of a level's badge."""
    return "bad" if level >= RiskFlag.Level.HIGH else "warn" if level == RiskFlag.Level.MEDIUM else "low"


def left_words(due_at: datetime | None, now: datetime) -> tuple[str, str]:
    """Tone and words of the time that is left: ``3 h left``, ``overdue by 2 d``, ``held``."""
    if due_at is None:
        return "muted", "held"
    words = age(due_at, now)
    if due_at <= now:
        return "bad", "overdue" if words == "just now" else f"overdue by {words.removesuffix(' ago')}"
    tone = "warn" if (due_at - now).total_seconds() < 3600 else "ok"
    return tone, "under a minute left" if words == "just now" else f"{words.removeprefix('in ')} left"


def left(due_at: datetime | None, now: datetime) -> SafeString:
    """The time that is left as a badge; the words say whether it is late."""
    return badge(*left_words(due_at, now), "clock")


def when(moment: datetime | None) -> SafeString:
    """How long ago, or a dash."""
    return ago(moment) if moment else DASH
