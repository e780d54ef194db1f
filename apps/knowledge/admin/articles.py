"""Articles as their owners find them: the lists, and the pages of an article and its versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.asking import READS, found, page, person
from apps.core.models import User
from apps.core.names import called
from apps.core.templatetags.desk import badge
from apps.knowledge.admin import article_steps, editing, version_steps
from apps.knowledge.admin.article_page import article_page
from apps.knowledge.admin.shared import (
    DASH,
    SOON,
    TONES,
    Plain,
    State,
    article_url,
    due,
    state_badge,
    version_url,
    when,
)
from apps.knowledge.admin.version_page import version_page
from apps.knowledge.models import Article, ArticleVersion
from apps.knowledge.querysets import ArticleQuerySet
from apps.knowledge.rights import ADD

# The lists that have a link of their own: words, and what the address says.
LISTS = (
    ("All", ""),
    ("Mine", "mine"),
    ("To review", "review"),
    ("On their way", "work"),
    ("Due", "due"),
    ("Stale", "stale"),
    ("Archived", "archived"),
)


def listed(rows: ArticleQuerySet, name: str, user: User) -> ArticleQuerySet:
    """One of the lists; see :data:`LISTS`."""
    today = timezone.now().date()
    ways = {
        "mine": lambda: rows.of(user),
        "review": lambda: rows.to_review(user),
        "work": rows.in_work,
        "due": lambda: rows.due(today + SOON),
        "stale": lambda: rows.stale(today),
        "archived": rows.archived,
    }
    return ways.get(name, rows.kept)()


class ListFilter(admin.SimpleListFilter):
    """Which list; what is archived stands in its own."""

    title = "list"
    parameter_name = "list"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, words) for words, name in LISTS if name]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        assert isinstance(queryset, ArticleQuerySet)
        return listed(queryset, self.value() or "", person(request))

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        yield {
            "selected": self.value() is None,
            "query_string": changelist.get_query_string(remove=[self.parameter_name]),
            "display": "All that are kept",
        }
        for value, words in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": self.value() == value, "query_string": query, "display": words}


class PersonFilter(admin.RelatedOnlyFieldListFilter):
    """A list's filter by a person, by name."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, Any]]:
        keys = model_admin.get_queryset(request).order_by().values_list(f"{self.field_path}__pk", flat=True).distinct()
        people = field.related_model._default_manager.filter(pk__in=keys)
        return sorted(((one.pk, called(one)) for one in people), key=lambda pair: pair[1].casefold())


@admin.register(Article)
class ArticleAdmin(ScopedAdmin, ReadOnlyAdmin, Plain):
    """Articles are changed on pages of their own, each bound to what was seen."""

    list_display = ["title_link", "state", "category", "audience_badge", "owned_by", "review"]
    list_display_links = None
    list_filter = [
        ListFilter,
        "audience",
        ("category", admin.RelatedOnlyFieldListFilter),
        "language",
        ("owner", PersonFilter),
    ]
    list_select_related = ["owner", "category"]
    ordering = ("next_review_on", "pk")
    sortable_by = ["category", "review"]
    show_facets = admin.ShowFacets.NEVER
    search_fields = ["slug", "versions__title", "questions__text"]
    search_help_text = "Words of the question or of another way to ask it"
    change_list_template = "knowledge/articles.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).with_words()  # type: ignore[attr-defined]

    @admin.display(description="article")
    def title_link(self, article: Any) -> SafeString:
        return format_html(
            '<a class="article-title" href="{}"><strong>{}</strong></a>',
            article_url(article),
            article.title or article.slug,
        )

    @admin.display(description="state")
    def state(self, article: Any) -> SafeString:
        if article.archived_at:
            return badge("muted", "Archived")
        live = badge("ok", f"Live, version {article.live}") if article.live else badge("muted", "Not live")
        work = State(article.work) if article.work else None
        return format_html("{} {}", live, badge(TONES[work], work.label) if work else "")

    @admin.display(description="for")
    def audience_badge(self, article: Article) -> SafeString:
        return badge("muted" if article.audience == Article.Audience.PUBLIC else "warn", article.get_audience_display())

    @admin.display(description="owner")
    def owned_by(self, article: Article) -> SafeString | str:
        return (
            called(article.owner)
            if article.owner.is_active
            else format_html("{} {}", called(article.owner), badge("bad", "Left"))
        )

    @admin.display(description="next review", ordering="next_review_on")
    def review(self, article: Article) -> SafeString | str:
        return due(article, timezone.now().date())

    def get_urls(self) -> list[URLPattern]:
        version = "<int:pk>/versions/<int:number>/"
        return [
            page(self, "new/", "new", editing.new),
            page(self, "preview/", "preview", editing.preview),
            page(self, "<int:pk>/image/", "image", editing.upload),
            *(page(self, f"<int:pk>/{step.__name__}/", step.__name__, step) for step in article_steps.STEPS),
            page(self, version, "version", version_page),
            page(self, f"{version}edit/", "edit", editing.edit),
            *(page(self, f"{version}{step.__name__}/", step.__name__, step) for step in version_steps.STEPS),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        here = request.GET.get("list", "")
        more = {
            "title": "Articles",
            "tabs": [(words, f"?list={name}" if name else "?", name == here) for words, name in LISTS],
            "filtered": set(request.GET) - {"list", "q", "p", "o"},  # the tabs say which list it is
            "may_add": request.user.has_perm(ADD),
        }
        return super().changelist_view(request, {**more, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One article; see :mod:`apps.knowledge.admin.article_page`."""
        if request.method not in READS:
            return HttpResponseNotAllowed(READS)
        return article_page(self, request, object_id)


@admin.register(ArticleVersion)
class ArticleVersionAdmin(ScopedAdmin, ReadOnlyAdmin, Plain):
    """Versions of all articles, the latest first; each has its page below its article."""

    list_display = ["link", "state_shown", "author", "reviewer", "changed"]
    list_display_links = None
    list_filter = ["state", "author"]
    list_select_related = ["author", "reviewer"]
    ordering = ("-updated_at", "-pk")
    sortable_by: ClassVar[list[str]] = []
    show_facets = admin.ShowFacets.NEVER
    search_fields = ["title"]

    @admin.display(description="version")
    def link(self, version: ArticleVersion) -> SafeString:
        return format_html(
            '<a class="article-title" href="{}"><strong>{}</strong></a> <span class="muted nowrap">version {}</span>',
            version_url(version), version.title, version.number,
        )  # fmt: skip

    @admin.display(description="state")
    def state_shown(self, version: ArticleVersion) -> SafeString:
        return state_badge(version)

    @admin.display(description="changed")
    def changed(self, version: ArticleVersion) -> SafeString:
        return when(version.published_at or version.updated_at) if version.updated_at else DASH

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A version stands below its article."""
        if request.method not in READS:
            return HttpResponseNotAllowed(READS)
        version: ArticleVersion = found(self, request, object_id)
        return HttpResponseRedirect(
            reverse("admin:knowledge_article_version", args=[version.article_id, version.number])
        )
