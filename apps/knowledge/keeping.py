"""Keeping articles true: reviews that are due, reminders, and owners who leave."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.formats import date_format

from apps.core.audit import said_by
from apps.core.decisions import Entry, record, system
from apps.core.models import User
from apps.core.notifications import News, notify_many
from apps.core.roles import Role, people_with
from apps.knowledge import rights
from apps.knowledge.models import Article
from apps.knowledge.refusals import InvalidArticle, VersionChanged, WrongState

AHEAD = (14, 3, 0)
"""Days before a review is due on which its owner is reminded."""
AFTER = 7
"""Once it is overdue, the owner is reminded every so many days."""
JOB = "keep_articles"


@transaction.atomic
def confirm(*, article_id: int, actor: User, now: datetime, note: str = "", seen_digest: str | None = None) -> Article:
    """Say, having read it, that the live version is still true: its review is done.

    Args:
        seen_digest: of the text that was read.

    Raises:
        ArticleNotFound, NotAllowed, VersionChanged: another version went live meanwhile, WrongState: nothing of it is live.
    """
    article = rights.locked_article(article_id, actor)
    rights.require(rights.may_edit(actor, article))
    live = article.versions.published().first()
    if live is None:
        raise WrongState("Nothing of this article is live.")
    if seen_digest is not None and live.digest != seen_digest:
        raise VersionChanged(live.digest)
    article.next_review_on = (now + timedelta(days=article.review_every_days)).date()
    article.reminded_on = None
    with said_by(actor, note):
        article.save(update_fields=["next_review_on", "reminded_on"])
    _recorded(article, "article_confirmed", actor, note, version=live.pk, digest=live.digest)
    return article


@transaction.atomic
def reassign(
    *, article_id: int, owner: User, reason: str, actor: User, now: datetime, seen_edition: int | None = None
) -> Article:
    """Give an article to another owner, who is told.

    Raises:
        ArticleNotFound, NotAllowed, ArticleChanged, InvalidArticle: the new owner cannot own articles, or no reason is given.
    """
    article = rights.locked_article(article_id, actor)
    rights.require(rights.may_edit(actor, article))
    rights.require_seen(article, seen_edition)
    if not may_own(owner):
        raise InvalidArticle(fields={"owner": ["This person's role does not include articles."]})
    if not reason.strip():
        raise InvalidArticle(fields={"reason": ["Say why."]})
    _give(article, owner, actor, reason.strip(), now)
    return article


def may_own(person: User) -> bool:
    """Whether a person can answer for articles."""
    return person.is_active and person.has_perm(rights.CHANGE)


def _give(article: Article, owner: User, actor: User | str, reason: str, now: datetime) -> None:
    former = article.owner
    article.owner = owner
    article.edition += 1
    with said_by(actor, reason):
        article.save(update_fields=["owner", "edition"])
    title = f"You own now: {article.slug}"
    words = f"{reason}\nBefore it was {former}'s. Its next review is due on {date_format(article.next_review_on)}."
    key = f"article:{article.pk}:owner:{now.isoformat()}"
    notify_many(kind="articles", news=[News(owner, title, words, key, _url(article))])
    _recorded(article, "article_reassigned", actor, reason, former=former.pk, owner=owner.pk)


def reassign_left(now: datetime) -> int:
    """Give the articles of people who left to somebody who is there: a reviewer, the owner of the shelf, or a content owner.

    Returns:
        how many were given; those for whom nobody is there stay, and the next day tries again.
    """
    done = 0
    for article_id in list(Article.objects.ownerless().values_list("pk", flat=True)):
        with transaction.atomic():
            article = (
                Article.objects.select_for_update(of=("self",), no_key=True).select_related("owner").get(pk=article_id)
            )
            heir = None if article.owner.is_active else next(_heirs(article), None)
            if heir is not None:
                _give(article, heir, system(JOB), f"{article.owner} has left.", now)
                done += 1
    return done


def _heirs(article: Article) -> Iterator[User]:
    people = [*article.reviewers.filter(is_active=True).order_by("pk"), article.category.owner]
    people += people_with(Role.CONTENT_OWNER, Role.SUPPORT_MANAGER).order_by("pk")
    return (person for person in people if may_own(person) and Article.objects.visible_to(person).filter(pk=article.pk))


def remind(now: datetime) -> int:
    """Remind owners of reviews ahead of the day, on it, and every week after; once a day at most for each article.

    Returns:
        how many articles somebody was reminded of.
    """
    today = now.date()
    due = (
        Article.objects.due(today + timedelta(days=max(AHEAD))).filter(owner__is_active=True).exclude(reminded_on=today)
    )
    news, told = [], []
    for article in due.filter(versions__state="published").select_related("owner").order_by("pk"):
        days = (article.next_review_on - today).days
        if days in AHEAD or (days < 0 and -days % AFTER == 0) or _missed(article, days):
            news.append(_reminder(article, days))
            told.append(article.pk)
    with transaction.atomic():
        notify_many(kind="articles", news=news)
        Article.objects.filter(pk__in=told).update(reminded_on=today)
    return len(told)


def _missed(article: Article, days: int) -> bool:
    """Whether a day on which a reminder was due went by without one, because nothing ran."""
    marks = [mark for mark in AHEAD if mark >= days]
    latest = article.next_review_on - timedelta(days=min(marks)) if marks else None
    return latest is not None and (article.reminded_on is None or article.reminded_on < latest)


def _reminder(article: Article, days: int) -> News:
    when = f"in {days} days" if days > 1 else "tomorrow" if days == 1 else "today" if days == 0 else f"{-days} days ago"
    title = f"Review {'was ' if days < 0 else ''}due {when}: {article.slug}"
    words = "Read it. If it is still true, confirm it; else write a draft."
    key = f"article:{article.pk}:due:{article.next_review_on}:{days}"
    return News(article.owner, title, words, key, _url(article))


def _url(article: Article) -> str:
    return f"/admin/knowledge/article/{article.pk}/change/"


def _recorded(article: Article, action: str, actor: User | str, reason: str, **payload: int | str) -> None:
    record(
        Entry(
            scope="knowledge",
            actor=actor,
            action=action,
            subject=f"article:{article.pk}",
            rationale=reason,
            evidence_url=_url(article),
            payload=payload,
        )
    )
