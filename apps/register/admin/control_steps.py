"""What people do with a control: add it, change it, and give their word for it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils import timezone

from apps.core.asking import Question, Words, ask, found, page, person
from apps.register import controls
from apps.register.admin.forms import PlainForm, somebody, text
from apps.register.admin.risk_forms import ROLE_CHOICES, role_field
from apps.register.checking import checks
from apps.register.evidence import KINDS
from apps.register.models import Attestation, Control
from apps.register.rights import may, may_attest


class ControlForm(PlainForm):
    """A control: by a check of the system, or by a person's word."""

    title = forms.CharField(max_length=200)
    description = text("Description", required=False, rows=2)
    check_slug = forms.ChoiceField(
        required=False, label="Check", help_text="The check that decides. Without one, a person attests it."
    )
    every_days = forms.IntegerField(
        min_value=1, max_value=3660, initial=90, label="Holds for", help_text="Days that an attestation holds."
    )
    owner_role = forms.ChoiceField(choices=ROLE_CHOICES, required=False)
    owner = somebody("Owner", "Is reminded to attest.")

    def __init__(self, *args: Any, role: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = [(one.slug, f"{one.title} ({one.slug})") for one in sorted(checks, key=lambda one: one.title)]
        self.fields["check_slug"].choices = [("", "Attested by a person"), *known]  # type: ignore[attr-defined]
        self.fields["owner_role"] = role_field(role)

    def fields_of(self) -> dict[str, Any]:
        """The values, with the kind that follows from the check."""
        given = dict(self.cleaned_data)
        given["kind"] = Control.Kind.CHECKED if given["check_slug"] else Control.Kind.ATTESTED
        return given


class NewControlForm(ControlForm):
    """A new control with its name for programs."""

    slug = forms.SlugField(max_length=80, label="Name for programs", help_text="Such as quarterly-access-review.")


class EditControlForm(ControlForm):
    """Changes of a control."""

    active = forms.BooleanField(required=False, label="In use")
    reason = text("Reason", "Why it changes; stands in the history.", rows=2)


class AttestForm(PlainForm):
    """A person's word, with evidence."""

    outcome = forms.ChoiceField(choices=Attestation.Outcome.choices, widget=forms.RadioSelect, label="What you found")
    statement = text("What you saw")
    link = forms.CharField(max_length=500, required=False, label="Link", help_text="To what shows it; http or https.")
    file = forms.FileField(required=False, label="File", help_text=f"At most 10 MB: {', '.join(KINDS)}.")


def pages(modeladmin: ModelAdmin) -> list[URLPattern]:
    """The pages of this module."""
    return [
        page(modeladmin, "new/", "new", new),
        page(modeladmin, "<int:pk>/edit/", "edit", edit),
        page(modeladmin, "<int:pk>/attest/", "attest", attest),
    ]


def _ask(
    modeladmin: ModelAdmin, request: HttpRequest, control: Control, words: Words, make: Any, run: Any
) -> HttpResponse:
    url = reverse("admin:register_control_change", args=[control.pk])
    return ask(modeladmin, request, Question(words, make, run, url, url, control.title, "register/form.html"))


def new(modeladmin: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Add a control."""
    user = person(request)
    if not (modeladmin.has_view_permission(request) and may(user, controls.ADD)):
        raise PermissionDenied
    made: list[Control] = []

    def run(form: NewControlForm) -> str:
        made.append(controls.add(actor=user, now=timezone.now(), **form.fields_of()))
        return "The control is added. Link mitigations to it."

    back = reverse("admin:register_control_changelist")
    words = Words(
        "Add a control", "Add", "It shows that mitigations hold: by a check of the system, or by somebody's word."
    )
    question = Question(
        words, lambda data, _: NewControlForm(data), run,
        lambda: reverse("admin:register_control_change", args=[made[0].pk]), back, "Controls", "register/form.html",
    )  # fmt: skip
    return ask(modeladmin, request, question)


def edit(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Change a control."""
    control: Control = found(modeladmin, request, pk)
    if not may(person(request), controls.CHANGE):
        raise PermissionDenied
    names = ("title", "description", "check_slug", "every_days", "owner_role", "active")
    initial = {name: getattr(control, name) for name in names} | {"owner": control.owner_id}

    def run(form: EditControlForm) -> str:
        changes = form.fields_of()
        reason = changes.pop("reason")
        controls.edit(control_id=pk, changes=changes, actor=person(request), now=timezone.now(), reason=reason)
        return "The control is changed."

    return _ask(
        modeladmin, request, control, Words("Edit the control", "Save", "Every change stands in the history."),
        lambda data, _: EditControlForm(data, role=control.owner_role, initial=initial), run,
    )  # fmt: skip


def attest(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Give one's word for a control."""
    control: Control = found(modeladmin, request, pk)
    if not may_attest(person(request), control):
        raise PermissionDenied

    def run(form: AttestForm) -> str:
        made = controls.attest(control_id=pk, actor=person(request), now=timezone.now(), **form.cleaned_data)
        return f"Attested; it holds until {made.valid_until:%-d %b %Y}."

    lead = f"Your word with its evidence holds for {control.every_days} days, and stands in the decision log."
    return _ask(
        modeladmin, request, control, Words("Attest", "Attest", lead), lambda data, files: AttestForm(data, files), run
    )
