"""Lists of the API: pages by position, which stay right and fast however many rows there are.

A page begins behind the last row of the one before, so its cost does not grow with its place, and rows that come and go
move nothing. ``total`` is counted to :data:`MOST_COUNTED` only: an exact count reads every row that somebody may see, at
each request. ``total_exact`` says whether it is the whole number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from apps.core.numbers import whole
from apps.subscriptions.models import RiskLevel

PAGE_SIZE, MAX_PAGE_SIZE = 50, 200
MOST_COUNTED = 1_000
WORST_FIRST = (RiskLevel.HIGH.value, RiskLevel.MEDIUM.value, RiskLevel.LOW.value)
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


def filtered(scores: QuerySet[Any], request: Request) -> tuple[QuerySet[Any], list[str]]:
    """Apply the list's filters, and say which levels are asked for, worst first.

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
    if degraded is not None:
        scores = scores.filter(degraded=degraded == "true")
    if scope is not None:
        scores = scores.filter(subscription__scope__slug=scope.strip())
    return scores, [level for level in WORST_FIRST if level in levels]


def worst_first(scores: QuerySet[Any], levels: list[str], request: Request, fields: Sequence[str]) -> Page:
    """A page of scores: HIGH before MEDIUM before LOW, and by the sum of weights within a level.

    Each level is read by itself, in the order of its index; in one query the database would have to sort all levels.
    """
    size = page_size(request)
    after = _score_position(request)
    found: list[dict[str, Any]] = []
    for rows in _parts(scores, levels, after):
        found += rows.order_by("-total_weight", "pk").values("pk", *fields)[: size + 1 - len(found)]
        if len(found) > size:
            break
    whole_list = scores if len(levels) == len(WORST_FIRST) else scores.filter(risk_level__in=levels)
    return Page(found, size, counted(whole_list))


def _parts(scores: QuerySet[Any], levels: list[str], after: tuple[str, Decimal, str] | None) -> Iterator[QuerySet[Any]]:
    """What is left of the list behind a position, in parts that are each one range of an index.

    Most scores of a level have the same weight. "The same weight and a later id, or a lower weight" as one condition
    would have the database read all of those before the position; as two it starts behind it.
    """
    for level in levels:
        rows = scores.filter(risk_level=level)
        if after is None or WORST_FIRST.index(level) > WORST_FIRST.index(after[0]):
            yield rows
        elif level == after[0]:
            yield rows.filter(total_weight=after[1], pk__gt=after[2])
            yield rows.filter(total_weight__lt=after[1])


def score_cursor(row: dict[str, Any]) -> str:
    """The position of a score in the list."""
    return f"{row['risk_level']}~{row['total_weight']}~{row['pk']}"


def newest_first(rows: QuerySet[Any], moment: str, request: Request) -> Page:
    """A page of rows by a moment, newest first; a row's id breaks ties."""
    size = page_size(request)
    total = counted(rows)
    position = _time_position(request, rows)
    if position:
        at, pk = position
        rows = rows.filter(**{f"{moment}__lte": at}).exclude(Q(**{moment: at}) & Q(pk__gte=pk))
    return Page(list(rows.order_by(f"-{moment}", "-pk")[: size + 1]), size, total)


def time_cursor(at: datetime, pk: Any) -> str:
    """The position of a row in a list by time."""
    return f"{max(0, (at - _EPOCH) // timedelta(microseconds=1))}~{pk}"


def _score_position(request: Request) -> tuple[str, Decimal, str] | None:
    text = _cursor(request, SCORE_CURSOR)
    if text is None:
        return None
    level, weight, pk = text.split("~")
    return level, Decimal(weight), pk


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
