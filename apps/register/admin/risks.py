"""The register's list, worst first, and the pages of a risk."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.asking import page
from apps.core.home import address
from apps.core.names import called
from apps.core.paging import EstimatedPaginator
from apps.core.templatetags.desk import badge
from apps.register.admin import filters, heat, risk_steps
from apps.register.admin.risk_page import risk_page, trail_file
from apps.register.admin.shared import DASH, STATUS_TONES, Plain, due, score_badge
from apps.register.models import Rating, Risk

REFERENCE = re.compile(r"[rR]-[0-9]+")
# Long texts that the list does not show.
UNSEEN = ("description", "cause", "consequence", "evidence")
# Filters worth a link of their own.
TABS = (
    ("Not closed", ""),
    ("Mine", "owner=me"),
    ("Severity 70 or more", "severity=70"),
    ("Review overdue", "review=overdue"),
    ("Acceptance to decide", "acceptance=waiting"),
    ("Acceptance ends soon", "acceptance=ending"),
    ("Not scored", "severity=none"),
)


# Pages that stand above the list: name, permission, words, icon, tone.
TOOLS = (
    ("admin:register_risk_heat", "register.view_risk", "Heat map", "chart", ""),
    ("admin:register_riskimport_upload", "register.add_riskimport", "Import", "import", ""),
    ("admin:register_risk_new", "register.add_risk", "Record a risk", "plus", "primary"),
)


class RegisterList(ChangeList):
    """The list, each row with its scores of now; they are read for the page's rows in one statement."""

    today: date

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Risk]:
        return super().get_queryset(request, exclude_parameters).defer(*UNSEEN)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        scores: dict[int, dict[str, Rating]] = defaultdict(dict)
        rows = Rating.objects.latest().filter(risk__in=[risk.pk for risk in self.result_list])
        for rating in rows.only("risk_id", "kind", "matrix_id", "level", "severity"):
            scores[rating.risk_id][rating.kind] = rating
        for risk in self.result_list:
            risk.scores = scores[risk.pk]

    def picked(self) -> list[tuple[str, str]]:
        """The filters that were chosen, in words; shown where the drawer that holds them is closed."""
        found = []
        for spec in self.filter_specs:
            if any(name in self.params or name in self.filter_params for name in spec.expected_parameters()):
                chosen = [str(choice["display"]) for choice in spec.choices(self) if choice["selected"]]
                found += [(str(spec.title), words) for words in chosen]
        return found


@admin.register(Risk)
class RiskAdmin(ScopedAdmin, ReadOnlyAdmin, Plain):
    """Risks are changed on pages of their own, each bound to the version that was seen."""

    list_display = ["title_link", "inherent", "current", "residual", "status_badge", "owned_by", "category", "review"]
    list_display_links = None
    list_filter = [
        filters.StatusFilter, filters.SeverityFilter, filters.CategoryFilter, filters.AssessmentFilter,
        filters.OwnerFilter, "treatment", filters.ReviewFilter, filters.AcceptanceFilter, filters.CellFilter,
    ]  # fmt: skip
    list_select_related = ["owner", "category"]
    list_max_show_all = 0
    ordering = ("-severity", "id")
    sortable_by = ["current", "review"]
    show_facets = admin.ShowFacets.NEVER
    paginator = EstimatedPaginator
    search_fields = ["title"]
    search_help_text = "Words of the title, or a reference such as R-0042"
    change_list_template = "register/risks.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RegisterList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Risk], search_term: str
    ) -> tuple[QuerySet[Risk], bool]:
        """A reference finds its risk by the unique index; anything else is looked for in titles, by their trigrams."""
        term = search_term.strip()
        if REFERENCE.fullmatch(term):
            return queryset.filter(reference=term.upper()), False
        return super().get_search_results(request, queryset, term)

    # ----- columns

    @admin.display(description="risk")
    def title_link(self, risk: Risk) -> SafeString:
        url = reverse("admin:register_risk_change", args=[risk.pk])
        return format_html(
            '<a class="risk-title" href="{}"><span class="muted mono">{}</span> <strong>{}</strong></a>',
            url, risk.reference, risk.title,
        )  # fmt: skip

    @admin.display(description="inherent")
    def inherent(self, risk: Risk) -> SafeString:
        return score_badge(risk.scores.get("inherent"))  # type: ignore[attr-defined]  # set by RegisterList

    @admin.display(description="current", ordering="severity")
    def current(self, risk: Risk) -> SafeString:
        return score_badge(risk.scores.get("current"))  # type: ignore[attr-defined]  # set by RegisterList

    @admin.display(description="residual")
    def residual(self, risk: Risk) -> SafeString:
        return score_badge(risk.scores.get("residual"))  # type: ignore[attr-defined]  # set by RegisterList

    @admin.display(description="status")
    def status_badge(self, risk: Risk) -> SafeString:
        return badge(STATUS_TONES[Risk.Status(risk.status)], risk.get_status_display())

    @admin.display(description="owner")
    def owned_by(self, risk: Risk) -> SafeString | str:
        if risk.owner is None:
            return format_html('<span class="muted">{}</span>', risk.owner_role or "Nobody yet")
        return called(risk.owner)

    @admin.display(description="next review", ordering="next_review_on")
    def review(self, risk: Risk) -> SafeString | str:
        return DASH if risk.next_review_on is None else due(risk.next_review_on, timezone.now().date())

    # ----- pages

    def get_urls(self) -> list[URLPattern]:
        return [
            page(self, "heat-map/", "heat", heat.heat_maps),
            page(self, "<int:pk>/trail.csv", "trail", trail_file),
            *risk_steps.pages(self),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        here = request.GET.urlencode()
        tabs = [(words, query, query == here) for words, query in TABS]
        tools = [
            {"url": address(name), "words": words, "icon": icon, "tone": tone}
            for name, permission, words, icon, tone in TOOLS
            if request.user.has_perm(permission) and address(name)
        ]
        more = {"title": "Risk register", "tabs": tabs, "tools": tools}
        return super().changelist_view(request, {**more, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One risk; see :mod:`apps.register.admin.risk_page`."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return risk_page(self, request, object_id)
