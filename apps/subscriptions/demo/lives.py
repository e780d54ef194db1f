"""The invented subscriptions, and what befell each of them, day by day."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Literal

from apps.subscriptions.renewal_dates import next_renewal

DAYS = 150
Story = Literal["calm", "thin", "declined", "lapsed", "broke", "recovered", "paused"]
# How often each story is told, of 100.
MIX: tuple[tuple[Story, int], ...] = (
    ("calm", 62), ("thin", 13), ("recovered", 8), ("declined", 7), ("lapsed", 5), ("broke", 3), ("paused", 2),
)  # fmt: skip
PLANS = (
    ("Lamp care", Decimal("9.90")), ("Bulb box", Decimal("24.00")), ("Showroom licence", Decimal("149.00")),
    ("Trail club", Decimal("14.50")), ("Tent service", Decimal("39.00")), ("Team gear", Decimal("420.00")),
)  # fmt: skip
OWNERS = (
    "Ada Abel", "Ben Brandt", "Cleo Cruz", "Dan Dietz", "Eva Engel", "Finn Falk", "Gina Gold", "Hugo Hahn", "Ines Ibarra",
    "Jan Jensen", "Kira Koch", "Liam Lund", "Mia Moss", "Noa Nagel", "Otto Orth", "Pia Park", "Quin Quast", "Rosa Reed",
    "Sam Sand", "Tara Thorn", "Uwe Ull", "Vera Voss", "Will Wood", "Yara York",
)  # fmt: skip


@dataclass(slots=True)
class Try:
    """One attempt of a renewal."""

    renewal_on: date
    number: int
    at: datetime
    code: str = ""

    @property
    def paid(self) -> bool:
        return not self.code


@dataclass(slots=True)
class Life:
    """One subscription and its facts; each fact carries the day from which it is known.

    Attributes:
        balances: moments and amounts, oldest first.
        approval_ends: end of the only approval; None if there never was one.
    """

    story: Story
    plan: str
    price: Decimal
    owner: int
    renews_on: date
    tries: list[Try] = field(default_factory=list)
    balances: list[tuple[datetime, Decimal]] = field(default_factory=list)
    approval_ends: datetime | None = None


def lives(rng: Random, *, today: date, count: int) -> list[Life]:
    """So many invented subscriptions with monthly renewals, each by a story."""
    stories = [story for story, share in MIX for _ in range(share)]
    made = []
    for n in range(count):
        plan, price = PLANS[n % len(PLANS)]
        life = Life(stories[n * 37 % len(stories)], plan, price, n % len(OWNERS), today)
        _live(life, rng, today)
        made.append(life)
    return made


def _moment(day: date, rng: Random) -> datetime:
    return datetime.combine(day, time(rng.randrange(3, 22), rng.randrange(60)), UTC)


def _live(life: Life, rng: Random, today: date) -> None:
    first = today - timedelta(days=DAYS - rng.randrange(28))
    due, number, dues = first, 0, []
    while due < today:
        dues.append(due)
        due = next_renewal(due, "monthly")
    life.renews_on = due
    for number, day in enumerate(dues, 1 - len(dues)):
        _renew(life, day, -number, rng)
    unpaid = [one for one in life.tries if not one.paid and one.renewal_on == dues[-1]]
    if unpaid and life.story == "declined":
        life.renews_on = dues[-1]  # it is still owed
    _balances(life, rng, today, first)
    far = today + timedelta(days=rng.randrange(60, 300))
    ends = today - timedelta(days=rng.randrange(1, 25)) if life.story == "lapsed" else far
    life.approval_ends = datetime.combine(ends, time(12), UTC)


def _renew(life: Life, day: date, before_last: int, rng: Random) -> None:
    """The tries of one renewal; ``before_last`` counts renewals back from the newest."""
    soft = rng.choice(("insufficient_funds", "try_again_later", "processing_error"))
    failing = (life.story == "declined" and before_last < 3) or (life.story == "recovered" and before_last in (1, 2))
    if failing:
        code = "expired_card" if life.story == "declined" and before_last == 0 else soft
        life.tries.append(Try(day, 1, _moment(day, rng), code))
        if code == soft:
            life.tries.append(Try(day, 2, _moment(day + timedelta(days=3), rng), soft))
        return
    if rng.random() < 0.06:  # now and then one is paid at the second try
        life.tries.append(Try(day, 1, _moment(day, rng), soft))
        life.tries.append(Try(day, 2, _moment(day + timedelta(days=2), rng)))
        return
    life.tries.append(Try(day, 1, _moment(day, rng)))


def _balances(life: Life, rng: Random, today: date, first: date) -> None:
    day = first
    while day < today:
        days_left = (today - day).days
        factor = Decimal(rng.randrange(150, 900)) / 100
        if life.story == "thin" and days_left < 70:
            factor = Decimal(rng.randrange(100, 119)) / 100
        if life.story == "broke" and days_left < 45:
            factor = Decimal(rng.randrange(5, 90)) / 100
        if life.story == "recovered" and 20 < days_left < 60:
            factor = Decimal(rng.randrange(40, 99)) / 100
        life.balances.append((_moment(day, rng), (life.price * factor).quantize(Decimal("0.01"))))
        day += timedelta(days=14)
