"""What the rail and the home page say about the escalation: to each role what it has to do next."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Count, F, Q

from apps.core import home
from apps.escalation.ladder import steps_of
from apps.escalation.models import Proposal, Review, ReviewItem, RiskFlag, Ticket
from apps.escalation.proposals import DECIDE
from apps.escalation.reviews import HOLD
from apps.escalation.ticket_binding import WORK

if TYPE_CHECKING:
    from apps.core.models import User

SOON = timedelta(hours=4)
SHOWN = 5
# A flag's turn is told with the words of what has to be done next.
TO_DO = {
    RiskFlag.Step.DOCUMENTED: "For the weekly review",
    RiskFlag.Step.LEAD_REVIEW: "To review",
    RiskFlag.Step.MANAGER_REVIEW: "To confirm",
    RiskFlag.Step.ESCALATED: "To hand over",
    RiskFlag.Step.RISK_MANAGEMENT: "To assess",
    RiskFlag.Step.ASSESSMENT: "To assess",
    RiskFlag.Step.RESPONSE_PLAN: "To plan",
    RiskFlag.Step.RESOLUTION: "To resolve",
    RiskFlag.Step.VERIFICATION: "To verify",
}

home.link(
    group="Work",
    title="Board",
    icon="escalate",
    url_name="admin:escalation_riskflag_board",
    permission="escalation.view_riskflag",
    order=18,
)
home.link(
    group="Work",
    title="Risk dashboard",
    icon="chart",
    url_name="admin:escalation_riskflag_dashboard",
    permission="escalation.view_riskflag",
    order=19,
)


@home.panel(
    slug="ladder", title="Risk flags: your turn", icon="escalate", order=5, permission="escalation.change_riskflag"
)
def turn_panel(user: User, now: datetime) -> home.Content | None:
    """What waits for the person's roles, the first deadline on top. Three queries. Nothing for who has no turn."""
    from apps.escalation.admin.shared import left, level_tone  # admin pages exist only once the apps are loaded

    steps = steps_of(user)
    if not steps:
        return None
    turn = RiskFlag.objects.visible_to(user).open().filter(step__in=steps).with_due()
    count = turn.order_by().aggregate(
        all=Count("pk"),
        late=Count("pk", filter=Q(due__lte=now)),
        soon=Count("pk", filter=Q(due__gt=now, due__lte=now + SOON)),
        grave=Count("pk", filter=Q(level__gte=RiskFlag.Level.HIGH)),
        asked=Count("pk", filter=Q(waiting=True)),
        confirm=Count("pk", filter=Q(step=RiskFlag.Step.MANAGER_REVIEW)),
    )
    board = home.address("admin:escalation_riskflag_board")
    url = f"{board}?only=turn"
    shown = [("Overdue", "late", "bad"), (f"Due in {SOON.seconds // 3600} h", "soon", "warn")]
    if RiskFlag.Step.MANAGER_REVIEW in steps:
        shown.append(("To confirm", "confirm", "info"))
    shown += [("Level 4 or 5", "grave", "bad"), ("Not in hand", "asked", "warn")]
    rows = turn.order_by(F("due").asc(nulls_last=True), "-level", "raised_at")[:SHOWN] if count["all"] else []
    return home.Content(
        stats=[
            home.Stat(value=count[name], label=label, tone=tone if count[name] else "muted", url=url)
            for label, name, tone in shown
        ],
        rows=[
            home.Row(
                title=flag.title,
                url=home.address("admin:escalation_riskflag_change", flag.pk),
                meta=TO_DO[RiskFlag.Step(flag.step)],
                badge=f"Level {flag.get_level_display()}",
                tone=level_tone(flag.level),
                side=left(flag.due, now) if flag.due else "no deadline",
            )
            for flag in rows
        ],
        empty_title="No flag waits for you",
        empty="What your role has to bring on stands here, the first deadline on top.",
        url=url,
        more="Board",
    )


@home.panel(slug="flags", title="Open risk flags", icon="flag", order=30, permission="escalation.view_riskflag")
def flags_panel(user: User, now: datetime) -> home.Content | None:
    """The gravest open flags, the person's own first; for those whose roles have no turn on the ladder. Two queries."""
    from apps.escalation.admin.shared import level_tone

    if steps_of(user):
        return None
    flags = RiskFlag.objects.visible_to(user).open().annotate(mine=Q(raised_by=user))
    return home.Content(
        rows=[
            home.Row(
                title=flag.title,
                url=home.address("admin:escalation_riskflag_change", flag.pk),
                meta=f"{'Raised by you · ' if flag.raised_by_id == user.pk else ''}{flag.get_step_display()}",
                badge=f"Level {flag.get_level_display()}",
                tone=level_tone(flag.level),
                at=flag.raised_at,
            )
            for flag in flags.order_by(F("mine").desc(nulls_last=True), "-level", "-raised_at")[:SHOWN]
        ],
        empty_title="No open risk flag",
        empty="Flags that people raise from tickets and cards stand here until they are resolved.",
        url=home.address("admin:escalation_riskflag_changelist"),
        more="All flags",
    )


@home.panel(slug="tickets", title="Your tickets", icon="mail", order=7, permission=WORK)
def tickets_panel(user: User, now: datetime) -> home.Content:
    """The person's own open tickets, the first deadline on top, and how many nobody has. Two queries."""
    from apps.escalation.admin.shared import STATUS_TONES, left

    seen = Ticket.objects.visible_to(user).open()
    own = Q(assignee=user)
    count = seen.order_by().aggregate(
        own=Count("pk", filter=own & ~Q(status=Ticket.Status.WAITING)),
        held=Count("pk", filter=own & Q(status=Ticket.Status.WAITING)),
        nobody=Count("pk", filter=Q(assignee=None)),
    )
    url = home.address("admin:escalation_ticket_changelist")
    rows = list(seen.filter(own).with_due().order_by(F("due").asc(nulls_last=True), "-priority", "created_at")[:SHOWN])
    return home.Content(
        stats=[
            home.Stat(value=count["own"], label="Your turn", tone="info", url=f"{url}?whose=mine"),
            home.Stat(value=count["held"], label="Waiting", tone="muted", url=f"{url}?state=waiting"),
            home.Stat(
                value=count["nobody"], label="Nobody’s", tone="warn" if count["nobody"] else "muted",
                url=f"{url}?whose=nobody",
            ),
        ],
        rows=[
            home.Row(
                title=f"{one.number} {one.subject}",
                url=home.address("admin:escalation_ticket_change", one.pk),
                meta=one.requester_name or one.requester_contact or one.get_channel_display(),
                badge=one.get_status_display(),
                tone=STATUS_TONES[Ticket.Status(one.status)],
                side=left(one.due, now) if one.due else "",
            )
            for one in rows
        ],
        empty_title="You have no ticket",
        empty="Tickets reach you by your skills while you have room.",
        url=f"{url}?whose=mine",
        more="Tickets",
    )  # fmt: skip


@home.panel(slug="proposals", title="Proposed flags", icon="flag", order=12, permission=DECIDE)
def proposals_panel(user: User, now: datetime) -> home.Content | None:
    """What the indicators propose and nobody decided yet, the gravest first; nothing is shown when there is none."""
    from apps.escalation.admin.shared import level_tone

    waiting = Proposal.objects.visible_to(user).filter(status=Proposal.Status.OPEN)
    rows = list(waiting.order_by("-level", "-score")[: SHOWN + 1])
    url = home.address("admin:escalation_proposal_changelist")
    content = home.Content(
        rows=[
            home.Row(
                title=one.title,
                url=home.address("admin:escalation_proposal_change", one.pk),
                meta=one.get_indicator_display(),
                badge=f"Level {RiskFlag.Level(one.level).label}",
                tone=level_tone(one.level),
                at=one.created_at,
            )
            for one in rows[:SHOWN]
        ],
        url=url,
        more="All that wait" if len(rows) > SHOWN else "Proposals",
    )
    return content if rows else None


@home.panel(slug="reviews", title="Escalation reviews", icon="book", order=20, permission=HOLD, column="side")
def reviews_panel(user: User, now: datetime) -> home.Content:
    """The next review of each kind, and next actions of the person that are not done. Two queries."""
    today = now.date()
    planned = Review.objects.visible_to(user).exclude(status=Review.Status.COMPLETED).order_by("due_on")
    mine = ReviewItem.objects.filter(owner=user, done_at=None).exclude(next_action="").order_by("due_on")[:SHOWN]
    rows = [
        home.Row(
            title=one.get_kind_display(),
            url=home.address("admin:escalation_review_change", one.pk),
            meta=f"due {one.due_on}",
            badge=_state(one, today)[1],
            tone=_state(one, today)[0],
            icon="book",
        )
        for one in planned
    ]
    rows += [
        home.Row(
            title=item.next_action,
            url=home.address("admin:escalation_review_change", item.review_id),
            meta=f"yours until {item.due_on}",
            badge="Overdue" if item.due_on and item.due_on < today else "To do",
            tone="bad" if item.due_on and item.due_on < today else "info",
            icon="note",
        )
        for item in mine
    ]
    return home.Content(
        rows=rows,
        empty_title="No review is planned",
        empty="They are planned each night.",
        url=home.address("admin:escalation_review_changelist"),
        more="Escalation reviews",
    )


def _state(review: Review, today: date) -> tuple[str, str]:
    if review.status == Review.Status.RUNNING:
        return "info", "Being held"
    if review.due_on < today:
        return "bad", "Overdue"
    return ("warn", "Due today") if review.due_on == today else ("muted", "Planned")
