"""What the admin pages of subscriptions share."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.models import Scope
from apps.core.numbers import whole
from apps.core.paging import EstimatedPaginator
from apps.core.scope import scopes_of, sees_every_scope
from apps.core.templatetags.desk import ago, badge
from apps.subscriptions.models import Approval, RiskLevel, RiskScore, Subscription
from apps.subscriptions.reasons import Factor, reasons

LEVEL_TONES = {RiskLevel.HIGH.value: "bad", RiskLevel.MEDIUM.value: "warn", RiskLevel.LOW.value: "ok"}
LEVEL_ICONS = {RiskLevel.HIGH.value: "alert", RiskLevel.MEDIUM.value: "info", RiskLevel.LOW.value: "check"}
WEIGHT_TONES = {"HIGH": "bad", "MEDIUM": "warn", "NONE": "muted"}
STATUS_TONES = {
    Subscription.Status.ACTIVE: "ok",
    Subscription.Status.PAUSED: "warn",
    Subscription.Status.CANCELLED: "muted",
    Subscription.Status.EXPIRED: "muted",
}
DASH = SafeString('<span class="muted">–</span>')


class SubscriptionData(ScopedAdmin, ReadOnlyAdmin):
    """Rows about subscriptions, to look at: they are written by what happens, not by hand. Lists may hold millions."""

    paginator = EstimatedPaginator
    list_per_page = 50
    show_full_result_count = False
    sortable_by: ClassVar[list[str]] = []
    # The first column leads to the subscription, so what leads to the row itself is named by each list.
    list_display_links: Any = None

    class Media:
        css: ClassVar[dict[str, list[str]]] = {"all": ["subscriptions/subscriptions.css"]}

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Refused as the other pages are; Django would say of a row outside the scope that it does not exist."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return super().history_view(request, object_id, extra_context)

    @admin.display(description="subscription")
    def of(self, row: Any) -> SafeString:
        return subscription_link(row.subscription)


class OfOneSubscription(SubscriptionData):
    """Rows that are found by the name or the id of their subscription."""

    search_fields = ["subscription__name__istartswith"]
    search_help_text = "Beginning of the subscription's name, or its id"

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        try:
            return queryset.filter(subscription=UUID(search_term.strip())), False
        except ValueError:
            return super().get_search_results(request, queryset, search_term)


class OrganisationFilter(admin.SimpleListFilter):
    """The organisations that the person works in, and no other's name."""

    title = "organisation"
    parameter_name = "organisation"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        user: Any = request.user
        own = Scope.objects.all() if sees_every_scope(user) else Scope.objects.filter(pk__in=scopes_of(user))
        return [(str(key), name) for key, name in with_subscriptions(own).values_list("pk", "name")[:200]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        path = "scope" if queryset.model is Subscription else "subscription__scope"
        key = whole(value)
        return queryset.none() if key is None else queryset.filter(**{path: key})


def with_subscriptions(scopes: QuerySet[Scope]) -> QuerySet[Scope]:
    """Those organisations that have subscriptions; one look into the index for each, however many there are."""
    return scopes.filter(Exists(Subscription.objects.filter(scope=OuterRef("pk"))))


def subscription_url(pk: UUID) -> str:
    """The page of a subscription."""
    return reverse("admin:subscriptions_subscription_change", args=[pk])


def subscription_link(subscription: Subscription) -> SafeString:
    """A subscription's name, leading to its page."""
    return format_html('<a href="{}">{}</a>', subscription_url(subscription.pk), subscription.name)


def level_badge(level: str, *, degraded: bool = False) -> SafeString:
    """A level in colour, sign and word; a second badge says that part of it could not be judged."""
    if not level:
        return badge("muted", "Not calculated")
    shown = badge(LEVEL_TONES.get(level, "muted"), RiskLevel(level).label, LEVEL_ICONS.get(level, ""))
    return format_html("{} {}", shown, badge("warn", "Degraded", "alert")) if degraded else shown


def glance(factors: list[Factor], *, problem: str = "") -> SafeString:
    """The reasons of a score in one cell: what counts, each with its weight; what is fine is left out."""
    counted = [one for one in reasons(factors) if one.counts]
    lines = format_html_join(
        "",
        '<li title="{}"><span class="weight weight--{}" role="img" aria-label="{}"></span> <b>{}</b> {}</li>',
        ((str(one), WEIGHT_TONES.get(one.weight, "muted"), one.weight, one.title, one.text) for one in counted),
    )
    if problem:
        lines += format_html('<li class="muted">{}</li>', problem)
    return format_html('<ul class="reasons">{}</ul>', lines) if lines else DASH


def score_glance(score: RiskScore | None) -> SafeString:
    """The same of a score; a dash where there is none."""
    return glance(score.risk_factors, problem=score.degraded_reason) if score else DASH


def approval_state(approval: Approval, now: datetime) -> tuple[str, str]:
    """Tone and word: an active approval whose end has passed is expired, whatever its row says."""
    if approval.status == Approval.Status.ACTIVE and approval.expires_at <= now:
        return "bad", "Expired"
    tones = {Approval.Status.ACTIVE: "ok", Approval.Status.EXPIRED: "bad", Approval.Status.REVOKED: "muted"}
    return tones[Approval.Status(approval.status)], approval.get_status_display()


def when(moment: Any) -> SafeString:
    """How long ago, or a dash."""
    return ago(moment) if moment else DASH
