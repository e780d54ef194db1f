"""Forms of the reviews."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.core.models import User
from apps.core.names import PersonChoice
from apps.escalation.forms import PlainForm, text


class DecisionForm(PlainForm):
    """What was decided about an item, and what somebody does next."""

    decision = text("Decision", "Stands in the minutes and in the decision log.")
    next_action = text("Next action", "Empty if nothing has to be done.", required=False, rows=2)
    owner = PersonChoice(User.objects.none(), required=False, empty_label="Nobody")
    due_on = forms.DateField(label="Until", required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        owner = self.fields["owner"]
        assert isinstance(owner, forms.ModelChoiceField)
        owner.queryset = User.objects.filter(is_active=True, is_staff=True).order_by("first_name", "username")


class CompleteForm(PlainForm):
    """The last words of a review."""

    notes = text("Notes", "For the minutes.", required=False, rows=5)
