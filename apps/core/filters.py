"""Filters of the shared lists."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.core.models import Decision

# From each value to the next by the index: a few look-ups, where DISTINCT would read the whole log.
_SCOPES = """
    WITH RECURSIVE found AS (
        (SELECT scope FROM core_decision ORDER BY scope LIMIT 1)
        UNION ALL
        SELECT (SELECT d.scope FROM core_decision d WHERE d.scope > found.scope ORDER BY d.scope LIMIT 1)
        FROM found WHERE found.scope IS NOT NULL
    )
    SELECT scope FROM found WHERE scope IS NOT NULL
"""


class DecisionScopeFilter(admin.SimpleListFilter):
    """The areas that the decision log knows, such as risk-monitoring."""

    title = "scope"
    parameter_name = "scope"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        with connection.cursor() as cursor:
            cursor.execute(_SCOPES)
            return [(scope, scope) for (scope,) in cursor.fetchall()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Decision]) -> QuerySet[Decision]:
        value = self.value()
        return queryset.filter(scope=value) if value else queryset
