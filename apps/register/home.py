"""What the rail and the home page say about the risk register."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from apps.core import home

if TYPE_CHECKING:
    from apps.core.models import User

VIEW = "register.view_risk"
SHOWN = 5

home.link(
    group="Risks", title="Heat map", icon="chart", url_name="admin:register_risk_heat", permission=VIEW, order=15,
)  # fmt: skip


@home.panel(slug="register", title="Risk register", icon="shield-alert", order=25, permission=VIEW, column="side")
def register_panel(user: User, now: datetime) -> home.Content:
    """What of the register needs this person: failing controls, late reviews and mitigations, acceptances to decide."""
    from apps.register.models import (  # this module is imported while the apps are loading
        Acceptance,
        CheckResult,
        Incident,
        Mitigation,
        RegisterReview,
        Risk,
    )

    today = now.date()
    register = home.address("admin:register_risk_changelist")
    late_reviews = RegisterReview.objects.visible_to(user).unfinished().filter(due_on__lt=today).count()
    mine = Mitigation.objects.filter(owner=user).unfinished()
    failing = CheckResult.objects.filter(latest=True, outcome__in=["fail", "error"]).count()
    incidents = Incident.objects.visible_to(user).unresolved().count()
    stats = [
        home.Stat(value=failing, label="Checks failing", tone="bad" if failing else "ok",
                  url=home.address("admin:register_checkversion_changelist")),
        home.Stat(value=late_reviews, label="Reviews overdue", tone="warn" if late_reviews else "ok",
                  url=f"{home.address('admin:register_registerreview_changelist')}?due=late"),
        home.Stat(value=incidents, label="Incidents", tone="bad" if incidents else "ok",
                  url=home.address("admin:register_incident_changelist")),
    ]  # fmt: skip
    if user.has_perm("register.decide_acceptance"):
        waiting = (
            Acceptance.objects.visible_to(user).filter(state=Acceptance.State.REQUESTED).exclude(requested_by=user)
        )
        stats.append(
            home.Stat(
                value=waiting.count(), label="Acceptances to decide", tone="info", url=f"{register}?acceptance=waiting"
            )
        )
    late = mine.filter(due_on__lte=today + timedelta(days=7)).order_by("due_on")[:SHOWN]
    gravest = Risk.objects.visible_to(user).filter(owner=user).open().order_by("-severity", "id")[: SHOWN - len(late)]
    rows = [
        home.Row(
            title=row.title, url=home.address("admin:register_mitigation_change", row.pk), icon="shield",
            badge="Overdue" if row.due_on and row.due_on < today else "Due soon", tone="bad" if row.due_on and row.due_on < today else "warn",
        )
        for row in late
    ]  # fmt: skip
    rows += [
        home.Row(title=risk.title, url=home.address("admin:register_risk_change", risk.pk), meta=risk.reference, icon="shield-alert")
        for risk in gravest
    ]  # fmt: skip
    return home.Content(
        stats=stats, rows=rows, empty="You own no risk and no mitigation.", url=register, more="Register"
    )
