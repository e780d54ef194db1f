"""The words that say why a deadline is what it is: short steps in order, ready for JSON, bounded in number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from apps.core.business_time.opening import DAY, MINUTE, ORDINAL, Step, amount, day_name, wall

HEAD, TAIL = 8, 7  # steps kept at both ends of a long story
MOST = HEAD + TAIL + 1
NAMED = 4  # closed days that the collapsed middle calls by name


def step(kind: str, on: int, text: str, used: int = 0) -> Step:
    """A step on the day of an ordinal; ``used`` in microseconds."""
    return {"kind": kind, "on": date.fromordinal(on).isoformat(), "text": text, "minutes": used / MINUTE}


def spoken(local: datetime) -> str:
    """``Mon 4 May 09:30``."""
    return f"{day_name(local.date())} {local:%H:%M}"


def in_words(span: timedelta) -> str:
    """``90 min``."""
    return amount(span // timedelta(microseconds=1))


def local_name(local: int) -> str:
    """``Mon 4 May 09:30`` for microseconds of local time since 1970."""
    return f"{day_name(date.fromordinal(local // DAY + ORDINAL))} {wall(local % DAY // MINUTE)}"


def left_out(first: Step, last: Step, used: int, reasons: Sequence[str]) -> Step:
    """One step instead of many: how much was used meanwhile and which days were closed or short, by name."""
    named = ", ".join(reasons[:NAMED]) + (f" and {len(reasons) - NAMED} more" if len(reasons) > NAMED else "")
    start, end = date.fromisoformat(first["on"]), date.fromisoformat(last["on"])
    text = f"{day_name(start)} to {day_name(end)} used {amount(used)}" + (f"; among them {named}" if named else "")
    return step("more", start.toordinal(), text, used)


def collapse(steps: Sequence[Step], most: int = MOST) -> tuple[Step, ...]:
    """At most so many steps: the beginning and the end stay, one step counts what stood between them."""
    if len(steps) <= most:
        return tuple(steps)
    head = most // 2
    tail = most - head - 1
    middle = steps[head : len(steps) - tail]
    used = round(sum(each["minutes"] for each in middle) * MINUTE)
    text = f"{len(middle)} steps left out, used {amount(used)}"
    more: Step = {"kind": "more", "on": middle[0]["on"], "text": text, "minutes": used / MINUTE}
    return (*steps[:head], more, *steps[len(steps) - tail :])
