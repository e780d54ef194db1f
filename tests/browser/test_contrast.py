"""Text can be read in both themes: at least 4.5 to 1 against what is behind it, on every kind of page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from apps.actions.models import ActionCard, Execution
from apps.escalation.models import RiskFlag
from tests.actions.desk import NOW, QUEUE, actions, make_card, url  # noqa: F401  # a fixture
from tests.browser.conftest import Desk
from tests.core.factories import ScopeFactory, UserFactory

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("actions")]

CONTRAST = Path(__file__).with_name("contrast.js").read_text()


def pages() -> list[str]:
    """Pages of every kind, with cards of every tier and state."""
    card, *_ = [make_card(risk_tier=tier) for tier in ActionCard.Tier]
    failed = make_card(status="failed")
    boss = UserFactory()
    Execution.objects.create(
        card=failed, action="tag-order", requested_by=boss, created_at=NOW, status="failed", last_error="No."
    )
    for status in ("executed", "dismissed", "escalated", "resolved"):
        make_card(status=status, closed_at=NOW)
    flags = [
        RiskFlag.objects.create(title="F", description="D", level=n, source=f"note:{n}", raised_at=NOW)
        for n in range(1, 6)
    ]
    scope = ScopeFactory()
    return [
        "/admin/", "/inbox/", "/inbox/settings/", "/admin/password_change/", "/admin/core/",
        QUEUE, QUEUE + "?status=all&q=order", QUEUE + "dashboard/", url(card), url(failed),
        *(url(card, page) for page in ("approve", "dismiss", "escalate", "note")), url(failed, "retry"),
        "/admin/actions/ruleversion/", "/admin/actions/ruleversion/rule/order-ageing/",
        "/admin/escalation/riskflag/", f"/admin/escalation/riskflag/{flags[0].pk}/change/",
        f"/admin/core/scope/{scope.pk}/change/", f"/admin/core/scope/{scope.pk}/history/",
        f"/admin/core/scope/{scope.pk}/delete/", f"/admin/core/user/{boss.pk}/delete/",
    ]  # fmt: skip


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 390)])
def test_text_can_be_read_and_stays_inside_the_window(desk: Callable[..., Desk], theme: str, width: int) -> None:
    one = desk(theme=theme, width=width)
    one.open("/admin/login/")
    faint = {"/admin/login/": one.page.evaluate(CONTRAST)}
    too_wide = {}
    one.log_in(UserFactory(is_staff=True, is_superuser=True))
    for path in pages():
        one.open(path)
        faint[path], too_wide[path] = one.page.evaluate(CONTRAST), one.overflow()
    assert {path: found for path, found in faint.items() if found} == {}
    assert {path: pixels for path, pixels in too_wide.items() if pixels > 0} == {}
