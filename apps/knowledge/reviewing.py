"""From a draft to what readers see: review by another person, publication, now or later."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db import DatabaseError, transaction

from apps.core.audit import said_by
from apps.core.decisions import system
from apps.core.errors import DomainError
from apps.core.models import User
from apps.core.notifications import notify
from apps.core.roles import Role, people_with
from apps.knowledge import rights
from apps.knowledge.drafts import _require_state, recorded
from apps.knowledge.indexing import index_after_commit
from apps.knowledge.models import Article, ArticleVersion
from apps.knowledge.refusals import InvalidArticle, VersionChanged, WrongState

State = ArticleVersion.State
KIND = "articles"
logger = structlog.get_logger(__name__)


def _seen(version: ArticleVersion, digest: str | None) -> None:
    """An approval is of the text that was looked at, and of no other. Jobs look at none: None."""
    if digest is not None and version.digest != digest:
        raise VersionChanged(version.digest)


def _move(version: ArticleVersion, state: str, actor: User | str, why: str = "", **fields: object) -> None:
    """Write a state and other fields; ``why`` stands in the trail."""
    version.state = state
    for name, value in fields.items():
        setattr(version, name, value)
    with said_by(actor, why):
        version.save(update_fields=["state", *fields])


def _url(version: ArticleVersion) -> str:
    return f"/admin/knowledge/article/{version.article_id}/change/"


@transaction.atomic
def submit(*, version_id: int, seen_digest: str, actor: User, now: datetime) -> ArticleVersion:
    """Ask for a review. Reviewers by name are told, else all who review.

    Raises:
        ArticleNotFound, NotAllowed, WrongState, VersionChanged
    """
    version = rights.locked_version(version_id, actor)
    rights.require(rights.may_edit(actor, version.article))
    _require_state(version, State.DRAFT)
    _seen(version, seen_digest)
    _move(version, State.IN_REVIEW, actor, submitted_at=now, reason="")
    asked = list(rights.named_reviewers(version)) or [*people_with(Role.CONTENT_OWNER, Role.SUPPORT_MANAGER)]
    notify(
        kind=KIND,
        recipients=[person for person in asked if rights.may_review(person, version)],
        title=f"To review: {version.title}",
        body=f"{actor} asks for a review of version {version.number}: {version.changes}",
        url=_url(version),
        dedupe_key=f"article_version:{version.pk}:submitted:{now.isoformat()}",
    )
    return version


@transaction.atomic
def withdraw(*, version_id: int, actor: User, now: datetime, seen_digest: str | None = None) -> ArticleVersion:
    """Take a version back from review, or an approved one back before it goes live; it is a draft again.

    Raises:
        ArticleNotFound, NotAllowed, WrongState, VersionChanged
    """
    version = rights.locked_version(version_id, actor)
    rights.require(rights.may_edit(actor, version.article))
    _require_state(version, State.IN_REVIEW, State.APPROVED)
    _seen(version, seen_digest)
    if version.state == State.APPROVED and _has_draft(version.article):
        raise WrongState("There is another draft already; give that one up first.")
    _move(
        version,
        State.DRAFT,
        actor,
        "Taken back",
        reviewer=None,
        reviewed_at=None,
        approved_digest="",
        publish_at=None,
        updated_at=now,
    )
    return version


def _has_draft(article: Article) -> bool:
    return bool(article.versions.filter(state__in=[State.DRAFT, State.IN_REVIEW]).exists())


@transaction.atomic
def approve(*, version_id: int, seen_digest: str, actor: User, now: datetime, comment: str = "") -> ArticleVersion:
    """Approve the text that was looked at. It is not live by that.

    Raises:
        ArticleNotFound, NotAllowed, OwnVersion, WrongState, VersionChanged
    """
    version = rights.locked_version(version_id, actor)
    rights.require_reviewer(actor, version)
    _require_state(version, State.IN_REVIEW)
    _seen(version, seen_digest)
    if version.article.versions.filter(state=State.APPROVED).exists():
        raise WrongState("Another version is approved and waits to go live.")
    _move(version, State.APPROVED, actor, comment, reviewer=actor, reviewed_at=now, approved_digest=version.digest)
    _tell_author(version, "Approved", comment, now)
    recorded(version, "version_approved", actor, comment)
    return version


@transaction.atomic
def send_back(
    *, version_id: int, seen_digest: str, reason: str, actor: User, now: datetime, final: bool = False
) -> ArticleVersion:
    """Send a version back to be rewritten, or reject it for good.

    Args:
        reason: what is not right; the author reads it.
        final: rejected for good: its words stay in the history, and the way is free for another draft.

    Raises:
        ArticleNotFound, NotAllowed, OwnVersion, WrongState, VersionChanged, InvalidArticle
    """
    version = rights.locked_version(version_id, actor)
    rights.require_reviewer(actor, version)
    _require_state(version, State.IN_REVIEW)
    _seen(version, seen_digest)
    if not reason.strip():
        raise InvalidArticle(fields={"reason": ["Say what is not right."]})
    facts = {"reviewer": actor, "reviewed_at": now, "closed_at": now} if final else {"updated_at": now}
    _move(version, State.REJECTED if final else State.DRAFT, actor, reason, reason=reason.strip(), **facts)
    _tell_author(version, "Rejected" if final else "Sent back", reason, now)
    recorded(version, "version_rejected" if final else "version_sent_back", actor, reason)
    return version


def _tell_author(version: ArticleVersion, what: str, words: str, now: datetime) -> None:
    notify(
        kind=KIND,
        recipients=[version.author],
        title=f"{what}: {version.title}",
        body=words or f"Version {version.number} was approved.",
        url=_url(version),
        dedupe_key=f"article_version:{version.pk}:{what}:{now.isoformat()}",
    )


@transaction.atomic
def publish(*, version_id: int, actor: User, now: datetime, seen_digest: str | None = None) -> ArticleVersion:
    """Put an approved version live in place of the one that is.

    Raises:
        ArticleNotFound, NotAllowed, WrongState, VersionChanged
    """
    version = rights.locked_version(version_id, actor)
    rights.require(rights.may_publish(actor, version.article))
    _require_state(version, State.APPROVED)
    _require_kept(version.article)
    _seen(version, seen_digest)
    return _go_live(version, actor, now)


def _require_kept(article: Article) -> None:
    """What was taken down with a reason does not come back by the way."""
    if article.archived_at:
        raise WrongState("The article is archived; take it up again first.")


def _go_live(version: ArticleVersion, actor: User | str, now: datetime) -> ArticleVersion:
    """The former version is closed in the same transaction, so readers see one of the two at any moment."""
    _require_state(version, State.APPROVED)
    article = version.article
    for former in article.versions.published():
        _move(former, State.SUPERSEDED, actor, f"Version {version.number} went live", closed_at=now)
    _move(version, State.PUBLISHED, actor, published_at=now, publish_at=None)
    article.next_review_on = (now + timedelta(days=article.review_every_days)).date()
    article.reminded_on = None
    with said_by(actor):
        article.save(update_fields=["next_review_on", "reminded_on"])
    index_after_commit(article.pk)
    recorded(version, "version_published", actor)
    return version


@transaction.atomic
def schedule(
    *, version_id: int, publish_at: datetime | None, actor: User, now: datetime, seen_digest: str | None = None
) -> ArticleVersion:
    """Have an approved version go live at a time, or no longer by itself.

    Raises:
        ArticleNotFound, NotAllowed, WrongState, VersionChanged, InvalidArticle: the time is past.
    """
    version = rights.locked_version(version_id, actor)
    rights.require(rights.may_publish(actor, version.article))
    _require_state(version, State.APPROVED)
    if publish_at is not None:
        _require_kept(version.article)
    _seen(version, seen_digest)
    if publish_at is not None and publish_at <= now:
        raise InvalidArticle(fields={"publish_at": ["This time is past."]})
    version.publish_at = publish_at
    with said_by(actor):
        version.save(update_fields=["publish_at"])
    recorded(version, "version_scheduled", actor, publish_at=publish_at.isoformat() if publish_at else "")
    return version


def publish_due(now: datetime) -> int:
    """Put every version live whose time has come, each in a transaction of its own; one that fails stops no other.

    Returns:
        how many went live.
    """
    done = 0
    due = ArticleVersion.objects.to_go_live(now).order_by("publish_at").values_list("pk", "article_id")
    for version_id, article_id in list(due):
        try:
            done += _publish_due_one(version_id, article_id, now)
        except (DomainError, DatabaseError):  # the others are due all the same, and the next turn tries this one again
            logger.exception("scheduled_publication_failed", version=version_id, article=article_id)
    return done


@transaction.atomic
def _publish_due_one(version_id: int, article_id: int, now: datetime) -> int:
    """Put a version live unless it was taken back or put live meanwhile; returns how many that were."""
    article = Article.objects.select_for_update(no_key=True).get(pk=article_id)
    version = ArticleVersion.objects.to_go_live(now).filter(pk=version_id).first()
    if version is None:
        return 0
    version.article = article
    _go_live(version, system("publish_articles"), now)
    return 1


@transaction.atomic
def archive(*, article_id: int, reason: str, actor: User, now: datetime, seen_edition: int | None = None) -> Article:
    """Take an article down. Its versions stay; a new draft of it can be published again after :func:`restore`.

    An approved version that was to go live by itself no longer does.

    Raises:
        ArticleNotFound, NotAllowed, WrongState, ArticleChanged, InvalidArticle
    """
    article = rights.locked_article(article_id, actor)
    rights.require(rights.may_publish(actor, article))
    rights.require_seen(article, seen_edition)
    if article.archived_at:
        raise WrongState("It is archived already.")
    if not reason.strip():
        raise InvalidArticle(fields={"reason": ["Say why it is taken down."]})
    article.archived_at = now
    with said_by(actor, reason):
        article.save(update_fields=["archived_at"])
    last = article.versions.published().first() or article.versions.first()
    for version in article.versions.published():
        _move(version, State.ARCHIVED, actor, reason, closed_at=now)
    for version in article.versions.filter(publish_at__isnull=False, state=State.APPROVED):
        _move(version, State.APPROVED, actor, reason, publish_at=None)
    index_after_commit(article.pk)
    if last is not None:
        recorded(last, "article_archived", actor, reason)
    return article


@transaction.atomic
def restore(*, article_id: int, actor: User, now: datetime, seen_edition: int | None = None) -> Article:
    """Take an archived article up again; it is seen once a version of it is published.

    Raises:
        ArticleNotFound, NotAllowed, WrongState, ArticleChanged
    """
    article = rights.locked_article(article_id, actor)
    rights.require(rights.may_publish(actor, article))
    rights.require_seen(article, seen_edition)
    if not article.archived_at:
        raise WrongState("It is not archived.")
    article.archived_at = None
    with said_by(actor, "Taken up again"):
        article.save(update_fields=["archived_at"])
    return article
