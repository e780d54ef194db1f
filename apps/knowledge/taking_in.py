"""Taking articles in that were read from files (:mod:`apps.knowledge.exchange`): all in one transaction, or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.core.files.storage import default_storage
from django.db import transaction

from apps.core.models import User
from apps.knowledge import drafts, keeping, reviewing, rights
from apps.knowledge.carrying import brought_in
from apps.knowledge.exchange import Paper, Problems, Read, same_words
from apps.knowledge.images import add_image
from apps.knowledge.models import Article, ArticleImage, ArticleVersion, Category

_OPEN = ("draft", "in_review", "approved")


@dataclass
class Taken:
    """What became of each article, by slug or place."""

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    in_the_way: list[str] = field(default_factory=list)


@transaction.atomic
def take_in(
    found: Sequence[Read], *, actor: User, now: datetime, make_categories: bool = False, submit: bool = False
) -> Taken:
    """Take articles in as drafts: new ones, and changes of those that have the same address.

    An article whose title or text another one has already is a duplicate and left out. So is one of which a different draft
    is on its way; people are not written over.

    Args:
        make_categories: make those that are not there, else they are an error.
        submit: ask for a review of each draft at once.

    Raises:
        BadArticles: a category, owner or reviewer is not there; nothing was written.
        NotAllowed: the actor may not write articles, or not those of others.
    """
    with ExitStack() as undo:
        importer = Importer(actor=actor, now=now, submit=submit, undo=undo)
        importer.look_up(found, make_categories=make_categories)
        for one in found:
            importer.take(one)
        undo.pop_all()  # all went well, so the files of pictures stay
        return importer.taken


class Importer:
    """What is looked up once for all, and what was done.

    Args:
        submit: ask for a review of each draft.
        undo: what is to be done should the import fail.
    """

    def __init__(self, *, actor: User, now: datetime, submit: bool, undo: ExitStack) -> None:
        self.actor, self.now, self.submit, self.undo = actor, now, submit, undo
        self.taken = Taken()
        self.people: dict[str, User] = {}
        self.shelves: dict[str, Category] = {}
        self.titles: dict[tuple[str, str], int] = {}

    def look_up(self, found: Sequence[Read], *, make_categories: bool) -> None:
        """Find categories and people, and the titles that are there.

        Raises:
            BadArticles, NotAllowed
        """
        rights.require(self.actor.is_active and self.actor.has_perm(rights.ADD))
        problems = Problems()
        self.shelves = {shelf.slug: shelf for shelf in Category.objects.all()}
        names = {name for one in found for name in (one.paper.owner, *one.paper.reviewers) if name}
        self.people = {user.username: user for user in User.objects.filter(username__in=names, is_active=True)}
        for one in found:
            self._judge(one, problems, make_categories=make_categories)
        problems.stop()
        rows = ArticleVersion.objects.filter(state__in=[*_OPEN, "published"])
        for title, language, article in rows.values_list("title", "article__language", "article"):
            self.titles.setdefault((language, same_words(title)), article)

    def _judge(self, one: Read, problems: Problems, *, make_categories: bool) -> None:
        paper = one.paper
        if paper.category not in self.shelves:
            if make_categories and self.actor.has_perm("knowledge.add_category"):
                title = paper.category.replace("-", " ").capitalize()
                self.shelves[paper.category] = Category.objects.create(
                    slug=paper.category, title=title, owner=self.actor
                )
            else:
                problems.add(one.place, f"category: there is none called {paper.category!r}.")
        for name in dict.fromkeys([*filter(None, [paper.owner]), *paper.reviewers]):
            if name not in self.people:
                problems.add(one.place, f"There is nobody called {name!r}.")
            elif name == paper.owner and not keeping.may_own(self.people[name]):
                problems.add(one.place, f"owner: {name!r} cannot own articles.")

    def take(self, one: Read) -> None:
        """Take one in; what became of it is in :attr:`taken`."""
        paper = one.paper
        held = Article.objects.visible_to(self.actor).filter(slug=paper.slug).first() if paper.slug else None
        other = self._other(paper, held)
        if other is not None:
            self.taken.duplicates.append(f"{one.place}: {other.slug} has the same title or text.")
        elif held is None:
            self._create(one)
        else:
            self._update(held, one)

    def _other(self, paper: Paper, held: Article | None) -> Article | None:
        """Another article with the same title, or with the same text."""
        pk = self.titles.get((paper.language, same_words(paper.title)))
        if pk is None:
            same = ArticleVersion.objects.filter(body=paper.body, state__in=[*_OPEN, "published"])
            pk = same.exclude(article=held).values_list("article", flat=True).first()
        return Article.objects.get(pk=pk) if pk is not None and (held is None or pk != held.pk) else None

    def _details(self, paper: Paper) -> dict[str, Any]:
        return {
            "category": self.shelves[paper.category],
            "audience": paper.audience,
            "language": paper.language,
            "tags": paper.tags,
            "review_every_days": paper.review_every_days,
        }

    def _create(self, one: Read) -> None:
        paper = one.paper
        version = drafts.create_article(
            title=paper.title, body=paper.body, slug=paper.slug, owner=self.people.get(paper.owner), questions=paper.questions,
            actor=self.actor, now=self.now, **self._details(paper),
        )  # fmt: skip
        body, _ = brought_in(paper.body, one.folder, version.article, self._adding(version.article))
        if body != paper.body:
            version = drafts.edit_draft(
                version_id=version.pk, seen_digest=version.digest, title=paper.title, body=body, changes=version.changes,
                actor=self.actor, now=self.now,
            )  # fmt: skip
        version.article.reviewers.set([self.people[name] for name in paper.reviewers])
        self.titles[(paper.language, same_words(paper.title))] = version.article_id
        self._ask(version)
        self.taken.created.append(version.article.slug)

    def _adding(self, article: Article) -> Callable[[bytes], ArticleImage]:
        """Gives the article a picture; its file goes again if the import fails after all."""

        def add(data: bytes) -> ArticleImage:
            image = add_image(article_id=article.pk, data=data, actor=self.actor, now=self.now)
            if image.uploaded_at == self.now:  # not one that somebody else added meanwhile
                self.undo.callback(default_storage.delete, str(image.file.name))
            return image

        return add

    def _update(self, article: Article, one: Read) -> None:
        paper, place = one.paper, one.place
        body, whole = brought_in(paper.body, one.folder, article)
        words = (paper.title, body)
        versions = list(article.versions.filter(state__in=[*_OPEN, "published"]))
        same = whole and any((one.title, one.body) == words for one in versions)
        if article.archived_at or (not same and any(one.state in _OPEN for one in versions)):
            why = "it is archived" if article.archived_at else "another draft is on its way"
            self.taken.in_the_way.append(f"{place}: {article.slug} is left as it is, for {why}.")
            return
        changed = self._change_details(article, paper)
        if not same:
            version = drafts.new_draft(article_id=article.pk, actor=self.actor, now=self.now)
            body, _ = brought_in(paper.body, one.folder, article, self._adding(article))
            version = drafts.edit_draft(
                version_id=version.pk, seen_digest=version.digest, title=paper.title, body=body,
                changes="Brought from a file", actor=self.actor, now=self.now,
            )  # fmt: skip
            self._ask(version)
        (self.taken.changed if changed or not same else self.taken.unchanged).append(article.slug)

    def _change_details(self, article: Article, paper: Paper) -> bool:
        """Whether anything beside the words was different."""
        wanted = self._details(paper)
        changes = {name: value for name, value in wanted.items() if getattr(article, name) != value}
        questions = paper.questions if set(paper.questions) != {one.text for one in article.questions.all()} else None
        people = [self.people[name] for name in paper.reviewers]
        reviewers = people if set(people) != set(article.reviewers.all()) else None
        if changes or questions is not None or reviewers is not None:
            drafts.change_details(
                article_id=article.pk, seen_edition=article.edition, changes=changes, questions=questions,
                reviewers=reviewers, actor=self.actor, now=self.now,
            )  # fmt: skip
        owner = self.people.get(paper.owner)
        given = owner is not None and owner.pk != article.owner_id
        if given and owner is not None:
            keeping.reassign(
                article_id=article.pk, owner=owner, reason="As the file says", actor=self.actor, now=self.now
            )
        return bool(changes) or questions is not None or reviewers is not None or given

    def _ask(self, version: ArticleVersion) -> None:
        if self.submit:
            reviewing.submit(version_id=version.pk, seen_digest=version.digest, actor=self.actor, now=self.now)
