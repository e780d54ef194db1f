"""Where the widget stands."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from apps.chat.models import ChatSite
from apps.core.admin import ScopedAdmin

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?", re.IGNORECASE)
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
FIELDS = [
    "name", "key", "scope", "team", "is_active", "allowed_origins", "language", "greeting", "quick_replies", "colour",
    "has_bot", "looks_up_orders", "identity_secret",
]  # fmt: skip


class LinesField(forms.CharField):
    """A list, one entry in each line."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        return [line.strip() for line in (super().clean(value) or "").splitlines() if line.strip()]


class SiteForm(forms.ModelForm):
    """A site. Its secret is entered, never shown."""

    allowed_origins = LinesField(
        required=False, help_text="One in each line, such as https://shop.example.com. Other pages get no chat."
    )
    quick_replies = LinesField(required=False, help_text="Offered before anything is written, one in each line.")
    identity_secret = forms.CharField(
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
        required=False,
        min_length=32,
        max_length=200,
        help_text="At least 32 characters. Signs who a page says its visitor is. Empty: the one that is there stays.",
    )

    class Meta:
        model = ChatSite
        fields = FIELDS

    def clean_allowed_origins(self) -> list[str]:
        """Origins alone: a path or a star would look stricter or wider than it is."""
        given: list[str] = self.cleaned_data["allowed_origins"]
        wrong = [origin for origin in given if not _ORIGIN.fullmatch(origin)]
        if wrong:
            raise forms.ValidationError(
                f"No origin: {', '.join(wrong)}. Write https://shop.example.com, without a path."
            )
        return sorted({origin.lower() for origin in given})

    def clean_quick_replies(self) -> list[str]:
        """Few and short, so that they fit under the greeting."""
        given: list[str] = self.cleaned_data["quick_replies"]
        if len(given) > 5 or any(len(words) > 60 for words in given):
            raise forms.ValidationError("At most five, of at most 60 characters.")
        return given

    def clean_colour(self) -> str:
        """Six hexadecimal digits."""
        colour: str = self.cleaned_data["colour"]
        if not _COLOUR.fullmatch(colour):
            raise forms.ValidationError("Write it like #1f5fd0.")
        return colour.lower()

    def clean_identity_secret(self) -> str:
        """What was entered, or what is there."""
        return self.cleaned_data["identity_secret"] or self.instance.identity_secret


@admin.register(ChatSite)
class ChatSiteAdmin(ScopedAdmin):
    """Sites with a widget."""

    form = SiteForm
    list_display = ["name", "key", "scope", "team", "origins", "has_bot", "is_active"]
    list_select_related = ["scope", "team"]
    search_fields = ["name", "key"]

    @admin.display(description="pages")
    def origins(self, site: ChatSite) -> str:
        """Where the widget may stand."""
        return ", ".join(site.allowed_origins) or "none"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Who may only look never sees the secret."""
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return FIELDS if may else [name for name in FIELDS if name != "identity_secret"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The key stands in the pages of the shop; another one would silence them."""
        return ["key"] if obj else []

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        return {} if obj else {"key": ["name"]}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Conversations name their site; it is taken out of use instead."""
        return False

    def save_model(self, request: HttpRequest, obj: ChatSite, form: Any, change: bool) -> None:
        obj.edition += change
        super().save_model(request, obj, form, change)
