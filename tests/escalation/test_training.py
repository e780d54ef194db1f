"""Who is due which training, completions and reminders."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from apps.core.models import Notification, User
from apps.core.roles import Role
from apps.escalation import training
from apps.escalation.binding import MissingInformation, NotAllowed
from apps.escalation.models import Course, Document, DocumentVersion
from tests.core.factories import person
from tests.escalation.factories import NOON

pytestmark = pytest.mark.django_db

TODAY = NOON.date()


@pytest.fixture
def course() -> Course:
    every = {"Support Agent": 365, "Team Lead": 91}
    return Course.objects.create(slug="risk", title="Risk identification", every_days=every)


def someone(role: Role, *, joined: int = 400) -> User:
    user = person(role)
    User.objects.filter(pk=user.pk).update(date_joined=NOON - timedelta(days=joined))
    user.refresh_from_db()
    return user


def done(course: Course, user: User, days_ago: int) -> None:
    lead = person(Role.TEAM_LEAD)
    on = TODAY - timedelta(days=days_ago)
    training.complete(course=course, user=user, on=on, actor=lead, today=TODAY)
    lead.is_active = False
    lead.save()


def due_of(user: User) -> list[training.Due]:
    return training.standing(today=TODAY, users=[user])


def test_annually_for_agents_quarterly_for_leads_never_for_others(course: Course) -> None:
    agent, lead, other = someone(Role.SUPPORT_AGENT), someone(Role.TEAM_LEAD), someone(Role.AUDITOR)
    for user in (agent, lead):
        done(course, user, 100)
    assert [one.due_on for one in due_of(agent)] == [TODAY + timedelta(days=265)]
    assert [one.due_on for one in due_of(lead)] == [TODAY - timedelta(days=9)]
    assert due_of(other) == []


def test_the_most_demanding_role_counts(course: Course) -> None:
    both = someone(Role.SUPPORT_AGENT)
    both.groups.add(*person(Role.TEAM_LEAD).groups.all())
    done(course, both, 100)
    assert due_of(both)[0].overdue(TODAY)


def test_who_never_did_it_is_due_two_weeks_after_joining(course: Course) -> None:
    new = someone(Role.SUPPORT_AGENT, joined=0)
    assert (due_of(new)[0].due_on, due_of(new)[0].why) == (TODAY + timedelta(days=14), "Never done")


def test_a_major_change_of_the_protocol_makes_it_due_again(course: Course) -> None:
    document = Document.objects.create(slug="d", title="Protocol", owner="o")
    Course.objects.filter(pk=course.pk).update(document=document)
    agent = someone(Role.SUPPORT_AGENT)
    done(course, agent, 10)
    facts = {"document": document, "body": "b", "changes": "c", "created_at": NOON, "approved_at": NOON}
    DocumentVersion.objects.create(number="1.1", state="superseded", **facts)
    assert not due_of(agent)[0].why.startswith("Protocol changed")
    DocumentVersion.objects.create(number="2.0", state="approved", major=True, **facts)
    assert (due_of(agent)[0].due_on, due_of(agent)[0].why) == (
        TODAY + timedelta(days=14),
        f"Protocol changed on {TODAY}",
    )


def test_only_who_records_trainings_records_them_and_not_ahead(course: Course) -> None:
    agent, lead = someone(Role.SUPPORT_AGENT), person(Role.TEAM_LEAD)
    with pytest.raises(NotAllowed):
        training.complete(course=course, user=agent, on=TODAY, actor=agent, today=TODAY)
    with pytest.raises(MissingInformation):
        training.complete(course=course, user=agent, on=date(2030, 1, 1), actor=lead, today=TODAY)
    first = training.complete(course=course, user=agent, on=TODAY, actor=lead, today=TODAY)
    assert training.complete(course=course, user=agent, on=TODAY, actor=lead, today=TODAY) == first


def test_reminders_come_once_a_week(course: Course) -> None:
    late, fine = someone(Role.SUPPORT_AGENT), someone(Role.SUPPORT_AGENT)
    done(course, fine, 10)
    training.remind(now=NOON)
    training.remind(now=NOON + timedelta(days=1))
    assert set(Notification.objects.values_list("recipient", flat=True)) == {late.pk}
    assert Notification.objects.count() == 1
    training.remind(now=NOON + timedelta(days=7))
    assert Notification.objects.count() == 2
