"""How the levels of all subscriptions develop, day by day."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from apps.core.admin import ReadOnlyAdmin
from apps.core.models import Scope, User
from apps.core.numbers import whole
from apps.core.people import user_of
from apps.core.scope import in_scope, scopes_of, sees_every_scope
from apps.subscriptions.admin.shared import with_subscriptions
from apps.subscriptions.models import LevelCount, RiskLevel, RiskScoreHistory
from apps.subscriptions.templatetags.risk_plots import DayCounts

SPANS = ((30, "30 days"), (90, "3 months"), (365, "1 year"))
MOST_ORGANISATIONS = 200


def day_counts(rows: QuerySet[LevelCount], *, first: date) -> list[DayCounts]:
    """The counts of each day from the first on, summed over the organisations in the rows."""
    found: dict[date, dict[str, int]] = {}
    sums = rows.filter(day__gte=first).order_by("day").values_list("day", "risk_level")
    for day, level, number in sums.annotate(number=Sum("subscriptions")):
        found.setdefault(day, {})[level] = number
    return [
        DayCounts(
            day,
            counts.get(RiskLevel.LOW.value, 0),
            counts.get(RiskLevel.MEDIUM.value, 0),
            counts.get(RiskLevel.HIGH.value, 0),
        )
        for day, counts in found.items()
    ]


def latest(user: User, now: datetime) -> DayCounts | None:
    """The newest counts of what a person may see; None if there are none of the last days."""
    rows = in_scope(LevelCount.objects.all(), user)
    found = day_counts(rows, first=now.date() - timedelta(days=7))
    return found[-1] if found else None


@admin.register(LevelCount)
class LevelCountAdmin(ReadOnlyAdmin):
    """The overall trend."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return in_scope(super().get_queryset(request), user_of(request))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The plot, with its numbers as a table."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        now = timezone.now()
        rows, span = self.get_queryset(request), whole(request.GET.get("days", "")) or 90
        span = span if span in dict(SPANS) else 90
        scope, organisations = self._organisation(request)
        if scope is not None:
            rows = rows.filter(scope=scope)
        days = day_counts(rows, first=now.date() - timedelta(days=span))
        context = {
            **self.admin_site.each_context(request),
            "title": "Risk trend",
            "opts": self.opts,
            "now": now,
            "days": days,
            "last": days[-1] if days else None,
            "before": _before(days),
            "span": span,
            "spans": SPANS,
            "scope": scope,
            "organisations": organisations,
            "movements": self._movements(request, now - timedelta(days=7), scope),
            "cl": None,
        }
        return TemplateResponse(request, "subscriptions/trends.html", context)

    def _organisation(self, request: HttpRequest) -> tuple[Scope | None, list[Scope]]:
        """The chosen organisation and those to choose from.

        Raises:
            Http404: the person does not work in the chosen one, or there is none such.
        """
        user: Any = request.user
        own = Scope.objects.all() if sees_every_scope(user) else Scope.objects.filter(pk__in=scopes_of(user))
        own = with_subscriptions(own)
        wanted = request.GET.get("organisation", "")
        if not wanted:
            return None, list(own[:MOST_ORGANISATIONS])
        key = whole(wanted)
        found = None if key is None else own.filter(pk=key).first()
        if found is None:
            raise Http404
        return found, list(own[:MOST_ORGANISATIONS])

    def _movements(self, request: HttpRequest, since: datetime, scope: Scope | None) -> dict[str, int]:
        """How many subscriptions came to HIGH and left it lately."""
        rows = RiskScoreHistory.objects.visible_to(user_of(request)).filter(calculated_at__gte=since)
        if scope is not None:
            rows = rows.filter(subscription__scope=scope)
        high = RiskLevel.HIGH.value
        return {
            "rose": rows.filter(risk_level=high).exclude(previous_level=high).count(),
            "fell": rows.filter(previous_level=high).exclude(risk_level=high).count(),
        }

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A count stands in the plot."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        key = whole(object_id)
        if key is None or not self.get_queryset(request).filter(pk=key).exists():
            raise Http404
        return HttpResponseRedirect(reverse("admin:subscriptions_levelcount_changelist"))


def _before(days: list[DayCounts]) -> DayCounts | None:
    """The counts about a week before the last ones, to compare with."""
    if not days:
        return None
    earlier = [one for one in days if one.day <= days[-1].day - timedelta(days=7)]
    return earlier[-1] if earlier else None
