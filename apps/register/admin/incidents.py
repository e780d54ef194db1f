"""Incidents: their list, their page with the timeline, and what people do about them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.asking import Question, Words, ask, found, page, person
from apps.core.models import User
from apps.core.templatetags.desk import badge
from apps.register import incidents, lessons
from apps.register.admin import forms
from apps.register.admin.shared import STAGE_TONES, Plain, reference, when
from apps.register.models import (
    CommunicationTemplate,
    Incident,
    IncidentEvent,
    PostIncidentReview,
    ProposedChange,
    Risk,
)

STAGES = (Incident.Stage.ASSESSMENT, Incident.Stage.CONTAINMENT, Incident.Stage.RESOLUTION, Incident.Stage.RESOLVED)
EVENT_TONES = {
    IncidentEvent.Kind.STAGE: "ok",
    IncidentEvent.Kind.FINDING: "warn",
    IncidentEvent.Kind.MESSAGE: "",
    IncidentEvent.Kind.CHANGE: "muted",
}
CHANGE_TONES = {"proposed": "info", "made": "ok", "rejected": "muted"}


def incident_url(incident: Incident, name: str = "change", *args: object) -> str:
    """The address of one of an incident's pages."""
    return reverse(f"admin:register_incident_{name}", args=[incident.pk, *args])


def severity_tone(severity: int) -> str:
    """The tone of a severity of 1 to 5."""
    return "bad" if severity >= 4 else "warn" if severity == 3 else "low"


@admin.register(Incident)
class IncidentAdmin(ScopedAdmin, ReadOnlyAdmin, Plain):
    """Incidents, the newest first; each is worked on its own page."""

    list_display = ["link", "grave", "stage_badge", "lead", "began", "opened"]
    list_display_links = None
    list_filter = ["stage", "severity"]
    list_select_related = ["lead"]
    search_fields = ["title", "reference__iexact"]
    search_help_text = "Title, or reference such as I-0007"
    sortable_by: ClassVar[list[str]] = []
    change_list_template = "register/incidents.html"

    @admin.display(description="incident")
    def link(self, incident: Incident) -> SafeString:
        return format_html(
            '<a href="{}"><span class="muted mono">{}</span> <strong>{}</strong></a>',
            incident_url(incident), incident.reference, incident.title,
        )  # fmt: skip

    @admin.display(description="severity")
    def grave(self, incident: Incident) -> SafeString:
        return badge(severity_tone(incident.severity), f"{incident.severity} of 5")

    @admin.display(description="stage")
    def stage_badge(self, incident: Incident) -> SafeString:
        return badge(STAGE_TONES[Incident.Stage(incident.stage)], incident.get_stage_display())

    @admin.display(description="began")
    def began(self, incident: Incident) -> SafeString:
        return when(incident.started_at)

    @admin.display(description="opened")
    def opened(self, incident: Incident) -> SafeString:
        return when(incident.opened_at)

    def get_urls(self) -> list[URLPattern]:
        return [
            page(self, "open/", "open", open_page),
            page(self, "<int:pk>/advance/", "advance", advance),
            page(self, "<int:pk>/entry/", "entry", entry),
            page(self, "<int:pk>/edit/", "edit", edit),
            page(self, "<int:pk>/message/", "message", message),
            page(self, "<int:pk>/review/", "review", review),
            page(self, "<int:pk>/propose/", "propose", propose),
            page(self, "<int:pk>/changes/<int:change>/", "decide", decide),
            page(self, "<int:pk>/close/", "close", close),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        more = {"title": "Incidents", "may_open": request.user.has_perm(incidents.OPEN)}
        return super().changelist_view(request, {**more, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One incident."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        incident: Incident = found(self, request, object_id, "lead", "scope", "opened_by")
        user = person(request)
        held = PostIncidentReview.objects.select_related("held_by").filter(incident=incident).first()
        context = {
            **self.admin_site.each_context(request),
            "title": str(incident),
            "opts": self.opts,
            "incident": incident,
            "now": timezone.now(),
            "severity_tone": severity_tone(incident.severity),
            "severity_words": f"Severity {incident.severity} of 5",
            "stage_tone": STAGE_TONES[Incident.Stage(incident.stage)],
            "stages": [(stage.label, _passed(incident, stage)) for stage in STAGES],
            "events": [
                (event, EVENT_TONES.get(IncidentEvent.Kind(event.kind), ""))
                for event in incident.events.select_related("actor").order_by("-happened_at", "-pk")
            ],
            "risks": Risk.objects.visible_to(user).filter(incidents=incident),
            "links": [reference(target) for target in incident.links],
            "review": held,
            "changes": [(one, CHANGE_TONES[one.state]) for one in held.changes.select_related("risk", "decided_by")]
            if held
            else [],
            "may_decide": user.has_perm(lessons.DECIDE),
            "offers": _offers(incident, held, user),
            "media": self.media,
        }
        return TemplateResponse(request, "register/incident.html", context)


def _passed(incident: Incident, stage: Incident.Stage) -> str:
    """Whether a stage is behind, here, or ahead."""
    order = [*STAGES, Incident.Stage.CLOSED]
    here, there = order.index(Incident.Stage(incident.stage)), order.index(stage)
    return "passed" if there < here else "here" if there == here else "ahead"


def _offers(incident: Incident, held: PostIncidentReview | None, user: User) -> list[dict[str, str]]:
    if not user.has_perm(incidents.HANDLE) or incident.stage == Incident.Stage.CLOSED:
        return []
    resolved = incident.stage == Incident.Stage.RESOLVED
    found: list[tuple[str, str, str, str]] = []
    if not resolved:
        following = incidents.NEXT[Incident.Stage(incident.stage)].label.partition(",")[0]
        found.append(("advance", f"Next: {following}", "up", "primary"))
    else:
        found.append(
            ("review", "Write the review anew" if held else "Hold the review", "book", "" if held else "primary")
        )
        if held:
            found += [("propose", "Propose a change", "plus", ""), ("close", "Close", "check-circle", "")]
    found += [("entry", "Add entry", "note", ""), ("message", "Send message", "send", ""), ("edit", "Edit", "edit", "")]
    return [
        {"url": incident_url(incident, name), "words": words, "icon": icon, "tone": tone}
        for name, words, icon, tone in found
    ]


def _asked(
    modeladmin: IncidentAdmin, request: HttpRequest, incident: Incident, words: Words, make: Any, run: Any
) -> HttpResponse:
    url = incident_url(incident)
    return ask(modeladmin, request, Question(words, make, run, url, url, incident.reference, "register/form.html"))


def _held(modeladmin: IncidentAdmin, request: HttpRequest, pk: int) -> Incident:
    """The incident, for those who handle incidents."""
    incident: Incident = found(modeladmin, request, pk)
    _need(request, incidents.HANDLE)
    return incident


def _need(request: HttpRequest, permission: str) -> None:
    from django.core.exceptions import PermissionDenied

    if not request.user.has_perm(permission):
        raise PermissionDenied


def open_page(modeladmin: IncidentAdmin, request: HttpRequest) -> HttpResponse:
    """Open an incident."""
    _need(request, "register.view_incident")
    _need(request, incidents.OPEN)
    user, made = person(request), []

    def run(form: forms.OpenIncidentForm) -> str:
        made.append(incidents.open_incident(**form.cleaned_data, actor=user, now=timezone.now()))
        return f"{made[0].reference} is open; risk management is told."

    back = reverse("admin:register_incident_changelist")
    words = Words("Open an incident", "Open", "The initial assessment begins, and risk management is told.", "danger")
    seen = Risk.objects.visible_to(user)
    initial = {name: request.GET.get(name, "") for name in ("title", "risks", "links")}
    question = Question(
        words, lambda data, _: forms.OpenIncidentForm(data, seen_risks=seen, initial=initial), run,
        lambda: incident_url(made[0]), back, "Incidents", "register/form.html",
    )  # fmt: skip
    return ask(modeladmin, request, question)


def advance(modeladmin: IncidentAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Go on to the next stage."""
    incident = _held(modeladmin, request, pk)
    following = incidents.NEXT.get(Incident.Stage(incident.stage))

    def run(form: forms.StageForm) -> str:
        given = form.cleaned_data
        after = incidents.advance(
            incident_id=pk, seen_version=given["seen"], text=given["text"], actor=person(request), now=timezone.now()
        )
        return f"{incident.reference}: {after.get_stage_display()}."

    lead = f"“{incident.get_stage_display()}” ends, “{following.label}” begins." if following else "No stage follows."
    words = Words("Next stage", "Go on", lead)
    return _asked(
        modeladmin,
        request,
        incident,
        words,
        lambda data, _: forms.StageForm(data, initial={"seen": incident.version}),
        run,
    )


def entry(modeladmin: IncidentAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Add to the timeline."""
    incident = _held(modeladmin, request, pk)

    def run(form: forms.EntryForm) -> str:
        incidents.add_entry(incident_id=pk, actor=person(request), now=timezone.now(), **form.cleaned_data)
        return "It stands on the timeline."

    words = Words("Add to the timeline", "Add", "Entries are never changed; a mistake is put right by another entry.")
    return _asked(modeladmin, request, incident, words, lambda data, _: forms.EntryForm(data), run)


def edit(modeladmin: IncidentAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Change severity, lead, risks and links."""
    incident = _held(modeladmin, request, pk)
    user = person(request)
    seen = Risk.objects.visible_to(user)
    initial = {
        "seen": incident.version, "severity": incident.severity, "lead": incident.lead_id, "links": " ".join(incident.links),
        "risks": " ".join(seen.filter(incidents=incident).values_list("reference", flat=True)),
    }  # fmt: skip

    def run(form: forms.ChangeIncidentForm) -> str:
        given = dict(form.cleaned_data)
        seen_version, reason = given.pop("seen"), given.pop("reason")
        incidents.change(
            incident_id=pk, seen_version=seen_version, changes=given, reason=reason, actor=user, now=timezone.now()
        )
        return "Changed; it stands on the timeline."

    return _asked(
        modeladmin, request, incident, Words("Edit the incident", "Save", "What changes stands on the timeline."),
        lambda data, _: forms.ChangeIncidentForm(data, seen_risks=seen, initial=initial), run,
    )  # fmt: skip


def message(modeladmin: IncidentAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Send a message by a template."""
    incident = _held(modeladmin, request, pk)

    def run(form: forms.MessageForm) -> str:
        given = form.cleaned_data
        incidents.send_message(
            incident_id=pk, template=given["template"], recipients=list(given["recipients"]), summary=given["summary"],
            next_update=given["next_update"], actor=person(request), now=timezone.now(),
        )  # fmt: skip
        return "Sent; the words stand on the timeline."

    lead = "It goes to the inbox and by e-mail. Those who do not work in the incident's scope are left out."
    return _asked(
        modeladmin,
        request,
        incident,
        Words("Send a message", "Send", lead),
        lambda data, _: forms.MessageForm(data),
        run,
    )


def review(modeladmin: IncidentAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Write down what is learnt."""
    incident = _held(modeladmin, request, pk)
    held = PostIncidentReview.objects.filter(incident=incident).first()
    initial: dict[str, Any] = {"seen": incident.version}
    if held:
        initial |= {name: getattr(held, name) for name in ("summary", "cause", "went_well", "went_badly")}

    def run(form: forms.ReviewForm) -> str:
        given = dict(form.cleaned_data)
        lessons.hold_review(
            incident_id=pk, seen_version=given.pop("seen"), actor=person(request), now=timezone.now(), **given
        )
        return "The review is written down. Propose what the register should learn from it."

    words = Words(
        "Post-incident review", "Write down", "What happened, why, and what the register should learn from it."
    )
    return _asked(modeladmin, request, incident, words, lambda data, _: forms.ReviewForm(data, initial=initial), run)


def propose(modeladmin: IncidentAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Propose a change of the register."""
    incident = _held(modeladmin, request, pk)
    user = person(request)
    # The incident's own risks: a choice among all of the register would be a list of thousands.
    mine = Risk.objects.visible_to(user).filter(incidents=incident).order_by("pk")

    def run(form: forms.ProposeForm) -> str:
        given = dict(form.cleaned_data)
        kind, risk, reason = given.pop("kind"), given.pop("risk"), given.pop("reason")
        content = {**given, "kind": given.pop("score")}
        lessons.propose(
            incident_id=pk, kind=kind, risk=risk, content=content, reason=reason, actor=user, now=timezone.now()
        )
        return "Proposed. Somebody who keeps the register decides."

    words = Words("Propose a change", "Propose", "Nothing changes before somebody who keeps the register has decided.")
    return _asked(modeladmin, request, incident, words, lambda data, _: forms.ProposeForm(data, risks=mine), run)


def decide(modeladmin: IncidentAdmin, request: HttpRequest, pk: int, change: int) -> HttpResponse:
    """Make a proposed change, or reject it."""
    incident: Incident = found(modeladmin, request, pk)
    _need(request, lessons.DECIDE)
    proposed = ProposedChange.objects.select_related("risk").filter(pk=change, review__incident=incident).first()
    if proposed is None:
        raise Http404
    initial = {"seen": proposed.risk.version if proposed.risk else None}

    def run(form: forms.DecideForm) -> str:
        given = form.cleaned_data
        done = lessons.decide(
            change_id=change, make=given["make"] == "yes", reason=given["reason"], seen_risk=given["seen"],
            actor=person(request), now=timezone.now(),
        )  # fmt: skip
        return f"{done.get_state_display()}."

    about = f" of {proposed.risk}" if proposed.risk else ""
    says = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in proposed.content.items() if value)
    words = Words(
        "Decide a proposal", "Decide", f"{proposed.get_kind_display()}{about}: {says}. Because: {proposed.reason}"
    )
    return _asked(modeladmin, request, incident, words, lambda data, _: forms.DecideForm(data, initial=initial), run)


def close(modeladmin: IncidentAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Close the incident."""
    incident = _held(modeladmin, request, pk)

    def run(form: forms.SeenForm) -> str:
        incidents.close(
            incident_id=pk, seen_version=form.cleaned_data["seen"], actor=person(request), now=timezone.now()
        )
        return f"{incident.reference} is closed."

    return _asked(
        modeladmin, request, incident, Words("Close the incident", "Close", "Nothing can be added afterwards."),
        lambda data, _: forms.SeenForm(data, initial={"seen": incident.version}), run,
    )  # fmt: skip


@admin.register(CommunicationTemplate)
class CommunicationTemplateAdmin(Plain):
    """Words of messages about incidents."""

    list_display = ["subject", "step", "slug"]
    list_filter = ["step"]
    fields = ["slug", "step", "subject", "body"]
    prepopulated_fields = {"slug": ["subject"]}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
