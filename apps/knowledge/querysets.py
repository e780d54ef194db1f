"""Named queries over the knowledge base."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from apps.core.models import User
from apps.core.scope import in_scope

if TYPE_CHECKING:
    from apps.knowledge.search.retrieve import Reader


class ArticleQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> Self:
        """Articles that staff may see: of their scopes, of nobody's in particular, and the own ones."""
        if not user.is_active or not user.is_authenticated:
            return self.none()
        return in_scope(self, user) | self.filter(owner=user)

    def kept(self) -> Self:
        return self.filter(archived_at__isnull=True)

    def of(self, user: User) -> Self:
        """Those that a person owns."""
        return self.kept().filter(owner=user)

    def due(self, until: date) -> Self:
        """Those whose review is due by a day."""
        return self.kept().filter(next_review_on__lte=until)

    def stale(self, today: date) -> Self:
        """Those whose review is overdue."""
        return self.kept().filter(next_review_on__lt=today)

    def ownerless(self) -> Self:
        """Those whose owner has left."""
        return self.kept().filter(owner__is_active=False)

    def to_review(self, user: User) -> Self:
        """Those of which a version waits for a review by this person."""
        return self.kept().filter(pk__in=_versions().to_review(user).values("article"))

    def in_work(self) -> Self:
        """Those of which a version is written, reviewed, or waits to go live."""
        states = ["draft", "in_review", "approved"]
        return self.kept().filter(Exists(_versions().filter(article=OuterRef("pk"), state__in=states)))

    def archived(self) -> Self:
        return self.filter(archived_at__isnull=False)

    def with_words(self) -> Self:
        """With ``title``: as readers see it, else of the newest version; ``live`` and ``work``: the number of the published
        version, and the state of the one that is on its way, if there are."""
        of = _versions().filter(article=OuterRef("pk")).order_by("-number")
        live = of.filter(state="published")
        work = of.filter(state__in=["draft", "in_review", "approved"])
        return self.annotate(
            title=Coalesce(Subquery(live.values("title")[:1]), Subquery(of.values("title")[:1])),
            live=Subquery(live.values("number")[:1]),
            work=Subquery(work.values("state")[:1]),
            work_number=Subquery(work.values("number")[:1]),
        )


def _versions() -> VersionQuerySet:
    from apps.knowledge.models import ArticleVersion  # the model is made from this module

    found: VersionQuerySet = ArticleVersion.objects.all()
    return found


class VersionQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> Self:
        """Versions of articles that staff may see."""
        from apps.knowledge.models import Article  # the model is made from this module

        return self.filter(Exists(Article.objects.visible_to(user).filter(pk=OuterRef("article_id"))))

    def published(self) -> Self:
        return self.filter(state="published")

    def readable_by(self, reader: Reader) -> Self:
        """Those that a reader sees in the help centre: live, meant for them, of no scope or of theirs. Any language."""
        found = self.filter(state="published", article__archived_at__isnull=True)
        if not reader.internal:
            found = found.filter(article__audience="public")
        if reader.scopes is None:
            return found
        return found.filter(Q(article__scope__isnull=True) | Q(article__scope__in=reader.scopes))

    def to_review(self, user: User) -> Self:
        """Those that wait for a review by this person: asked by name, or of anybody; never the own ones.

        As :func:`apps.knowledge.rights.named_reviewers` has it, who left and who wrote it are not counted as named.
        """
        from apps.knowledge.models import Article  # the model is made from this module

        named = Article.reviewers.through.objects.filter(article_id=OuterRef("article_id"), user__is_active=True)
        named = named.exclude(user_id=OuterRef("author_id"))
        waiting = self.visible_to(user).filter(state="in_review").exclude(author=user)
        return waiting.filter(Q(article__reviewers=user) | ~Exists(named)).distinct()

    def to_go_live(self, now: datetime) -> Self:
        """Approved ones whose time has come, of articles that were not taken down meanwhile."""
        return self.filter(state="approved", publish_at__lte=now, article__archived_at__isnull=True)


class AskedQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> Self:
        """Questions that were asked in a person's scopes, or in none."""
        return in_scope(self, user)


class GapQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> Self:
        """Gaps in which a question is that the person may see."""
        from apps.knowledge.models import AskedQuestion  # the model is made from this module

        if not user.is_active or not user.is_authenticated:
            return self.none()
        asked = AskedQuestion.objects.filter(gap=OuterRef("pk"))
        return self.filter(Exists(asked.visible_to(user)) | ~Exists(asked))

    def unanswered(self) -> Self:
        """Those that no article answers yet, the ones that most customers ask first."""
        return self.exclude(state="closed").order_by("-customers", "-last_at")


class FeedbackQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> Self:
        """What was said about versions that the person may see."""
        return self.filter(version__in=_versions().visible_to(user))
