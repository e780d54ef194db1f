"""Payment retries, when they are made, and through whom. A provider's token is entered, never shown."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlsplit
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.forms.models import ModelChoiceField
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from pydantic import ValidationError

from apps.core.decisions import Entry, record
from apps.core.models import Scope
from apps.core.numbers import whole
from apps.core.people import user_of
from apps.core.scope import in_scope, may_work_in, scopes_of, sees_every_scope
from apps.core.templatetags.desk import badge, money
from apps.core.thresholds import threshold_fields
from apps.subscriptions import payments, retries
from apps.subscriptions.admin.shared import OrganisationFilter, SubscriptionData, when
from apps.subscriptions.models import PaymentProvider, PaymentRetry, RetryPolicyVersion
from apps.subscriptions.retries import RetryPolicy

TONES = {
    PaymentRetry.Status.RUNNING: "info",
    PaymentRetry.Status.PAID: "ok",
    PaymentRetry.Status.DECLINED: "warn",
    PaymentRetry.Status.FAILED: "bad",
}
HERE = {"localhost", "127.0.0.1", "::1"}


@admin.register(PaymentRetry)
class PaymentRetryAdmin(SubscriptionData):
    """Retries and what became of them."""

    list_display_links = ["renewal_on"]
    list_display = ["of", "renewal_on", "number", "charged", "state", "asked", "made", "problem"]
    list_filter = ["status", OrganisationFilter, "provider"]
    list_select_related = ["subscription", "provider"]
    search_fields = ["subscription__name__istartswith", "=charge_id"]
    search_help_text = "Beginning of the subscription's name, an id, or the provider's id of the charge"
    ordering = ["-created_at"]
    actions = ["ask_again"]
    fields = [
        "of", "renewal_on", "number", "charged", "state", "payment_method", "provider", "id", "charge_id", "tries",
        "next_try_at", "last_error", "created_at", "finished_at",
    ]  # fmt: skip

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        try:
            key = UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(Q(pk=key) | Q(subscription=key)), False

    @admin.display(description="amount")
    def charged(self, retry: PaymentRetry) -> str:
        return str(money(retry.amount, retry.currency))

    @admin.display(description="status")
    def state(self, retry: PaymentRetry) -> SafeString:
        return badge(TONES[PaymentRetry.Status(retry.status)], retry.get_status_display())

    @admin.display(description="asked")
    def asked(self, retry: PaymentRetry) -> str:
        return "once" if retry.tries == 1 else f"{retry.tries} times"

    @admin.display(description="made")
    def made(self, retry: PaymentRetry) -> SafeString:
        return when(retry.created_at)

    @admin.display(description="last error")
    def problem(self, retry: PaymentRetry) -> SafeString:
        return format_html('<span class="clip" title="{0}">{0}</span>', retry.last_error)

    def has_ask_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscriptions.change_paymentretry")

    @admin.action(description="Ask the provider again, with the same key", permissions=["ask"])
    def ask_again(self, request: HttpRequest, queryset: QuerySet[PaymentRetry]) -> None:
        now = timezone.now()
        asked = sum(payments.ask_again(retry=retry, actor=user_of(request), now=now) for retry in queryset)
        left = queryset.count() - asked
        words = f"{asked} retries will be asked about within a minute. Nothing is charged twice."
        tail = f" {left} were left alone: they have a result, or another retry is under way." if left else ""
        self.message_user(request, words + tail, messages.WARNING if left else messages.SUCCESS)


class PolicyForm(forms.ModelForm):
    """A new version of a policy; its settings are judged by their own schema."""

    reason = forms.CharField(max_length=300, widget=forms.Textarea(attrs={"rows": 2, "maxlength": 300}),
                             help_text="Stands beside the version for ever.")  # fmt: skip

    class Meta:
        model = RetryPolicyVersion
        fields = ["scope"]
        labels = {"scope": "Organisation"}
        help_texts = {"scope": "Empty: all organisations that have no policy of their own."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.policy = RetryPolicy()
        chosen = self.initial.get("scope")
        current = retries.current_policy(whole(str(chosen or "")))
        shown = current.model_dump()
        for name, field in threshold_fields(RetryPolicy).items():
            self.fields[name] = field
            self.initial.setdefault(name, shown[name])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        values = {name: cleaned[name] for name in RetryPolicy.model_fields if cleaned.get(name) is not None}
        try:
            self.policy = RetryPolicy.model_validate(values)
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                place = str(problem["loc"][0]) if problem["loc"] else None
                self.add_error(place if place in self.fields else None, str(problem["msg"]))
        return cleaned


@admin.register(RetryPolicyVersion)
class RetryPolicyVersionAdmin(admin.ModelAdmin):
    """When renewals are tried again, per organisation. A version is never edited; adding one makes it the policy."""

    list_display = ["organisation", "number", "in_words", "reason", "created_by", "created_at"]
    list_select_related = ["scope", "created_by"]
    list_filter = ["created_at"]
    sortable_by: ClassVar[list[str]] = []
    readonly_fields = ["organisation", "number", "in_words", "codes", "reason", "created_by", "created_at"]
    change_list_template = "subscriptions/retry_policies.html"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The versions, and above them what holds where there is none."""
        holding = {"everybodys": in_words(retries.current_policy(None)), "limit": retries.NETWORK_TRIES}
        return super().changelist_view(request, {**holding, **(extra_context or {})})

    def get_queryset(self, request: HttpRequest) -> QuerySet[RetryPolicyVersion]:
        return in_scope(super().get_queryset(request), user_of(request))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        user: Any = request.user

        class Form(PolicyForm):
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                field = self.fields["scope"]
                assert isinstance(field, ModelChoiceField)
                everywhere = sees_every_scope(user)
                own = Scope.objects.all() if everywhere else Scope.objects.filter(pk__in=scopes_of(user))
                field.queryset, field.required = own, not everywhere

        return Form

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj is not None else ["scope", *RetryPolicy.model_fields, "reason"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj is not None else []

    def has_view_permission(self, request: HttpRequest, obj: RetryPolicyVersion | None = None) -> bool:
        seen = obj is None or may_work_in(user_of(request), obj.scope)
        return super().has_view_permission(request, obj) and seen

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: RetryPolicyVersion, form: Any, change: bool) -> None:
        made = retries.new_policy(
            scope=obj.scope, policy=form.policy, reason=form.cleaned_data["reason"], actor=user_of(request),
            now=timezone.now(),
        )  # fmt: skip
        obj.pk, obj.number, obj.created_at = made.pk, made.number, made.created_at

    @admin.display(description="organisation")
    def organisation(self, version: RetryPolicyVersion) -> str:
        return version.scope.name if version.scope else "Everybody"

    @admin.display(description="policy")
    def in_words(self, version: RetryPolicyVersion) -> str:
        return in_words(RetryPolicy.model_validate(version.settings))

    @admin.display(description="codes of its own")
    def codes(self, version: RetryPolicyVersion) -> str:
        policy = RetryPolicy.model_validate(version.settings)
        return f"Hard: {', '.join(policy.hard_codes) or 'none'}. Soft: {', '.join(policy.soft_codes) or 'none'}."


def in_words(policy: RetryPolicy) -> str:
    """A policy in one line."""
    if not policy.enabled or not policy.wait_hours:
        return "No retries"
    waits = ", ".join(map(str, policy.wait_hours))
    return f"After {waits} h; at most {policy.tries_in_30_days} tries in 30 days; up to {policy.give_up_days} days"


class ProviderForm(forms.ModelForm):
    """A provider. Its token is written only."""

    new_api_token = forms.CharField(
        label="New token", required=False, max_length=500, help_text="Sent as a bearer token with each request. Empty: as it is.",
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
    )  # fmt: skip

    class Meta:
        model = PaymentProvider
        fields = ["name", "scope", "base_url", "active"]
        labels = {"scope": "Organisation", "base_url": "Address"}

    def clean_base_url(self) -> str:
        url = str(self.cleaned_data["base_url"])
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in HERE:
            raise forms.ValidationError("The token would travel in the open; the address must begin with https://.")
        running = PaymentRetry.objects.filter(provider=self.instance.pk or 0, status=PaymentRetry.Status.RUNNING)
        if self.instance.pk and "base_url" in self.changed_data and running.exists():
            raise forms.ValidationError("Retries are under way there; only that address knows what became of them.")
        return url

    def clean_new_api_token(self) -> str:
        token = str(self.cleaned_data["new_api_token"])
        if not token and not self.instance.api_token:
            raise forms.ValidationError("A provider needs a token.")
        return token

    def save(self, commit: bool = True) -> PaymentProvider:
        if self.cleaned_data["new_api_token"]:
            self.instance.api_token = self.cleaned_data["new_api_token"]
        saved: PaymentProvider = super().save(commit)
        return saved


@admin.register(PaymentProvider)
class PaymentProviderAdmin(admin.ModelAdmin):
    """Through whom renewals are charged."""

    form = ProviderForm
    list_display = ["name", "organisation", "base_url", "token", "active"]
    list_select_related = ["scope"]
    list_filter = ["active"]
    readonly_fields = ["token"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return ["name", "scope", "base_url", "active", "token", *(["new_api_token"] if may else [])]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Retries name the provider; it is switched off instead."""
        return False

    def save_model(self, request: HttpRequest, obj: PaymentProvider, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if form.cleaned_data.get("new_api_token"):
            subject, actor = f"payment_provider:{obj.pk}", request.user
            record(Entry(scope="access", actor=actor, action="payment_provider_token_set", subject=subject))  # type: ignore[arg-type]

    @admin.display(description="token")
    def token(self, provider: PaymentProvider) -> SafeString:
        return badge("ok", "Set") if provider.api_token else badge("warn", "Not set")

    @admin.display(description="charges")
    def organisation(self, provider: PaymentProvider) -> str:
        return provider.scope.name if provider.scope else "All without one of their own"
