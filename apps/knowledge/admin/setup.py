"""Shelves of the help centre, and words that mean the same to the search."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from apps.core.asking import person
from apps.core.audit import said_by
from apps.knowledge.admin.forms import LANGUAGES, people_who
from apps.knowledge.admin.shared import Plain
from apps.knowledge.indexing import count_change
from apps.knowledge.models import Category, Synonym
from apps.knowledge.rights import CHANGE


class CategoryForm(forms.ModelForm):
    """A shelf; its owner is somebody who can own articles."""

    class Meta:
        model = Category
        fields = ["title", "slug", "description", "position", "owner"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "owner" in self.fields:
            self.fields["owner"].queryset = people_who(CHANGE)  # type: ignore[attr-defined]


@admin.register(Category)
class CategoryAdmin(Plain):
    """Shelves of the help centre, in their order. One that is not used any more stays empty and is not shown."""

    form = CategoryForm
    list_display = ["title", "position", "owner", "articles"]
    list_select_related = ["owner"]
    search_fields = ["title"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        kept = Count("articles", filter=Q(articles__archived_at=None))
        return super().get_queryset(request).annotate(kept=kept)

    @admin.display(description="articles", ordering="kept")
    def articles(self, category: Any) -> int:
        return int(category.kept)

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        return {} if obj else {"slug": ["title"]}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class SynonymForm(forms.ModelForm):
    """Words that mean the same."""

    language = forms.ChoiceField(choices=LANGUAGES, initial="en")

    class Meta:
        model = Synonym
        fields = ["words", "language"]
        help_texts = {"words": "Single words, separated by commas: parcel, package, shipment."}

    def clean_words(self) -> list[str]:
        words = list(dict.fromkeys(word.strip().lower() for word in self.cleaned_data["words"] if word.strip()))
        if len(words) < 2:
            raise forms.ValidationError("At least two words.")
        if several := [word for word in words if " " in word]:
            raise forms.ValidationError(f"Single words only; {several[0]!r} is more than one.")
        if len(words) > 30:
            raise forms.ValidationError("At most 30 words.")
        return words


@admin.register(Synonym)
class SynonymAdmin(Plain):
    """A question with one of the words also finds the others, from the next question on."""

    form = SynonymForm
    list_display = ["__str__", "language", "added_by", "added_at"]
    list_filter = ["language"]
    list_select_related = ["added_by"]

    def save_model(self, request: HttpRequest, obj: Synonym, form: Any, change: bool) -> None:
        if not change:
            obj.added_by, obj.added_at = person(request), timezone.now()
        with said_by(person(request)):
            super().save_model(request, obj, form, change)
        count_change()

    def delete_model(self, request: HttpRequest, obj: Synonym) -> None:
        super().delete_model(request, obj)
        count_change()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Synonym]) -> None:
        super().delete_queryset(request, queryset)
        count_change()
