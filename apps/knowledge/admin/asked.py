"""What was asked and what became of it, and what readers said about articles: to read, not to change."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.asking import READS, found, page, person
from apps.core.scope import scopes_of, sees_every_scope
from apps.core.templatetags.desk import ago, badge
from apps.knowledge.admin.shared import DASH, OUTCOME_TONES, Outcome, Plain, version_url
from apps.knowledge.answers import LONGEST, find
from apps.knowledge.calibration import current_settings
from apps.knowledge.models import ArticleFeedback, ArticleVersion, AskedQuestion
from apps.knowledge.search.retrieve import Reader

SHOWN = 8


def percent(share: float) -> str:
    """A probability in words; nothing is certain."""
    return f"{min(99, round(100 * share))} %"


def place(source: str) -> str:
    """Where a question was asked, in words."""
    kind, _, key = source.partition(":")
    words = {"help_centre": "Help centre", "api": "API", "conversation": "Chat"}.get(kind, source)
    return f"{words} {key}" if key and words != source else words


@admin.register(AskedQuestion)
class AskedQuestionAdmin(ScopedAdmin, ReadOnlyAdmin, Plain):
    """Questions, the latest first, with what was answered and how sure that was."""

    list_display = ["link", "outcome_badge", "sure", "where", "marks", "asked"]
    list_display_links = None
    list_filter = ["outcome", "attack", "audience", "language", ("degraded", admin.EmptyFieldListFilter), "asked_at"]
    sortable_by: ClassVar[list[str]] = []
    show_facets = admin.ShowFacets.NEVER
    search_fields = ["text"]
    change_list_template = "knowledge/asked_questions.html"

    @admin.display(description="question")
    def link(self, asked: AskedQuestion) -> SafeString:
        url = reverse("admin:knowledge_askedquestion_change", args=[asked.pk])
        return format_html('<a class="article-title" href="{}">{}</a>', url, asked.text[:200] or "(nothing)")

    @admin.display(description="outcome")
    def outcome_badge(self, asked: AskedQuestion) -> SafeString:
        return badge(OUTCOME_TONES[Outcome(asked.outcome)], asked.get_outcome_display())

    @admin.display(description="confidence")
    def sure(self, asked: AskedQuestion) -> str:
        return percent(asked.confidence)

    @admin.display(description="where")
    def where(self, asked: AskedQuestion) -> str:
        return place(asked.source)

    @admin.display(description="marks")
    def marks(self, asked: AskedQuestion) -> SafeString:
        found = [badge("bad", "Attack")] if asked.attack else []
        found += [badge("warn", "Degraded")] if asked.degraded else []
        return format_html_join(" ", "{}", ((one,) for one in found)) if found else DASH

    @admin.display(description="asked")
    def asked(self, asked: AskedQuestion) -> SafeString:
        return ago(asked.asked_at, timezone.now())

    def get_urls(self) -> list[URLPattern]:
        return [page(self, "try/", "try", try_page), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One question: what was said to it, by which versions and settings."""
        if request.method not in READS:
            return HttpResponseNotAllowed(READS)
        asked: AskedQuestion = found(self, request, object_id, "settings", "gap", "scope")
        seen = ArticleVersion.objects.visible_to(person(request)).in_bulk(asked.versions)
        hits = [
            (seen.get(pk), pk, score, version_url(seen[pk]) if pk in seen else "")
            for pk, score in zip(asked.versions, asked.scores, strict=False)
        ]
        context = {
            **self.admin_site.each_context(request),
            "title": asked.text[:80] or "Question",
            "opts": self.opts,
            "asked": asked,
            "tone": OUTCOME_TONES[Outcome(asked.outcome)],
            "sure": percent(asked.confidence),
            "where": place(asked.source),
            "hits": hits,
            "now": timezone.now(),
            "media": self.media,
        }
        return TemplateResponse(request, "knowledge/asked.html", context)


def try_page(modeladmin: admin.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """What would be said to a question (``?q=``) now, and why; nothing is kept."""
    if request.method not in READS:
        return HttpResponseNotAllowed(READS)
    if not modeladmin.has_view_permission(request):
        raise PermissionDenied
    user, question = person(request), request.GET.get("q", "").replace("\x00", " ").strip()[:LONGEST]
    public = request.GET.get("for") == "public"
    context: dict[str, Any] = {
        **modeladmin.admin_site.each_context(request),
        "title": "Try a question",
        "opts": modeladmin.opts,
        "question": question,
        "public": public,
        "media": modeladmin.media,
    }
    if question:
        settings = current_settings()
        scopes = None if sees_every_scope(user) else tuple(scopes_of(user).values_list("pk", flat=True))
        said = find(question, Reader(internal=not public, scopes=() if public else scopes), settings)
        context |= {"settings": settings, **_said(said, settings)}
    return TemplateResponse(request, "knowledge/try.html", context)


def _said(said: Any, settings: Any) -> dict[str, Any]:
    """What was found, in words."""
    best = said.ranked[:SHOWN]
    versions = ArticleVersion.objects.select_related("article").in_bulk([one.version for one, _ in best])
    if said.confidence >= settings.answer_at and best:
        verdict = ("ok", "Answered with the first article")
    elif said.confidence >= settings.choose_at and best:
        verdict = ("info", "The first articles are offered as a choice")
    else:
        verdict = ("warn", "Not sure; nothing is answered")
    return {
        "verdict": verdict,
        "sure": percent(said.confidence),
        "degraded": said.degraded,
        "hits": [
            (versions[one.version], version_url(versions[one.version]), round(score, 3), one)
            for one, score in best
            if one.version in versions
        ],
    }


@admin.register(ArticleFeedback)
class ArticleFeedbackAdmin(ScopedAdmin, ReadOnlyAdmin, Plain):
    """What readers said, the latest first."""

    list_display = ["said", "article", "reason_words", "comment", "given"]
    list_display_links = None
    list_filter = ["helpful", "reason", "given_at"]
    list_select_related = ["version__article"]
    sortable_by: ClassVar[list[str]] = []
    show_facets = admin.ShowFacets.NEVER
    fields = ["said", "article", "reason_words", "comment", "given"]

    @admin.display(description="helpful")
    def said(self, row: ArticleFeedback) -> SafeString:
        return badge("ok", "Helpful") if row.helpful else badge("bad", "Not helpful")

    @admin.display(description="article")
    def article(self, row: ArticleFeedback) -> SafeString:
        version = row.version
        return format_html(
            '<a class="article-title" href="{}">{}</a> <span class="muted nowrap">version {}</span>',
            version_url(version), version.title, version.number,
        )  # fmt: skip

    @admin.display(description="reason")
    def reason_words(self, row: ArticleFeedback) -> SafeString | str:
        return row.get_reason_display() or DASH

    @admin.display(description="said")
    def given(self, row: ArticleFeedback) -> SafeString:
        return ago(row.given_at, timezone.now())
