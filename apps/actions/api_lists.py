"""Lists of the API: filters, and pages that stay right and fast while cards come and go."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime
from django_filters.fields import IsoDateTimeField
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from apps.actions.models import ActionCard
from apps.core.numbers import whole

PAGE_SIZE, MAX_PAGE_SIZE = 50, 200
LARGEST = 2**63


def in_utc(moment: datetime) -> datetime:
    """The moment in UTC, for PostgreSQL refuses offsets that Python accepts; without a zone it is UTC already.

    Raises:
        OverflowError: at the ends of the calendar.
    """
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


class MomentField(IsoDateTimeField):
    """A moment by ISO 8601."""

    def clean(self, value: Any) -> Any:
        found = super().clean(value)
        try:
            return in_utc(found) if found else found
        except OverflowError:
            raise forms.ValidationError("This moment is out of range.") from None


class MomentFilter(django_filters.IsoDateTimeFilter):
    """A bound in time."""

    field_class = MomentField


class CardFilter(django_filters.FilterSet):
    """Without ``status`` the list is the queue: cards that wait for a person."""

    status = django_filters.MultipleChoiceFilter(choices=ActionCard.Status.choices)
    type = django_filters.MultipleChoiceFilter(field_name="kind", choices=ActionCard.Kind.choices)
    risk_tier = django_filters.MultipleChoiceFilter(choices=ActionCard.Tier.choices)
    rule = django_filters.CharFilter()
    subject = django_filters.CharFilter()
    scope = django_filters.CharFilter(field_name="scope__slug")
    can_execute = django_filters.BooleanFilter()
    opened_after = MomentFilter(field_name="opened_at", lookup_expr="gte")
    opened_before = MomentFilter(field_name="opened_at", lookup_expr="lt")

    class Meta:
        model = ActionCard
        fields: list[str] = []

    def filter_queryset(self, queryset: QuerySet[ActionCard]) -> QuerySet[ActionCard]:
        found: QuerySet[ActionCard] = super().filter_queryset(queryset)
        return found if self.form.cleaned_data.get("status") else found.queue()  # type: ignore[attr-defined]


class CardPages(BasePagination):
    """Pages by position: a page begins behind the last card of the one before, however many cards there are.

    The queue is ordered by priority, most urgent first; cards of other states by when they were opened, newest first.
    DRF's own cursor counts cards of equal value and refuses beyond 1,000 of them; here a card's id breaks ties.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        self.url = request.build_absolute_uri()
        self.by = "opened_at" if request.query_params.get("status") else "priority"
        size = self._size(request)
        cursor = request.query_params.get("cursor")
        if cursor:
            value, pk = self._position(cursor)
            # Said so that the index on the value is used; the second part leaves out what the page before showed.
            queryset = queryset.filter(**{f"{self.by}__lte": value}).exclude(Q(**{self.by: value}) & Q(pk__lte=pk))
        found = list(queryset.order_by(f"-{self.by}", "pk")[: size + 1])
        self.last = found[size - 1] if len(found) > size else None
        return found[:size]

    def _size(self, request: Request) -> int:
        text = request.query_params.get("page_size", str(PAGE_SIZE))
        size = whole(text)
        if size is None or not 1 <= size <= MAX_PAGE_SIZE:
            raise ValidationError({"page_size": [f"A whole number from 1 to {MAX_PAGE_SIZE}."]})
        return size

    def _position(self, cursor: str) -> tuple[Decimal | datetime, int]:
        try:
            by, value, pk = base64.urlsafe_b64decode(cursor).decode().split("|")
            moment = parse_datetime(value) if by == "opened_at" else None
            found = in_utc(moment) if moment else Decimal(value)
            if by == self.by and (isinstance(found, datetime) or abs(found) < LARGEST) and 0 < int(pk) < LARGEST:
                return found, int(pk)
        except (ValueError, OverflowError, binascii.Error, InvalidOperation):
            pass
        raise ValidationError({"cursor": ["This is not the cursor of a page of this list."]})

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self._next(), "results": data})

    def _next(self) -> str | None:
        if self.last is None:
            return None
        value = getattr(self.last, self.by)
        text = f"{self.by}|{value.isoformat() if isinstance(value, datetime) else value}|{self.last.pk}"
        return replace_query_param(self.url, "cursor", base64.urlsafe_b64encode(text.encode()).decode())

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The page in the OpenAPI document."""
        return {
            "type": "object",
            "required": ["next", "results"],
            "properties": {
                "next": {"type": "string", "format": "uri", "nullable": True, "description": "The next page."},
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """The parameters in the OpenAPI document."""
        size = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE}
        return [
            {"name": "cursor", "in": "query", "required": False, "schema": {"type": "string"}},
            {"name": "page_size", "in": "query", "required": False, "schema": size},
        ]
