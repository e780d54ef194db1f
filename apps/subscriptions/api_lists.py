"""Lists of the API: pages by position, which stay right and fast however many rows there are.

A page begins behind the last row of the one before, so its cost does not grow with its place, and rows that come and go
move nothing. ``total`` is counted to :data:`MOST_COUNTED` only: an exact count reads every row that somebody may see, at
each request. ``total_exact`` says whether it is the whole number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import BooleanField, DecimalField, F, Func, Q, QuerySet, UUIDField, Value
from django.db.models.lookups import GreaterThan
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from apps.core.models import Scope
from apps.core.numbers import whole
from apps.subscriptions.models import RiskScore
from apps.subscriptions.querysets import WORST_FIRST, RiskScoreQuerySet

PAGE_SIZE, MAX_PAGE_SIZE = 50, 200
MOST_COUNTED = 1_000
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
SCORE_CURSOR = rf"^(HIGH|MEDIUM|LOW)~[0-9]{{1,6}}(\.[0-9]{{1,2}})?~{_UUID}$"
TIME_CURSOR = rf"^[0-9]{{1,16}}~([0-9]{{1,18}}|{_UUID})$"
SLUG = r"^[-a-zA-Z0-9_]{1,80}$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _parameter(name: str, schema: dict[str, Any], words: str = "", **more: Any) -> OpenApiParameter:
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, description=words, **more)


_SIZE = _parameter("page_size", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE})
PAGE_PARAMETERS = [_SIZE, _parameter("cursor", {"type": "string", "pattern": TIME_CURSOR}, "From `next`.")]
SCORE_PARAMETERS = [
    _SIZE,
    _parameter("cursor", {"type": "string", "pattern": SCORE_CURSOR}, "From `next`."),
    _parameter(
        "level",
        {"type": "array", "items": {"type": "string", "enum": list(WORST_FIRST)}},
        "May be given several times.",
    ),
    _parameter("degraded", {"type": "string", "enum": ["true", "false"]}),
    _parameter("scope", {"type": "string", "pattern": SLUG}, "Slug of the organisation."),
]


@dataclass(frozen=True, slots=True)
class Page:
    """What was found for a page, with one row more than it shows if there is a next one.

    Attributes:
        rows: at most ``size + 1``.
        counted: rows of all pages, up to one more than :data:`MOST_COUNTED`.
    """

    rows: Sequence[Any]
    size: int
    counted: int

    def response(self, request: Request, data: Sequence[Any], cursor: str) -> Response:
        """The answer; ``cursor`` is the position of the last row that is shown."""
        more = len(self.rows) > self.size
        url = replace_query_param(request.build_absolute_uri(), "cursor", cursor) if more else None
        body = {
            "success": True,
            "data": data,
            "total": min(self.counted, MOST_COUNTED),
            "total_exact": self.counted <= MOST_COUNTED,
            "next": url,
        }
        return Response(body)


def page_size(request: Request) -> int:
    """How many rows are asked for.

    Raises:
        ValidationError: not a number that is allowed.
    """
    size = whole(request.query_params.get("page_size", str(PAGE_SIZE)))
    if size is None or not 1 <= size <= MAX_PAGE_SIZE:
        raise ValidationError({"page_size": [f"A whole number from 1 to {MAX_PAGE_SIZE}."]})
    return size


def counted(rows: QuerySet[Any]) -> int:
    """How many rows there are, looking at one more than :data:`MOST_COUNTED`."""
    return rows.order_by()[: MOST_COUNTED + 1].count()


def filtered(parts: Sequence[RiskScoreQuerySet], request: Request) -> list[RiskScoreQuerySet]:
    """Apply the list's filters to each part.

    Raises:
        ValidationError: a filter's value is not valid.
    """
    params, wrong = request.query_params, {}
    levels = set(params.getlist("level")) or set(WORST_FIRST)
    if not levels <= set(WORST_FIRST):
        wrong["level"] = ["LOW, MEDIUM or HIGH."]
    degraded = params.get("degraded")
    if degraded not in (None, "true", "false"):
        wrong["degraded"] = ["true or false."]
    scope = params.get("scope")
    if scope is not None and not re.search(SLUG, scope):
        wrong["scope"] = ["The slug of an organisation."]
    if wrong:
        raise ValidationError(wrong)
    conditions = Q()
    if degraded is not None:
        conditions &= Q(degraded=degraded == "true")
    if scope is not None:
        conditions &= Q(scope=Scope.objects.filter(slug=scope.strip()).values("pk")[:1])
    # Places of neighbouring levels are one range.
    ranges = [["HIGH"], ["LOW"]] if levels == {"HIGH", "LOW"} else [list(levels)]
    return [part.filter(conditions).at(*chosen) for part in parts for chosen in ranges]


def worst_first(parts: Sequence[RiskScoreQuerySet], request: Request, fields: Sequence[str]) -> Page:
    """A page of scores: HIGH before MEDIUM before LOW, and by the sum of weights within a level.

    Args:
        parts: the list in parts without overlap, each of which an index has in order; they are merged.
    """
    size = page_size(request)
    after = _score_position(request)
    behind = [part.filter(GreaterThan(_row(F("place"), F("pk")), _row(*after))) for part in parts] if after else parts
    ordered = [part.order_by("place", "pk").values("place", "pk", *fields)[: size + 1] for part in behind]
    page = ordered[0].union(*ordered[1:], all=True).order_by("place", "pk")[: size + 1] if parts[1:] else ordered[0]
    rows = list(page)
    if after is None and len(rows) <= size:
        return Page(rows, size, len(rows))  # all there is, so nobody needs to count it
    some = [part.order_by().values("pk")[: MOST_COUNTED + 1] for part in parts]
    total = some[0].union(*some[1:], all=True)[: MOST_COUNTED + 1] if parts[1:] else some[0]
    return Page(rows, size, total.count())


def _row(*values: Any) -> Func:
    """Several values as one that is compared from the first to the last, as the index is ordered."""
    return Func(*values, function="ROW", output_field=BooleanField())


def score_cursor(row: dict[str, Any]) -> str:
    """The position of a score in the list."""
    return f"{row['risk_level']}~{row['total_weight']}~{row['pk']}"


def newest_first(rows: QuerySet[Any], moment: str, request: Request) -> Page:
    """A page of rows by a moment, newest first; a row's id breaks ties."""
    size = page_size(request)
    position = _time_position(request, rows)
    behind = rows
    if position:
        at, pk = position
        behind = rows.filter(**{f"{moment}__lte": at}).exclude(Q(**{moment: at}) & Q(pk__gte=pk))
    page = list(behind.order_by(f"-{moment}", "-pk")[: size + 1])
    all_there_is = position is None and len(page) <= size
    return Page(page, size, len(page) if all_there_is else counted(rows))


def time_cursor(at: datetime, pk: Any) -> str:
    """The position of a row in a list by time."""
    return f"{max(0, (at - _EPOCH) // timedelta(microseconds=1))}~{pk}"


def _score_position(request: Request) -> tuple[Value, Value] | None:
    """Place and id of the score that a page begins behind."""
    text = _cursor(request, SCORE_CURSOR)
    if text is None:
        return None
    level, weight, pk = text.split("~")
    place = RiskScore.place_of(level, Decimal(weight))
    return Value(place, DecimalField(max_digits=9, decimal_places=2)), Value(UUID(pk), UUIDField())


def _time_position(request: Request, rows: QuerySet[Any]) -> tuple[datetime, Any] | None:
    text = _cursor(request, TIME_CURSOR)
    if text is None:
        return None
    micros, pk = text.split("~")
    by_uuid = rows.model._meta.pk.get_internal_type() == "UUIDField"
    if by_uuid is not ("-" in pk):
        pk = str(2**63 - 1) if not by_uuid else "ffffffff-ffff-ffff-ffff-ffffffffffff"
    return _EPOCH + timedelta(microseconds=int(micros)), pk


def _cursor(request: Request, pattern: str) -> str | None:
    text = request.query_params.get("cursor")
    if text is None:
        return None
    if not re.search(pattern, text):
        raise ValidationError({"cursor": ["This is not the cursor of a page of this list."]})
    return text.strip()
