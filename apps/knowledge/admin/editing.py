"""Writing: new articles, drafts in the editor, the preview, and pictures that are pasted into it."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.urls import reverse
from django.utils import timezone

from apps.core.admin import ScopedAdmin
from apps.core.asking import Question, Words, ask, found, person
from apps.core.errors import DomainError
from apps.core.models import Scope
from apps.escalation.differences import lines
from apps.knowledge import drafts, rights
from apps.knowledge.admin.forms import EditForm, NewForm
from apps.knowledge.admin.shared import State, article_url, elsewhere, shown, version_url
from apps.knowledge.admin.version_page import version_of
from apps.knowledge.images import MOST_BYTES, add_image, address
from apps.knowledge.models import Article, ArticleVersion, Category
from apps.knowledge.refusals import InvalidArticle


def new(modeladmin: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Write a new article."""
    user = person(request)
    if not (modeladmin.has_view_permission(request) and user.has_perm(rights.ADD)):
        raise PermissionDenied
    scopes = ScopedAdmin.narrow(Scope.objects.all(), user)
    made: list[ArticleVersion] = []

    def run(form: NewForm) -> str:
        made.append(drafts.create_article(actor=user, now=timezone.now(), **form.cleaned_data))
        return "The draft is kept. Pictures can be pasted into it now."

    initial = {"category": request.GET.get("category"), "title": request.GET.get("title", "")[:200]}
    lead = "It begins as a draft; readers see it after somebody else has approved it."
    question = Question(
        Words("Write an article", "Keep as draft", lead), lambda data, _: NewForm(data, scopes=scopes, initial=initial), run,
        lambda: version_url(made[0]), reverse("admin:knowledge_article_changelist"), "Articles", "knowledge/edit.html",
        {"preview_url": _preview_url(), "no_category": not Category.objects.exists(), **_typed(request)},
    )  # fmt: skip
    return ask(modeladmin, request, question)


def edit(modeladmin: ModelAdmin, request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Rewrite a draft."""
    article: Article = found(modeladmin, request, pk, "owner", "category")
    user = person(request)
    if not rights.may_edit(user, article):
        raise PermissionDenied
    version = version_of(article, number)
    if (answer := elsewhere(request, version, State.DRAFT)) is not None:
        return answer
    after: list[ArticleVersion] = []

    def run(form: EditForm) -> str:
        given = form.cleaned_data
        after.append(
            drafts.edit_draft(
                version_id=version.pk, seen_digest=given["seen"], title=given["title"], body=given["body"],
                changes=given["changes"], actor=user, now=timezone.now(),
            )
        )  # fmt: skip
        return "Kept. Read it once more, then ask for a review."

    initial = {name: getattr(version, name) for name in ("title", "body", "changes")} | {"seen": version.digest}
    lead = (
        ""
        if version.author_id == user.pk
        else f"This is {version.author}'s draft. By keeping it you become its author."
    )
    more = {
        "article": article, "version": version, "preview_url": _preview_url(), "image_url": article_url(article, "image"),
        "most_bytes": MOST_BYTES, **_typed(request), **_theirs(request, version),
    }  # fmt: skip
    question = Question(
        Words(f"Version {version.number}: edit the draft", "Keep", lead), lambda data, _: EditForm(data, initial=initial), run,
        lambda: version_url(after[0]), version_url(version), str(version), "knowledge/edit.html", more,
    )  # fmt: skip
    return ask(modeladmin, request, question)


def _theirs(request: HttpRequest, version: ArticleVersion) -> dict[str, Any]:
    """What is kept now beside what was typed, if somebody else was quicker."""
    if request.method != "POST" or request.POST.get("seen") == version.digest:
        return {}
    typed = request.POST.get("body", "").replace("\r\n", "\n").strip()
    return {"theirs": lines(version.body, typed)}


def _typed(request: HttpRequest) -> dict[str, Any]:
    """What was typed as it reads, for a page that comes back."""
    return {"typed": shown(request.POST.get("body", "")[: drafts.LONGEST_BODY])} if request.method == "POST" else {}


def _preview_url() -> str:
    return reverse("admin:knowledge_article_preview")


def preview(modeladmin: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """A text as readers would see it (POST ``body``); nothing is kept."""
    if not (modeladmin.has_view_permission(request) and request.user.has_perm(rights.CHANGE)):
        raise PermissionDenied
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    answer = HttpResponse(shown(request.POST.get("body", "")[: drafts.LONGEST_BODY]))
    answer["Cache-Control"] = "no-store"
    return answer


def upload(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Keep a picture (POST ``file``), and say how a text shows it."""
    article: Article = found(modeladmin, request, pk)
    user = person(request)
    if not (rights.may_edit(user, article) and user.has_perm("knowledge.add_articleimage")):
        raise PermissionDenied
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    file = request.FILES.get("file")
    try:
        if file is None:
            raise InvalidArticle("No file came.", fields={"file": ["Choose a picture."]})
        # One byte more than is taken, so that what is too long is refused without being read to its end.
        image = add_image(article_id=article.pk, data=file.read(MOST_BYTES + 1), actor=user, now=timezone.now())
    except DomainError as refusal:
        return JsonResponse({"code": refusal.code, "message": refusal.message}, status=refusal.status)
    return JsonResponse({"url": address(image), "width": image.width, "height": image.height}, status=201)
