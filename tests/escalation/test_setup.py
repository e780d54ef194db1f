"""Documents with approval, calendars with holidays that a person activates, proposals, and the pages of all of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.test import Client

from apps.core.models import User
from apps.core.roles import Role
from apps.escalation import calendars, documents, holiday_days, levels
from apps.escalation.admin.setup import DayForm
from apps.escalation.levels import InvalidProtocol
from apps.escalation.models import CalendarDay, Clock, DocumentVersion, Proposal, RiskFlag
from tests.core.factories import person
from tests.escalation.factories import NOON, calendar, raised

pytestmark = pytest.mark.django_db


def drafted(actor: User, number: str = "2.0", **changes: object) -> DocumentVersion:
    facts = {"body": "The text.", "changes": "First.", "data": levels.delivered_data()}
    return documents.draft(
        document=documents.protocol(now=NOON), number=number, actor=actor, now=NOON, **(facts | changes)
    )  # type: ignore[arg-type]


def test_a_version_holds_once_somebody_else_approved_it() -> None:
    author, director = person(Role.SUPPORT_DIRECTOR), person(Role.SUPPORT_DIRECTOR)
    version = drafted(author)
    with pytest.raises(documents.OwnDraft):
        documents.approve(version_id=version.pk, actor=author, now=NOON)
    documents.approve(version_id=version.pk, actor=director, now=NOON)
    assert levels.in_force().number == "2.0"
    document = documents.protocol(now=NOON)
    assert document.next_review_on == NOON.date() + timedelta(days=365)
    assert documents.overdue(NOON.date() + timedelta(days=366)) == [document]
    documents.approve(version_id=drafted(author, "2.1").pk, actor=director, now=NOON)
    version.refresh_from_db()
    assert version.state == "superseded"


def test_a_table_that_cannot_be_read_is_not_even_drafted() -> None:
    with pytest.raises(InvalidProtocol):
        drafted(person(Role.SUPPORT_DIRECTOR), data={"levels": []})


def test_an_approved_version_is_frozen_in_the_database() -> None:
    version = drafted(person(Role.SUPPORT_DIRECTOR))
    documents.approve(version_id=version.pk, actor=person(Role.RISK_MANAGER), now=NOON)
    for change in ({"body": "other"}, {"data": {}}, {"state": "draft"}):
        with pytest.raises(DatabaseError), transaction.atomic():
            DocumentVersion.objects.filter(pk=version.pk).update(**change)
    with pytest.raises(DatabaseError), transaction.atomic():
        DocumentVersion.objects.filter(pk=version.pk).delete()


def test_the_documents_pages(client: Client) -> None:
    author, director = person(Role.SUPPORT_MANAGER), person(Role.SUPPORT_DIRECTOR)
    client.force_login(author)
    assert client.get("/admin/escalation/document/").status_code == 200
    url = f"/admin/escalation/document/{documents.protocol(now=NOON).pk}/"
    form = client.get(f"{url}draft/").context["form"]
    table = form["table"].value()
    given = {"number": "1.1", "changes": "First.", "body": "Text", "table": table}
    assert client.post(f"{url}draft/", given).status_code == 302
    version = DocumentVersion.objects.get(number="1.1")
    assert client.get(f"{url}versions/{version.pk}/approve/").status_code == 403
    client.force_login(director)
    assert client.post(f"{url}versions/{version.pk}/approve/").status_code == 302
    assert "Immediate escalation" in client.get(f"{url}change/").content.decode()


def test_holidays_count_once_they_are_active_and_move_running_deadlines() -> None:
    manager, row = person(Role.SUPPORT_MANAGER), calendars.business()
    flag = raised(level=4, now=NOON)
    RiskFlag.objects.filter(pk=flag.pk).update(step="manager_review")
    assert holiday_days.propose(calendar=row, region="de", year=2026, actor=manager) >= 9
    assert holiday_days.propose(calendar=row, region="DE", year=2026, actor=manager) == 0
    day = CalendarDay.objects.create(calendar=row, day=NOON.date(), name="Strike")
    before = Clock.objects.get(flag=flag, target=Clock.Target.STEP).due_at
    assert holiday_days.activate(calendar=row, days=[day.pk], actor=manager, now=NOON) >= 1
    after = Clock.objects.get(flag=flag, target=Clock.Target.STEP).due_at
    assert before < after  # type: ignore[operator]  # both run
    day.refresh_from_db()
    assert day.activated_by == manager


def test_an_unknown_region_is_refused() -> None:
    with pytest.raises(holiday_days.UnknownRegion, match=r"country .XX."):
        holiday_days.propose(calendar=calendars.business(), region="XX", year=2026, actor=person(Role.SUPPORT_MANAGER))


def test_half_days_are_proposed_with_the_hours_that_are_left() -> None:
    row = calendars.business()
    row.hours.all().delete()
    for weekday in range(7):
        row.hours.create(weekday=weekday, opens=540, closes=1020)
    holiday_days.propose(calendar=row, region="IS", year=2026, actor=person(Role.SUPPORT_MANAGER))
    proposed = {str(day.day): day.intervals for day in row.days.all()}
    assert proposed["2026-12-24"] == [[540, 780]], "Christmas Eve, from 1pm"
    assert proposed["2026-12-25"] == []


def test_the_calendars_pages_take_times_of_day(client: Client) -> None:
    client.force_login(person(Role.SUPPORT_MANAGER))
    row = calendar()
    page = client.get(f"/admin/escalation/calendar/{row.pk}/change/").content.decode()
    assert 'value="09:00"' in page
    assert "Propose holidays" in page
    url = f"/admin/escalation/calendar/{row.pk}/"
    assert client.post(f"{url}propose/", {"region": "DE", "year": 2026}).status_code == 302
    day = row.days.earliest("day")
    assert client.post(f"{url}activate/", {"days": [day.pk]}).status_code == 302
    day.refresh_from_db()
    assert day.active


def test_a_proposal_is_confirmed_or_rejected_with_a_reason(client: Client) -> None:
    client.force_login(person(Role.RISK_MANAGER))
    made = [
        Proposal.objects.create(
            indicator="data", subject=f"ticket:{number}", title="Data seen", reasons=["exposed"], score=2.0, level=4,
            created_at=NOON, updated_at=NOON,
        )
        for number in range(2)
    ]  # fmt: skip
    yes, no = (f"/admin/escalation/proposal/{one.pk}/" for one in made)
    assert client.post(f"{yes}confirm/", {"seen": 1, "level": 5, "reason": ""}).status_code == 302
    assert client.post(f"{no}reject/", {"seen": 1, "reason": ""}).status_code == 400
    assert client.post(f"{no}reject/", {"seen": 1, "reason": "A test message"}).status_code == 302
    assert RiskFlag.objects.get().level == 5
    assert "50 %" in client.get("/admin/escalation/proposal/?state=all").content.decode()
    assert "A test message" in client.get(f"{no}change/").content.decode()


def test_the_training_page_shows_ones_own_to_an_agent(client: Client) -> None:
    client.force_login(person(Role.SUPPORT_AGENT))
    assert "These are your own" in client.get("/admin/escalation/course/standing/").content.decode()


@pytest.mark.parametrize(
    ("words", "minutes"),
    [("", []), ("09:00-12:00, 13:00-24:00", [[540, 720], [780, 1440]]), ("12:00-09:00", None), ("9-12", None)],
)
def test_half_days_are_written_as_times(words: str, minutes: list[list[int]] | None) -> None:
    form = DayForm({"day": "2026-12-24", "name": "Christmas Eve", "intervals": words})
    assert form.is_valid() is (minutes is not None)
    assert form.cleaned_data.get("intervals") == minutes
