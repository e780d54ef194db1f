"""What a person may do about a risk now, as buttons of its page."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from apps.core.models import User
from apps.register.models import Acceptance, Risk
from apps.register.rights import may_with_risk


def offers(risk: Risk, user: User) -> list[dict[str, Any]]:
    """Buttons: the page, the words, the icon and the tone of each."""
    return [{"url": url, "words": words, "icon": icon, "tone": tone} for url, words, icon, tone in _found(risk, user)]


def _found(risk: Risk, user: User) -> list[tuple[str, str, str, str]]:
    def to(name: str, *args: object) -> str:
        return reverse(f"admin:register_risk_{name}", args=[risk.pk, *args])

    asked = risk.acceptances.filter(state__in=Acceptance.OPEN).first()
    waiting = asked is not None and asked.state == Acceptance.State.REQUESTED
    found = []
    if asked and waiting and user.has_perm("register.decide_acceptance") and asked.requested_by_id != user.pk:
        found += [(to("approve"), "Accept the risk", "check", "primary"), (to("reject"), "Reject", "x", "")]
    if not may_with_risk(user, risk, "register.change_risk"):
        return found
    closed = risk.status == Risk.Status.CLOSED
    if closed:
        return [*found, (to("reopen"), "Open again", "undo", "primary")]
    found += [(to("rate"), "Score", "chart", "" if found else "primary"), (to("edit"), "Edit", "edit", "")]
    found.append((to("mitigate"), "Add mitigation", "plus", ""))
    if asked is None:
        found.append((to("request"), "Ask for acceptance", "shield", ""))
    elif asked.requested_by_id == user.pk:
        found.append((to("withdraw"), "Withdraw the request" if waiting else "End the acceptance", "undo", ""))
    return [*found, (to("link"), "Link", "link", ""), (to("close"), "Close", "check-circle", "")]
