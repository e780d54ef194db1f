"""Signs of risk in what a customer writes: the escalation's own indicators, asked before the bot answers.

What they find becomes a proposal elsewhere, after the message was stored; here it only decides that no program answers.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.chat.models import Conversation
from apps.escalation import phrases, reports
from apps.escalation.models import Phrase, Report
from apps.escalation.thresholds import in_force

FEWEST = 3
"""A text of fewer words says nothing of the kind."""
KEPT = timedelta(seconds=10)
"""For so long a process keeps the phrases: each message would read all of them otherwise."""
Phrases = tuple[tuple[str, float, str], ...]
_kept: dict[str, tuple[datetime, Phrases]] = {}


def risk(text: str, conversation: Conversation, now: datetime) -> str:
    """The title of the first indicator that finds something in a text by its thresholds in force; empty if none does."""
    if len(text.split()) < FEWEST or not phrases.score(text, _telling(now)).matches:
        return ""
    source = f"conversation:{conversation.pk}"
    seen = Report(source=source, subject=source, scope=conversation.scope, text=text, at=now)  # never stored
    for one in in_force("report"):
        if any(reports.found(one, now=now, report=seen)):
            return one.sign.title
    return ""


def _telling(now: datetime) -> Phrases:
    """The active phrases that speak for a risk; without any of them no indicator of wording finds anything."""
    held = _kept.get("all")
    if held and abs(now - held[0]) < KEPT:
        return held[1]
    rows = Phrase.objects.filter(active=True, weight__gt=0).order_by("pk")
    found: Phrases = tuple(rows.values_list("text", "weight", "reason"))
    _kept["all"] = (now, found)
    return found


def forget() -> None:
    """Read the phrases again; for tests."""
    _kept.clear()
