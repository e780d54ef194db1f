"""Forms about risk flags. What changes a flag carries the version that the page showed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.db.models import QuerySet

from apps.core.models import Scope
from apps.escalation.ladder import Transition
from apps.escalation.levels import Information, Protocol
from apps.escalation.models import Handover, RiskFlag
from apps.escalation.models.flags import Indicator

MOST = 10_000


def text(label: str, help_text: str = "", *, rows: int = 3, required: bool = True) -> forms.CharField:
    """A field of several lines."""
    widget = forms.Textarea(attrs={"rows": rows, "maxlength": MOST})
    return forms.CharField(label=label, help_text=help_text, widget=widget, required=required, max_length=MOST)


class PlainForm(forms.Form):
    """A form in the look of the desk: labels without a colon."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})


class SeenForm(PlainForm):
    """What binds a change to what was looked at."""

    seen = forms.IntegerField(widget=forms.HiddenInput, min_value=1)


class MoveForm(SeenForm):
    """What a way up the ladder needs: a reason, or the information of a handover."""

    def __init__(
        self, *args: Any, way: Transition, protocol: Protocol, known: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.information: tuple[Information, ...] = ()
        if way.handover:
            to_risk = way.handover == Handover.Direction.TO_RISK
            self.information = protocol.to_risk if to_risk else protocol.to_support
        for one in self.information:
            self.fields[one.name] = text(one.label)
            self.fields[one.name].initial = (known or {}).get(one.name, "")
        if way.reason:
            self.fields["reason"] = text("Reason", f"{way.reason} Stands on the timeline and in the decision log.")

    def told(self) -> dict[str, str]:
        """The information of the handover, by name."""
        return {one.name: self.cleaned_data[one.name] for one in self.information}


class HandoverForm(PlainForm):
    """More information for the other side, by its list."""

    def __init__(self, *args: Any, wanted: tuple[Information, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for one in wanted:
            self.fields[one.name] = text(one.label)


class LevelForm(SeenForm):
    """Another level, with a reason."""

    level = forms.TypedChoiceField(coerce=int, choices=RiskFlag.Level, widget=forms.RadioSelect)
    reason = text("Reason", "Stands on the timeline and in the decision log.")


class NoteForm(PlainForm):
    """A line for the colleagues."""

    text = text("Note", "Everybody who may see the flag reads it.")


class FeedbackForm(PlainForm):
    """Whether the escalation was useful."""

    useful = forms.TypedChoiceField(
        label="Was this escalation useful to you?",
        choices=[("yes", "Yes"), ("no", "No")],
        coerce=lambda word: word == "yes",
        widget=forms.RadioSelect,
    )
    missing_fields = forms.MultipleChoiceField(
        label="What was missing?", choices=[], required=False, widget=forms.CheckboxSelectMultiple
    )
    comment = text("Comment", required=False)

    def __init__(self, *args: Any, missing: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["missing_fields"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = missing


class TemplateForm(forms.ModelForm):
    """The Risk Flag template, to correct."""

    seen = forms.IntegerField(widget=forms.HiddenInput, min_value=1)

    class Meta:
        model = RiskFlag
        fields = [
            "title", "description", "indicator", "affected_count", "affected_customers", "frequency", "impact",
            "containment", "communications",
        ]  # fmt: skip
        widgets = {
            name: forms.Textarea(attrs={"rows": 3})
            for name in (
                "description", "affected_customers", "frequency", "impact", "containment", "communications",
            )
        }  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})


class RaiseForm(PlainForm):
    """The Risk Flag template, to raise; a title, a level and a description are enough to begin with."""

    source = forms.CharField(widget=forms.HiddenInput, max_length=100)
    level = forms.TypedChoiceField(coerce=int, choices=RiskFlag.Level, widget=forms.RadioSelect)
    title = forms.CharField(max_length=200)
    description = text("What is the risk?", rows=4)
    indicator = forms.ChoiceField(choices=[("", "Not sure"), *Indicator.choices], required=False)
    containment = text("Containment taken", "What was done at once to limit it.", required=False)
    affected_count = forms.IntegerField(
        label="Affected customers", required=False, min_value=0, max_value=2_000_000_000
    )
    affected_customers = text("Who they are", "One per line.", required=False)
    frequency = text("Frequency and timing", required=False)
    impact = text("Customer impact", required=False)
    communications = text("Communications", "What was said to customers, and when.", required=False)
    scope = forms.ModelChoiceField(Scope.objects.none(), required=False, empty_label="Whole company")

    def __init__(self, *args: Any, protocol: Protocol, scopes: QuerySet[Scope] | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        level = self.fields["level"]
        assert isinstance(level, forms.TypedChoiceField)
        level.choices = [
            (one.level, f"{one.level} {one.name}: {one.description}. {one.threshold}.")
            for one in sorted(protocol.levels, key=lambda one: -one.level)
        ]
        if scopes is None:
            del self.fields["scope"]
        else:
            choice = self.fields["scope"]
            assert isinstance(choice, forms.ModelChoiceField)
            choice.queryset = scopes
