"""What people ask and no article answers: ranked by how many customers ask, with the way to an article."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.asking import READS, Question, Words, ask, found, page, person
from apps.core.templatetags.desk import ago, badge
from apps.knowledge import rights
from apps.knowledge.admin.asked import percent
from apps.knowledge.admin.forms import DraftForm
from apps.knowledge.admin.shared import GAP_TONES, OUTCOME_TONES, Outcome, Plain, article_url, version_url
from apps.knowledge.gaps import draft_article
from apps.knowledge.models import ArticleVersion, AskedQuestion, Gap
from apps.knowledge.replies import replies_to

EVERY = "all"
MOST = 100


class StateFilter(admin.SimpleListFilter):
    """What no article answers yet, unless something else is asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("", "Not answered"), *Gap.State.choices, (EVERY, "All")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset.exclude(state=Gap.State.CLOSED)
        return queryset if value == EVERY else queryset.filter(state=value)

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for value, words in self.lookup_choices:
            change = {"new_params": {self.parameter_name: value}} if value else {"remove": [self.parameter_name]}
            query = changelist.get_query_string(**change)
            yield {"selected": (self.value() or "") == value, "query_string": query, "display": words}


@admin.register(Gap)
class GapAdmin(ScopedAdmin, ReadOnlyAdmin, Plain):
    """Unanswered questions, those that most customers ask first."""

    list_display = ["link", "state_badge", "customers", "questions", "last"]
    list_display_links = None
    list_filter = [StateFilter]
    ordering = ("-customers", "-last_at", "pk")
    sortable_by: ClassVar[list[str]] = ["customers"]
    show_facets = admin.ShowFacets.NEVER
    search_fields = ["title"]
    change_list_template = "knowledge/gaps.html"

    @admin.display(description="question")
    def link(self, gap: Gap) -> SafeString:
        url = reverse("admin:knowledge_gap_change", args=[gap.pk])
        return format_html('<a class="article-title" href="{}"><strong>{}</strong></a>', url, gap.title)

    @admin.display(description="state")
    def state_badge(self, gap: Gap) -> SafeString:
        again = format_html(" {}", badge("bad", f"Opened again {gap.reopened} ×")) if gap.reopened else ""
        return format_html("{}{}", badge(GAP_TONES[Gap.State(gap.state)], gap.get_state_display()), again)

    @admin.display(description="last asked")
    def last(self, gap: Gap) -> SafeString:
        return ago(gap.last_at, timezone.now())

    def get_urls(self) -> list[URLPattern]:
        return [page(self, "<int:pk>/draft/", "draft", draft), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One gap with its questions."""
        if request.method not in READS:
            return HttpResponseNotAllowed(READS)
        gap: Gap = found(self, request, object_id, "article")
        user = person(request)
        asked = list(AskedQuestion.objects.visible_to(user).filter(gap=gap).order_by("-asked_at")[:MOST])
        versions = ArticleVersion.objects.visible_to(user).in_bulk({one.versions[0] for one in asked if one.versions})
        context = {
            **self.admin_site.each_context(request),
            "title": gap.title,
            "opts": self.opts,
            "gap": gap,
            "tone": GAP_TONES[Gap.State(gap.state)],
            "now": timezone.now(),
            "rows": [_row(one, versions) for one in asked],
            "article_url": article_url(gap.article) if gap.article else "",
            "replies": replies_to(gap, user),
            "may_draft": gap.state == Gap.State.OPEN and user.has_perm(rights.ADD),
            "media": self.media,
        }
        return TemplateResponse(request, "knowledge/gap.html", context)


def _row(asked: AskedQuestion, versions: dict[int, ArticleVersion]) -> dict[str, Any]:
    best = versions.get(asked.versions[0]) if asked.versions else None
    return {
        "asked": asked,
        "url": reverse("admin:knowledge_askedquestion_change", args=[asked.pk]),
        "tone": OUTCOME_TONES[Outcome(asked.outcome)],
        "sure": percent(asked.confidence),
        "best": best,
        "best_url": version_url(best) if best else "",
    }


def draft(modeladmin: admin.ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Begin an article for the gap."""
    gap: Gap = found(modeladmin, request, pk)
    user = person(request)
    if not user.has_perm(rights.ADD):
        raise PermissionDenied
    made: list[ArticleVersion] = []

    def run(form: DraftForm) -> str:
        given = form.cleaned_data
        made.append(
            draft_article(
                gap_id=gap.pk, category=given["category"], replies=given["replies"], actor=user, now=timezone.now()
            )
        )
        return "The draft is begun, with the ways in which people asked. Write the answer."

    initial = {"replies": "\n\n".join(" ".join(text.split()) for text in replies_to(gap, user))}
    asked = AskedQuestion.objects.visible_to(user).filter(gap=gap).order_by("-asked_at")[:20]
    back = reverse("admin:knowledge_gap_change", args=[gap.pk])
    lead = "It begins with the question as its title, the ways people asked it, and the replies below as notes for you."
    question = Question(
        Words("Draft an article", "Begin", lead), lambda data, _: DraftForm(data, initial=initial), run,
        lambda: version_url(made[0], "edit"), back, gap.title, "knowledge/gap_draft.html", {"gap": gap, "asked": asked},
    )  # fmt: skip
    return ask(modeladmin, request, question)
