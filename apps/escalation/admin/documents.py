"""Controlled documents and their versions, and the trainings that belong to them."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin
from apps.core.asking import Words, ask, found, page, person
from apps.core.markdown import rendered
from apps.core.models import User
from apps.core.names import PersonChoice
from apps.core.templatetags.desk import badge
from apps.escalation import differences, documents, levels, training
from apps.escalation.admin.asking import about
from apps.escalation.admin.setup import Undeletable
from apps.escalation.admin.shared import DASH
from apps.escalation.binding import MissingInformation
from apps.escalation.forms import PlainForm, text
from apps.escalation.models import Course, Document, DocumentVersion, RiskFlag

TONES = {"draft": "warn", "approved": "ok", "superseded": "muted"}


class VersionForm(PlainForm):
    """A new version of a document."""

    number = forms.CharField(max_length=12, help_text="Such as 1.1.")
    changes = text("What changes, and why")
    body = text("Text", "Markdown.", rows=14)
    table = forms.JSONField(
        label="What the system reads",
        required=False,
        widget=forms.Textarea(attrs={"rows": 16, "class": "mono", "spellcheck": "false"}),
        help_text="Levels, deadlines, rungs and the lists of a handover. It is checked before it is saved.",
    )
    major = forms.BooleanField(required=False, label="People need training after it")

    def __init__(self, *args: Any, with_table: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["body"].widget.attrs.pop("maxlength")
        self.fields["body"].max_length = None  # type: ignore[attr-defined]  # the service says what is too long
        self.fields["body"].validators = []
        if not with_table:
            del self.fields["table"]


@admin.register(Document)
class DocumentAdmin(ReadOnlyAdmin):
    """Documents: what holds, what waits for approval, and when each is reviewed next."""

    list_display = ["link", "owner", "in_force", "next_review"]
    list_display_links = None

    class Media:
        css = {"all": ["escalation/escalation.css"]}

    @admin.display(description="document")
    def link(self, document: Document) -> SafeString:
        url = reverse("admin:escalation_document_change", args=[document.pk])
        return format_html('<a href="{}"><strong>{}</strong></a>', url, document.title)

    @admin.display(description="in force")
    def in_force(self, document: Document) -> SafeString | str:
        version = document.versions.filter(state="approved").first()
        return version.number if version else badge("warn", "None approved")

    @admin.display(description="next review", ordering="next_review_on")
    def next_review(self, document: Document) -> SafeString | str:
        if document.next_review_on is None:
            return DASH
        late = document.next_review_on < timezone.now().date()
        return format_html("{} {}", document.next_review_on, badge("bad", "Overdue") if late else "")

    def get_urls(self) -> list[URLPattern]:
        return [
            page(self, "<int:pk>/draft/", "draft", draft),
            page(self, "<int:pk>/reviewed/", "reviewed", reviewed),
            page(self, "<int:pk>/versions/<int:version>/", "version", version_page),
            page(self, "<int:pk>/versions/<int:version>/approve/", "approve", approve),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        documents.protocol(now=timezone.now())
        return super().changelist_view(request, {"title": "Documents", **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One document with its versions, and the table of the protocol that holds."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        document: Document = found(self, request, object_id)
        versions = list(document.versions.select_related("author", "approved_by").order_by("-id"))
        user = person(request)
        is_protocol = document.slug == levels.SLUG
        holds = next((one for one in versions if one.state == "approved"), None)
        context = {
            **self.admin_site.each_context(request),
            "title": document.title,
            "opts": self.opts,
            "document": document,
            "versions": [
                (one, TONES[one.state], one.state == "draft" and one.author_id != user.pk and user.has_perm(documents.APPROVE))
                for one in versions
            ],
            "holds": holds,
            "text": rendered(holds.body, under=2) if holds else "",
            "protocol": levels.in_force() if is_protocol else None,
            "levels": _levels(levels.in_force()) if is_protocol else [],
            "now": timezone.now(),
            "may_draft": user.has_perm(documents.DRAFT),
            "may_approve": user.has_perm(documents.APPROVE),
            "courses": list(document.courses.all()),
            "media": self.media,
        }  # fmt: skip
        return TemplateResponse(request, "escalation/document.html", context)


def _levels(protocol: levels.Protocol) -> list[tuple[levels.Level, list[tuple[str, str]]]]:
    """The levels, each with the times of its steps in the order of the ladder."""
    return [
        (level, [(step.label, str(level.deadlines[step])) for step in RiskFlag.Step if step in level.deadlines])
        for level in protocol.levels
    ]


def document_url(document: Document) -> str:
    """The page of a document."""
    return reverse("admin:escalation_document_change", args=[document.pk])


def draft(modeladmin: DocumentAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Write a new version."""
    document: Document = found(modeladmin, request, pk)
    if not request.user.has_perm(documents.DRAFT):
        raise PermissionDenied
    is_protocol = document.slug == levels.SLUG
    last = document.versions.order_by("-id").first()
    data = (last.data if last else None) or (levels.delivered_data() if is_protocol else {})
    initial = {"body": last.body if last else "", "table": data}

    def run(form: VersionForm) -> str:
        given = dict(form.cleaned_data)
        version = documents.draft(
            document=document, data=given.pop("table", None), actor=person(request), now=timezone.now(), **given
        )
        return f"Version {version.number} waits for approval by somebody else."

    words = Words("New version", "Save as draft", "It holds once somebody else has approved it.")
    question = about(
        words, lambda sent: VersionForm(sent, with_table=is_protocol, initial=initial), run, document_url(document),
        document.title,
    )  # fmt: skip
    return ask(modeladmin, request, question)


def version_page(modeladmin: DocumentAdmin, request: HttpRequest, pk: int, version: int) -> HttpResponse:
    """One version as it reads, its approval, and what differs from another one: ``?than=`` its id, the one before if none."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    document: Document = found(modeladmin, request, pk)
    versions = list(document.versions.select_related("author", "approved_by").order_by("-pk"))
    row = next((one for one in versions if one.pk == version), None)
    if row is None:
        raise Http404
    user = person(request)
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": f"{document.title} {row.number}",
        "opts": modeladmin.opts,
        "document": document,
        "version": row,
        "tone": TONES[row.state],
        "text": rendered(row.body, under=2),
        "data": _pretty(row),
        "others": [one for one in versions if one.pk != row.pk],
        "approvable": row.state == "draft" and row.author_id != user.pk and user.has_perm(documents.APPROVE),
        "now": timezone.now(),
        "media": modeladmin.media,
        **_differences(row, _other(row, versions, request.GET.get("than", ""))),
    }
    return TemplateResponse(request, "escalation/version.html", context)


def _other(row: DocumentVersion, versions: list[DocumentVersion], wanted: str) -> DocumentVersion | None:
    """The version to compare with: the wanted one, or the one that was written before."""
    if wanted:
        return next((one for one in versions if str(one.pk) == wanted and one.pk != row.pk), None)
    return next((one for one in versions if one.pk < row.pk), None)


def _differences(row: DocumentVersion, other: DocumentVersion | None) -> dict[str, Any]:
    """What differs from the other version to this one, for the page."""
    if other is None:
        return {"other": None}
    return {
        "other": other,
        "lines": differences.lines(other.body, row.body),
        "changed": differences.changes(other.data, row.data),
    }


def approve(modeladmin: DocumentAdmin, request: HttpRequest, pk: int, version: int) -> HttpResponse:
    """Bring a draft into force, after a page that shows it."""
    document: Document = found(modeladmin, request, pk)
    if not request.user.has_perm(documents.APPROVE):
        raise PermissionDenied
    row = document.versions.filter(pk=version).first()

    def run(_: PlainForm) -> str:
        if row is None:
            raise MissingInformation("There is no such version.")
        approved = documents.approve(version_id=row.pk, actor=person(request), now=timezone.now())
        return f"Version {approved.number} is in force."

    number, changes = (row.number, row.changes) if row else ("", "")
    lead = f"The version in force before is superseded. What changes: {changes}"
    holds = document.versions.filter(state="approved").first()
    shown = {"version": row, "text": rendered(row.body, under=2) if row else "", "data": _pretty(row)}
    question = about(
        Words(f"Approve version {number}", "Approve", lead), PlainForm, run, document_url(document), document.title,
        "escalation/approve.html", shown | (_differences(row, holds) if row else {}),
    )  # fmt: skip
    return ask(modeladmin, request, question)


def _pretty(row: DocumentVersion | None) -> str:
    return json.dumps(row.data, indent=1, ensure_ascii=False) if row and row.data else ""


def reviewed(modeladmin: DocumentAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Say that the document still holds."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    document: Document = found(modeladmin, request, pk)
    if not request.user.has_perm(documents.APPROVE):
        raise PermissionDenied
    documents.reviewed(document=document, actor=person(request), now=timezone.now())
    messages.success(request, f"Reviewed; the next review is due on {document.next_review_on}.")
    return HttpResponseRedirect(document_url(document))


class CompletionForm(PlainForm):
    """Who completed which training, and when."""

    course = forms.ModelChoiceField(Course.objects.all())
    user = PersonChoice(User.objects.none(), label="Person")
    completed_on = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["user"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = User.objects.filter(is_active=True, groups__isnull=False).distinct().order_by("username")


@admin.register(Course)
class CourseAdmin(Undeletable):
    """Trainings, and how often each role needs them."""

    list_display = ["title", "document", "rhythm"]
    list_select_related = ["document"]
    prepopulated_fields = {"slug": ["title"]}
    change_list_template = "escalation/courses.html"

    @admin.display(description="how often")
    def rhythm(self, course: Course) -> str:
        return ", ".join(f"{role}: every {days} days" for role, days in course.every_days.items())

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        return {} if obj else super().get_prepopulated_fields(request, obj)

    def get_urls(self) -> list[URLPattern]:
        return [
            page(self, "standing/", "standing", standing),
            page(self, "record/", "record", record_completion),
            *super().get_urls(),
        ]


def standing(modeladmin: CourseAdmin, request: HttpRequest) -> HttpResponse:
    """Who is due which training; those who do not record trainings see their own."""
    if not modeladmin.has_view_permission(request):
        raise PermissionDenied
    user, today = person(request), timezone.now().date()
    everybody = user.has_perm(training.RECORD) or user.has_perm("core.work_in_scope")
    rows = training.standing(today=today, users=None if everybody else [user])
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": "Training",
        "opts": modeladmin.opts,
        "rows": [(one, *_state(one, today)) for one in rows],
        "late": sum(one.overdue(today) for one in rows),
        "everybody": everybody,
        "may_record": user.has_perm(training.RECORD),
        "media": modeladmin.media,
    }
    return TemplateResponse(request, "escalation/training.html", context)


def _state(one: training.Due, today: Any) -> tuple[str, str]:
    if one.overdue(today):
        return "bad", "Overdue"
    return ("warn", "Due soon") if one.due_on - today <= training.REMIND_BEFORE else ("ok", "Up to date")


def record_completion(modeladmin: CourseAdmin, request: HttpRequest) -> HttpResponse:
    """Record that somebody completed a training."""
    if not (modeladmin.has_view_permission(request) and request.user.has_perm(training.RECORD)):
        raise PermissionDenied
    today = timezone.now().date()
    initial = {"completed_on": today, "course": request.GET.get("course"), "user": request.GET.get("user")}

    def run(form: CompletionForm) -> str:
        given = form.cleaned_data
        done = training.complete(
            course=given["course"], user=given["user"], on=given["completed_on"], actor=person(request), today=today
        )
        return f"Recorded: {done}."

    url = reverse("admin:escalation_course_standing")
    words = Words("Record a training", "Record")
    question = about(words, lambda data: CompletionForm(data, initial=initial), run, url, "Who is due")
    return ask(modeladmin, request, question)
