"""Lists of the API: pages by position, which stay right and fast however many rows there are.

A page begins behind the last row of the one before, so its cost does not grow with its place, and rows that come and go
move nothing. ``total`` is counted to :data:`MOST_COUNTED` only: an exact count reads every row that somebody may see, at
each request. ``total_exact`` says whether it is the whole number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from apps.core.models import User
from apps.core.numbers import whole
from apps.core.rendering import ReadyJson
from apps.subscriptions import score_pages
from apps.subscriptions.models import RiskScore
from apps.subscriptions.querysets import WORST_FIRST

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
        about = _about(request, self.counted, cursor if more else None)
        return Response({"success": True, "data": data, **about})


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


def scores_page(person: User, request: Request) -> Response:
    """The answer with a page of scores, worst first.

    Raises:
        ValidationError: a filter, the size or the cursor is not valid.
    """
    filters, size, after = _filters(request), page_size(request), _score_position(request)
    found = score_pages.page(person, filters, size=size, after=after, most_counted=MOST_COUNTED + 1)
    cursor = "~".join(map(str, found.last)) if found.last else None
    about = json.dumps(_about(request, found.counted, cursor))
    return Response(ReadyJson(f'{{"success":true,"data":[{",".join(found.rows)}],{about[1:]}'))


def _filters(request: Request) -> score_pages.Filters:
    params, wrong = request.query_params, {}
    levels = frozenset(params.getlist("level") or WORST_FIRST)
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
    return score_pages.Filters(
        levels=levels, degraded=None if degraded is None else degraded == "true", scope=scope.strip() if scope else None
    )


def _about(request: Request, counted: int, cursor: str | None) -> dict[str, Any]:
    """What an answer says of the whole list."""
    url = replace_query_param(request.build_absolute_uri(), "cursor", cursor) if cursor else None
    return {"total": min(counted, MOST_COUNTED), "total_exact": counted <= MOST_COUNTED, "next": url}


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


def _score_position(request: Request) -> tuple[Decimal, UUID] | None:
    """Place and id of the score that a page begins behind."""
    text = _cursor(request, SCORE_CURSOR)
    if text is None:
        return None
    level, weight, pk = text.split("~")
    return RiskScore.place_of(level, Decimal(weight)), UUID(pk)


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
