"""The invented subscriptions, and what befell each of them, day by day."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Literal

from apps.subscriptions.renewal_dates import next_renewal

DAYS = 150
"""So many days back the risk was judged each day."""
LONG_AGO = 600
"""So many days back renewals were tried; the time before :data:`DAYS` is what a model learns from."""
Story = Literal["calm", "wobbly", "thin", "declined", "lapsed", "broke", "both", "recovered", "paused"]
# How often each story is told, of 100.
MIX: tuple[tuple[Story, int], ...] = (
    ("calm", 37), ("wobbly", 24), ("thin", 13), ("recovered", 8), ("declined", 7), ("lapsed", 5), ("broke", 2),
    ("both", 2), ("paused", 2),
)  # fmt: skip
SOFT = ("insufficient_funds", "try_again_later", "processing_error")
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
    first = today - timedelta(days=LONG_AGO - rng.randrange(28))
    due, dues = first, []
    while due < today:
        dues.append(due)
        due = next_renewal(due, "monthly")
    life.renews_on = due
    # Bad times of two or three renewals befell many before, so that they are to be learned from.
    bad = rng.randrange(4, len(dues)) if life.story != "wobbly" and rng.random() < 0.7 else 0
    payer = _Payer(rng, wobbly=life.story == "wobbly", bad=range(bad, bad + rng.choice((2, 3)) if bad else 0))
    for before_last, day in zip(range(len(dues) - 1, -1, -1), dues, strict=True):
        _renew(life, day, before_last, payer, rng)
    life.tries = [one for one in life.tries if one.at.date() < today]
    newest = [one for one in life.tries if one.renewal_on == dues[-1]]
    if newest and not any(one.paid for one in newest):
        life.renews_on = dues[-1]  # it is still owed
    _balances(life, rng, today, today - timedelta(days=DAYS - rng.randrange(28)))
    far = today + timedelta(days=rng.randrange(60, 300))
    ends = today - timedelta(days=rng.randrange(1, 25)) if life.story == "lapsed" else far
    life.approval_ends = datetime.combine(ends, time(12), UTC)


class _Payer:
    """How somebody pays. Who wobbles pays late before not paying at all: a pattern that the rules do not see, and that can
    be learned."""

    def __init__(self, rng: Random, *, wobbly: bool, bad: range) -> None:
        self._rng, self._wobbly, self._bad, self._late = rng, wobbly, bad, False

    def pays(self, before_last: int) -> Literal["at once", "late", "never"]:
        """How the next renewal is paid; ``before_last`` counts back from the newest."""
        chance = self._rng.random()
        if before_last in self._bad:
            return "never"
        if not self._wobbly:
            return "late" if chance < 0.05 else "at once"
        if self._late:
            self._late = False
            return "never" if chance < 0.8 else "at once"
        self._late = chance < 0.35
        return "late" if self._late else "at once"


def _renew(life: Life, day: date, before_last: int, payer: _Payer, rng: Random) -> None:
    """The tries of one renewal; ``before_last`` counts renewals back from the newest."""
    soft, way = rng.choice(SOFT), payer.pays(before_last)
    unlucky = (life.story in ("declined", "both") and before_last < 3) or (
        life.story == "recovered" and before_last in (1, 2)
    )
    if unlucky and life.story == "declined" and before_last == 0 and life.owner % 2:
        life.tries.append(Try(day, 1, _moment(day, rng), "expired_card"))
    elif unlucky or way == "never":
        life.tries.append(Try(day, 1, _moment(day, rng), soft))
        life.tries.append(Try(day, 2, _moment(day + timedelta(days=1), rng), soft))
    elif way == "late":
        life.tries.append(Try(day, 1, _moment(day, rng), soft))
        life.tries.append(Try(day, 2, _moment(day + timedelta(days=2 + rng.randrange(8)), rng)))
    else:
        life.tries.append(Try(day, 1, _moment(day, rng)))


def _balances(life: Life, rng: Random, today: date, first: date) -> None:
    day = first
    while day < today:
        days_left = (today - day).days
        factor = Decimal(rng.randrange(150, 900)) / 100
        if life.story == "thin" and days_left < 70:
            factor = Decimal(rng.randrange(100, 119)) / 100
        if life.story in ("broke", "both") and days_left < 45:
            factor = Decimal(rng.randrange(5, 90)) / 100
        if life.story == "recovered" and 20 < days_left < 60:
            factor = Decimal(rng.randrange(40, 99)) / 100
        life.balances.append((_moment(day, rng), (life.price * factor).quantize(Decimal("0.01"))))
        day += timedelta(days=14)
