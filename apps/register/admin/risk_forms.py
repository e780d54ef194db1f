"""Forms about risks: each bound to the version that the page showed."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.register.admin.forms import ROLES, PlainForm, ReasonForm, SeenForm, day, somebody, text
from apps.register.matrices import MatrixData
from apps.register.models import Category, Mitigation, Rating, Risk, RiskAssessment

ROLE_CHOICES = [("", "–"), *ROLES]


def role_field(current: str, label: str = "Owner role") -> forms.ChoiceField:
    """The role that answers; one that a document named and that is no role of ours stays a choice."""
    other = [(current, current)] if current and current not in dict(ROLES) else []
    return forms.ChoiceField(choices=[*ROLE_CHOICES, *other], required=False, label=label)


class RiskForm(PlainForm):
    """The words of a risk, and who answers for it."""

    title = forms.CharField(max_length=200)
    description = text("Description", required=False)
    cause = text("Cause", required=False, rows=2)
    consequence = text("Consequence", required=False, rows=2)
    category = forms.ModelChoiceField(Category.objects.order_by("path"), required=False, empty_label="None")
    owner_role = forms.ChoiceField(choices=ROLE_CHOICES, required=False)
    owner = somebody("Owner")
    treatment = forms.ChoiceField(choices=Risk.Treatment.choices)
    proximity = forms.ChoiceField(choices=[("", "Not said"), *Risk.Proximity.choices], required=False)

    def __init__(self, *args: Any, role: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner_role"] = role_field(role)


class NewRiskForm(RiskForm):
    """A risk recorded by hand."""

    assessment = forms.ModelChoiceField(RiskAssessment.objects.none(), required=False, empty_label="None")

    def __init__(self, *args: Any, assessments: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["assessment"].queryset = assessments  # type: ignore[attr-defined]


class EditRiskForm(RiskForm, SeenForm):
    """Changes of a risk."""

    reason = text("Reason", "Why it changes; stands in the history.", rows=2)


class RateForm(ReasonForm):
    """A score, by the steps of a matrix."""

    kind = forms.ChoiceField(
        choices=[(one.value, one.label) for one in Rating.Kind], widget=forms.RadioSelect, initial=Rating.Kind.CURRENT,
        label="Score",
    )  # fmt: skip
    probability = forms.TypedChoiceField(coerce=int, widget=forms.RadioSelect)
    impact = forms.TypedChoiceField(coerce=int, widget=forms.RadioSelect)
    field_order = ("kind", "probability", "impact", "reason")

    def __init__(self, *args: Any, scales: MatrixData, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, steps in (("probability", scales.probability), ("impact", scales.impact)):
            chosen = [(number, f"{number} {words}") for number, words in enumerate(steps, start=1)]
            self.fields[name].choices = chosen  # type: ignore[attr-defined]


class RequestForm(ReasonForm):
    """A request to accept a risk for a time."""

    expires_on = day("Accepted until", "The risk is open again from this day on; at most a year from now.")
    field_order = ("expires_on", "reason")


class DecideForm(ReasonForm):
    """A decision about a request, bound to what was asked for."""

    digest = forms.CharField(widget=forms.HiddenInput, required=False, max_length=64)


class LinkForm(PlainForm):
    """What a risk hangs together with."""

    target = forms.CharField(max_length=100, label="What", help_text="Such as risk_flag:4, action_card:17 or ticket:9")
    note = forms.CharField(max_length=300, required=False, label="Note")


class MitigationForm(PlainForm):
    """A mitigation: what is done, by whom, until when, and what it does to the score."""

    title = forms.CharField(max_length=500, label="What is done", widget=forms.Textarea(attrs={"rows": 2}))
    description = text("Description", required=False, rows=2)
    horizon = forms.ChoiceField(choices=Mitigation.Horizon.choices)
    priority = forms.CharField(max_length=60, required=False, help_text="Such as high_priority or strategic.")
    owner_role = forms.ChoiceField(choices=ROLE_CHOICES, required=False)
    owner = somebody("Owner")
    due_on = day("Due", required=False)
    effect = forms.CharField(
        max_length=300, required=False, help_text="On the residual score, such as: impact High to Medium."
    )

    def __init__(self, *args: Any, role: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner_role"] = role_field(role)


class EditMitigationForm(MitigationForm, SeenForm):
    """Changes of a mitigation."""

    status = forms.ChoiceField(choices=Mitigation.Status.choices)
    progress = forms.IntegerField(min_value=0, max_value=100, help_text="Percent.")
    reason = text("Reason", "Needed where it is dropped, or taken up again.", required=False, rows=2)
