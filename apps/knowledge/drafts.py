"""Writing: articles and their drafts, beside whatever is live."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.text import slugify

from apps.core.audit import said_by
from apps.core.decisions import Entry, record
from apps.core.models import Scope, User
from apps.knowledge import rights
from apps.knowledge.indexing import index_after_commit
from apps.knowledge.models import Article, ArticleVersion, Category, Question, SlugRedirect, VersionComment
from apps.knowledge.refusals import ArticleChanged, DraftExists, InvalidArticle, SlugTaken, VersionChanged, WrongState

State = ArticleVersion.State
LONGEST_BODY = 100_000
"""Characters of a body."""
MOST_QUESTIONS = 200
"""Ways to ask, of one article."""
DETAILS = (
    "slug",
    "category",
    "audience",
    "language",
    "scope",
    "tags",
    "review_every_days",
)
"""What :func:`change_details` changes; the owner is changed by :func:`apps.knowledge.keeping.reassign`."""


def checked(title: str, body: str, changes: str) -> dict[str, str]:
    """A version's words, tidied.

    Raises:
        InvalidArticle: one is missing or too long.
    """
    found = {"title": " ".join(title.split()), "body": body.replace("\r\n", "\n").strip(), "changes": changes.strip()}
    wrong = {}
    for name, most in (("title", 200), ("body", LONGEST_BODY), ("changes", 300)):
        text = found[name]
        if not text:
            wrong[name] = ["This must not be empty."]
        elif len(text) > most:
            wrong[name] = [f"At most {most:,} characters; these are {len(text):,}."]
        elif "\x00" in text:
            wrong[name] = ["It holds a character that cannot be kept."]
    if wrong:
        raise InvalidArticle(fields=wrong)
    return found


@transaction.atomic
def create_article(
    *,
    category: Category,
    title: str,
    body: str,
    actor: User,
    now: datetime,
    slug: str = "",
    owner: User | None = None,
    scope: Scope | None = None,
    audience: str = Article.Audience.PUBLIC,
    language: str = "en",
    tags: list[str] | None = None,
    review_every_days: int = 180,
    questions: list[str] | None = None,
) -> ArticleVersion:
    """Begin an article with its first draft.

    Args:
        slug: its address; made from the title if empty.
        owner: who answers for it; the writer if None.
        questions: other ways to ask.

    Raises:
        NotAllowed, InvalidArticle, SlugTaken
    """
    rights.require(actor.is_active and actor.has_perm(rights.ADD))
    rights.require(owner in (None, actor) or actor.has_perm(rights.EDIT_ANY))
    words = checked(title, body, "First version")
    article = Article(
        slug=_free_slug(slug or slugify(words["title"])[:110] or "article", asked=bool(slug)),
        category=category,
        audience=audience,
        language=language,
        scope=scope,
        owner=owner or actor,
        tags=tags or [],
        review_every_days=review_every_days,
        next_review_on=(now + timedelta(days=review_every_days)).date(),
        created_by=actor,
        created_at=now,
    )
    with said_by(actor, "Created"):
        article.save()
    _set_questions(article, questions or [], actor, now)
    return _draft(article, words, actor, now)


def _free_slug(slug: str, *, asked: bool) -> str:
    """The slug, with a number behind it if it was not asked for by name and another has it.

    Raises:
        SlugTaken
    """
    taken = {*Article.objects.filter(slug__startswith=slug).values_list("slug", flat=True)}
    taken |= {*SlugRedirect.objects.filter(slug__startswith=slug).values_list("slug", flat=True)}
    if slug not in taken:
        return slug
    if asked:
        raise SlugTaken
    return next(name for number in range(2, len(taken) + 3) if (name := f"{slug}-{number}") not in taken)


def _draft(article: Article, words: dict[str, str], actor: User, now: datetime) -> ArticleVersion:
    last = article.versions.order_by("-number").values_list("number", flat=True).first() or 0
    try:
        with transaction.atomic(), said_by(actor, words["changes"]):
            made = ArticleVersion.objects.create(
                article=article, number=last + 1, author=actor, created_at=now, updated_at=now, **words
            )
    except IntegrityError as error:
        if "articleversion_one_draft" in str(error):
            raise DraftExists from None
        raise
    made.refresh_from_db(fields=["digest"])  # written by the database
    return made


@transaction.atomic
def new_draft(*, article_id: int, actor: User, now: datetime, like: int | None = None) -> ArticleVersion:
    """Begin a draft from the live version, or from any former one to go back to it.

    Args:
        like: number of the version whose words it begins with; the live one, else the newest, if None.

    Raises:
        ArticleNotFound, NotAllowed, DraftExists, WrongState: archived, or there is no such version.
    """
    article = rights.locked_article(article_id, actor)
    rights.require(rights.may_edit(actor, article))
    if article.archived_at:
        raise WrongState("The article is archived.")
    versions = article.versions.order_by("-number")
    base = versions.filter(number=like).first() if like else versions.published().first() or versions.first()
    if base is None:
        raise WrongState("There is no such version.")
    words = {"title": base.title, "body": base.body, "changes": f"Back to version {like}" if like else "Changes"}
    return _draft(article, words, actor, now)


@transaction.atomic
def edit_draft(
    *, version_id: int, seen_digest: str, title: str, body: str, changes: str, actor: User, now: datetime
) -> ArticleVersion:
    """Rewrite a draft. Whoever rewrites another's draft becomes its author, so that the reviewer is a third person.

    Raises:
        ArticleNotFound, NotAllowed, WrongState, VersionChanged, InvalidArticle
    """
    version = rights.locked_version(version_id, actor)
    rights.require(rights.may_edit(actor, version.article))
    _require_state(version, State.DRAFT)
    if version.digest != seen_digest:
        raise VersionChanged(version.digest)
    words = checked(title, body, changes)
    if version.author_id != actor.pk:
        return _taken_over(version, words, actor, now)
    for name, text in words.items():
        setattr(version, name, text)
    version.updated_at = now
    with said_by(actor, words["changes"]):
        version.save(update_fields=[*words, "updated_at"])
    version.refresh_from_db(fields=["digest"])
    return version


def _taken_over(version: ArticleVersion, words: dict[str, str], actor: User, now: datetime) -> ArticleVersion:
    """Another's draft goes on as one of the editor's own: who wrote a version never changes."""
    article = version.article
    if version.submitted_at is None:
        with said_by(actor, f"Taken over by {actor}"):
            version.delete()
        return _draft(article, words, actor, now)
    raise WrongState("This draft was in review; its author has to go on with it, or give it up.")


@transaction.atomic
def discard(*, version_id: int, seen_digest: str, actor: User) -> Article:
    """Throw a draft away that was never submitted, so that the way is free for another one.

    Raises:
        ArticleNotFound, NotAllowed, VersionChanged, WrongState: it is no draft, or was in review and stays in the history.
    """
    version = rights.locked_version(version_id, actor)
    rights.require(rights.may_edit(actor, version.article))
    _require_state(version, State.DRAFT)
    if version.digest != seen_digest:
        raise VersionChanged(version.digest)
    if version.submitted_at is not None:
        raise WrongState("It was in review, so it stays in the history. Go on with it, or have it rejected.")
    with said_by(actor, "Thrown away"):
        version.delete()
    return version.article


def _require_state(version: ArticleVersion, *states: str) -> None:
    if version.state not in states:
        raise WrongState(f"The version is {version.get_state_display().lower()}.")


@transaction.atomic
def comment(*, version_id: int, text: str, actor: User, now: datetime) -> VersionComment:
    """Say something about a version.

    Raises:
        ArticleNotFound, InvalidArticle
    """
    version = rights.locked_version(version_id, actor)
    if not text.strip() or len(text) > 5_000:
        raise InvalidArticle(fields={"text": ["Say something, in at most 5,000 characters."]})
    return VersionComment.objects.create(version=version, author=actor, text=text.strip(), written_at=now)


@transaction.atomic
def change_details(
    *,
    article_id: int,
    seen_edition: int,
    changes: dict[str, Any],
    actor: User,
    now: datetime,
    questions: list[str] | None = None,
    reviewers: list[User] | None = None,
) -> Article:
    """Change an article beside its words: its address, category, audience, ways to ask, reviewers.

    A former address goes on leading to the article.

    Args:
        changes: of :data:`DETAILS`, by name.
        questions: all other ways to ask, or None to leave them.
        reviewers: those who are asked by name, or None to leave them.

    Raises:
        ArticleNotFound, NotAllowed, ArticleChanged, SlugTaken, InvalidArticle
    """
    article = rights.locked_article(article_id, actor)
    rights.require(rights.may_edit(actor, article))
    if article.edition != seen_edition:
        raise ArticleChanged(article.edition)
    if unknown := set(changes) - set(DETAILS):
        raise InvalidArticle(fields={name: ["This is not changed here."] for name in sorted(unknown)})
    opened = article.audience == Article.Audience.INTERNAL and changes.get("audience") == Article.Audience.PUBLIC
    live = article.versions.published().first() if opened else None
    if live is not None:  # what was written for staff becomes public at once
        rights.require(rights.may_publish(actor, article))
    slug = changes.get("slug", article.slug)
    if slug != article.slug:
        _move(article, slug, now)
    for name, value in changes.items():
        setattr(article, name, value)
    article.edition += 1
    with said_by(actor):
        article.save(update_fields=[*changes, "edition"])
    if questions is not None:
        _set_questions(article, questions, actor, now)
    if reviewers is not None:
        article.reviewers.set(reviewers)
    index_after_commit(article.pk)
    if live is not None:
        recorded(live, "article_opened_to_public", actor)
    return article


def _move(article: Article, slug: str, now: datetime) -> None:
    SlugRedirect.objects.filter(slug=slug, article=article).delete()  # back to an address that it had
    if not slug or slugify(slug) != slug:
        raise InvalidArticle(fields={"slug": ["Small letters, digits and hyphens."]})
    _free_slug(slug, asked=True)
    SlugRedirect.objects.create(slug=article.slug, article=article, created_at=now)


def _set_questions(article: Article, questions: list[str], actor: User, now: datetime) -> None:
    wanted = list(dict.fromkeys(" ".join(text.split()) for text in questions if text.strip()))
    long = [text for text in wanted if len(text) > 300]
    if len(wanted) > MOST_QUESTIONS or long:
        raise InvalidArticle(fields={"questions": [f"At most {MOST_QUESTIONS}, of at most 300 characters each."]})
    held = set(article.questions.values_list("text", flat=True))
    article.questions.exclude(text__in=wanted).delete()
    Question.objects.bulk_create(
        Question(article=article, text=text, added_by=actor, added_at=now) for text in wanted if text not in held
    )


def recorded(version: ArticleVersion, action: str, actor: User | str, reason: str = "", **payload: Any) -> None:
    """Put what was decided about a version into the decision log; the last write of a transaction."""
    record(
        Entry(
            scope="knowledge",
            actor=actor,
            action=action,
            subject=f"article_version:{version.pk}",
            rationale=reason,
            evidence_url=f"/admin/knowledge/article/{version.article_id}/change/",
            payload={"article": version.article_id, "number": version.number, "digest": version.digest} | payload,
        )
    )
