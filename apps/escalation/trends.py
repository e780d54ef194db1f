"""How the escalation does over a period: levels, deadlines, times, and what people said of it.

The dashboard shows it, and the agenda of the monthly and the quarterly review is made of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Aggregate, Count, DurationField, Exists, ExpressionWrapper, F, Min, OuterRef, Q, QuerySet
from django.db.models.functions import TruncDate

from apps.core.models import User
from apps.escalation.models import Clock, Feedback, FlagEvent, Indicator, RiskFlag, Ticket

Kind = FlagEvent.Kind
Level = RiskFlag.Level
NO_TICKET, NO_CATEGORY = "Not from a ticket", "No category"
NO_INDICATOR = "No indicator"


class Median(Aggregate):
    """The middle of lengths of time; None where there is none."""

    function = "percentile_cont"
    template = "percentile_cont(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"

    def __init__(self, expression: object) -> None:
        super().__init__(expression, output_field=DurationField())


@dataclass(frozen=True, slots=True, kw_only=True)
class OfLevel:
    """What a level did in a period.

    Attributes:
        raised, before: flags raised in the period, and in the one of the same length before.
        open, late: flags that are open now, and of them those whose deadline has passed.
        missed: flags of which a deadline passed in the period.
        closing: median time from raising to the end, of those that ended in the period.
    """

    level: int
    raised: int
    before: int
    open: int
    late: int
    missed: int
    ended: int
    closing: timedelta | None

    @property
    def label(self) -> str:
        """``5 Critical``."""
        return str(Level(self.level).label)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What people said of escalations of a kind."""

    label: str
    useful: int
    useless: int

    @property
    def share(self) -> float | None:
        """How many of the answers say useful, 0 to 1."""
        total = self.useful + self.useless
        return self.useful / total if total else None


@dataclass(frozen=True, slots=True)
class Said:
    """Feedback of a period.

    Attributes:
        all: everybody's.
        flags: how many flags were spoken of.
        by_indicator, by_category, by_level: parts that have answers, the most answers first.
        missing: fields that people missed, the most missed first.
    """

    all: Opinion
    flags: int
    by_indicator: tuple[Opinion, ...]
    by_category: tuple[Opinion, ...]
    by_level: tuple[Opinion, ...]
    missing: tuple[tuple[str, int], ...]


def visible(user: User | None) -> QuerySet[RiskFlag]:
    """The flags of a person's scopes; all for None. What only was proposed does not count."""
    rows: QuerySet[RiskFlag] = RiskFlag.objects.visible_to(user) if user else RiskFlag.objects.all()
    return rows.exclude(step=RiskFlag.Step.PROPOSED).order_by()


def by_level(*, user: User | None, start: datetime, end: datetime, now: datetime) -> tuple[OfLevel, ...]:
    """The five levels, the gravest first. Three queries."""
    flags, before = visible(user), start - (end - start)
    late = Exists(_running().filter(flag=OuterRef("pk"), target="step", due_at__lte=now))
    ended = Q(resolved_at__gte=start, resolved_at__lt=end)
    lasted = ExpressionWrapper(F("resolved_at") - F("raised_at"), output_field=DurationField())
    counted = flags.annotate(late=late).values("level").annotate(
        raised=Count("pk", filter=Q(raised_at__gte=start, raised_at__lt=end)),
        before=Count("pk", filter=Q(raised_at__gte=before, raised_at__lt=start)),
        open=Count("pk", filter=Q(status="open")),
        overdue=Count("pk", filter=Q(status="open", late=True)),
        ended=Count("pk", filter=ended),
    )  # fmt: skip
    found = {row["level"]: row for row in counted}
    closing = dict(flags.filter(ended).values_list("level").annotate(middle=Median(lasted)))
    missed = dict(_missed(flags, start, end).values_list("flag__level").annotate(flags=Count("flag", distinct=True)))
    nothing = dict.fromkeys(("raised", "before", "open", "overdue", "ended"), 0)
    return tuple(
        OfLevel(
            level=level, raised=row["raised"], before=row["before"], open=row["open"], late=row["overdue"],
            missed=missed.get(level, 0), ended=row["ended"], closing=closing.get(level),
        )
        for level in sorted(Level.values, reverse=True)
        for row in [found.get(level, nothing)]
    )  # fmt: skip


def acknowledging(*, user: User | None, start: datetime, end: datetime) -> timedelta | None:
    """Median time from raising a flag of level 3 and above to somebody's saying that they have it in hand, of those raised in
    the period."""
    first = Min("events__at", filter=Q(events__kind=Kind.ACKNOWLEDGED))
    graver = visible(user).filter(raised_at__gte=start, raised_at__lt=end, level__gte=Level.MEDIUM)
    rows = graver.annotate(first=first).filter(first__isnull=False).values_list("raised_at", "first")
    waits = sorted(answered - raised for raised, answered in rows)
    return waits[len(waits) // 2] if waits else None


def missed_by_step(*, user: User | None, start: datetime, end: datetime) -> list[tuple[str, int]]:
    """On which steps deadlines passed in a period, the worst first."""
    clocks = [key for key in _missed(visible(user), start, end).values_list("data__clock", flat=True) if key]
    steps = Counter(Clock.objects.filter(pk__in=clocks).values_list("step", flat=True))
    return [(RiskFlag.Step(step).label, count) for step, count in steps.most_common()]


def by_indicator(*, user: User | None, start: datetime, end: datetime) -> list[tuple[str, int, int]]:
    """How many flags each indicator has in a period and in the one before, the most first."""
    before = start - (end - start)
    counted = visible(user).filter(raised_at__gte=before, raised_at__lt=end).values("indicator").annotate(
        now=Count("pk", filter=Q(raised_at__gte=start)), before=Count("pk", filter=Q(raised_at__lt=start))
    )  # fmt: skip
    rows = [(_indicator(row["indicator"]), row["now"], row["before"]) for row in counted]
    return sorted(rows, key=lambda row: (-row[1], -row[2], row[0]))


def by_day(*, user: User | None, start: datetime, end: datetime) -> list[tuple[date, int]]:
    """Flags raised on each day (UTC) of a period."""
    flags = visible(user).filter(raised_at__gte=start, raised_at__lt=end)
    found = dict(flags.annotate(day=TruncDate("raised_at")).values_list("day").annotate(Count("pk")))
    days = [start.date() + timedelta(days=number) for number in range((end - start).days)]
    return [(day, found.get(day, 0)) for day in days]


def feedback(*, user: User | None, start: datetime, end: datetime) -> Said:
    """What people said of escalations in a period. Two queries."""
    rows = Feedback.objects.filter(at__gte=start, at__lt=end, flag__in=visible(user).values("pk")).order_by()
    answers = list(
        rows.values_list(
            "useful", "missing_fields", "flag_id", "flag__indicator", "flag__level", "flag__source", "flag__references"
        )
    )
    tickets = {flag: _ticket(source, references) for _, _, flag, _, _, source, references in answers}
    categories = dict(
        Ticket.objects.filter(pk__in=[key for key in tickets.values() if key]).values_list("pk", "category__name")
    )
    indicators, levels, about = _Tally(), _Tally(), _Tally()
    everything, missing = _Tally(), Counter[str]()
    for useful, fields, flag, indicator, level, _, _ in answers:
        everything.add("All", useful)
        indicators.add(_indicator(indicator), useful)
        levels.add(str(Level(level).label), useful)
        ticket = tickets[flag]
        about.add((categories.get(ticket) or NO_CATEGORY) if ticket in categories else NO_TICKET, useful)
        missing.update(fields)
    whole = everything.opinions() or (Opinion("All", 0, 0),)
    return Said(whole[0], len(tickets), indicators.opinions(), about.opinions(), levels.opinions(), _fields(missing))


class _Tally:
    """Answers by label."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, Counter[bool]] = defaultdict(Counter)

    def add(self, label: str, useful: bool) -> None:
        self._counts[label][useful] += 1

    def opinions(self) -> tuple[Opinion, ...]:
        """The most answers first."""
        ranked = sorted(self._counts.items(), key=lambda pair: (-pair[1].total(), pair[0]))
        return tuple(Opinion(label, count[True], count[False]) for label, count in ranked)


def _ticket(source: str, references: Iterable[str]) -> int | None:
    """The ticket that a flag was raised from, or else the first one that it names."""
    for one in (source, *references):
        kind, _, key = one.partition(":")
        if kind == "ticket" and key.isdigit():
            return int(key)
    return None


def _fields(missing: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    names = {field.name: str(field.verbose_name).capitalize() for field in RiskFlag._meta.concrete_fields}
    ranked = sorted(missing.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple((names.get(name, name), count) for name, count in ranked)


def _indicator(slug: str) -> str:
    return str(Indicator(slug).label) if slug in Indicator.values else NO_INDICATOR


def _missed(flags: QuerySet[RiskFlag], start: datetime, end: datetime) -> QuerySet[FlagEvent]:
    """Deadlines of steps that passed in a period."""
    passed = FlagEvent.objects.filter(kind=Kind.OVERDUE, at__gte=start, at__lt=end)
    rows: QuerySet[FlagEvent] = passed.filter(flag__in=flags.values("pk")).order_by()
    return rows


def _running() -> QuerySet[Clock]:
    rows: QuerySet[Clock] = Clock.objects.filter(status=Clock.Status.RUNNING).order_by()
    return rows
