"""Forms of the knowledge base. What decides about a text carries its digest; what changes details carries their edition."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib.auth.models import Permission
from django.db.models import Q, QuerySet
from django.utils.text import slugify

from apps.core.models import Scope, User
from apps.core.names import PeopleChoice, PersonChoice
from apps.knowledge.drafts import LONGEST_BODY
from apps.knowledge.models import Article, Category
from apps.knowledge.rights import CHANGE, REVIEW

LANGUAGES = [("en", "English"), ("de", "German"), ("fr", "French"), ("es", "Spanish"), ("it", "Italian"),
             ("pt", "Portuguese"), ("nl", "Dutch")]  # fmt: skip


def text(
    label: str, help_text: str = "", *, rows: int = 3, required: bool = True, most: int = 5_000
) -> forms.CharField:
    """A field of several lines."""
    widget = forms.Textarea(attrs={"rows": rows, "maxlength": most})
    return forms.CharField(label=label, help_text=help_text, widget=widget, required=required, max_length=most)


def moment(label: str, help_text: str = "", *, required: bool = True) -> forms.DateTimeField:
    """A moment in the site's time zone."""
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(
        label=label, help_text=help_text, widget=widget, required=required, input_formats=["%Y-%m-%dT%H:%M"]
    )


def people_who(permission: str) -> QuerySet[User]:
    """Active people whose role includes something."""
    app, codename = permission.split(".")
    held = Permission.objects.filter(content_type__app_label=app, codename=codename)
    active = User.objects.filter(is_active=True, is_staff=True)
    return active.filter(Q(groups__permissions__in=held) | Q(is_superuser=True)).distinct().order_by("username")


class PlainForm(forms.Form):
    """A form in the look of the desk: labels without a colon."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})


class SeenForm(PlainForm):
    """Binds a decision to the text that the page showed."""

    seen = forms.CharField(widget=forms.HiddenInput, max_length=64)


class EditionForm(PlainForm):
    """Binds a change to the details that the page showed."""

    seen = forms.IntegerField(widget=forms.HiddenInput, min_value=1)


class CommentForm(SeenForm):
    """An approval, with or without words."""

    comment = text("Comment", "The author reads it.", required=False)


class NoteForm(SeenForm):
    """What was checked."""

    note = text("Note", "What you checked; stands in the history.", required=False)


class BackForm(SeenForm):
    """Why a version is not approved."""

    reason = text("What is not right", "The author reads it, and it stands in the decision log.")


class ScheduleForm(SeenForm):
    """When a version goes live."""

    publish_at = moment("Goes live at", "UTC. Left empty, it no longer goes live by itself.", required=False)


class ReasonForm(EditionForm):
    """A change that needs a reason."""

    reason = text("Reason", "Stands in the history and in the decision log.")


class ReassignForm(ReasonForm):
    """Who answers for an article from now on."""

    owner = PersonChoice(User.objects.none(), label="New owner", empty_label="Choose somebody")
    field_order = ("owner", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner"].queryset = people_who(CHANGE)  # type: ignore[attr-defined]


class LikeForm(PlainForm):
    """Which version a draft begins with."""

    like = forms.IntegerField(widget=forms.HiddenInput, required=False, min_value=1)


class WordsForm(PlainForm):
    """A version's words."""

    title = forms.CharField(
        max_length=200, label="Question", help_text="As a customer would ask it; it is the heading and what is searched first."
    )  # fmt: skip
    body = forms.CharField(
        label="Answer", max_length=LONGEST_BODY, strip=False, help_text="Markdown. The first paragraph answers; details follow.",
        widget=forms.Textarea(attrs={"rows": 22, "spellcheck": "true", "data-editor": ""}),
    )  # fmt: skip


class EditForm(WordsForm, SeenForm):
    """A draft."""

    changes = forms.CharField(
        max_length=300, label="What is different", help_text="For whoever reviews it, and for the history."
    )


class DetailFields(PlainForm):
    """What belongs to an article beside its words."""

    category = forms.ModelChoiceField(Category.objects.all(), empty_label="Choose one")
    audience = forms.ChoiceField(choices=Article.Audience.choices, widget=forms.RadioSelect, initial="public")
    language = forms.ChoiceField(choices=LANGUAGES, initial="en")
    scope = forms.ModelChoiceField(
        Scope.objects.none(), required=False, empty_label="Whole company", help_text="A store or a team, if it is only theirs."
    )  # fmt: skip
    slug = forms.CharField(
        max_length=120, required=False, label="Address", help_text="Made from the question if it is left empty."
    )
    tags = forms.CharField(max_length=400, required=False, help_text="Separated by commas.")
    review_every_days = forms.IntegerField(min_value=7, max_value=1095, initial=180, label="Review every so many days")
    questions = text(
        "Other ways to ask", "One a line, in the words of customers. The search reads them.", rows=5, required=False, most=60_000
    )  # fmt: skip

    def __init__(self, *args: Any, scopes: QuerySet[Scope], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scope"].queryset = scopes  # type: ignore[attr-defined]
        if not scopes.exists():
            del self.fields["scope"]
        language = self.initial.get("language", "")
        if language and language not in dict(LANGUAGES):  # brought from a file; saving details does not change it
            self.fields["language"].choices = [*LANGUAGES, (language, language)]  # type: ignore[attr-defined]

    def clean_slug(self) -> str:
        slug = str(self.cleaned_data["slug"]).strip()
        if slug and slugify(slug) != slug:
            raise forms.ValidationError("Small letters, digits and hyphens.")
        return slug

    def clean_tags(self) -> list[str]:
        tags = list(
            dict.fromkeys(" ".join(tag.lower().split()) for tag in re.split(r"[,\n]", self.cleaned_data["tags"]))
        )
        if any(len(tag) > 40 for tag in tags):
            raise forms.ValidationError("A tag has at most 40 characters.")
        return [tag for tag in tags if tag]

    def clean_questions(self) -> list[str]:
        return [line.strip() for line in str(self.cleaned_data["questions"]).splitlines() if line.strip()]


class NewForm(WordsForm, DetailFields):
    """A new article with its first draft."""

    field_order = (
        "title",
        "body",
        "category",
        "audience",
        "questions",
        "tags",
        "language",
        "scope",
        "slug",
        "review_every_days",
    )


class DetailsForm(EditionForm, DetailFields):
    """The details of an article that is there."""

    reviewers = PeopleChoice(
        User.objects.none(), required=False, widget=forms.CheckboxSelectMultiple,
        help_text="Only they review it. If nobody is named, everybody whose role reviews may.",
    )  # fmt: skip
    field_order = (
        "slug",
        "category",
        "audience",
        "questions",
        "tags",
        "language",
        "scope",
        "review_every_days",
        "reviewers",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reviewers"].queryset = people_who(REVIEW)  # type: ignore[attr-defined]
        self.fields["slug"].required = True
        self.fields["slug"].help_text = "The former address goes on leading to the article."


class DraftForm(PlainForm):
    """An article for a gap."""

    category = forms.ModelChoiceField(Category.objects.all(), empty_label="Choose one")
    replies = text(
        "What agents replied", "Stands in the draft as notes, one reply a paragraph. Take out what is personal.",
        rows=8, required=False, most=20_000,
    )  # fmt: skip

    def clean_replies(self) -> list[str]:
        return [part.strip() for part in re.split(r"\n\s*\n", str(self.cleaned_data["replies"])) if part.strip()]


class ThresholdsForm(EditionForm):
    """How sure answers must be."""

    answer_at = forms.FloatField(
        min_value=0, max_value=1, label="Answer from", help_text="Confidence from which the best article is the answer.",
        widget=forms.NumberInput(attrs={"step": "0.01"}),
    )  # fmt: skip
    choose_at = forms.FloatField(
        min_value=0, max_value=1, label="Offer a choice from",
        help_text="Confidence from which a few articles are offered. Below it the answer is that nobody is sure.",
        widget=forms.NumberInput(attrs={"step": "0.01"}),
    )  # fmt: skip
    reason = text("Reason", "Stands in the decision log.", most=300)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("choose_at", 0) > given.get("answer_at", 1):
            self.add_error("choose_at", "A choice is offered where an answer is not sure enough, so it begins lower.")
        return given
