"""The pages of the escalation in a real browser: clean under the policy, no wider than the window, in both themes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone

from apps.core.models import Scope
from apps.core.roles import Role
from apps.escalation import calendars, reviews, tickets
from apps.escalation.models import Review, RiskFlag, Team
from tests.browser.conftest import Desk
from tests.core.factories import ScopeFactory, person
from tests.escalation.factories import raised

pytestmark = pytest.mark.browser

BASE = "/admin/escalation"


@pytest.fixture
def store(site: str) -> Scope:
    scope: Scope = ScopeFactory()
    Team.objects.create(scope=scope, name="Front desk", calendar=calendars.always())
    return scope


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_every_page_fits_and_keeps_the_policy(desk: Callable[..., Desk], store: Scope, width: int, theme: str) -> None:
    now = timezone.now()
    flag = raised(level=5, scope=store, now=now)
    ticket = tickets.create(subject="Where is it?", channel="email", message="Late.", scope=store, now=now)
    reviews.plan(now=now)
    actor = person(Role.ADMINISTRATOR)
    review = reviews.begin(review_id=Review.objects.get(kind="weekly").pk, actor=actor, now=now)
    one = desk(width=width, theme=theme)
    one.log_in(actor)
    for path in (
        "riskflag/board/", f"riskflag/{flag.pk}/change/", f"riskflag/{flag.pk}/move/confirm/", "riskflag/raise/",
        "ticket/", f"ticket/{ticket.pk}/change/", f"ticket/{ticket.pk}/assign/", f"review/{review.pk}/change/",
        "document/", "course/standing/", "proposal/", f"calendar/{calendars.always().pk}/change/",
    ):  # fmt: skip
        one.open(f"{BASE}/{path}")
        assert one.overflow() == 0, path


def test_a_flag_is_two_clicks_away_from_a_ticket(desk: Callable[..., Desk], store: Scope) -> None:
    ticket = tickets.create(
        subject="My data is online", channel="email", summary="Found it.", scope=store, now=timezone.now()
    )
    one = desk()
    one.log_in(person(Role.SUPPORT_AGENT, store))
    one.open(f"{BASE}/ticket/{ticket.pk}/change/")
    one.page.get_by_role("link", name="Raise a risk flag").click()
    one.page.get_by_role("button", name="Raise flag").click()
    one.page.get_by_text("Raised: My data is online").wait_for()
    assert RiskFlag.objects.get().references == [f"ticket:{ticket.pk}"]
