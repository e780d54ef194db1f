"""Risk scores, worst first, and their history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.safestring import SafeString

from apps.core.templatetags.desk import badge, money
from apps.subscriptions.admin.shared import (
    OfOneSubscription,
    OrganisationFilter,
    glance,
    level_badge,
    score_glance,
    subscription_url,
    when,
)
from apps.subscriptions.admin.subscriptions import recalculate_chosen
from apps.subscriptions.models import RiskLevel, RiskScore, RiskScoreHistory


class WorstFilter(admin.SimpleListFilter):
    """The level; HIGH unless another is chosen, for those are looked for first."""

    title = "risk level"
    parameter_name = "level"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((str(key), str(word)) for key, word in reversed(RiskLevel.choices)), ("all", "All")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        chosen = self.value() or RiskLevel.HIGH.value
        for key, word in self.lookup_choices:
            yield {
                "selected": key == chosen,
                "query_string": changelist.get_query_string({self.parameter_name: key}),
                "display": word,
            }

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet[Any]:
        value = self.value() or RiskLevel.HIGH.value
        return queryset.at(value) if value in RiskLevel.values else queryset


@admin.register(RiskScore)
class RiskScoreAdmin(OfOneSubscription):
    """Scores; each leads to its subscription."""

    list_display = ["of", "level", "why", "sum", "worth", "renews", "calculated", "told"]
    list_filter = [WorstFilter, OrganisationFilter, "degraded", "subscription__status"]
    list_select_related = ["subscription"]
    ordering = ["place", "id"]
    actions = ["recalculate"]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A score stands on the page of its subscription."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            score = self.get_queryset(request).filter(pk=UUID(object_id)).first()
        except ValueError:
            score = None
        if score is None:
            raise Http404
        return HttpResponseRedirect(subscription_url(score.subscription_id))

    @admin.display(description="risk")
    def level(self, score: RiskScore) -> SafeString:
        return level_badge(score.risk_level, degraded=score.degraded)

    @admin.display(description="why")
    def why(self, score: RiskScore) -> SafeString:
        return score_glance(score)

    @admin.display(description="sum")
    def sum(self, score: RiskScore) -> str:
        return f"{score.total_weight.normalize():f}"

    @admin.display(description="renewal")
    def worth(self, score: RiskScore) -> SafeString:
        return money(score.subscription.price, score.subscription.currency)

    @admin.display(description="due")
    def renews(self, score: RiskScore) -> str:
        return f"{score.subscription.renews_on}"

    @admin.display(description="calculated")
    def calculated(self, score: RiskScore) -> SafeString:
        return when(score.last_calculated_at)

    @admin.display(description="last told")
    def told(self, score: RiskScore) -> SafeString | str:
        return score.get_last_notified_risk_level_display() or SafeString('<span class="muted">–</span>')

    def has_recalculate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscriptions.change_riskscore")

    @admin.action(description="Recalculate the selected", permissions=["recalculate"])
    def recalculate(self, request: HttpRequest, queryset: QuerySet[RiskScore]) -> None:
        recalculate_chosen(self, request, list(queryset.values_list("subscription_id", flat=True)[:501]))


@admin.register(RiskScoreHistory)
class RiskScoreHistoryAdmin(OfOneSubscription):
    """Every change of a score, newest first."""

    list_display_links = ["calculated_at"]
    list_display = ["of", "moved", "why", "sum", "calculated_at", "rule_version"]
    list_filter = [OrganisationFilter, "risk_level", "previous_level", "degraded"]
    list_select_related = ["subscription"]
    ordering = ["-pk"]
    readonly_fields = ["of", "moved", "why"]
    fields = ["of", "moved", "why", "total_weight", "calculated_at", "rule_version", "degraded"]

    @admin.display(description="level")
    def moved(self, change: RiskScoreHistory) -> SafeString:
        now = level_badge(change.risk_level, degraded=change.degraded)
        before = change.get_previous_level_display() if change.previous_level != change.risk_level else ""
        return badge("plain", before) + SafeString(" → ") + now if before else now

    @admin.display(description="reasons")
    def why(self, change: RiskScoreHistory) -> SafeString:
        return glance(change.risk_factors)

    @admin.display(description="sum")
    def sum(self, change: RiskScoreHistory) -> str:
        return f"{change.total_weight.normalize():f}"
