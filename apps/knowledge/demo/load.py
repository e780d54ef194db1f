"""Loads the knowledge base of the demonstration: a small help centre with its owners, its history, and what it lacks.

Articles come in from files like any others, are reviewed by somebody else, and are published at moments of the last months.
What was asked is answered by this very search, so that confidences and gaps are not invented.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from django.db import transaction

from apps.core.models import Notification, User
from apps.knowledge import answers, drafts, gaps, keeping, reviewing
from apps.knowledge.demo.asked import ANSWERED, FEEDBACK, MISSED
from apps.knowledge.exchange import Read, read_papers
from apps.knowledge.indexing import index_left
from apps.knowledge.models import Article, ArticleFeedback, ArticleVersion, AskedQuestion, Category, Synonym
from apps.knowledge.search.retrieve import Reader
from apps.knowledge.taking_in import take_in

ARTICLES = Path(__file__).parent / "articles"
PEOPLE = ("content", "manager", "director", "lead")
DAY = timedelta(days=1)
SHELVES = (
    ("orders-and-delivery", "Orders and delivery", "Where it is, when it comes, and how to change it."),
    ("returns-and-refunds", "Returns and refunds", "Sending things back, and getting the money."),
    ("payment", "Payment and prices", "Ways to pay, codes and invoices."),
    ("account", "Your account", "Logging in, privacy and mails from us."),
    ("products", "Lamps and outdoor gear", "Using them, caring for them, warranty."),
    ("for-staff", "For staff", "How we decide."),
)
MANAGERS = frozenset({"refund-limits", "threats-and-press", "payment-failed", "discount-code-does-not-work"})
"""Articles that the manager owns; the others are the content owner's."""
# How many days ago an article went live, if not at :data:`BEGAN`; its review is due by its own rhythm.
LIVE_BEFORE = {"lamp-flickers": 66, "refund-limits": 58, "where-is-my-parcel": 84, "when-do-i-get-my-money-back": 97,
               "threats-and-press": 88}  # fmt: skip
BEGAN = 100
SYNONYMS = (
    ("parcel", "package", "shipment"),
    ("refund", "reimbursement"),
    ("coupon", "voucher", "code"),
    ("lamp", "light"),
)


def load(*, now: datetime, report: Callable[[str, int], object]) -> bool:
    """Load the knowledge base.

    Returns:
        False if an article is there already, or somebody of the demonstration's people is not.
    """
    people = {user.username: user for user in User.objects.filter(username__in=PEOPLE)}
    if Article.objects.exists() or len(people) < len(PEOPLE):
        return False
    report("Articles", 0)
    with transaction.atomic():
        _write(people, now)
        Notification.objects.filter(kind=reviewing.KIND, read_at=None).update(read_at=now)  # they are months old
        _later(people, now)
        _feedback(now)
    report("Indexing the articles", 0)
    index_left()
    report("Questions", 0)
    _ask(now)
    gaps.collect()
    return True


def _write(people: dict[str, User], now: datetime) -> None:
    """Shelves, articles in their first version, and words that mean the same."""
    for place, (slug, title, words) in enumerate(SHELVES, 1):
        facts = {"title": title, "description": words, "position": place * 10, "owner": people["content"]}
        Category.objects.get_or_create(slug=slug, defaults=facts)
    for same in SYNONYMS:
        Synonym.objects.create(words=list(same), added_by=people["content"], added_at=now - BEGAN * DAY)
    found = read_papers(ARTICLES)
    for owner in ("content", "manager"):
        mine = [one for one in found if (one.paper.slug in MANAGERS) == (owner == "manager")]
        _take_in(mine, people[owner], people["manager" if owner == "content" else "content"], now)


def _take_in(found: list[Read], owner: User, reviewer: User, now: datetime) -> None:
    for one in found:
        at = now - LIVE_BEFORE.get(one.paper.slug, BEGAN) * DAY
        take_in([one], actor=owner, now=at - 3 * DAY, submit=True)
        version = ArticleVersion.objects.get(article__slug=one.paper.slug)
        _live(version, owner, reviewer, at)


def _live(version: ArticleVersion, owner: User, reviewer: User, at: datetime) -> None:
    """Review a submitted version and publish it."""
    reviewing.approve(
        version_id=version.pk, seen_digest=version.digest, actor=reviewer, now=at - DAY, comment="Checked in the shop."
    )
    reviewing.publish(version_id=version.pk, actor=owner, now=at)


def _redraft(slug: str, before: str, after: str, changes: str, actor: User, at: datetime) -> ArticleVersion:
    """A draft in which one piece of the text is another."""
    article = Article.objects.get(slug=slug)
    version = drafts.new_draft(article_id=article.pk, actor=actor, now=at)
    return drafts.edit_draft(
        version_id=version.pk, seen_digest=version.digest, title=version.title, changes=changes, actor=actor, now=at,
        body=version.body.replace(before, after),
    )  # fmt: skip


def _submitted(version: ArticleVersion, at: datetime) -> ArticleVersion:
    return reviewing.submit(version_id=version.pk, seen_digest=version.digest, actor=version.author, now=at)


def _later(people: dict[str, User], now: datetime) -> None:
    """What happened since: a second version live, one to review, one sent back, one scheduled, one begun, one archived."""
    content, manager = people["content"], people["manager"]
    second = _redraft(
        "delivery-costs",
        "from an order of 75",
        "from an order of 60",
        "The limit is lower now",
        content,
        now - 40 * DAY,
    )
    _live(_submitted(second, now - 40 * DAY), content, manager, now - 38 * DAY)
    waits = _redraft(
        "return-an-item",
        "within **30 days**",
        "within **45 days**",
        "Longer time until January",
        content,
        now - 2 * DAY,
    )
    drafts.comment(version_id=waits.pk, text="Does that hold for sale goods, too?", actor=people["lead"], now=now - DAY)
    _submitted(waits, now - 2 * DAY)
    back = _submitted(
        _redraft("discount-code-does-not-work", "without spaces", "without spaces, in the field below the basket",
                 "The field has moved", manager, now - 6 * DAY), now - 5 * DAY,
    )  # fmt: skip
    reviewing.send_back(
        version_id=back.pk, seen_digest=back.digest, actor=content, now=now - 4 * DAY,
        reason="On a phone the field is behind “Add a code”. Say both, please.",
    )  # fmt: skip
    soon = _submitted(
        _redraft("how-long-does-delivery-take", "before 14:00", "before 15:00", "The carrier comes later from next week",
                 content, now - 3 * DAY), now - 3 * DAY,
    )  # fmt: skip
    reviewing.approve(version_id=soon.pk, seen_digest=soon.digest, actor=manager, now=now - 2 * DAY)
    reviewing.schedule(version_id=soon.pk, publish_at=now + 4 * DAY, actor=content, now=now - 2 * DAY)
    _redraft(
        "warranty",
        "five years on tent poles",
        "five years on tent poles and zips",
        "Zips are covered, too",
        content,
        now - DAY,
    )
    gone = Article.objects.get(slug="unsubscribe-newsletter")
    reviewing.archive(article_id=gone.pk, reason="The account page says it now.", actor=content, now=now - 10 * DAY)
    fresh = Article.objects.get(slug="care-for-a-tent")
    keeping.confirm(article_id=fresh.pk, actor=content, now=now - 20 * DAY, note="Tried on a muddy one.")


def _feedback(now: datetime) -> None:
    for slug, helpful, reason, words, count in FEEDBACK:
        version = ArticleVersion.objects.published().get(article__slug=slug)
        ArticleFeedback.objects.bulk_create(
            ArticleFeedback(
                version=version, helpful=helpful, reason=reason, comment=words if number == 0 else "",
                visitor=answers.hashed(f"demo:{slug}:{helpful}:{number}"), given_at=now - (number % 30 + 1) * DAY,
            )
            for number in range(count)
        )  # fmt: skip


def _ask(now: datetime) -> None:
    """Questions of the last weeks, the same by every load."""
    chance = Random(11)  # noqa: S311 - a game
    reader, number = Reader(language="en"), 0
    for text in ANSWERED:
        for _ in range(chance.choice((1, 1, 2))):
            number += 1
            at = now - timedelta(hours=chance.randint(2, 24 * 20))
            answers.answer(text, reader=reader, source="help_centre", now=at, customer=f"demo:{number}")
    for group in MISSED:
        for text in group:
            number += 1
            at = now - timedelta(hours=chance.randint(2, 24 * 12))
            said = answers.answer(text, reader=reader, source="help_centre", now=at, customer=f"demo:{number}")
            if said.asked is not None and said.outcome != "not_sure":  # what was offered did not help
                AskedQuestion.objects.filter(pk=said.asked).update(outcome=AskedQuestion.Outcome.UNHELPFUL)
