"""Lists of the API: filters, and pages that stay right and fast while cards come and go."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from apps.actions.models import ActionCard
from apps.core.bodies import Moment
from apps.core.errors import DomainError
from apps.core.numbers import whole

PAGE_SIZE, MAX_PAGE_SIZE = 50, 200
CURSOR = r"^(priority~-?[0-9]{1,15}(\.[0-9]{1,5})?|opened_at~[0-9]{1,16})~[0-9]{1,18}$"
"""The last card's place: its priority or the microseconds of its opening since 1970, and its id."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CursorOfAnotherList(DomainError):
    """A cursor of the queue was sent with a list by state, or the other way round."""

    code = "cursor_of_another_list"
    message = "This cursor belongs to a list with another order."
    status = 422


class MomentField(forms.CharField):
    """A moment of RFC 3339, as in bodies."""

    def clean(self, value: Any) -> Any:
        if value is None:  # "" is no moment, though forms take it for none
            return None
        try:
            return Moment().to_internal_value(value)
        except ValidationError as error:
            raise forms.ValidationError([str(detail) for detail in error.detail]) from None


class TruthField(forms.Field):
    """``true`` or ``false``; a form's own field takes anything else for no answer."""

    def clean(self, value: Any) -> Any:
        if value not in (None, "true", "false"):
            raise forms.ValidationError("true or false.")
        return value and value == "true"


class MomentFilter(django_filters.Filter):
    """A bound in time."""

    field_class = MomentField


class TruthFilter(django_filters.Filter):
    """Yes or no."""

    field_class = TruthField


class CardFilter(django_filters.FilterSet):
    """Without ``status`` the list is the queue: cards that wait for a person."""

    status = django_filters.MultipleChoiceFilter(choices=ActionCard.Status.choices)
    type = django_filters.MultipleChoiceFilter(field_name="kind", choices=ActionCard.Kind.choices)
    risk_tier = django_filters.MultipleChoiceFilter(choices=ActionCard.Tier.choices)
    rule = django_filters.CharFilter()
    subject = django_filters.CharFilter()
    scope = django_filters.CharFilter(field_name="scope__slug")
    can_execute = extend_schema_field({"type": "string", "enum": ["true", "false"]})(TruthFilter())
    opened_after = extend_schema_field(OpenApiTypes.DATETIME)(MomentFilter(field_name="opened_at", lookup_expr="gte"))
    opened_before = extend_schema_field(OpenApiTypes.DATETIME)(MomentFilter(field_name="opened_at", lookup_expr="lt"))

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
        if cursor is not None:
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
        """Behind which value and id the page begins.

        Raises:
            ValidationError: this is no cursor.
            CursorOfAnotherList: it is none of this order.
        """
        if not re.search(CURSOR, cursor):
            raise ValidationError({"cursor": ["This is not the cursor of a page of this list."]})
        by, value, pk = cursor.strip().split("~")
        if by != self.by:
            raise CursorOfAnotherList
        found = Decimal(value) if by == "priority" else _EPOCH + timedelta(microseconds=int(value))
        return found, int(pk)

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self._next(), "results": data})

    def _next(self) -> str | None:
        if self.last is None:
            return None
        value = getattr(self.last, self.by)
        position = (value - _EPOCH) // timedelta(microseconds=1) if isinstance(value, datetime) else f"{value:f}"
        return replace_query_param(self.url, "cursor", f"{self.by}~{position}~{self.last.pk}")

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
        cursor = {"type": "string", "pattern": CURSOR}
        size = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE}
        return [
            {"name": "cursor", "in": "query", "required": False, "schema": cursor, "description": "From `next`."},
            {"name": "page_size", "in": "query", "required": False, "schema": size},
        ]
