"""Forms of the decisions about cards, and of rules' thresholds."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms

from apps.actions.executors import Executor
from apps.actions.models import ActionCard
from apps.escalation.models import RiskFlag


class SeenForm(forms.Form):
    """What binds a decision to what was looked at: the card's version, and a key that makes a second click harmless."""

    seen = forms.IntegerField(widget=forms.HiddenInput, min_value=1)
    key = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, card: ActionCard, **kwargs: Any) -> None:
        self.card = card
        initial = {"seen": card.version, "key": uuid.uuid4(), **kwargs.pop("initial", {})}
        super().__init__(*args, **{"label_suffix": "", **kwargs, "initial": initial})


class ApproveForm(SeenForm):
    """Which action, and the words that the customer gets."""

    action = forms.ChoiceField(label="What is done", widget=forms.RadioSelect)
    message = forms.CharField(
        label="Message to the customer",
        widget=forms.Textarea(attrs={"rows": 10}),
        required=False,
        max_length=10_000,
        help_text="Used when a message is sent. Change it as you like; this text is what goes out.",
    )

    def __init__(self, *args: Any, card: ActionCard, actions: list[Executor], **kwargs: Any) -> None:
        first = actions[0].slug if actions else ""
        initial = {"action": first, "message": card.message, **kwargs.pop("initial", {})}
        super().__init__(*args, card=card, initial=initial, **kwargs)
        action = self.fields["action"]
        assert isinstance(action, forms.ChoiceField)
        action.choices = [(one.slug, one.title) for one in actions]
        if not any(one.sends_message for one in actions):
            del self.fields["message"]


def _reason(label: str, help_text: str, *, required: bool = True) -> forms.CharField:
    widget = forms.Textarea(attrs={"rows": 3, "maxlength": 500})
    return forms.CharField(label=label, max_length=500, help_text=help_text, widget=widget, required=required)


class DismissForm(SeenForm):
    """How the finding turned out, and why; both teach the rules."""

    outcome = forms.ChoiceField(label="How did it turn out?", choices=ActionCard.Outcome, widget=forms.RadioSelect)
    reason = _reason("Reason", "Stands in the decision log and on the card. Needed for “false”.", required=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("outcome") == ActionCard.Outcome.FALSE and not cleaned.get("reason"):
            self.add_error("reason", "Say why the rule was wrong; it helps to mend the rule.")
        return cleaned


class EscalateForm(SeenForm):
    """The level of the ladder, and why."""

    level = forms.TypedChoiceField(
        label="Level", coerce=int, choices=RiskFlag.Level, widget=forms.RadioSelect, initial=RiskFlag.Level.MEDIUM
    )
    reason = _reason("Reason", "Becomes the description of the risk flag.")


class NoteForm(SeenForm):
    """A line for the colleagues."""

    text = forms.CharField(
        label="Note",
        max_length=4_000,
        help_text="Everybody who sees the card reads it.",
        widget=forms.Textarea(attrs={"rows": 4}),
    )


class RollBackForm(SeenForm):
    """Why it is undone."""

    reason = _reason("Reason", "Stands in the decision log and on the card.")


class BulkDismissForm(forms.Form):
    """One outcome and reason for many cards. ``cards`` is ``id:version`` for each, as they were shown."""

    outcome = forms.ChoiceField(label="How did they turn out?", choices=ActionCard.Outcome, widget=forms.RadioSelect)
    reason = _reason("Reason", "Stands in the decision log, once for each card.")
    cards = forms.CharField(widget=forms.HiddenInput)

    def clean_cards(self) -> list[tuple[int, int]]:
        """The pairs of id and version."""
        try:
            pairs = [item.split(":") for item in self.cleaned_data["cards"].split(",")]
            return [(int(card), int(version)) for card, version in pairs]
        except ValueError as error:
            raise forms.ValidationError("The list of cards cannot be read; go back and select again.") from error
