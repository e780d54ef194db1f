"""What a review talks about: flags and clusters, and standing points, each with the figures that it needs.

The figures are of the time since the last completed review of the kind, and are kept with the point, so that the minutes say
what the meeting saw. They count all scopes and name neither customers nor flags, because everybody who sees the review reads
them; flags are points of their own, which people see by their scopes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from django.db.models import QuerySet

from apps.core.numbers import plural
from apps.core.periods import share, span
from apps.escalation import documents, levels, proposals, training, trends
from apps.escalation.models import Cluster, Document, FlagEvent, Review, ReviewItem, RiskFlag

Kind, Status, Step = Review.Kind, Review.Status, RiskFlag.Step
# Days from the completion of one review to the next of its kind.
EVERY: Mapping[str, int] = MappingProxyType({Kind.WEEKLY.value: 7, Kind.MONTHLY.value: 30, Kind.QUARTERLY.value: 91})
MOST_CLUSTERS = 20
_TITLES = ("Level", "Raised", "Before", "Ended", "Open now", "Overdue now", "Passed a deadline", "Raised to end")


@dataclass(frozen=True, slots=True)
class Point:
    """One point of an agenda.

    Attributes:
        reason: why it is there; the title of a standing point.
        brief: what to know for it, as Markdown.
    """

    reason: str
    flag: RiskFlag | None = None
    cluster: Cluster | None = None
    brief: str = ""


@dataclass(frozen=True, slots=True)
class Period:
    """The time that a review looks back on."""

    start: datetime
    end: datetime

    def words(self) -> str:
        """``2026-03-02 to 2026-03-09``."""
        return f"{self.start:%Y-%m-%d} to {self.end:%Y-%m-%d}"


def since(review: Review) -> datetime | None:
    """When the last review of the kind was completed."""
    done = Review.objects.filter(kind=review.kind, status=Status.COMPLETED).exclude(pk=review.pk)
    found: datetime | None = done.order_by("-completed_at").values_list("completed_at", flat=True).first()
    return found


def points(review: Review, now: datetime) -> Iterator[Point]:
    """The agenda of a review that begins now: flags, each for the first reason that puts it there, then clusters, then what is
    talked about each time."""
    last = since(review)
    seen: set[int] = set()
    for flags, reason in _flags(review.kind, last, now):
        for flag in flags:
            if flag.pk not in seen:
                seen.add(flag.pk)
                yield Point(reason, flag=flag)
    clusters = Cluster.objects.filter(reports__gt=1)
    if last:
        clusters = clusters.filter(last_at__gte=last)
    for cluster in clusters.order_by("-customers", "-last_at")[:MOST_CLUSTERS]:
        yield Point(f"Similar reports: {cluster.reports} of {cluster.customers} customers", cluster=cluster)
    yield from _standing(review, _period(review, now))


def summary(review: Review, now: datetime) -> str:
    """What stands above the agenda, as Markdown: the levels of the time since the last review."""
    return _trends(_period(review, now))


def _period(review: Review, now: datetime) -> Period:
    return Period(since(review) or now - timedelta(days=EVERY[review.kind]), now)


def _flags(kind: str, last: datetime | None, now: datetime) -> Iterator[tuple[QuerySet[RiskFlag], str]]:
    opened = RiskFlag.objects.open().order_by("-level", "raised_at")
    yield opened.late(now), "Its deadline has passed"
    if kind == Kind.WEEKLY:
        yield opened.filter(level=3), "Level 3, pending"
        yield opened.filter(step=Step.DOCUMENTED), "Documented, levels 1 and 2"
        return
    yield opened.filter(level__gte=3), "Open, level 3 or above"
    ended = RiskFlag.objects.filter(step=Step.CLOSED, level__gte=3).order_by("-level", "resolved_at")
    yield ended.filter(resolved_at__gte=last) if last else ended, "Closed since the last review"


def _standing(review: Review, period: Period) -> Iterator[Point]:
    if review.kind != Kind.WEEKLY:
        yield Point("Trends of the levels", brief=_trends(period))
        yield Point("Precision of the indicators, and feedback", brief=_precision(period))
        yield Point("Deadlines that passed", brief=_deadlines(period))
        yield Point("Recurring issues, and whether mitigations hold", brief=_recurring(period))
        yield Point("Training", brief=_training(period))
    if review.kind == Kind.QUARTERLY:
        yield Point("The landscape of customer-facing risks: what is new, what is gone", brief=_landscape(period))
    if review.kind != Kind.WEEKLY:
        yield Point("The protocol: whether it still fits, and its next review", brief=_protocol(period))
    left = _actions(review, period)
    if left:
        yield Point("Next actions of earlier reviews that are not done", brief=left)


def _trends(period: Period) -> str:
    found = trends.by_level(user=None, start=period.start, end=period.end, now=period.end)
    rows = [
        (one.label, one.raised, one.before, one.ended, one.open, one.late, one.missed, span(one.closing))
        for one in found
    ]
    waited = trends.acknowledging(user=None, start=period.start, end=period.end)
    raised, before = sum(one.raised for one in found), sum(one.before for one in found)
    return "\n\n".join(
        [
            f"{period.words()}: {raised} flag{'' if raised == 1 else 's'} raised, {before} in the time of the same length before.",
            table(_TITLES, rows),
            f"Until somebody has a flag of level 3 and above in hand: {span(waited)} (median).",
        ]
    )


def _precision(period: Period) -> str:
    said = trends.feedback(user=None, start=period.start, end=period.end)
    useful = {one.label: share(one.share) for one in said.by_indicator}
    rows = [
        (one["label"], one["open"], one["confirmed"], one["rejected"], share(one["precision"]),
         useful.get(one["label"], "–"))
        for one in proposals.precision(since=period.start, until=period.end)
    ]  # fmt: skip
    words = f"Feedback on {plural(said.flags, 'flag')}: {said.all.useful} useful, {said.all.useless} not."
    if said.missing:
        words += " Missing: " + ", ".join(f"{name} ({count})" for name, count in said.missing[:5]) + "."
    return f"{table(('Indicator', 'Waiting', 'Confirmed', 'Rejected', 'Precision', 'Useful'), rows)}\n\n{words}"


def _deadlines(period: Period) -> str:
    late = RiskFlag.objects.open().late(period.end)
    now = Counter(Step(step).label for step in late.values_list("step", flat=True))
    passed = Counter(dict(trends.missed_by_step(user=None, start=period.start, end=period.end)))
    if not now and not passed:
        return "No deadline passed, and none is overdue."
    steps = [step.label for step in Step if now[step.label] or passed[step.label]]
    return table(("Step", "Passed since", "Overdue now"), [(step, passed[step], now[step]) for step in steps])


def _recurring(period: Period) -> str:
    """Indicators that have flags in this time and had some before; and resolutions that did not hold."""
    both = [row for row in trends.by_indicator(user=None, start=period.start, end=period.end) if row[1] and row[2]]
    back = FlagEvent.objects.filter(kind="step", data__transition="send_back", at__gte=period.start, at__lt=period.end)
    flags = back.values("flag").distinct().count()
    words = f"Sent back because the resolution did not hold: {flags} flag{'' if flags == 1 else 's'}."
    if not both:
        return f"No indicator has flags both in this time and before.\n\n{words}"
    return f"{table(('Indicator', 'Flags', 'Before'), both)}\n\n{words}"


def _training(period: Period) -> str:
    """How many are due and overdue by course; whose they are, the page of trainings says."""
    today = period.end.date()
    soon = today + training.REMIND_BEFORE
    people, late, due = Counter[str](), Counter[str](), Counter[str]()
    for one in training.standing(today=today):
        course = str(one.course)
        people[course] += 1
        late[course] += one.overdue(today)
        due[course] += not one.overdue(today) and one.due_on <= soon
    if not people:
        return "No course is set up, or nobody needs one."
    return table(
        ("Course", "People", "Overdue", "Due soon"), [(one, people[one], late[one], due[one]) for one in people]
    )


def _landscape(period: Period) -> str:
    rows = trends.by_indicator(user=None, start=period.start, end=period.end)
    new = [name for name, count, before in rows if count and not before]
    gone = [name for name, count, before in rows if before and not count]
    return "\n\n".join(
        [
            table(("Indicator", "This time", "The time before"), rows) if rows else "No flag in this time or before.",
            f"New: {', '.join(new) or 'none'}. Gone: {', '.join(gone) or 'none'}.",
        ]
    )


def _protocol(period: Period) -> str:
    document = Document.objects.filter(slug=levels.SLUG).first()
    if document is None:
        return "No version of the protocol was written yet; the delivered table holds."
    versions = list(document.versions.select_related("approved_by").order_by("-pk"))
    holds = next((one for one in versions if one.state == "approved"), None)
    late = document in documents.overdue(period.end.date())
    grave = RiskFlag.objects.filter(level=5, confirmed_at__gte=period.start, confirmed_at__lt=period.end).count()
    lines = [
        f"In force: {holds.number}, approved {holds.approved_at:%Y-%m-%d} by {holds.approved_by}." if holds
        else "No version is approved; the delivered table holds.",
        f"Last review: {document.last_reviewed_on or 'never'}. Next review: {document.next_review_on or 'not set'}"
        f"{', overdue' if late else ''}.",
        *(f"Waits for approval: {one.number}. {one.changes}" for one in versions if one.state == "draft"),
    ]  # fmt: skip
    if grave:
        lines.append(f"{grave} confirmed at level 5 in this time: the protocol is reviewed after a major incident.")
    return "\n".join(f"- {' '.join(line.split())}" for line in lines)


def _actions(review: Review, period: Period) -> str:
    """How many next actions of earlier reviews are open, by kind of review."""
    left = ReviewItem.objects.filter(done_at=None).exclude(next_action="").exclude(review=review).order_by()
    rows = list(left.values_list("review__kind", "due_on"))
    if not rows:
        return ""
    today = period.end.date()
    late = Counter(kind for kind, due in rows if due and due < today)
    counts = Counter(kind for kind, _ in rows)
    return table(("Review", "Not done", "Overdue"), [(Kind(one).label, counts[one], late[one]) for one in counts])


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    head = ["| " + " | ".join(titles) + " |", "|---|" + "---:|" * (len(titles) - 1)]
    return "\n".join([*head, *("| " + " | ".join(_cell(value) for value in row) + " |" for row in rows)])


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
