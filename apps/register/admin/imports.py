"""Imports: upload a document, map a foreign table, look at what would happen, apply it."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models.fields.json import KT
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin
from apps.core.asking import METHODS, READS, Question, Words, ask, found, page, person, press
from apps.core.errors import DomainError, request_id
from apps.core.templatetags.desk import ago, badge
from apps.register.admin.imports_mapping import MappingForm
from apps.register.admin.shared import Plain
from apps.register.models import RiskAssessment, RiskImport
from apps.register.papers.guards import MAX_BYTES
from apps.register.papers.importing import ADD, apply, discard, has_mapping, refresh, remap, upload, waits
from apps.register.papers.plan import CHANGED, LABELS, MISSING, NEW
from apps.register.papers.refusals import BadPaper, RegisterChanged
from apps.register.querysets import EDIT_ANY

State = RiskImport.State
STATE_TONES = {State.PREVIEW: "info", State.APPLIED: "ok", State.DISCARDED: "muted"}
LABEL_TONES = {"new": "ok", "changed": "warn", "unchanged": "muted", "missing": "bad"}
SHAPES = {
    "prose": "Markdown in prose",
    "fenced": "Markdown with YAML blocks",
    "csv": "Table (CSV)",
    "xlsx": "Workbook",
    "register": "Export of a register",
}
_SHOWN = 500


class UploadForm(forms.Form):
    """A file, and where it belongs."""

    file = forms.FileField(
        label="Document", help_text="Markdown (.md), CSV or XLSX, at most 32 MB. Nothing is written before you say so."
    )
    assessment = forms.ModelChoiceField(
        RiskAssessment.objects.none(), required=False, empty_label="As the document or its name says",
        help_text="Choose one to compare the document with an assessment that is here already.",
    )  # fmt: skip

    def __init__(self, *args: Any, assessments: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["assessment"].queryset = assessments  # type: ignore[attr-defined]

    def clean_file(self) -> Any:
        """The size is told before the file is read."""
        file = self.cleaned_data["file"]
        if file.size > MAX_BYTES:
            raise forms.ValidationError(
                f"The file has {file.size / 2**20:,.0f} MB; at most {MAX_BYTES // 2**20} MB are read.", "too_large"
            )
        return file


@admin.register(RiskImport)
class RiskImportAdmin(ReadOnlyAdmin, Plain):
    """Documents that were read into the register, the latest first."""

    list_display = ["link", "state_badge", "assessment", "result", "uploaded_by", "uploaded"]
    list_display_links = None
    list_filter = ["state", "shape"]
    list_select_related = ["assessment", "uploaded_by"]
    search_fields = ["file_name"]
    sortable_by: ClassVar[list[str]] = []
    change_list_template = "register/imports.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        """Those of assessments in the person's sight, and those of none yet; the document itself is read where needed."""
        rows = super().get_queryset(request).annotate(counts=KT("plan__counts"))
        rows = rows.defer("document", "plan", "not_understood")
        seen = RiskAssessment.objects.visible_to(person(request))
        return rows.filter(assessment=None) | rows.filter(assessment__in=seen)

    @admin.display(description="file")
    def link(self, row: RiskImport) -> SafeString:
        url = reverse("admin:register_riskimport_change", args=[row.pk])
        return format_html('<a class="risk-title" href="{}"><strong>{}</strong></a>', url, row.file_name)

    @admin.display(description="state")
    def state_badge(self, row: RiskImport) -> SafeString:
        if row.state == State.PREVIEW and waits(row):
            return badge("warn", "Needs a mapping")
        return badge(STATE_TONES[State(row.state)], row.get_state_display())

    @admin.display(description="risks")
    def result(self, row: RiskImport) -> str:
        counts = json.loads(row.counts or "{}")  # type: ignore[attr-defined]  # annotated
        return ", ".join(f"{counts[label]} {label}" for label in LABELS if counts.get(label)) or "–"

    @admin.display(description="uploaded")
    def uploaded(self, row: RiskImport) -> SafeString:
        return ago(row.uploaded_at, timezone.now())

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        more = {"import_url": upload_url(request)}
        return super().changelist_view(request, {**(extra_context or {}), **more})

    def get_urls(self) -> list[URLPattern]:
        return [
            page(self, "upload/", "upload", upload_page),
            page(self, "<int:pk>/mapping/", "mapping", mapping_page),
            page(self, "<int:pk>/apply/", "apply", apply_page),
            page(self, "<int:pk>/discard/", "discard", discard_page),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What the document would do, or did."""
        if request.method not in READS:
            return HttpResponseNotAllowed(READS)
        row: RiskImport = found(self, request, object_id, "assessment", "uploaded_by")
        if row.state == State.PREVIEW and waits(row):
            return HttpResponseRedirect(reverse("admin:register_riskimport_mapping", args=[row.pk]))
        return _preview(self, request, row)


def upload_url(request: HttpRequest) -> str:
    """Where documents are uploaded; empty for those who may not."""
    return reverse("admin:register_riskimport_upload") if may_import(request) else ""


def may_import(request: HttpRequest) -> bool:
    """Whether a person may import documents."""
    return person(request).has_perms([ADD, "register.add_risk", EDIT_ANY])


def _demand(modeladmin: admin.ModelAdmin, request: HttpRequest) -> None:
    if not (modeladmin.has_view_permission(request) and may_import(request)):
        raise PermissionDenied


def upload_page(modeladmin: admin.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Choose a file (GET), or read it (POST) and go on to its preview or its mapping."""
    _demand(modeladmin, request)
    made: list[RiskImport] = []

    def run(form: UploadForm) -> str:
        file, chosen = form.cleaned_data["file"], form.cleaned_data["assessment"]
        try:
            row = upload(
                name=file.name, data=file.read(), actor=person(request), now=timezone.now(),
                slug=chosen.slug if chosen else "",
            )  # fmt: skip
        except BadPaper as problem:
            problem.fields = {"file": [problem.message]}
            raise
        made.append(row)
        return f"“{file.name}” was read. Nothing is in the register yet."

    words = Words("Import a document", "Read it", "The next page shows what would be created, changed or left.")
    question = Question(
        words=words,
        make=lambda data, files: UploadForm(
            data, files, assessments=RiskAssessment.objects.visible_to(person(request)).order_by("title")
        ),
        run=run,
        url=lambda: reverse("admin:register_riskimport_change", args=[made[0].pk]),
        back=reverse("admin:register_riskimport_changelist"),
        crumb="Imports",
        template="register/form.html",
    )
    return ask(modeladmin, request, question)


def mapping_page(modeladmin: admin.ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Say which column of a foreign table is what (GET), and read it so (POST)."""
    _demand(modeladmin, request)
    row: RiskImport = found(modeladmin, request, pk)
    if not has_mapping(row):
        return HttpResponseRedirect(reverse("admin:register_riskimport_change", args=[row.pk]))

    def make(data: Any, files: Any) -> MappingForm:
        return MappingForm(data, row=row, query=request.GET)

    def run(form: MappingForm) -> str:
        remap(import_id=row.pk, mapping=form.mapping(), actor=person(request))
        return "The table was read by this mapping. Nothing is in the register yet."

    words = Words(
        f"Columns of {row.file_name}", "Show the preview",
        "The columns and words of this table are not the register’s own. What its words suggest is filled in.",
    )  # fmt: skip
    question = Question(
        words=words, make=make, run=run, url=reverse("admin:register_riskimport_change", args=[row.pk]),
        back=reverse("admin:register_riskimport_changelist"), crumb="Imports", template="register/import_mapping.html",
    )  # fmt: skip
    return ask(modeladmin, request, question)


def apply_page(modeladmin: admin.ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Apply a preview (POST), bound to the register as it was compared; if it changed, show the new comparison."""
    _demand(modeladmin, request)
    if request.method not in METHODS:
        return HttpResponseNotAllowed(METHODS)
    row: RiskImport = found(modeladmin, request, pk, "assessment", "uploaded_by")
    if request.method != "POST":
        return HttpResponseRedirect(reverse("admin:register_riskimport_change", args=[row.pk]))
    try:
        done = apply(
            import_id=row.pk, seen=request.POST.get("seen", ""), actor=person(request), now=timezone.now()
        )  # fmt: skip
    except RegisterChanged as change:
        return _preview(modeladmin, request, refresh(row, person(request)), change)
    except DomainError as refusal:
        return _preview(modeladmin, request, row, refusal)
    messages.success(request, f"“{row.file_name}” is in the register.")
    assert done.assessment is not None
    return HttpResponseRedirect(reverse("admin:register_riskassessment_change", args=[done.assessment.pk]))


def discard_page(modeladmin: admin.ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Lay a preview aside (POST)."""
    _demand(modeladmin, request)
    row: RiskImport = found(modeladmin, request, pk)

    def run() -> str:
        discard(import_id=row.pk, actor=person(request))
        return f"“{row.file_name}” was laid aside; the register is as it was."

    return press(request, run, reverse("admin:register_riskimport_changelist"))


def _preview(
    modeladmin: admin.ModelAdmin, request: HttpRequest, row: RiskImport, refusal: DomainError | None = None
) -> HttpResponse:
    plan = row.plan
    risks = [dict(risk, tone=LABEL_TONES[risk["label"]]) for risk in plan["risks"]]
    worth = [risk for risk in risks if risk["label"] in (CHANGED, NEW, MISSING)]
    context = {
        **modeladmin.admin_site.each_context(request),
        "opts": modeladmin.opts,
        "title": row.file_name,
        "row": row,
        "shape": SHAPES.get(row.shape, row.shape),
        "document": {name: value for name, value in row.document.items() if name not in ("risks", "table")},
        "counts": [(label, plan["counts"][label], LABEL_TONES[label]) for label in LABELS],
        "risks": sorted(worth, key=lambda risk: (CHANGED, NEW, MISSING).index(risk["label"]))[:_SHOWN],
        "hidden": max(len(worth) - _SHOWN, 0),
        "head": plan["head"],
        "added": [one for one in plan["added"] if one["new"]],
        "left": [one for one in plan["added"] if not one["new"]],
        "actions": [
            dict(one, tone=LABEL_TONES[one["label"]]) for one in plan["actions"] if one["label"] != "unchanged"
        ],
        "unread": row.not_understood[:_SHOWN],
        "unread_count": len(row.not_understood),
        "idle": _idle(plan),
        "open": row.state == State.PREVIEW,
        "may": may_import(request),
        "remap": has_mapping(row),
        "tone": STATE_TONES[State(row.state)],
        "now": timezone.now(),
        "refusal": refusal,
        "request_id": request_id(),
    }
    return TemplateResponse(request, "register/import.html", context, status=refusal.status if refusal else 200)


def _idle(plan: dict[str, Any]) -> bool:
    """Whether applying it would change nothing."""
    working = [one for one in (*plan["risks"], *plan["actions"]) if one["label"] in (NEW, CHANGED)]
    return plan["exists"] and not plan["head"] and not working and not any(one["new"] for one in plan["added"])
