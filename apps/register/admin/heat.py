"""The heat maps: how many risks stand where, before treatment, now, and when the treatment is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from apps.core.asking import person
from apps.core.models import User
from apps.core.numbers import whole
from apps.register.admin.shared import tone
from apps.register.matrices import MatrixData, data_of, score_in
from apps.register.models import MatrixVersion, Rating, Risk

if TYPE_CHECKING:
    from apps.register.admin.risks import RiskAdmin

Counts = dict[tuple[str, int], dict[tuple[int | None, int | None], int]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a heat map.

    Attributes:
        tone: low, warn or bad, by the severity that the matrix gives the cell.
        url: the list of its risks; empty where there are none.
    """

    count: int
    level: str
    tone: str
    probability: str
    impact: str
    url: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """One kind of score as a grid: rows by probability from the highest, columns by impact from the lowest.

    Attributes:
        without: risks whose document said only the level, so that they stand in no cell.
    """

    kind: str
    title: str
    rows: list[tuple[str, list[Cell]]]
    columns: list[str]
    total: int
    without: int


def counts_for(user: User) -> Counts:
    """How many risks that count and that a person sees have which score, by kind and matrix version."""
    seen = Risk.objects.visible_to(user).open()
    rows = Rating.objects.latest().filter(risk__in=seen.order_by().values("pk")).order_by()
    grouped = rows.values_list("kind", "matrix", "probability", "impact").annotate(number=Count("pk"))
    found: Counts = {}
    for kind, matrix, probability, impact, number in grouped:
        found.setdefault((kind, matrix), {})[probability, impact] = number
    return found


def heat_maps(modeladmin: RiskAdmin, request: HttpRequest) -> HttpResponse:
    """Show the three heat maps of one matrix version; the one with most scores if none is asked for."""
    if not modeladmin.has_view_permission(request):
        raise PermissionDenied
    counts = counts_for(person(request))
    totals: dict[int, int] = {}
    for (_, matrix), cells in counts.items():
        totals[matrix] = totals.get(matrix, 0) + sum(cells.values())
    versions = sorted(
        MatrixVersion.objects.filter(pk__in=totals).select_related("matrix"), key=lambda one: -totals[one.pk]
    )
    asked = whole(request.GET.get("matrix", ""))
    version = next((one for one in versions if one.pk == asked), versions[0] if versions else None)
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": "Heat map",
        "opts": modeladmin.opts,
        "versions": versions,
        "version": version,
        "maps": [heat_map(version, kind, counts.get((kind, version.pk), {})) for kind in Rating.Kind]
        if version
        else [],
        "media": modeladmin.media,
    }
    return TemplateResponse(request, "register/heat.html", context)


def heat_map(version: MatrixVersion, kind: Rating.Kind, counts: dict[tuple[int | None, int | None], int]) -> HeatMap:
    """The grid of one kind of score."""
    data = data_of(version)
    rows = [
        (
            data.probability[p - 1],
            [_cell(version, data, kind, p, i, counts.get((p, i), 0)) for i in _steps(data.impact)],
        )
        for p in reversed(_steps(data.probability))
    ]
    without = counts.get((None, None), 0)
    return HeatMap(kind, str(kind.label), rows, data.impact, sum(counts.values()) - without, without)


def _steps(scale: list[str]) -> range:
    return range(1, len(scale) + 1)


def _cell(version: MatrixVersion, data: MatrixData, kind: str, probability: int, impact: int, count: int) -> Cell:
    made = score_in(data, probability, impact)
    query = urlencode({"cell": f"{kind}-{version.pk}-{probability}-{impact}"})
    url = f"{reverse('admin:register_risk_changelist')}?{query}" if count else ""
    return Cell(
        count,
        made.level,
        tone(made.level, data.levels),
        data.probability[probability - 1],
        data.impact[impact - 1],
        url,
    )
