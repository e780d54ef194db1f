"""The ladder of the demonstration: the protocol in force, flags on every rung, proposals and reviews.

Everything is written by the same services as in earnest, at moments of the last days, so that timelines, deadlines and
their reasons are real.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from apps.core.models import Scope, User
from apps.escalation import documents, flags, levels, reviews, training
from apps.escalation.levels import in_force
from apps.escalation.models import Cluster, Course, Proposal, Report, Review, RiskFlag, Ticket

PEOPLE = ("agent", "lead", "manager", "director", "risk")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Title, level, indicator, hours since it was raised, and the steps that it took; each took an hour.
STORY: tuple[tuple[str, int, str, int, tuple[str, ...]], ...] = (
    ("Size chart shows inches as centimetres", 1, "", 30, ()),
    ("Order mails arrive twice for some customers", 2, "similar_reports", 50, ()),
    ("Refund form rejects addresses with umlauts", 2, "similar_reports", 200, ("close",)),
    ("Parcels of the Camden depot arrive a day late", 3, "unusual_pattern", 5, ()),
    ("Customers ask whether the dimmer is certified", 3, "compliance", 26, ("to_manager",)),
    ("Two customers call the return policy misleading", 3, "reputation", 90, ("to_manager", "reject")),
    ("Checkout charged twenty orders twice", 4, "severe_impact", 2, ()),
    ("Order history shows another customer's address", 5, "data", 1, ()),
    ("A lamp's transformer overheats", 4, "severe_impact", 30, ("confirm",)),
    ("Phishing mails in the shop's name", 4, "security", 52, ("confirm", "assess")),
    ("Carrier's depot burgled, forty parcels gone", 4, "severe_impact", 75, ("confirm", "assess", "plan")),
    ("Old invoices reachable by a guessed link", 5, "data", 60, ("confirm", "assess", "plan", "respond")),
    ("Vouchers could be used twice", 4, "security", 110, ("confirm", "assess", "plan", "respond", "resolve")),
    (
        "Payment page was down for an hour", 5, "severe_impact", 240,
        ("confirm", "assess", "plan", "respond", "resolve", "verify"),
    ),
)  # fmt: skip
WHO = {"to_manager": "lead", "close": "lead", "reject": "manager", "resolve": "manager", "confirm": "manager"}
REASONS = {
    "to_manager": "Seen in three tickets; not only ours, the depot confirms it.",
    "close": "Mended with Tuesday's release; two weeks without a new report.",
    "reject": "A matter of taste; the policy was read by counsel in spring.",
    "plan": "Likely to happen again; few customers, but each is hit hard.",
    "resolve": "The cause is gone; every customer concerned got a call.",
    "verify": "Seven days without a new report, and the test repeats it no more.",
}


@transaction.atomic
def load_ladder(*, now: datetime) -> bool:
    """Load it, all or none.

    Returns:
        False if there are documents already, or nobody of the demonstration's people.
    """
    people = {user.username: user for user in User.objects.filter(username__in=PEOPLE)}
    scopes = {scope.slug: scope for scope in Scope.objects.filter(slug__in=("northlight", "fjord"))}
    if Course.objects.exists() or len(people) < len(PEOPLE) or len(scopes) < 2:
        return False
    _protocol(people, now)
    _reviews_held(people, now)
    urgent = Ticket.objects.filter(scope=scopes["northlight"], status__in=["new", "open"]).order_by("-priority", "pk")
    _flags(scopes, list(urgent[:2]), people, now)
    _proposals(scopes, now)
    _review_begun(people, now)
    return True


def _protocol(people: dict[str, User], now: datetime) -> None:
    """The protocol: a version in force, and a draft that waits for approval."""
    document = documents.protocol(now=now - timedelta(days=120))
    first = document.versions.get(number=documents.FIRST)
    documents.approve(version_id=first.pk, actor=people["director"], now=now - timedelta(days=119))
    author, data = people["manager"], levels.delivered_data()
    data["levels"][2]["acknowledge"] = {"minutes": 120}
    body = first.body.replace(
        "**Contain it** where you can, and write down what you did.",
        "**Contain it** where you can, and write down what you did and when.",
    )
    documents.draft(
        document=document, number="1.1", body=body, data=data, actor=author, now=now - timedelta(days=2),
        changes="At level 3 each rung has two hours instead of four; containment is noted with its time.",
    )  # fmt: skip
    course = Course.objects.create(
        slug="risk-protocol", title="Finding, rating and escalating risks", document=document,
        every_days={"Support Agent": 365, "Team Lead": 91, "Support Manager": 91, "Risk Manager": 91},
    )  # fmt: skip
    for username, ago in (("agent", 100), ("lead", 100), ("risk", 40)):
        on = now.date() - timedelta(days=ago)
        training.complete(course=course, user=people[username], on=on, actor=author, today=now.date())


def _flags(scopes: dict[str, Scope], made: list[Ticket], people: dict[str, User], now: datetime) -> None:
    """A flag on every rung of the ladder."""
    for number, (title, level, indicator, hours, steps) in enumerate(STORY):
        at = now - HOUR * hours
        ticket = made.pop() if made and level >= 4 and not steps else None
        flag = flags.raise_flag(
            title=title, description=f"{title}. Reported by customers; the tickets say more.", level=level,
            source=f"ticket:{ticket.pk}" if ticket else f"demo:{number}", evidence=[],
            scope=scopes["fjord" if number in (9, 12) else "northlight"], raised_by=people["agent"], now=at,
            indicator=indicator, affected_count=number * 3 + 1, frequency="Since this week, several times a day.",
            impact="Customers write twice and wait.", containment="The product page carries a note.",
            communications="Those who wrote got an answer.", references=[f"ticket:{ticket.pk}"] if ticket else [],
        )  # fmt: skip
        for place, name in enumerate(steps, 1):
            flag = _step(flag, name, people, at + HOUR * place)
        if steps and flag.status == RiskFlag.Status.OPEN:
            whose = people["risk" if flag.step != RiskFlag.Step.RESOLUTION else "manager"]
            flags.acknowledge(flag_id=flag.pk, actor=whose, now=at + HOUR * len(steps) + HOUR / 4)
    last = RiskFlag.objects.filter(status=RiskFlag.Status.RESOLVED, level=5).first()
    if last:
        flags.feedback(
            flag_id=last.pk, actor=people["risk"], useful=True, comment="Everything was there at once.", now=now
        )


def _step(flag: RiskFlag, name: str, people: dict[str, User], at: datetime) -> RiskFlag:
    protocol = in_force()
    wanted = {"confirm": protocol.to_risk, "respond": protocol.to_support}.get(name, ())
    return flags.move(
        flag_id=flag.pk, seen_version=flag.version, transition=name, actor=people[WHO.get(name, "risk")], now=at,
        reason=REASONS.get(name, ""), fields={one.name: f"{one.label}: see the tickets." for one in wanted},
    )  # fmt: skip


def _proposals(scopes: dict[str, Scope], now: datetime) -> None:
    """What the indicators found: similar reports, and a wording."""
    scope = scopes["northlight"]
    cluster = Cluster.objects.create(
        scope=scope, title="The parcel says delivered but nothing came", reports=4, customers=4,
        first_at=now - 9 * HOUR, last_at=now - HOUR,
    )  # fmt: skip
    Report.objects.bulk_create(
        Report(source=f"demo:report:{number}", scope=scope, customer=f"demo-{number}", category="delivery", cluster=cluster,
               text="The parcel says delivered, but nothing came.", at=now - HOUR * (9 - 2 * number))
        for number in range(4)
    )  # fmt: skip
    facts = {"scope": scope, "created_at": now - HOUR, "updated_at": now - HOUR}
    Proposal.objects.create(
        indicator="similar_reports", subject=f"cluster:{cluster.pk}", title=cluster.title, level=3, score=4.0,
        reasons=["4 customers said nearly the same within 8 hours", "The first came 9 hours ago"], affected_count=4,
        evidence=[{"cluster": cluster.pk, "size": 4, "frequency": "4 reports in 8 hours"}], **facts,
    )  # fmt: skip
    Proposal.objects.create(
        indicator="reputation", subject="demo:wording", title="“I will tell the press”", level=3, score=2.5,
        reasons=["A threat to make it public"], affected_count=1, evidence=[{"size": 0}], **facts,
    )  # fmt: skip


def _reviews_held(people: dict[str, User], now: datetime) -> None:
    """A weekly review that was completed a week ago; what other parts of the demo had raised was taken note of."""
    then = now - 7 * DAY
    reviews.plan(now=then)
    weekly = Review.objects.get(kind=Review.Kind.WEEKLY)
    reviews.begin(review_id=weekly.pk, actor=people["director"], now=then)
    for item in weekly.items.filter(decision="").order_by("pk"):
        reviews.decide(
            item_id=item.pk, decision="Known, and being worked on.", actor=people["director"], now=then + HOUR / 2
        )
    reviews.complete(review_id=weekly.pk, notes="A quiet week.", actor=people["director"], now=then + HOUR)


def _review_begun(people: dict[str, User], now: datetime) -> None:
    """The weekly review of today, with its first decision."""
    weekly = Review.objects.get(kind=Review.Kind.WEEKLY, status=Review.Status.PLANNED)
    reviews.begin(review_id=weekly.pk, actor=people["director"], now=now)
    item = weekly.items.exclude(flag=None).order_by("pk").first()
    if item:
        reviews.decide(
            item_id=item.pk, decision="Risk Management and Support meet tomorrow at nine.", actor=people["director"],
            next_action="Invite both teams", owner=people["lead"], due_on=(now + DAY).date(), now=now,
        )  # fmt: skip
