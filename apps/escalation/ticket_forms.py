"""Forms of the ticket desk. What changes a ticket carries the version that the page showed."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.db.models import QuerySet

from apps.core.models import Scope, User
from apps.core.names import PersonChoice
from apps.escalation.forms import PlainForm, SeenForm, text
from apps.escalation.models import Category, Ticket


def active_categories() -> QuerySet[Category]:
    """Categories that new tickets may have."""
    return Category.objects.filter(active=True)


class CreateForm(PlainForm):
    """A new ticket. What the category needs beside the subject is asked for when it is missing."""

    key = forms.UUIDField(widget=forms.HiddenInput)
    subject = forms.CharField(max_length=200)
    category = forms.ModelChoiceField(Category.objects.none(), required=False, empty_label="None yet")
    channel = forms.ChoiceField(choices=Ticket.Channel, initial=Ticket.Channel.PHONE)
    priority = forms.TypedChoiceField(coerce=int, choices=Ticket.Priority, initial=Ticket.Priority.NORMAL)
    requester_name = forms.CharField(max_length=200, required=False)
    requester_contact = forms.CharField(max_length=254, required=False, help_text="E-mail address or phone number.")
    order_reference = forms.CharField(max_length=100, required=False)
    summary = text("Summary", "What it is about, for whoever takes it over.", required=False)
    message = text("The customer’s words", required=False, rows=4)
    scope = forms.ModelChoiceField(Scope.objects.none(), required=False, empty_label="The team’s own")

    def __init__(self, *args: Any, scopes: QuerySet[Scope], **kwargs: Any) -> None:
        initial = {"key": uuid.uuid4(), **kwargs.pop("initial", {})}
        super().__init__(*args, initial=initial, **kwargs)
        for name, rows in (("category", active_categories()), ("scope", scopes)):
            field = self.fields[name]
            assert isinstance(field, forms.ModelChoiceField)
            field.queryset = rows


class ReplyForm(SeenForm):
    """An answer to the customer; a second click with the same key sends nothing more."""

    key = forms.UUIDField(widget=forms.HiddenInput)
    text = text("Answer", rows=6)
    then_wait = forms.BooleanField(
        label="Then wait for the customer", required=False, help_text="Deadlines are held until the customer writes."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        initial = {"key": uuid.uuid4(), **kwargs.pop("initial", {})}
        super().__init__(*args, initial=initial, **kwargs)


class TicketNoteForm(PlainForm):
    """A line for the colleagues."""

    key = forms.UUIDField(widget=forms.HiddenInput)
    text = text("Note", "The customer never sees it.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, initial={"key": uuid.uuid4()}, **kwargs)


class ReasonForm(SeenForm):
    """Why."""

    reason = text("Reason", "Stands on the timeline.")

    def __init__(self, *args: Any, needed: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = needed


class AssignForm(SeenForm):
    """Whose it is from now on."""

    assignee = PersonChoice(User.objects.none(), required=False, empty_label="Nobody: back to the queue")
    reason = text("Reason", required=False)

    def __init__(self, *args: Any, people: QuerySet[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["assignee"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = people


class MergeForm(SeenForm):
    """Which ticket it is a duplicate of."""

    into = forms.CharField(label="Merge into", max_length=20, help_text="The other ticket’s number, such as T-1042.")
    reason = text("Reason", required=False)


class EditForm(forms.ModelForm):
    """A ticket's details."""

    seen = forms.IntegerField(widget=forms.HiddenInput, min_value=1)
    tags = forms.CharField(required=False, help_text="Separated by commas.")

    class Meta:
        model = Ticket
        fields = [
            "subject", "category", "priority", "requester_name", "requester_contact", "order_reference", "summary", "tags",
        ]  # fmt: skip
        widgets = {"summary": forms.Textarea(attrs={"rows": 3})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.initial["tags"] = ", ".join(self.instance.tags)

    def clean_tags(self) -> list[str]:
        """The tags, each once."""
        tags = [tag.strip().lower() for tag in self.cleaned_data["tags"].split(",") if tag.strip()]
        if any(len(tag) > 40 for tag in tags):
            raise forms.ValidationError("A tag has at most 40 characters.")
        return list(dict.fromkeys(tags))
