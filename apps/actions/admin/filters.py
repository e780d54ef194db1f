"""Filters of the operators' queue."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from apps.actions.models import ActionCard
from apps.core.models import Scope
from apps.core.numbers import whole
from apps.core.scope import scopes_of, sees_every_scope

WAITING, EVERY = "waiting", "all"
DECIDED = tuple(status for status in ActionCard.Status if status not in ActionCard.LIVE)
MOST_SCOPES = 200


class StatusFilter(admin.SimpleListFilter):
    """What waits for a person, unless something else is asked for."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(WAITING, "Waiting for me"), *ActionCard.Status.choices, (EVERY, "All")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ActionCard]) -> QuerySet[ActionCard]:
        value = self.value() or WAITING
        if value == WAITING:
            return queryset.filter(status__in=[ActionCard.Status.OPEN, ActionCard.Status.FAILED])
        if value in DECIDED:
            # Open cards have no closing time and come first in the index; naming it lets the index skip them.
            return queryset.filter(status=value, closed_at__isnull=False)
        return queryset if value == EVERY else queryset.filter(status=value)

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        current = self.value() or WAITING
        for value, title in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": current == value, "query_string": query, "display": title}


class ScopeFilter(admin.SimpleListFilter):
    """Stores and teams of the person who looks."""

    title = "store or scope"
    parameter_name = "scope"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        user: Any = request.user  # a person: nobody else comes this far
        mine = Scope.objects.filter(pk__in=scopes_of(user).values("pk"))
        scopes = Scope.objects.all() if sees_every_scope(user) else mine
        return [(str(scope.pk), scope.name) for scope in scopes[:MOST_SCOPES]] + [("none", "Whole company")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ActionCard]) -> QuerySet[ActionCard]:
        value = self.value()
        if not value:
            return queryset
        if value == "none":
            return queryset.filter(scope=None)
        scope = whole(value)
        return queryset.none() if scope is None else queryset.filter(scope_id=scope)


class AgeFilter(admin.SimpleListFilter):
    """How long ago the card was opened."""

    title = "age"
    parameter_name = "age"
    SPANS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("hour", "Last hour"),
            ("day", "Last 24 hours"),
            ("week", "Last 7 days"),
            ("over-day", "Over 24 hours"),
            ("over-week", "Over 7 days"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ActionCard]) -> QuerySet[ActionCard]:
        value = self.value() or ""
        span = self.SPANS.get(value.removeprefix("over-"))
        if span is None:
            return queryset
        moment = timezone.now() - span
        return (
            queryset.filter(opened_at__lt=moment)
            if value.startswith("over-")
            else queryset.filter(opened_at__gte=moment)
        )


class ImpactFilter(admin.SimpleListFilter):
    """Money at risk, in the card's own currency."""

    title = "impact"
    parameter_name = "impact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        steps = [(str(n), f"{n:,} or more") for n in (100, 500, 1_000, 10_000)]
        return [("0", "No direct impact"), *steps]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ActionCard]) -> QuerySet[ActionCard]:
        least = whole(self.value() or "")
        if least is None:
            return queryset
        return queryset.filter(expected_impact__gte=least) if least else queryset.filter(expected_impact=0)
