"""The operators' queue: the list of action cards, most urgent first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.forms import Script
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from apps.actions.admin import bulk, dashboard, decisions, detail, views
from apps.actions.admin.filters import DECIDED, EVERY, AgeFilter, ImpactFilter, ScopeFilter, StatusFilter
from apps.actions.home import ICONS
from apps.actions.models import ActionCard
from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.paging import EstimatedPaginator
from apps.core.templatetags.desk import ago, badge, icon, money

DECIDE = "actions.decide_actioncard"
WAITING_STATUSES = (ActionCard.Status.OPEN, ActionCard.Status.FAILED)
# Long texts that the list does not show.
UNSEEN = ("evidence", "message", "rationale", "mitigation", "escalation", "rollback_plan", "fingerprint")


@dataclass(frozen=True, slots=True)
class Viewer:
    """What a row's cells must know about who looks, and from where."""

    filters: str
    may_decide: bool
    now: datetime


class QueueList(ChangeList):
    """The list of cards, without the texts that only the detail page shows."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[ActionCard]:
        return super().get_queryset(request, exclude_parameters).defer(*UNSEEN)

    def get_results(self, request: HttpRequest) -> None:
        """Cells are made by the admin object, which all requests share; so each row carries who looks at it."""
        super().get_results(request)
        filters = self.model_admin.get_preserved_filters(request)
        viewer = Viewer(filters, request.user.has_perm(DECIDE), timezone.now())
        self.result_list = list(self.result_list)
        for card in self.result_list:
            card.viewer = viewer

    def picked(self) -> list[tuple[str, str]]:
        """The filters that were chosen, in words; shown where the drawer that holds them is closed."""
        found = []
        for spec in self.filter_specs:
            if any(name in self.params or name in self.filter_params for name in spec.expected_parameters()):
                chosen = [str(choice["display"]) for choice in spec.choices(self) if choice["selected"]]
                found += [(str(spec.title), words) for words in chosen]
        return found


def explain_score(card: ActionCard) -> str:
    """How the score comes about, in words."""
    return (
        f"{card.expected_loss:,.2f} {card.currency} expected loss × {card.confidence:.0%} confidence × "
        f"ease {card.ease} of 5 = {card.priority:,.0f}"
    )


@admin.register(ActionCard)
class ActionCardAdmin(ScopedAdmin, ReadOnlyAdmin):
    """Cards are never edited by hand: each decision is a page of its own, bound to the version that was seen."""

    list_display = ["kind_label", "target_text", "summary", "impact", "sure", "tier", "score", "age", "row_actions"]
    list_display_links = None
    list_filter = [StatusFilter, "kind", "risk_tier", ScopeFilter, ImpactFilter, AgeFilter]
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ["score", "age"]
    # Parts of the target by its trigrams, the subject as a whole by its index; one part without an index would cost both.
    search_fields = ["target", "subject__exact"]
    search_help_text = "Order, tracking number, customer, or subject such as order:17"
    paginator = EstimatedPaginator
    change_list_template = "actions/queue.html"
    actions = ["dismiss_selected"]

    class Media:
        js = [Script("actions/queue.js", defer=True)]  # it looks for the rows, so they must be there
        css = {"all": ["actions/queue.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return QueueList

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """By priority what waits, by time what is decided; each order has its index."""
        status = request.GET.get("status", "")
        if status in DECIDED:
            return ("-closed_at", "-id")
        return ("-opened_at", "-id") if status == EVERY else ("-priority", "id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ActionCard], search_term: str
    ) -> tuple[QuerySet[ActionCard], bool]:
        """Subjects are written small, and targets are compared without regard to that."""
        return super().get_search_results(request, queryset, search_term.lower())

    # ----- permissions

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(DECIDE)

    def has_rollback_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("actions.rollback_actioncard")

    # ----- columns

    @admin.display(description=mark_safe('<input type="checkbox" id="action-toggle" aria-label="Select all">'))
    def action_checkbox(self, card: ActionCard) -> SafeString:
        """As Django's, but not as a form's widget, whose template would be rendered for each row."""
        box = '<input type="checkbox" name="{}" value="{}" class="action-select" aria-label="Select {}">'
        return format_html(box, ACTION_CHECKBOX_NAME, card.pk, card.target)

    @admin.display(description="type")
    def kind_label(self, card: ActionCard) -> SafeString:
        name, words = ICONS.get(ActionCard.Kind(card.kind), "alert"), card.get_kind_display()
        return format_html('<span class="queue-kind" title="{}">{}{}</span>', words, icon(name), words)

    @admin.display(description="target")
    def target_text(self, card: ActionCard) -> SafeString:
        pages = {"note": self._url(card, "note")} if card.viewer.may_decide else {}  # type: ignore[attr-defined]  # set by QueueList
        if pages and card.can_execute and card.status == ActionCard.Status.OPEN:
            pages["approve"] = self._url(card, "approve")
        keys = format_html_join("", ' data-{}="{}"', pages.items())
        return format_html('<a class="queue-target" href="{}"{}>{}</a>', self._url(card, "change"), keys, card.target)

    @admin.display(description="description")
    def summary(self, card: ActionCard) -> SafeString:
        tone = "bad" if card.status == ActionCard.Status.FAILED else "muted"
        state = badge(tone, card.get_status_display()) if card.status != ActionCard.Status.OPEN else ""
        return format_html('<span class="queue-text" title="{}">{} {}</span>', card.draft, state, card.draft)

    @admin.display(description="impact")
    def impact(self, card: ActionCard) -> SafeString:
        if not card.expected_impact:
            return format_html('<span class="num muted" title="{}">none</span>', "No money is directly at risk")
        return money(card.expected_impact, card.currency)

    @admin.display(description="confidence")
    def sure(self, card: ActionCard) -> SafeString:
        return format_html('<span class="num">{} %</span>', round(card.confidence * 100))

    @admin.display(description="tier")
    def tier(self, card: ActionCard) -> SafeString:
        return badge(card.risk_tier, card.get_risk_tier_display())

    @admin.display(description="score", ordering="priority")
    def score(self, card: ActionCard) -> SafeString:
        return format_html('<span class="num" title="{}">{}</span>', explain_score(card), f"{card.priority:,.0f}")

    @admin.display(description="age", ordering="opened_at")
    def age(self, card: ActionCard) -> SafeString:
        return ago(card.opened_at, card.viewer.now, short=True)  # type: ignore[attr-defined]  # set by QueueList

    @admin.display(description="actions")
    def row_actions(self, card: ActionCard) -> SafeString:
        words = {"change": "View"}
        if card.viewer.may_decide and card.status in WAITING_STATUSES:  # type: ignore[attr-defined]  # set by QueueList
            words |= {"dismiss": "Dismiss", "escalate": "Escalate"}
        buttons = [(self._url(card, page), page, f"{word} {card.target}", word) for page, word in words.items()]
        return format_html(
            '<span class="queue-actions">{}</span>',
            format_html_join("", '<a class="btn btn--small" href="{}" data-do="{}" aria-label="{}">{}</a>', buttons),
        )

    def _url(self, card: ActionCard, page: str) -> str:
        """The address of a card's page, which comes back to this list."""
        url = reverse(f"admin:actions_actioncard_{page}", args=[card.pk])
        return add_preserved_filters({"preserved_filters": card.viewer.filters, "opts": self.opts}, url)  # type: ignore[attr-defined]  # set by QueueList

    # ----- pages

    def get_urls(self) -> list[URLPattern]:
        pages: list[URLPattern] = [
            self._page("dashboard/", "dashboard", dashboard.dashboard),
            self._page("bulk-dismiss/", "bulk_dismiss", bulk.bulk_dismiss),
            self._page("views/save/", "save_view", views.save_view),
            self._page("views/<int:pk>/delete/", "delete_view", views.delete_view),
        ]
        for step in decisions.STEPS:
            pages.append(
                self._page(f"<int:pk>/{step.slug}/", step.slug.replace("-", "_"), partial(decisions.decide, step=step))
            )
        return pages + super().get_urls()

    def _page(self, route: str, name: str, view: Callable[..., HttpResponse]) -> URLPattern:
        def bound(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            return view(self, request, **kwargs)

        return path(route, self.admin_site.admin_view(bound), name=f"actions_actioncard_{name}")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": "Queue", **views.tabs(request), **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return detail.card_page(self, request, object_id)

    # ----- actions

    @admin.action(description="Dismiss with a reason", permissions=["decide"])
    def dismiss_selected(self, request: HttpRequest, queryset: QuerySet[ActionCard]) -> HttpResponse:
        return bulk.ask(self, request, queryset)
