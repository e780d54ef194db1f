"""Assessments as files, for those who may look at them."""

from __future__ import annotations

import io

from django.contrib.admin import ModelAdmin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern, reverse

from apps.core.asking import READS, found, page
from apps.register.models import RiskAssessment
from apps.register.papers.export import FORMATS, export, file_name


def pages(modeladmin: ModelAdmin) -> list[URLPattern]:
    """The pages of this module."""
    return [page(modeladmin, "<int:pk>/export/<slug:kind>/", "export", export_page)]


def links(row: RiskAssessment) -> list[tuple[str, str]]:
    """Where an assessment is had as a file: the words and the address."""
    return [
        (one.title, reverse("admin:register_riskassessment_export", args=[row.pk, kind]))
        for kind, one in FORMATS.items()
    ]


def export_page(modeladmin: ModelAdmin, request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """An assessment with all of its risks as a file. Who sees the assessment sees its risks, for they share its scope."""
    if request.method not in READS:
        return HttpResponseNotAllowed(READS)
    row: RiskAssessment = found(modeladmin, request, pk, "matrix__matrix", "scope", "owner")
    if kind not in FORMATS:
        raise Http404
    out = io.BytesIO()
    export(row, kind, out)
    headers = {"Content-Disposition": f'attachment; filename="{file_name(row, kind)}"'}
    return HttpResponse(out.getvalue(), content_type=FORMATS[kind].content_type, headers=headers)
