"""Signs of risk in what a customer writes: the escalation's own indicators, asked before the bot answers.

What they find becomes a proposal elsewhere, after the message was stored; here it only decides that no program answers.
"""

from __future__ import annotations

from datetime import datetime

from apps.chat.models import Conversation
from apps.escalation import reports
from apps.escalation.models import Report
from apps.escalation.thresholds import in_force

FEWEST = 3
"""A text of fewer words says nothing of the kind."""


def risk(text: str, conversation: Conversation, now: datetime) -> str:
    """The title of the first indicator that finds something in a text by its thresholds in force; empty if none does."""
    if len(text.split()) < FEWEST:
        return ""
    source = f"conversation:{conversation.pk}"
    seen = Report(source=source, subject=source, scope=conversation.scope, text=text, at=now)  # never stored
    for one in in_force("report"):
        if any(reports.found(one, now=now, report=seen)):
            return one.sign.title
    return ""
