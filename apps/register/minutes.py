"""The minutes of a review, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from apps.register.differences import named
from apps.register.models import RegisterReview

# What would begin another block or be read as markup is escaped, so that a title stays a title.
_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~])")


def plain(text: str) -> str:
    """One line of text that Markdown shows as it is."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


def minutes_of(review: RegisterReview, notes: str) -> str:
    """The minutes: when, by whom, notes, and each point with what was known, decided and to be done.

    Args:
        notes: Markdown, written by who held the review.
    """
    return "\n".join(_lines(review, notes)).strip() + "\n"


def _lines(review: RegisterReview, notes: str) -> Iterator[str]:
    yield f"# Review of {plain(str(review.assessment or review.risk))}"
    yield ""
    if review.gate is not None:
        yield f"- Gate: {plain(review.gate.name)}"
    yield f"- Due: {review.due_on}"
    yield f"- Held: {review.started_at:%Y-%m-%d %H:%M} to {review.completed_at:%Y-%m-%d %H:%M} UTC"
    yield f"- Led by: {plain(named(review.led_by)) if review.led_by else 'nobody'}"
    yield ""
    if notes:
        yield from (notes, "")
    for number, point in enumerate(review.points.select_related("action_owner", "decided_by"), start=1):
        yield f"## {number}. {plain(point.topic)}"
        yield ""
        for fact in point.facts:
            yield f"- {plain(str(fact))}"
        yield ""
        yield f"**Decided:** {plain(point.decision)}"
        if point.next_action:
            owner = named(point.action_owner) if point.action_owner else "nobody"
            yield ""
            yield f"**Next:** {plain(point.next_action)} ({plain(owner)})"
        yield ""
