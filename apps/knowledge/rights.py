"""Who may do what with articles: the one place that says so."""

from __future__ import annotations

from django.db.models import QuerySet

from apps.core.models import User
from apps.knowledge.models import Article, ArticleVersion
from apps.knowledge.refusals import ArticleChanged, ArticleNotFound, NotAllowed, OwnVersion

VIEW, ADD, CHANGE = "knowledge.view_article", "knowledge.add_article", "knowledge.change_article"
EDIT_ANY, REVIEW, PUBLISH = "knowledge.edit_any_article", "knowledge.review_article", "knowledge.publish_article"


def may_view(actor: User, article: Article) -> bool:
    return actor.is_active and actor.has_perm(VIEW) and Article.objects.visible_to(actor).filter(pk=article.pk).exists()


def may_edit(actor: User, article: Article) -> bool:
    """Owners edit their own; some roles edit all that they see. Whoever began a draft is an owner in that."""
    return actor.has_perm(CHANGE) and (article.owner_id == actor.pk or actor.has_perm(EDIT_ANY))


def named_reviewers(version: ArticleVersion) -> QuerySet[User]:
    """Those who are asked by name: without who left and who wrote it, for nobody could review what only they may."""
    found: QuerySet[User] = version.article.reviewers.filter(is_active=True).exclude(pk=version.author_id)
    return found.order_by("username")


def may_review(actor: User, version: ArticleVersion) -> bool:
    """Those who were asked by name, else everybody whose role reviews; never the author."""
    if version.author_id == actor.pk or not actor.has_perm(REVIEW):
        return False
    asked = set(named_reviewers(version).values_list("pk", flat=True))
    return not asked or actor.pk in asked


def may_publish(actor: User, article: Article) -> bool:
    return actor.has_perm(PUBLISH) and (article.owner_id == actor.pk or actor.has_perm(EDIT_ANY))


def locked_article(article_id: int, actor: User) -> Article:
    """The article, locked until the transaction ends. Every write takes this lock first, then those of versions.

    Raises:
        ArticleNotFound: it is not there for this person.
    """
    if not actor.is_active or not actor.has_perm(VIEW):
        raise NotAllowed
    found: Article | None = (
        Article.objects.select_for_update(of=("self",), no_key=True)
        .filter(pk=article_id)
        .select_related("owner")
        .first()
    )
    if found is None or not may_view(actor, found):
        raise ArticleNotFound
    return found


def locked_version(version_id: int, actor: User) -> ArticleVersion:
    """The version, its article locked until the transaction ends.

    Raises:
        ArticleNotFound: it is not there for this person.
    """
    article_id = ArticleVersion.objects.filter(pk=version_id).values_list("article_id", flat=True).first()
    if article_id is None:
        raise ArticleNotFound
    article = locked_article(article_id, actor)
    version = ArticleVersion.objects.get(pk=version_id)
    version.article = article
    return version


def require(allowed: bool) -> None:
    """Raises: NotAllowed."""
    if not allowed:
        raise NotAllowed


def require_reviewer(actor: User, version: ArticleVersion) -> None:
    """Raises: OwnVersion, NotAllowed."""
    if version.author_id == actor.pk:
        raise OwnVersion
    require(may_review(actor, version))


def require_seen(article: Article, edition: int | None) -> None:
    """Hold a change to the details that were looked at; None for who looked at none.

    Raises:
        ArticleChanged
    """
    if edition is not None and article.edition != edition:
        raise ArticleChanged(article.edition)
