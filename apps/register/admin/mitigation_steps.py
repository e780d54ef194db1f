"""What people do with a mitigation: change it, and say which controls show that it holds."""

from __future__ import annotations

from typing import Any

from django import forms as django_forms
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils import timezone

from apps.core.asking import Question, Words, ask, found, page, person
from apps.register import controls, mitigations
from apps.register.admin.forms import PlainForm, text
from apps.register.admin.risk_forms import EditMitigationForm
from apps.register.models import Control, Mitigation
from apps.register.rights import may_with_mitigation


class ControlsForm(PlainForm):
    """The controls of a mitigation."""

    controls = django_forms.ModelMultipleChoiceField(
        Control.objects.filter(active=True).order_by("title"),
        required=False,
        widget=django_forms.CheckboxSelectMultiple,
    )
    reason = text("Reason", "What the controls show, or why one does not; stands in the history.", rows=2)


def pages(modeladmin: ModelAdmin) -> list[URLPattern]:
    """The pages of this module."""
    return [
        page(modeladmin, "<int:pk>/edit/", "edit", edit),
        page(modeladmin, "<int:pk>/controls/", "controls", choose_controls),
    ]


def _own(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> Mitigation:
    row: Mitigation = found(modeladmin, request, pk, "risk", "assessment", "owner")
    if not may_with_mitigation(person(request), row, mitigations.CHANGE):
        raise PermissionDenied
    return row


def edit(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Change a mitigation."""
    row = _own(modeladmin, request, pk)
    names = ("title", "description", "horizon", "priority", "owner_role", "due_on", "effect", "status", "progress")
    initial = {name: getattr(row, name) for name in names} | {"seen": row.version, "owner": row.owner_id}

    def run(form: EditMitigationForm) -> str:
        changes = dict(form.cleaned_data)
        seen, reason = changes.pop("seen"), changes.pop("reason")
        mitigations.update(
            mitigation_id=pk,
            seen_version=seen,
            changes=changes,
            actor=person(request),
            now=timezone.now(),
            reason=reason,
        )
        return "The mitigation is changed."

    return _ask(
        modeladmin, request, row, Words("Edit the mitigation", "Save", "Every change stands in the history."),
        lambda data, _: EditMitigationForm(data, role=row.owner_role, initial=initial), run,
    )  # fmt: skip


def choose_controls(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Say which controls show that the mitigation holds."""
    row = _own(modeladmin, request, pk)
    linked = set(row.controls.filter(active=True))

    @transaction.atomic
    def run(form: ControlsForm) -> str:
        wanted, reason = set(form.cleaned_data["controls"]), form.cleaned_data["reason"]
        for control in wanted - linked:
            controls.link(control_id=control.pk, mitigation_id=pk, actor=person(request), reason=reason)
        for control in linked - wanted:
            controls.unlink(control_id=control.pk, mitigation_id=pk, actor=person(request), reason=reason)
        return f"{len(wanted)} control{'' if len(wanted) == 1 else 's'} show that it holds."

    return _ask(
        modeladmin, request, row, Words("Controls of the mitigation", "Save", "A mitigation without a control is not verified."),
        lambda data, _: ControlsForm(data, initial={"controls": [one.pk for one in linked]}), run,
    )  # fmt: skip


def _ask(
    modeladmin: ModelAdmin, request: HttpRequest, row: Mitigation, words: Words, make: Any, run: Any
) -> HttpResponse:
    url = reverse("admin:register_mitigation_change", args=[row.pk])
    return ask(modeladmin, request, Question(words, make, run, url, url, row.title[:60], "register/form.html"))
