"""What people do with an assessment: its details, its versions, its report, and what changed since the last review."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.dateparse import parse_date

from apps.core.asking import Question, Words, ask, found, page, person
from apps.register import assessments, changes, controls, documents
from apps.register.admin.forms import PlainForm, SeenForm, somebody, text
from apps.register.models import AssessmentVersion, Mitigation, Rating, Risk, RiskAssessment
from apps.register.rights import may, may_with_assessment

KINDS = {
    changes.NEW: ("New risk", "warn"),
    changes.SCORE: ("Score", "info"),
    changes.FIELD: ("Risk", "muted"),
    changes.MITIGATION: ("Mitigation", "muted"),
    changes.CONTROL: ("Control", "info"),
    changes.ACCEPTANCE: ("Acceptance", "muted"),
}


def pages(modeladmin: ModelAdmin) -> list[URLPattern]:
    """The pages of this module."""
    return [
        page(modeladmin, "<int:pk>/changes/", "changes", changed),
        page(modeladmin, "<int:pk>/report/", "report", report),
        page(modeladmin, "<int:pk>/edit/", "edit", edit),
        page(modeladmin, "<int:pk>/submit/", "submit", submit),
        page(modeladmin, "<int:pk>/versions/<int:number>/", "version", version_page),
        page(modeladmin, "<int:pk>/versions/<int:number>/approve/", "approve", approve),
    ]


def changed(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """What changed since the last review, or since a day that is asked for."""
    row: RiskAssessment = found(modeladmin, request, pk)
    now = timezone.now()
    last = changes.last_review(row)
    asked = _day(request.GET.get("since", ""))
    since = datetime.combine(asked, time(), tzinfo=timezone.get_current_timezone()) if asked else last or row.created_on
    seen = {risk.pk: risk for risk in Risk.objects.visible_to(person(request)).filter(assessment=row)}
    found_ = [one for one in changes.of_assessment(row, since=since, until=now) if one.risk is None or one.risk in seen]
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": f"What changed: {row}",
        "opts": modeladmin.opts,
        "row": row,
        "now": now,
        "since": since,
        "last": last,
        "groups": _by_risk(found_, seen),
        "counts": [(words, shade, sum(one.kind == kind for one in found_)) for kind, (words, shade) in KINDS.items()],
        "total": len(found_),
        "media": modeladmin.media,
    }
    return TemplateResponse(request, "register/changes.html", context)


def _day(text: str) -> Any:
    try:
        return parse_date(text)
    except ValueError:  # 2026-02-31
        return None


def _by_risk(found_: list[changes.Change], risks: dict[int, Risk]) -> list[tuple[Risk | None, list[Any]]]:
    """Changes under their risk, in the assessment's order; what belongs to the assessment itself comes first."""
    groups: dict[int | None, list[Any]] = {}
    for one in sorted(found_, key=lambda change: change.at, reverse=True):
        words, shade = KINDS[one.kind]
        groups.setdefault(one.risk, []).append((one, words, shade))
    order = sorted(groups, key=lambda key: (key is not None, risks[key].position or 0 if key else 0, key or 0))
    return [(risks[key] if key else None, groups[key]) for key in order]


class SubmitForm(SeenForm):
    """A version that is submitted."""

    changes = text("What changed", "Since the version before; approvers read it.")


class ApproveForm(PlainForm):
    """An approval, bound to what was submitted."""

    digest = forms.CharField(widget=forms.HiddenInput, required=False, max_length=64)
    reason = text("Words", "Stand in the decision log.", required=False, rows=2)


class DetailsForm(SeenForm):
    """What is kept of an assessment besides its risks."""

    status = forms.ChoiceField(choices=RiskAssessment.Status.choices)
    phase = forms.ChoiceField(choices=RiskAssessment.Phase.choices, help_text="Its rhythm of reviews follows from it.")
    owner = somebody("Owner")
    project = forms.CharField(max_length=120, required=False)
    overview = text("Overview", required=False)
    cadence = text("Cadence", "In words.", required=False, rows=2)
    reason = text("Reason", "Stands in the history.", rows=2)


def _ask(
    modeladmin: ModelAdmin, request: HttpRequest, row: RiskAssessment, words: Words, make: Any, run: Any
) -> HttpResponse:
    url = reverse("admin:register_riskassessment_change", args=[row.pk])
    question = Question(words, lambda data, _: make(data), run, url, url, row.title, "register/form.html")
    return ask(modeladmin, request, question)


def _own(modeladmin: ModelAdmin, request: HttpRequest, pk: int, permission: str) -> RiskAssessment:
    row: RiskAssessment = found(modeladmin, request, pk, "matrix__matrix", "owner", "scope")
    if not may_with_assessment(person(request), row, permission):
        raise PermissionDenied
    return row


def edit(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Change status, phase, owner or words of the assessment."""
    row = _own(modeladmin, request, pk, assessments.CHANGE)
    names = ("status", "phase", "project", "overview", "cadence")
    initial = {name: getattr(row, name) for name in names} | {"seen": row.version, "owner": row.owner_id}

    def run(form: DetailsForm) -> str:
        given = dict(form.cleaned_data)
        seen, reason = given.pop("seen"), given.pop("reason")
        assessments.edit_assessment(
            assessment_id=pk, seen_version=seen, changes=given, actor=person(request), now=timezone.now(), reason=reason
        )
        return "The assessment is changed."

    words = Words("Edit the assessment", "Save", "Another phase is a decision: its reviews are planned anew.")
    return _ask(modeladmin, request, row, words, lambda data: DetailsForm(data, initial=initial), run)


def submit(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Submit the assessment as it is now."""
    row = _own(modeladmin, request, pk, documents.SUBMIT)

    def run(form: SubmitForm) -> str:
        given = form.cleaned_data
        made = documents.submit(
            assessment_id=pk, seen_version=given["seen"], changes=given["changes"], actor=person(request),
            now=timezone.now(),
        )  # fmt: skip
        return f"Version {made.number} waits for somebody else's approval."

    lead = "The whole assessment with its risks is kept as it is now. Somebody else approves it."
    return _ask(
        modeladmin, request, row, Words("Submit a version", "Submit", lead),
        lambda data: SubmitForm(data, initial={"seen": row.version}), run,
    )  # fmt: skip


def _version(modeladmin: ModelAdmin, request: HttpRequest, pk: int, number: int) -> AssessmentVersion:
    row: RiskAssessment = found(modeladmin, request, pk)
    version = row.versions.select_related("assessment", "author", "approved_by").filter(number=number).first()
    if version is None:
        raise Http404
    return version


def version_page(modeladmin: ModelAdmin, request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """One version: what it changed, and how the register differs from it now."""
    version = _version(modeladmin, request, pk, number)
    user = person(request)
    waits = version.state == AssessmentVersion.State.DRAFT
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": str(version),
        "opts": modeladmin.opts,
        "row": version.assessment,
        "version": version,
        "now": timezone.now(),
        "diff": documents.diff(version),
        "since": documents.diff_to_now(version),
        "risks": version.content.get("risks", []),
        "may_approve": waits and may(user, documents.APPROVE) and version.author_id != user.pk,
        "media": modeladmin.media,
    }
    return TemplateResponse(request, "register/version.html", context)


def approve(modeladmin: ModelAdmin, request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Approve a version that somebody else submitted."""
    if not may(person(request), documents.APPROVE):
        raise PermissionDenied
    version = _version(modeladmin, request, pk, number)

    def run(form: ApproveForm) -> str:
        given = form.cleaned_data
        documents.approve(
            version_id=version.pk, actor=person(request), now=timezone.now(), reason=given["reason"],
            seen_digest=given["digest"],
        )  # fmt: skip
        return f"Version {number} is approved. It is never changed from now on."

    words = Words(f"Approve version {number}", "Approve", f"{version.changes} An approved version is never changed.")
    return _ask(
        modeladmin, request, version.assessment, words,
        lambda data: ApproveForm(data, initial={"digest": version.digest}), run,
    )  # fmt: skip


def report(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """The whole assessment on one page, to be printed; as PDF it is exported."""
    from apps.register.admin.assessments import action_groups, provision_groups, risk_lines
    from apps.register.admin.heat import heat_map

    row: RiskAssessment = found(modeladmin, request, pk, "matrix__matrix", "owner", "scope")
    user, now = person(request), timezone.now()
    mine = Risk.objects.visible_to(user).filter(assessment=row)
    scored = Rating.objects.latest().filter(risk__in=mine.open().order_by().values("pk"), matrix=row.matrix)
    counts: dict[str, dict[Any, int]] = {}
    for kind, p, i, number in scored.order_by().values_list("kind", "probability", "impact").annotate(Count("pk")):
        counts.setdefault(kind, {})[p, i] = number
    measures = Mitigation.objects.filter(risk__in=mine).select_related("owner").prefetch_related("controls")
    done = controls.verify(measures, now=now)
    by_risk: dict[int | None, list[controls.Line]] = {}
    for line in done.lines:
        by_risk.setdefault(line.mitigation.risk_id, []).append(line)
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": f"Report: {row.title}",
        "opts": modeladmin.opts,
        "row": row,
        "now": now,
        "maps": [heat_map(row.matrix, kind, counts.get(kind, {})) for kind in Rating.Kind],
        "verified": done,
        "risks": [one | {"measures": by_risk.get(one["risk"].pk, [])} for one in risk_lines(row, user)],
        "actions": action_groups(row),
        "provisions": provision_groups(row),
        "approved": row.versions.filter(state="approved").select_related("author", "approved_by").first(),
        "media": modeladmin.media,
    }
    return TemplateResponse(request, "register/report.html", context)
