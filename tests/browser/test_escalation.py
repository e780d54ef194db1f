"""The pages of the escalation in a real browser: clean under the policy, no wider than the window, in both themes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone

from apps.core.models import Scope
from apps.core.roles import Role
from apps.escalation import calendars, documents, reviews, tickets
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
    monthly = reviews.begin(review_id=Review.objects.get(kind="monthly").pk, actor=actor, now=now)
    document = documents.protocol(now=now)
    one = desk(width=width, theme=theme)
    one.log_in(actor)
    for path in (
        "riskflag/board/", f"riskflag/{flag.pk}/change/", f"riskflag/{flag.pk}/move/confirm/", "riskflag/raise/",
        "ticket/", f"ticket/{ticket.pk}/change/", f"ticket/{ticket.pk}/assign/", f"review/{review.pk}/change/",
        "riskflag/dashboard/", f"review/{monthly.pk}/change/", f"document/{document.pk}/change/",
        f"document/{document.pk}/versions/{document.versions.get().pk}/", "document/", "course/standing/", "proposal/", f"calendar/{calendars.always().pk}/change/",
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


def test_by_keyboard_alone_a_flag_is_taken_in_hand_and_goes_on(desk: Callable[..., Desk], store: Scope) -> None:
    flag = raised(level=3, scope=store, now=timezone.now())
    one = desk()
    one.log_in(person(Role.TEAM_LEAD, store))
    one.open(f"{BASE}/riskflag/{flag.pk}/change/")
    tab_to(one, "I have it in hand")
    one.page.keyboard.press("Enter")
    one.page.get_by_text("the other rungs are not told any more").wait_for()
    tab_to(one, "On to the manager")
    one.page.keyboard.press("Enter")
    one.page.get_by_role("heading", name="On to the manager").wait_for()
    one.page.keyboard.type("Three customers of one depot.")
    one.page.keyboard.press("Control+Enter")
    one.page.get_by_text("Manager review").first.wait_for()
    flag.refresh_from_db()
    assert (flag.step, flag.assignee is not None) == ("manager_review", True)


def tab_to(one: Desk, words: str) -> None:
    """Press Tab until what has the focus says the words, as somebody without a mouse does."""
    for _ in range(120):
        one.page.keyboard.press("Tab")
        if one.page.evaluate("document.activeElement.textContent.trim()") == words:
            return
    raise AssertionError(f"Tab does not reach {words!r}.")
