"""The minutes of a review as a Markdown file."""

from __future__ import annotations

from apps.core.models import User
from apps.escalation.models import Review, ReviewItem
from apps.escalation.reviews import items_for


def minutes(review: Review, user: User) -> str:
    """What was talked about and decided, as far as a person may see it."""
    items = items_for(review, user)
    lines = [
        f"# {review.get_kind_display()}, due {review.due_on}",
        "",
        f"- Led by: {_name(review.led_by)}",
        f"- Begun: {_moment(review.started_at)}",
        f"- Completed: {_moment(review.completed_at)}",
        f"- Items: {len(items)}",
        *(["", "## Levels", "", review.summary] if review.summary else []),
        "",
        "## Agenda and decisions",
        "",
    ]
    for number, item in enumerate(items, 1):
        lines += _of_item(number, item)
    lines += ["## Next actions", "", "| What | Who | Until | Done |", "|---|---|---|---|"]
    lines += [
        f"| {_cell(item.next_action)} | {_name(item.owner)} | {item.due_on or ''} | {_moment(item.done_at)} |"
        for item in items
        if item.next_action
    ]
    if review.notes:
        lines += ["", "## Notes", "", review.notes]
    return "\n".join(lines) + "\n"


def subject(item: ReviewItem) -> str:
    """What an item is about, in one line."""
    if item.flag:
        return f"Flag {item.flag_id}, level {item.flag.get_level_display()}: {item.flag.title}"
    if item.cluster:
        return f"Similar reports: {item.cluster.title}"
    return item.reason


def _of_item(number: int, item: ReviewItem) -> list[str]:
    about = f"### {number}. {_line(subject(item))}"
    brief = [item.brief, ""] if item.brief else []
    why = [f"- Why: {item.reason}"] if item.flag or item.cluster else []
    return [about, "", *brief, *why, f"- Decision: {_line(item.decision) or 'none yet'}", ""]


def _line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")


def _name(user: User | None) -> str:
    return (user.get_full_name() or user.get_username()) if user else "nobody"


def _moment(moment: object) -> str:
    return f"{moment:%Y-%m-%d %H:%M %Z}" if moment else "not yet"
