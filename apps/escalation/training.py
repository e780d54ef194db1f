"""Training: who is due which course, and that they completed it.

A course is due again so many days after it was completed, by the most demanding of a person's roles; it is due at once to
who never did it, and after a major change of the document that it teaches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import Max

from apps.core.decisions import Entry, record
from apps.core.models import User
from apps.core.notifications import notify
from apps.escalation.binding import SCOPE, MissingInformation, NotAllowed
from apps.escalation.models import Completion, Course, DocumentVersion

RECORD = "escalation.add_completion"
KIND = "training"
REMIND_BEFORE = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Due:
    """How a person stands with a course.

    Attributes:
        due_on: the day by which it has to be done (again).
        last: the last completion, if there was one.
        why: in words.
    """

    user: User
    course: Course
    due_on: date
    last: date | None
    why: str

    def overdue(self, today: date) -> bool:
        """Whether the day has passed."""
        return self.due_on < today


def standing(*, today: date, users: Iterable[User] | None = None) -> list[Due]:
    """Who has to do which course by when, the most urgent first. Three statements and one per course.

    Args:
        users: only these people; everybody with a role that needs it if None.
    """
    roles = _roles(users)
    last = {
        (course, user): day
        for course, user, day in Completion.objects.order_by()
        .values_list("course", "user")
        .annotate(Max("completed_on"))
    }
    found = []
    for course in Course.objects.select_related("document"):
        changed = _changed(course)
        for user, names in roles.items():
            every = min((days for role, days in course.every_days.items() if role in names), default=None)
            if every is not None:
                found.append(_due(user, course, every, last.get((course.pk, user.pk)), changed, today))
    return sorted(found, key=lambda one: (one.due_on, one.course.title, one.user.get_username()))


def _roles(users: Iterable[User] | None) -> dict[User, set[str]]:
    people = User.objects.filter(is_active=True, groups__isnull=False).distinct().prefetch_related("groups")
    if users is not None:
        people = people.filter(pk__in=[user.pk for user in users])
    roles: dict[User, set[str]] = defaultdict(set)
    for user in people:
        roles[user] = {group.name for group in user.groups.all()}
    return roles


def _changed(course: Course) -> date | None:
    """When the last major version of the course's document came into force."""
    if course.document_id is None:
        return None
    versions = DocumentVersion.objects.filter(document=course.document_id, major=True, approved_at__isnull=False)
    at = versions.order_by("-approved_at").values_list("approved_at", flat=True).first()
    return at.date() if at else None


def _due(user: User, course: Course, every: int, last: date | None, changed: date | None, today: date) -> Due:
    if last is None:
        first = max(user.date_joined.date(), changed) if changed else user.date_joined.date()
        return Due(user, course, min(first + REMIND_BEFORE, first + timedelta(days=every)), None, "Never done")
    if changed and changed > last:
        return Due(user, course, changed + REMIND_BEFORE, last, f"{course.document} changed on {changed}")
    return Due(user, course, last + timedelta(days=every), last, f"Every {every} days, last on {last}")


@transaction.atomic
def complete(*, course: Course, user: User, on: date, actor: User, today: date) -> Completion:
    """Record that a person completed a course; recorded again for the same day, it stays one record.

    Raises:
        NotAllowed: the actor does not record trainings.
        MissingInformation: the day lies ahead.
    """
    if not actor.is_active or not actor.has_perm(RECORD):
        raise NotAllowed
    if on > today:
        raise MissingInformation(fields={"completed_on": ["The day lies ahead."]})
    done, created = Completion.objects.get_or_create(
        course=course, user=user, completed_on=on, defaults={"recorded_by": actor}
    )
    if created:
        record(
            Entry(
                scope=SCOPE, actor=actor, action="training_completed", subject=f"user:{user.pk}", rationale=str(course),
                payload={"course": course.slug, "on": on.isoformat()},
            )
        )  # fmt: skip
    return done


def remind(*, now: datetime) -> int:
    """Remind everybody whose training falls due within two weeks, once a week and course. Returns how many reminders."""
    today, count = now.date(), 0
    year, week, _ = today.isocalendar()
    for one in standing(today=today):
        if one.due_on > today + REMIND_BEFORE:
            continue
        late = one.overdue(today)
        notify(
            kind=KIND,
            recipients=[one.user],
            title=f"Training {'overdue' if late else 'due'}: {one.course}",
            body=f"{'It was' if late else 'It is'} due on {one.due_on}. {one.why}.",
            url="/admin/escalation/course/standing/",
            dedupe_key=f"training:{one.course.pk}:{year}-{week}",
        )
        count += 1
    return count
