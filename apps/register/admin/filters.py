"""Filters of the register's list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from apps.core.numbers import whole
from apps.core.people import user_of
from apps.register.models import Acceptance, Category, MatrixVersion, Rating, Risk, RiskAssessment

COUNTING, EVERY = "counting", "all"
CELL = re.compile(r"(inherent|current|residual)-([0-9]{1,9})-([0-9]{1,3})-([0-9]{1,3})")
MOST = 200


class StatusFilter(admin.SimpleListFilter):
    """What still counts, unless something else is asked for."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(COUNTING, "Not closed"), *Risk.Status.choices, (EVERY, "All")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Risk]) -> QuerySet[Risk]:
        value = self.value() or COUNTING
        if value == COUNTING:
            return queryset.exclude(status=Risk.Status.CLOSED)
        return queryset if value == EVERY else queryset.filter(status=value)

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        current = self.value() or COUNTING
        for value, title in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": current == value, "query_string": query, "display": title}


class SeverityFilter(admin.SimpleListFilter):
    """How grave the current score is, whatever matrix it was made with."""

    title = "severity of 100"
    parameter_name = "severity"
    BANDS = {"70": (70, 101), "40": (40, 70), "low": (1, 40), "none": (0, 1)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("70", "70 or more"), ("40", "40 to 69"), ("low", "Under 40"), ("none", "Not scored")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Risk]) -> QuerySet[Risk]:
        band = self.BANDS.get(self.value() or "")
        return queryset.filter(severity__gte=band[0], severity__lt=band[1]) if band else queryset


class CategoryFilter(admin.SimpleListFilter):
    """A category with all that is below it."""

    title = "category"
    parameter_name = "category"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(pk), path) for pk, path in Category.objects.values_list("pk", "path")[:MOST]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Risk]) -> QuerySet[Risk]:
        if not self.value():
            return queryset
        key = whole(self.value() or "")
        path = Category.objects.filter(pk=key).values_list("path", flat=True).first() if key is not None else None
        if path is None:
            return queryset.none()
        below = Category.objects.filter(Q(path=path) | Q(path__startswith=f"{path} > "))
        return queryset.filter(category__in=list(below.values_list("pk", flat=True)))


class AssessmentFilter(admin.SimpleListFilter):
    """The document that a risk came in."""

    title = "assessment"
    parameter_name = "assessment"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        seen = RiskAssessment.objects.visible_to(user_of(request))
        return [(str(pk), title) for pk, title in seen.values_list("pk", "title")[:MOST]] + [("none", "None")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Risk]) -> QuerySet[Risk]:
        value = self.value()
        if not value:
            return queryset
        if value == "none":
            return queryset.filter(assessment=None)
        key = whole(value)
        return queryset.none() if key is None else queryset.filter(assessment_id=key)


class OwnerFilter(admin.SimpleListFilter):
    """Who answers for it."""

    title = "owner"
    parameter_name = "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("me", "Mine"), ("nobody", "No person yet")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Risk]) -> QuerySet[Risk]:
        if self.value() == "me":
            return queryset.filter(owner_id=request.user.pk)
        return queryset.filter(owner=None) if self.value() == "nobody" else queryset


class ReviewFilter(admin.SimpleListFilter):
    """When it is to be looked at again."""

    title = "next review"
    parameter_name = "review"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("overdue", "Overdue"), ("soon", "Within 14 days"), ("none", "Not planned")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Risk]) -> QuerySet[Risk]:
        today = timezone.now().date()
        if self.value() == "overdue":
            return queryset.filter(next_review_on__lt=today)
        if self.value() == "soon":
            return queryset.filter(next_review_on__range=(today, today + timedelta(days=14)))
        return queryset.filter(next_review_on=None) if self.value() == "none" else queryset


class AcceptanceFilter(admin.SimpleListFilter):
    """Where a request to accept the risk stands."""

    title = "acceptance"
    parameter_name = "acceptance"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", "Waiting for a decision"), ("ending", "Ends within 14 days")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Risk]) -> QuerySet[Risk]:
        rows = Acceptance.objects.filter(risk=OuterRef("pk"))
        if self.value() == "waiting":
            return queryset.filter(Exists(rows.filter(state=Acceptance.State.REQUESTED)))
        if self.value() == "ending":
            until = timezone.now().date() + timedelta(days=14)
            return queryset.filter(Exists(rows.filter(state=Acceptance.State.APPROVED, expires_on__lte=until)))
        return queryset


class CellFilter(admin.SimpleListFilter):
    """One cell of a heat map: the kind of score, the matrix version, and the steps of probability and impact."""

    title = "cell of the heat map"
    parameter_name = "cell"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        value = request.GET.get(self.parameter_name, "")
        read = CELL.fullmatch(value)
        words = self._words(*read.groups()) if read else "No such cell"
        return [(value, words)] if value else []

    def has_output(self) -> bool:
        return bool(self.lookup_choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Risk]) -> QuerySet[Risk]:
        if not self.value():
            return queryset
        read = CELL.fullmatch(self.value() or "")
        if not read:
            return queryset.none()
        kind, matrix, probability, impact = read.groups()
        # As a subquery on the heat map's own index; a join would lose the list's order by severity.
        scored = Rating.objects.latest(kind).filter(matrix_id=int(matrix), probability=probability, impact=impact)
        return queryset.filter(pk__in=scored.values("risk"))

    @staticmethod
    def _words(kind: str, matrix: str, probability: str, impact: str) -> str:
        version = MatrixVersion.objects.select_related("matrix").filter(pk=int(matrix)).first()
        return f"{kind}: probability {probability}, impact {impact}" + (f" ({version})" if version else "")
