"""What people do with an article beside its words: details, owner, reviews, taking it down; and new drafts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone

from apps.core.admin import ScopedAdmin
from apps.core.asking import Question, Words, ask, found, person
from apps.core.models import Scope
from apps.core.names import called
from apps.core.numbers import whole
from apps.knowledge import drafts, keeping, reviewing, rights
from apps.knowledge.admin.forms import DetailsForm, EditionForm, LikeForm, NoteForm, ReasonForm, ReassignForm
from apps.knowledge.admin.shared import article_url, due, shown, version_url
from apps.knowledge.drafts import DETAILS
from apps.knowledge.models import Article, ArticleVersion

Run = Callable[[Any], str]


def _own(modeladmin: ModelAdmin, request: HttpRequest, pk: int, may: Callable[..., bool] = rights.may_edit) -> Article:
    """The article, for those who may do this with it."""
    article: Article = found(modeladmin, request, pk, "owner", "category", "scope")
    if not may(person(request), article):
        raise PermissionDenied
    return article


def _ask(
    modeladmin: ModelAdmin, request: HttpRequest, article: Article, words: Words, make: Any, run: Run,
    *, url: str | Callable[[], str] = "", version: ArticleVersion | None = None, **more: Any,
) -> HttpResponse:  # fmt: skip
    """The page shows the article, and the text of a version if the question is about one."""
    back = article_url(article)
    live = article.versions.published().first()
    first = live or article.versions.first()
    shows = {
        "article": article, "name": first.title if first else article.slug, "review": due(article, timezone.now().date()),
        "live": live, "version": version, "text": shown(version.body) if version else "", "now": timezone.now(), **more,
    }  # fmt: skip
    question = Question(
        words, lambda data, _: make(data), run, url or back, back, shows["name"], "knowledge/decide.html", shows
    )
    return ask(modeladmin, request, question)


def details(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Change address, category, audience, ways to ask, reviewers."""
    article = _own(modeladmin, request, pk)
    user = person(request)
    scopes = ScopedAdmin.narrow(Scope.objects.all(), user)
    if article.scope_id:  # an owner keeps the scope of an article, also one in which they do not work
        scopes = scopes | Scope.objects.filter(pk=article.scope_id)
    initial = {name: getattr(article, name) for name in DETAILS if name not in ("tags", "category", "scope")}
    initial |= {
        "seen": article.edition, "category": article.category_id, "scope": article.scope_id, "tags": ", ".join(article.tags),
        "questions": "\n".join(article.questions.values_list("text", flat=True)),
        "reviewers": [one.pk for one in article.reviewers.all()],
    }  # fmt: skip

    def run(form: DetailsForm) -> str:
        given = dict(form.cleaned_data)
        seen, reviewers, questions = given.pop("seen"), given.pop("reviewers"), given.pop("questions")
        drafts.change_details(
            article_id=pk, seen_edition=seen, changes=given, questions=questions, reviewers=list(reviewers), actor=user,
            now=timezone.now(),
        )  # fmt: skip
        return "The details are changed."

    lead = "They count at once, for the live version too; its words are changed by a draft."
    return _ask(
        modeladmin, request, article, Words("Details", "Save", lead),
        lambda data: DetailsForm(data, scopes=scopes.distinct(), initial=initial), run,
    )  # fmt: skip


def reassign(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Give it to another owner."""
    article = _own(modeladmin, request, pk)

    def run(form: ReassignForm) -> str:
        given = form.cleaned_data
        keeping.reassign(
            article_id=pk, seen_edition=given["seen"], owner=given["owner"], reason=given["reason"],
            actor=person(request), now=timezone.now(),
        )  # fmt: skip
        return f"{given['owner']} owns it now, and is told."

    lead = f"Now it is {called(article.owner)}'s. The owner is reminded of reviews and decides when it goes live."
    return _ask(
        modeladmin, request, article, Words("Give it to somebody", "Give", lead),
        lambda data: ReassignForm(data, initial={"seen": article.edition}), run,
    )  # fmt: skip


def archive(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Take it down."""
    article = _own(modeladmin, request, pk, rights.may_publish)

    def run(form: ReasonForm) -> str:
        given = form.cleaned_data
        reviewing.archive(
            article_id=pk, seen_edition=given["seen"], reason=given["reason"], actor=person(request), now=timezone.now()
        )
        return "It is archived. Nobody is answered with it any more."

    lead = (
        "Readers do not find it any more, and nobody is answered with it. Its versions stay; it can be taken up again. "
        "What was scheduled does not go live."
    )
    return _ask(
        modeladmin, request, article, Words("Archive the article", "Archive", lead, "danger"),
        lambda data: ReasonForm(data, initial={"seen": article.edition}), run,
    )  # fmt: skip


def restore(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Take it up again."""
    article = _own(modeladmin, request, pk, rights.may_publish)

    def run(form: EditionForm) -> str:
        reviewing.restore(
            article_id=pk, seen_edition=form.cleaned_data["seen"], actor=person(request), now=timezone.now()
        )
        return "It is taken up again. Begin a draft from the version that should go live."

    lead = "Readers see it once a version of it is approved and published anew."
    return _ask(
        modeladmin, request, article, Words("Take it up again", "Take up", lead),
        lambda data: EditionForm(data, initial={"seen": article.edition}), run,
    )  # fmt: skip


def confirm(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Say that the live version is still true."""
    article = _own(modeladmin, request, pk)
    live = article.versions.published().first()

    def run(form: NoteForm) -> str:
        given = form.cleaned_data
        after = keeping.confirm(
            article_id=pk, seen_digest=given["seen"], note=given["note"], actor=person(request), now=timezone.now()
        )
        return f"Reviewed. The next review is due on {after.next_review_on}."

    lead = "Read it as a customer would. If a step, a price or a name is not right any more, write a draft instead."
    return _ask(
        modeladmin, request, article, Words("It is still true", "It is still true", lead),
        lambda data: NoteForm(data, initial={"seen": live.digest if live else "-"}), run, version=live,
    )  # fmt: skip


def draft(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Begin a draft; ``?like=`` the number of a version begins it with the words of that one."""
    article = _own(modeladmin, request, pk)
    wanted = request.POST.get("like") or request.GET.get("like", "")
    like = whole(wanted) if wanted else None
    base = article.versions.filter(number=like).first() if like and like < 2**31 else None
    if wanted and base is None:
        raise Http404
    made: list[ArticleVersion] = []

    def run(form: LikeForm) -> str:
        made.append(
            drafts.new_draft(article_id=pk, like=form.cleaned_data["like"], actor=person(request), now=timezone.now())
        )
        return "The draft is begun. Readers go on seeing the live version."

    lead = "A draft is begun beside what is live. Readers see it only after somebody else has approved it."
    title = f"Go back to version {like}" if base else "Begin a draft"
    return _ask(
        modeladmin, request, article, Words(title, "Begin", lead), lambda data: LikeForm(data, initial={"like": like}), run,
        url=lambda: version_url(made[0], "edit"), version=base or article.versions.published().first(),
    )  # fmt: skip


STEPS = (details, reassign, archive, restore, confirm, draft)
