"""Wordings that point to a risk, with their weights. Each change has a reason and is bound to what was looked at."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from apps.core.asking import Words, ask, found, person
from apps.escalation import phrases
from apps.escalation.admin.asking import about
from apps.escalation.admin.setup import Undeletable
from apps.escalation.models import Phrase


class PhraseForm(forms.ModelForm):
    """A phrase, why it changes, and the version that was looked at."""

    seen = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    why = forms.CharField(
        label="Why", max_length=300, widget=forms.Textarea(attrs={"rows": 2, "maxlength": 300}),
        help_text="Stands in the decision log.",
    )  # fmt: skip

    class Meta:
        model = Phrase
        fields = list(phrases.EDITABLE)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.initial.setdefault("seen", self.instance.version if self.instance.pk else 0)

    def fields_of_phrase(self) -> dict[str, Any]:
        """What was typed about the phrase."""
        return {name: self.cleaned_data[name] for name in phrases.EDITABLE}


@admin.register(Phrase)
class PhraseAdmin(Undeletable):
    """Wordings that point to a risk, with their weights."""

    list_display = ["text", "indicator", "weight", "reason", "language", "active"]
    list_filter = ["indicator", "language", "active"]
    search_fields = ["text", "reason"]
    list_per_page = 100
    fields: ClassVar[list[Any]] = [*phrases.EDITABLE, "version"]
    readonly_fields: ClassVar[list[Any]] = ["version"]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask for a new phrase."""
        if not self.has_add_permission(request):
            raise PermissionDenied

        def run(form: PhraseForm) -> str:
            made = phrases.add(fields=form.fields_of_phrase(), why=form.cleaned_data["why"], actor=person(request))
            return f"“{made}” counts from the next message on."

        words = Words("New phrase", "Add", "It counts from the next message on.")
        return ask(self, request, about(words, PhraseForm, run, self._list(), "Risk phrases"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask for a change; who may only look sees the stock page."""
        phrase: Phrase = found(self, request, object_id)
        if not self.has_change_permission(request, phrase):
            return super().change_view(request, object_id, form_url, extra_context)

        def run(form: PhraseForm) -> str:
            given = form.cleaned_data
            done = phrases.change(
                phrase_id=phrase.pk, seen_version=given["seen"], fields=form.fields_of_phrase(), why=given["why"],
                actor=person(request),
            )  # fmt: skip
            return f"Version {done.version} of “{done}” counts from the next message on."

        def make(data: Any) -> PhraseForm:
            return PhraseForm(data, instance=Phrase.objects.get(pk=phrase.pk))

        words = Words(
            "Change a phrase", "Save", f"This is version {phrase.version}; it counts so from the next message on."
        )
        return ask(self, request, about(words, make, run, self._list(), phrase.text))

    def save_model(self, request: HttpRequest, obj: Phrase, form: Any, change: bool) -> None:
        """Nothing is saved past the service; Django's own pages are not used for it.

        Raises:
            PermissionDenied: always.
        """
        messages.error(request, "Phrases are changed on their own page.")
        raise PermissionDenied

    def _list(self) -> str:
        return reverse("admin:escalation_phrase_changelist")
