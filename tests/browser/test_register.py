"""The risk register in a real browser: heat map, acceptance by two people, import, keyboard alone, narrow and dark."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from apps.core.models import User
from apps.core.roles import Role
from apps.register import incidents, reviews, tasks
from apps.register.checking import checks
from apps.register.models import Acceptance, CheckResult, Incident, Rating, RegisterReview, Risk
from apps.register.papers.importing import preview
from apps.register.runs import run_checks
from tests.browser.conftest import Desk
from tests.browser.test_escalation import tab_to
from tests.core.factories import person
from tests.register.desk import an_acceptance, an_owned_risk
from tests.register.factories import (
    a_category,
    a_control,
    a_mitigation,
    a_scored_risk,
    an_assessment,
    three,
)

pytestmark = pytest.mark.browser

BASE = "/admin/register"
PAPER = """# Small

## Fire Risks

1. **Sparks at the saw**
   - Probability: High
   - Impact: High
   - Mitigation: Sweep the floor; keep sand ready

2. **Old wiring**
   - Probability: Low
   - Impact: Medium
   - Mitigation: Replace it

Something nobody understands.
"""


@pytest.fixture
def keeper(site: str) -> User:
    return person(Role.RISK_MANAGER)


def an_incident(keeper: User) -> Incident:
    now = timezone.now()
    return incidents.open_incident(
        title="Fire", description="It burns.", severity=4, started_at=now - timedelta(hours=1), actor=keeper, now=now
    )


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_every_page_fits_and_keeps_the_policy(desk: Callable[..., Desk], keeper: User, width: int, theme: str) -> None:
    now = timezone.now()
    assessment = an_assessment(next_review_on=now.date())
    risk = a_scored_risk(3, 3, title="Sparks", owner=keeper, assessment=assessment, category=a_category("Fire", "Saw"))
    an_acceptance(a_scored_risk(owner=person(Role.SUPPORT_MANAGER)))
    mitigation = a_mitigation(risk, owner=keeper, due_on=now.date())
    control = a_control()
    mitigation.controls.add(control)
    review = RegisterReview.objects.create(assessment=assessment, due_on=now.date(), status="planned")
    reviews.start(review_id=review.pk, actor=keeper, now=now)
    incident = an_incident(keeper)
    row = preview(name="small.md", data=PAPER.encode(), actor=keeper, now=now)
    matrix = three().matrix_id
    one = desk(width=width, theme=theme)
    one.log_in(keeper)
    for path in (
        "risk/", "risk/heat-map/", f"risk/{risk.pk}/change/", f"risk/{risk.pk}/edit/", f"risk/{risk.pk}/rate/",
        f"risk/{risk.pk}/mitigate/", f"risk/{risk.pk}/request/", "riskassessment/", f"riskassessment/{assessment.pk}/change/",
        f"riskassessment/{assessment.pk}/report/", f"riskassessment/{assessment.pk}/changes/", "mitigation/",
        f"mitigation/{mitigation.pk}/change/", "control/", f"control/{control.pk}/change/", "registerreview/",
        f"registerreview/{review.pk}/change/", "incident/", f"incident/{incident.pk}/change/", "riskimport/",
        "riskimport/upload/", f"riskimport/{row.pk}/change/", "matrix/", f"matrix/{matrix}/change/", f"matrix/{matrix}/version/",
        "checkversion/",
    ):  # fmt: skip
        one.open(f"{BASE}/{path}")
        assert one.overflow() == 0, path


def test_a_number_of_the_heat_map_leads_to_its_risks(desk: Callable[..., Desk], keeper: User) -> None:
    a_scored_risk(3, 3, title="Sparks at the saw")
    a_scored_risk(1, 1, title="A squeaking door")
    one = desk()
    one.log_in(keeper)
    one.open(f"{BASE}/risk/heat-map/")
    one.page.locator(".heat-maps a").filter(has_text="1").first.click()
    one.page.wait_for_url("**/risk/?cell=current-*")
    shown = one.page.locator("#result_list").inner_text()
    assert ("Sparks at the saw" in shown) != ("A squeaking door" in shown)


def test_two_people_accept_a_risk(desk: Callable[..., Desk], keeper: User) -> None:
    risk, owner = an_owned_risk()
    asking = desk()
    asking.log_in(owner)
    asking.open(f"{BASE}/risk/{risk.pk}/change/")
    asking.page.get_by_role("link", name="Ask for acceptance").click()
    asking.page.fill("#id_expires_on", (timezone.now() + timedelta(days=30)).date().isoformat())
    asking.page.fill("#id_reason", "Small, and dear to mend.")
    asking.page.get_by_role("button", name="Ask").click()
    asking.page.get_by_text("Somebody else decides; they are told.").wait_for()
    assert asking.page.get_by_role("link", name="Accept the risk").count() == 0

    deciding = desk()
    deciding.log_in(keeper)
    deciding.open(f"{BASE}/risk/{risk.pk}/change/")
    deciding.page.get_by_role("link", name="Accept the risk").click()
    deciding.page.get_by_text("Small, and dear to mend.").wait_for()
    deciding.page.fill("#id_reason", "Agreed.")
    deciding.page.get_by_role("button", name="Accept").click()
    deciding.page.get_by_role("heading", name="Acceptance", exact=True).wait_for()
    risk.refresh_from_db()
    made = Acceptance.objects.get()
    assert (risk.status, made.requested_by, made.decided_by) == ("accepted", owner, keeper)


def test_while_all_checks_look_the_page_tells_how_far_they_are_by_itself(
    desk: Callable[..., Desk], keeper: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.run_one_check, "apply_async", lambda **options: None)  # no worker takes them here
    cache.delete("register:round")
    one = desk()
    one.log_in(keeper)
    one.open(f"{BASE}/checkversion/")
    one.page.get_by_role("button", name="Run all checks now").click()
    one.page.get_by_text(f"0 of {len(checks)} have looked").wait_for()
    run_checks(now=timezone.now(), slugs=["circuit-breakers"])
    one.page.get_by_text(f"1 of {len(checks)} have looked").wait_for(timeout=10_000)  # without a click
    now = timezone.now()
    for check in checks:
        if check.slug != "circuit-breakers":
            CheckResult.objects.create(
                check_slug=check.slug, outcome="pass", summary="Well.", checked_at=now, since=now, seconds=0.1
            )
    one.page.get_by_text(f"All {len(checks)} checks have looked").wait_for(timeout=10_000)
    assert one.page.locator("[data-live=going]").count() == 0
    cache.delete("register:round")


def test_controls_are_filtered_by_what_they_say(desk: Callable[..., Desk], keeper: User) -> None:
    a_control(title="Nobody looked")
    one = desk(width=390, theme="dark")
    one.log_in(keeper)
    one.open(f"{BASE}/control/?says=unknown&overdue=yes")
    words = one.page.locator("#result_list").inner_text()
    assert "Nobody looked" in words
    assert "Overdue" in words
    assert one.overflow() == 0


def test_a_document_is_looked_at_before_it_is_applied(desk: Callable[..., Desk], keeper: User) -> None:
    one = desk()
    one.log_in(keeper)
    one.open(f"{BASE}/riskimport/")
    one.page.get_by_role("link", name="Import a document").click()
    file = {"name": "small.md", "mimeType": "text/markdown", "buffer": PAPER.encode()}
    one.page.set_input_files("input[type=file]", [file])
    one.page.get_by_role("button", name="Read it").click()
    one.page.get_by_text("Nothing is in the register yet.", exact=True).wait_for()
    words = one.page.locator("main").inner_text()
    for expected in ("Sparks at the saw", "Old wiring", "keep sand ready", "Something nobody understands."):
        assert expected in words
    assert not Risk.objects.exists()
    one.page.get_by_role("button", name="Apply").click()
    one.page.wait_for_url("**/riskassessment/*/change/")
    assert sorted(Risk.objects.values_list("title", flat=True)) == ["Old wiring", "Sparks at the saw"]


def test_by_keyboard_alone_a_risk_is_found_and_scored(desk: Callable[..., Desk], keeper: User) -> None:
    risk = a_scored_risk(3, 3, title="Sparks", owner=keeper)
    one = desk()
    one.log_in(keeper)
    one.open(f"{BASE}/risk/{risk.pk}/change/")
    tab_to(one, "Score")
    one.page.keyboard.press("Enter")
    one.page.get_by_role("heading", name="Score the risk").wait_for()
    for _ in range(60):
        one.page.keyboard.press("Tab")
        if one.page.evaluate("document.activeElement.name") == "impact":
            break
    one.page.keyboard.press("ArrowUp")
    one.page.keyboard.press("Tab")
    one.page.keyboard.type("The floor is swept.")
    one.page.keyboard.press("Control+Enter")
    one.page.get_by_text("of 100.").wait_for()
    latest = Rating.objects.get(risk=risk, kind="current", latest=True)
    assert (latest.impact, latest.rated_by, latest.reason) == (2, keeper, "The floor is swept.")
