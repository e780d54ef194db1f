"""Controls: what shows that mitigations hold, and what it says now."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.asking import found, page, person
from apps.core.facts import evidence
from apps.core.home import address
from apps.core.templatetags.desk import badge
from apps.register.admin import control_steps
from apps.register.admin.control_filters import OverdueFilter, SaysFilter
from apps.register.admin.shared import ATTESTED, OUTCOMES, Plain, when
from apps.register.controls import Word, words_of
from apps.register.models import Attestation, CheckResult, Control, Mitigation
from apps.register.rights import may, may_attest
from apps.register.runs import late_checks
from apps.register.trail import bundles, trail_of

STRIP = 60
"""So many results stand in the strip of a check's history."""


class ControlList(ChangeList):
    """The list, each row with what its control says now."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        now = timezone.now()
        shown = words_of(self.result_list, now)
        keys = [control.pk for control in self.result_list]
        late = set(Control.objects.filter(pk__in=keys).overdue(now, late_checks(now)).values_list("pk", flat=True))
        for control in self.result_list:
            control.shown, control.late = shown[control.pk], control.pk in late


def outcome_badge(shown: Word) -> SafeString:
    """What a control says now; a person's word is called otherwise than a check's."""
    if not shown.outcome:
        return badge("muted", "Not known")
    if shown.control.kind == Control.Kind.ATTESTED:
        return badge(*ATTESTED[Attestation.Outcome(shown.outcome)])
    return badge(*OUTCOMES[CheckResult.Outcome(shown.outcome)])


@admin.register(Control)
class ControlAdmin(ScopedAdmin, ReadOnlyAdmin, Plain):
    """Controls, each with what it says now."""

    list_display = ["link", "says", "kind", "owner_role", "used", "checked", "active"]
    list_display_links = None
    list_filter = [SaysFilter, "kind", OverdueFilter, "active"]
    search_fields = ["title", "slug", "check_slug"]
    sortable_by: ClassVar[list[str]] = []
    list_per_page = 100
    change_list_template = "register/controls.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ControlList

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(uses=Count("mitigations"))

    @admin.display(description="control")
    def link(self, control: Control) -> SafeString:
        url = reverse("admin:register_control_change", args=[control.pk])
        return format_html('<a class="risk-title" href="{}"><strong>{}</strong></a>', url, control.title)

    @admin.display(description="says")
    def says(self, control: Control) -> SafeString:
        return outcome_badge(control.shown)  # type: ignore[attr-defined]  # set by ControlList

    @admin.display(description="mitigations")
    def used(self, control: Control) -> SafeString:
        return format_html('<span class="num">{}</span>', control.uses)  # type: ignore[attr-defined]  # annotated

    @admin.display(description="last said")
    def checked(self, control: Control) -> SafeString:
        late = badge("bad", "Overdue", "clock") if control.late else ""  # type: ignore[attr-defined]  # set by ControlList
        return format_html("{} {}", when(control.shown.at), late)  # type: ignore[attr-defined]  # set by ControlList

    def get_urls(self) -> list[URLPattern]:
        return [
            *control_steps.pages(self),
            page(self, "<int:pk>/evidence/<int:word>/", "evidence", evidence_file),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may_add = request.user.has_perm("register.add_control")
        more = {"title": "Controls", "new_url": address("admin:register_control_new") if may_add else ""}
        return super().changelist_view(request, {**more, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One control: what it says, since when, its history, and what it verifies."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        control: Control = found(self, request, object_id, "owner")
        now, user = timezone.now(), person(request)
        shown = words_of([control], now)[control.pk]
        results = (
            list(CheckResult.objects.filter(check_slug=control.check_slug).order_by("-pk")[:STRIP])
            if control.check_slug
            else []
        )
        context = {
            **self.admin_site.each_context(request),
            "title": control.title,
            "opts": self.opts,
            "control": control,
            "now": now,
            "shown": shown,
            "badge": outcome_badge(shown),
            "result": results[0] if results else None,
            "evidence": evidence(results[0].evidence) if results else [],
            "strip": results[::-1],
            "words": [(word, ATTESTED[Attestation.Outcome(word.outcome)]) for word in control.attestations.select_related("attested_by").order_by("-pk")],
            "mitigations": Mitigation.objects.visible_to(user).filter(controls=control).select_related("risk", "assessment"),
            "bundles": bundles(trail_of(control)),
            "may_edit": may(user, "register.change_control"),
            "may_attest": control.kind == Control.Kind.ATTESTED and may_attest(user, control),
            "media": self.media,
        }  # fmt: skip
        return TemplateResponse(request, "register/control.html", context)


def evidence_file(modeladmin: ControlAdmin, request: HttpRequest, pk: int, word: int) -> HttpResponseBase:
    """The file that was attested with; always as a download, for what it holds was sent by a person."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    control: Control = found(modeladmin, request, pk)
    row = control.attestations.filter(pk=word).first()
    if row is None or not row.evidence_file:
        raise Http404
    name = str(row.evidence_file.name).rsplit("/", 1)[-1]
    return FileResponse(row.evidence_file.open("rb"), as_attachment=True, filename=name)
