"""Stores: where orders come from, and the secrets with which they prove it. A secret is entered, never shown."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.core.admin import ScopedAdmin
from apps.core.decisions import Entry, record_many
from apps.core.people import user_of
from apps.core.templatetags.desk import badge
from apps.orders.admin.shared import when
from apps.orders.models import Store
from apps.orders.tasks import reconcile_one

SECRETS = {"new_webhook_secret": "webhook_secret", "new_api_token": "api_token"}


def _secret(words: str) -> forms.CharField:
    widget = forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"})
    return forms.CharField(required=False, max_length=500, widget=widget, help_text=f"{words} Empty: as it is.")


class StoreForm(forms.ModelForm):
    """A store. Its secrets are written only; a new webhook secret keeps the old one valid until that is dropped."""

    new_webhook_secret = _secret("The app's client secret. While it is rotated, the one before is accepted too.")
    new_api_token = _secret("The access token of the Admin API.")
    drop_previous_secret = forms.BooleanField(
        required=False, help_text="End the rotation: the secret before is refused."
    )
    drop_api_token = forms.BooleanField(required=False, help_text="Take our access to the Admin API away.")

    class Meta:
        model = Store
        fields = ["name", "scope", "platform", "domain", "currency", "time_zone", "active", "api_base_url"]

    def clean_time_zone(self) -> str:
        zone = str(self.cleaned_data["time_zone"])
        if zone not in available_timezones():
            raise forms.ValidationError("There is no such time zone; take one such as Europe/Berlin.")
        return zone

    def clean_currency(self) -> str:
        code = str(self.cleaned_data["currency"]).upper()
        if len(code) != 3 or not code.isalpha():
            raise forms.ValidationError("A currency has three letters, such as USD.")
        return code

    def clean_domain(self) -> str:
        return str(self.cleaned_data["domain"]).strip().lower()

    def clean_api_base_url(self) -> str:
        url = str(self.cleaned_data["api_base_url"] or "")
        if url and not url.startswith("https://"):
            raise forms.ValidationError("The token would travel in the open; the address must begin with https://.")
        return url

    def save(self, commit: bool = True) -> Store:
        store: Store = self.instance
        given = self.cleaned_data
        if given.get("drop_previous_secret"):
            store.webhook_secret_previous = ""
        if given.get("drop_api_token"):
            store.api_token = ""
        if given.get("new_webhook_secret"):
            store.webhook_secret_previous, store.webhook_secret = store.webhook_secret, given["new_webhook_secret"]
        if given.get("new_api_token"):
            store.api_token = given["new_api_token"]
        saved: Store = super().save(commit)
        return saved


@admin.register(Store)
class StoreAdmin(ScopedAdmin):
    """Stores and how they are connected."""

    form = StoreForm
    list_display = ["name", "platform", "domain", "currency", "time_zone", "connection", "active", "reconciled"]
    list_filter = ["platform", "active"]
    search_fields = ["name", "domain"]
    list_select_related = ["scope"]
    actions = ["reconcile_now"]
    readonly_fields = ["webhooks", "admin_api"]
    fieldsets = [
        (None, {"fields": ["name", "scope", "platform", "domain", "currency", "time_zone", "active"]}),
        ("Webhooks", {"fields": ["webhooks", "new_webhook_secret", "drop_previous_secret"]}),
        ("Admin API", {"fields": ["admin_api", "new_api_token", "drop_api_token", "api_base_url"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: Store | None = None) -> Any:
        if self.has_change_permission(request, obj) if obj else self.has_add_permission(request):
            return self.fieldsets
        secrets = {*SECRETS, "drop_previous_secret", "drop_api_token"}
        return [
            (title, {"fields": [name for name in options["fields"] if name not in secrets]})
            for title, options in self.fieldsets
        ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Orders and decisions name the store; it is switched off instead."""
        return False

    def save_model(self, request: HttpRequest, obj: Store, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        told = [name for name in (*SECRETS, "drop_previous_secret", "drop_api_token") if form.cleaned_data.get(name)]
        record_many(
            Entry(scope="access", actor=user_of(request), action=f"store_{name}", subject=f"store:{obj.pk}")
            for name in told
        )

    @admin.display(description="webhook secret")
    def webhooks(self, store: Store) -> SafeString:
        if not store.webhook_secret:
            return badge("warn", "Not set: webhooks are refused")
        return badge("info", "Being rotated: two are accepted") if store.webhook_secret_previous else badge("ok", "Set")

    @admin.display(description="access token")
    def admin_api(self, store: Store) -> SafeString:
        return (
            badge("ok", "Set")
            if store.api_token
            else badge("muted", "Not set: no reconciliation, no changes in the shop")
        )

    @admin.display(description="connection")
    def connection(self, store: Store) -> SafeString:
        if store.platform == Store.Platform.FILE:
            return badge("muted", "Files")
        return badge("ok", "Webhooks and API") if store.api_token else self.webhooks(store)

    @admin.display(description="reconciled")
    def reconciled(self, store: Store) -> SafeString:
        last = store.reconciliations.filter(status="succeeded").first()
        return when(last.finished_at if last else None)

    def has_reconcile_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.change_store")

    @admin.action(description="Reconcile with the shop now", permissions=["reconcile"])
    def reconcile_now(self, request: HttpRequest, queryset: QuerySet[Store]) -> None:
        chosen = list(Store.objects.reachable().filter(pk__in=queryset.values("pk")))
        for store in chosen:
            reconcile_one.delay(store.pk)
        record_many(
            Entry(scope="intake", actor=user_of(request), action="reconciliation_asked", subject=f"store:{store.pk}",
                  payload={"at": timezone.now().isoformat()})
            for store in chosen
        )  # fmt: skip
        left = queryset.count() - len(chosen)
        words = f"{len(chosen)} stores are being reconciled."
        self.message_user(
            request, f"{words} {left} cannot be asked: no token, or switched off." if left else words,
            messages.WARNING if left else messages.SUCCESS,
        )  # fmt: skip
