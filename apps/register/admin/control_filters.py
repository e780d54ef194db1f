"""Filters of the list of controls: what they say now, and whether somebody or something should have looked by now."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from apps.register.models import Control
from apps.register.runs import late_checks

SAYS = {
    "pass": "Pass, in place",
    "warn": "Warning, partly in place",
    "fail": "Fail, not in place",
    "error": "Could not be checked",
    "unknown": "Not known",
}


class SaysFilter(admin.SimpleListFilter):
    """What the last look or the last word that holds says."""

    title = "state"
    parameter_name = "says"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(SAYS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Control]) -> QuerySet[Control]:
        value = self.value()
        if value not in SAYS:
            return queryset if value is None else queryset.none()
        said = queryset.with_words(timezone.now())  # type: ignore[attr-defined]
        return said.filter(said="" if value == "unknown" else value)


class OverdueFilter(admin.SimpleListFilter):
    """Whether a look or an attestation is overdue."""

    title = "looked at"
    parameter_name = "overdue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Overdue"), ("no", "In time")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Control]) -> QuerySet[Control]:
        value, now = self.value(), timezone.now()
        if value not in ("yes", "no"):
            return queryset if value is None else queryset.none()
        late = queryset.overdue(now, late_checks(now))  # type: ignore[attr-defined]
        return late if value == "yes" else queryset.exclude(pk__in=late.order_by().values("pk"))
