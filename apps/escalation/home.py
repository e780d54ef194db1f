"""What the rail and the home page say about the escalation."""

from __future__ import annotations

from apps.core import home

home.link(
    group="Work",
    title="Board",
    icon="escalate",
    url_name="admin:escalation_riskflag_board",
    permission="escalation.view_riskflag",
    order=18,
)
