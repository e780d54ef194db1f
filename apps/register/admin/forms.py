"""Forms of the register's pages. What changes a row carries the version that the page showed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone

from apps.core.models import User
from apps.core.names import PeopleChoice, PersonChoice
from apps.core.roles import Role
from apps.register.models import CommunicationTemplate, IncidentEvent, ProposedChange, Rating, Risk

MOST = 10_000
ROLES = [(role.value, role.value) for role in Role]


def text(label: str, help_text: str = "", *, rows: int = 3, required: bool = True) -> forms.CharField:
    """A field of several lines."""
    widget = forms.Textarea(attrs={"rows": rows, "maxlength": MOST})
    return forms.CharField(label=label, help_text=help_text, widget=widget, required=required, max_length=MOST)


def day(label: str, help_text: str = "", *, required: bool = True) -> forms.DateField:
    """A day, chosen by the browser's own calendar."""
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    return forms.DateField(label=label, help_text=help_text, widget=widget, required=required)


def moment(label: str, help_text: str = "", *, required: bool = True) -> forms.DateTimeField:
    """A moment in the site's time zone."""
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(
        label=label, help_text=help_text, widget=widget, required=required, input_formats=["%Y-%m-%dT%H:%M"]
    )


def somebody(label: str, help_text: str = "", *, required: bool = False) -> forms.ModelChoiceField:
    """A person of the staff."""
    people = User.objects.filter(is_active=True, is_staff=True).order_by("username")
    return PersonChoice(people, label=label, help_text=help_text, required=required, empty_label="Nobody yet")


class PlainForm(forms.Form):
    """A form in the look of the desk: labels without a colon."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})


class SeenForm(PlainForm):
    """What binds a change to what was looked at."""

    seen = forms.IntegerField(widget=forms.HiddenInput, min_value=1)


class ReasonForm(SeenForm):
    """A change that needs nothing but a reason."""

    reason = text("Reason", "Stands in the history and in the decision log.")


class RisksForm(PlainForm):
    """Names risks by their references, and other things by kind and id."""

    risks = forms.CharField(
        required=False, max_length=1000, label="Risks that came true", help_text="References, such as R-0042 R-0051"
    )
    links = forms.CharField(
        required=False,
        max_length=1000,
        label="Flags, cards and tickets",
        help_text="Such as risk_flag:4 action_card:17",
    )

    def __init__(self, *args: Any, seen_risks: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen_risks = seen_risks

    def clean_risks(self) -> list[Risk]:
        wanted = set(str(self.cleaned_data["risks"]).upper().replace(",", " ").split())
        found = list(self.seen_risks.filter(reference__in=wanted).order_by("pk"))
        if missing := wanted - {risk.reference for risk in found}:
            raise forms.ValidationError(f"There is no risk {', '.join(sorted(missing))} that you see.")
        return found

    def clean_links(self) -> list[str]:
        return str(self.cleaned_data["links"]).replace(",", " ").split()


class OpenIncidentForm(RisksForm):
    """What is known of an incident when it is opened."""

    title = forms.CharField(max_length=200, label="What happened")
    description = text("Description", "What is known by now; it goes to risk management.")
    severity = forms.TypedChoiceField(
        coerce=int, label="Severity", widget=forms.RadioSelect,
        choices=[(1, "1 Minimal"), (2, "2 Low"), (3, "3 Medium"), (4, "4 High"), (5, "5 Critical")],
    )  # fmt: skip
    started_at = moment("Began", "When it began to do harm, as far as known.")
    lead = somebody("Lead", "Who leads the response; you, if nobody is chosen.")
    field_order = ("title", "description", "severity", "started_at", "lead", "risks", "links")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["started_at"].initial = timezone.localtime().strftime("%Y-%m-%dT%H:%M")


class ChangeIncidentForm(RisksForm, ReasonForm):
    """Severity, lead and links of an incident."""

    severity = forms.TypedChoiceField(
        coerce=int, choices=[(1, "1 Minimal"), (2, "2 Low"), (3, "3 Medium"), (4, "4 High"), (5, "5 Critical")]
    )
    lead = somebody("Lead", required=True)
    field_order = ("severity", "lead", "risks", "links", "reason")


class StageForm(SeenForm):
    """The end of a stage."""

    text = text("What was found or done", "Stands on the timeline and in the decision log.")


class EntryForm(PlainForm):
    """An entry of the timeline."""

    kind = forms.ChoiceField(
        choices=[(one.value, one.label) for one in (IncidentEvent.Kind.ACTION, IncidentEvent.Kind.FINDING)],
        widget=forms.RadioSelect, initial=IncidentEvent.Kind.ACTION,
    )  # fmt: skip
    text = text("What happened")
    happened_at = moment("When", "Now, if it is left empty.", required=False)


class MessageForm(PlainForm):
    """A message by a template."""

    template = forms.ModelChoiceField(CommunicationTemplate.objects.all(), empty_label="Choose one", label="Template")
    recipients = PeopleChoice(User.objects.filter(is_active=True, is_staff=True).order_by("username"), label="To")
    summary = text("Where it stands", "Fills {summary} of the template.")
    next_update = forms.CharField(required=False, max_length=100, label="Next update", help_text="Such as 15:30 UTC.")


class ReviewForm(SeenForm):
    """What is learnt from an incident."""

    summary = text("What happened")
    cause = text("Cause")
    went_well = text("What went well", required=False)
    went_badly = text("What went badly", required=False)


class ProposeForm(PlainForm):
    """A change of the register that a review proposes."""

    kind = forms.ChoiceField(choices=ProposedChange.Kind.choices, label="Change")
    risk = forms.ModelChoiceField(
        Risk.objects.none(), required=False, label="Risk", help_text="For another score, or a mitigation."
    )
    title = forms.CharField(required=False, max_length=200, help_text="Of the new risk or mitigation.")
    description = text("Description", required=False)
    owner_role = forms.ChoiceField(choices=[("", "–"), *ROLES], required=False)
    score = forms.ChoiceField(choices=[("", "–"), *Rating.Kind.choices], required=False, label="Score of")
    probability = forms.IntegerField(required=False, min_value=1, max_value=20, help_text="Step of the scale, from 1.")
    impact = forms.IntegerField(required=False, min_value=1, max_value=20, help_text="Step of the scale, from 1.")
    due_on = day("Due", required=False)
    reason = text("Reason", "What of the incident speaks for it.")

    def __init__(self, *args: Any, risks: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["risk"].queryset = risks  # type: ignore[attr-defined]


class DecideForm(PlainForm):
    """Whether a proposed change is made."""

    seen = forms.IntegerField(widget=forms.HiddenInput, required=False)
    make = forms.ChoiceField(
        choices=[("yes", "Make the change"), ("no", "Reject it")], widget=forms.RadioSelect, label="Decision"
    )
    reason = text("Reason", "Stands in the decision log.")
