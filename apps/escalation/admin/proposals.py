"""What the indicators propose, for a person to confirm or reject."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.asking import Words, ask, found, page, person
from apps.core.facts import evidence
from apps.core.templatetags.desk import badge
from apps.escalation import proposals
from apps.escalation.admin.asking import about
from apps.escalation.admin.flag_page import flag_url
from apps.escalation.admin.shared import level_tone, source_url, source_words, when
from apps.escalation.forms import SeenForm, text
from apps.escalation.models import Proposal, RiskFlag

TONES = {"open": "warn", "confirmed": "ok", "rejected": "muted", "joined": "muted"}
PERIOD = timedelta(days=90)


class ConfirmForm(SeenForm):
    """At which level the flag is raised."""

    level = forms.TypedChoiceField(coerce=int, choices=RiskFlag.Level, widget=forms.RadioSelect)
    reason = text("What you add", "Stands above what the indicator found.", required=False)


class RejectForm(SeenForm):
    """Why it is no risk."""

    reason = text("Reason", "Counts in the precision of the indicator.")


class OpenFilter(admin.SimpleListFilter):
    """What waits for a person, unless something else is chosen."""

    title = "status"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("confirmed", "Confirmed"), ("rejected", "Rejected"), ("joined", "Joined"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        found = list(super().choices(changelist))
        found[0]["display"] = "Waiting"
        return found

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        return queryset if value == "all" else queryset.filter(status=value or "open")


@admin.register(Proposal)
class ProposalAdmin(ScopedAdmin, ReadOnlyAdmin):
    """Proposed flags."""

    list_display = ["link", "indicator", "level_badge", "affected_count", "score_text", "state", "age"]
    list_display_links = None
    list_filter = [OpenFilter, "indicator", "level"]
    show_full_result_count = False
    list_per_page = 50
    sortable_by: ClassVar[list[str]] = []
    search_fields = ["title"]
    change_list_template = "escalation/proposals.html"

    class Media:
        css = {"all": ["escalation/escalation.css"]}

    @admin.display(description="proposal")
    def link(self, proposal: Proposal) -> SafeString:
        return format_html('<a href="{}"><strong>{}</strong></a>', proposal_url(proposal), proposal.title)

    @admin.display(description="level")
    def level_badge(self, proposal: Proposal) -> SafeString:
        return badge(level_tone(proposal.level), RiskFlag.Level(proposal.level).label)

    @admin.display(description="score")
    def score_text(self, proposal: Proposal) -> str:
        return f"{proposal.score:.2f}"

    @admin.display(description="status")
    def state(self, proposal: Proposal) -> SafeString:
        return badge(TONES[proposal.status], proposal.get_status_display())

    @admin.display(description="found")
    def age(self, proposal: Proposal) -> SafeString:
        return when(proposal.created_at)

    def get_urls(self) -> list[URLPattern]:
        return [
            page(self, "<int:pk>/confirm/", "confirm", confirm),
            page(self, "<int:pk>/reject/", "reject", reject),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        now = timezone.now()
        rows = []
        if self.has_view_permission(request):
            rows = proposals.precision(since=now - PERIOD, until=now, actor=person(request))
        more = {"title": "Proposed flags", "precision": rows, "days": PERIOD.days, **(extra_context or {})}
        return super().changelist_view(request, more)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One proposal with its reasons."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        proposal: Proposal = found(self, request, object_id, "scope", "flag", "decided_by", "thresholds")
        context = {
            **self.admin_site.each_context(request),
            "title": proposal.title,
            "opts": self.opts,
            "proposal": proposal,
            "now": timezone.now(),
            "level": RiskFlag.Level(proposal.level).label,
            "level_tone": level_tone(proposal.level),
            "tone": TONES[proposal.status],
            "subject": source_words(proposal.subject),
            "subject_url": source_url(proposal.subject),
            "evidence": evidence(proposal.evidence),
            "flag_url": flag_url(proposal.flag) if proposal.flag else "",
            "may_decide": proposal.status == "open" and request.user.has_perm(proposals.DECIDE),
            "media": self.media,
        }
        return TemplateResponse(request, "escalation/proposal.html", context)


def proposal_url(proposal: Proposal) -> str:
    """The page of a proposal."""
    return reverse("admin:escalation_proposal_change", args=[proposal.pk])


def _decidable(modeladmin: ProposalAdmin, request: HttpRequest, pk: int) -> Proposal:
    proposal: Proposal = found(modeladmin, request, pk)
    if not request.user.has_perm(proposals.DECIDE):
        raise PermissionDenied
    return proposal


def confirm(modeladmin: ProposalAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Make a flag of it."""
    proposal = _decidable(modeladmin, request, pk)
    initial = {"seen": proposal.version, "level": proposal.level}

    def run(form: ConfirmForm) -> str:
        given = form.cleaned_data
        flag = proposals.confirm(
            proposal_id=pk, seen_version=given["seen"], level=given["level"], reason=given["reason"],
            actor=person(request), now=timezone.now(),
        )  # fmt: skip
        return f"Raised as flag {flag.pk}, level {flag.get_level_display()}."

    words = Words(
        "Confirm the proposal", "Raise the flag", "A risk flag is raised with these reasons; its ladder begins."
    )
    question = about(
        words, lambda data: ConfirmForm(data, initial=initial), run, proposal_url(proposal), proposal.title
    )
    return ask(modeladmin, request, question)


def reject(modeladmin: ProposalAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Say that it is no risk."""
    proposal = _decidable(modeladmin, request, pk)

    def run(form: RejectForm) -> str:
        given = form.cleaned_data
        proposals.reject(
            proposal_id=pk,
            seen_version=given["seen"],
            reason=given["reason"],
            actor=person(request),
            now=timezone.now(),
        )
        return "Rejected. It comes again only if it doubles."

    words = Words("Reject the proposal", "Not a risk", "Nobody is told, and no flag is raised.", "danger")
    make = {"seen": proposal.version}
    question = about(words, lambda data: RejectForm(data, initial=make), run, proposal_url(proposal), proposal.title)
    return ask(modeladmin, request, question)
