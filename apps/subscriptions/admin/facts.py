"""Attempts, approvals and balances: lists to look at. They are recorded on the page of their subscription."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.core.errors import DomainError
from apps.core.people import user_of
from apps.core.templatetags.desk import badge, money
from apps.subscriptions import records
from apps.subscriptions.admin.shared import OfOneSubscription, OrganisationFilter, approval_state, when
from apps.subscriptions.models import AccountBalance, Approval, RenewalAttempt


class FactAdmin(OfOneSubscription):
    """A fact is found by its subscription."""

    list_select_related = ["subscription"]


@admin.register(RenewalAttempt)
class RenewalAttemptAdmin(FactAdmin):
    """Tries to charge renewals."""

    list_display_links = ["renewal_on"]
    list_display = ["of", "renewal_on", "number", "made", "result", "worth", "decline_code", "error"]
    list_filter = [OrganisationFilter, "success", "decline_kind"]
    readonly_fields = ["of", "result", "worth"]
    fields = [
        "of", "renewal_on", "number", "attempt_date", "result", "worth", "payment_method", "decline_code", "decline_kind",
        "error_message", "recorded_at",
    ]  # fmt: skip

    @admin.display(description="when")
    def made(self, attempt: RenewalAttempt) -> SafeString:
        return when(attempt.attempt_date)

    @admin.display(description="result")
    def result(self, attempt: RenewalAttempt) -> SafeString:
        return badge("ok", "Paid") if attempt.success else badge("bad", "Failed")

    @admin.display(description="amount")
    def worth(self, attempt: RenewalAttempt) -> SafeString:
        return money(attempt.amount, attempt.currency)

    @admin.display(description="what it said")
    def error(self, attempt: RenewalAttempt) -> str:
        return attempt.error_message[:80]


class ValidityFilter(admin.SimpleListFilter):
    """Whether an approval holds now."""

    title = "validity"
    parameter_name = "validity"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("valid", "Valid now"), ("expired", "Expired"), ("revoked", "Revoked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now, active = timezone.now(), Approval.Status.ACTIVE
        conditions = {
            "valid": Q(status=active, expires_at__gt=now),
            "expired": Q(status=Approval.Status.EXPIRED) | Q(status=active, expires_at__lte=now),
            "revoked": Q(status=Approval.Status.REVOKED),
        }
        return queryset.filter(conditions.get(self.value() or "", Q()))


@admin.register(Approval)
class ApprovalAdmin(FactAdmin):
    """Consents of owners."""

    list_display_links = ["approval_type"]
    list_display = ["of", "approval_type", "state", "expires_at", "user", "created"]
    list_filter = [ValidityFilter, OrganisationFilter, "approval_type"]
    list_select_related = ["subscription", "user"]
    readonly_fields = ["of", "state"]
    fields = ["of", "approval_type", "state", "expires_at", "user", "created_at"]
    actions = ["revoke"]

    @admin.display(description="state")
    def state(self, approval: Approval) -> SafeString:
        return badge(*approval_state(approval, timezone.now()))

    @admin.display(description="given")
    def created(self, approval: Approval) -> SafeString:
        return when(approval.created_at)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscriptions.change_approval")

    @admin.action(description="Revoke the selected approvals", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Approval]) -> None:
        done, now = 0, timezone.now()
        for key in queryset.values_list("pk", flat=True)[:200]:
            try:
                records.revoke_approval(approval_id=key, actor=user_of(request), now=now)
            except DomainError as refusal:
                self.message_user(request, refusal.message, messages.WARNING)
            else:
                done += 1
        self.message_user(request, f"{done} approvals revoked; the risk was calculated anew.")


@admin.register(AccountBalance)
class AccountBalanceAdmin(FactAdmin):
    """What is there to pay with."""

    list_display_links = ["worth"]
    list_display = ["of", "worth", "price", "share", "age"]
    list_filter = [OrganisationFilter, "subscription__balance_source"]
    ordering = ["-as_of"]
    readonly_fields = ["of", "worth"]
    fields = ["of", "worth", "as_of"]

    @admin.display(description="balance")
    def worth(self, balance: AccountBalance) -> SafeString:
        return money(balance.amount, balance.currency)

    @admin.display(description="renewal")
    def price(self, balance: AccountBalance) -> SafeString:
        return money(balance.subscription.price, balance.subscription.currency)

    @admin.display(description="share of it")
    def share(self, balance: AccountBalance) -> str:
        price = balance.subscription.price
        if not price or balance.currency != balance.subscription.currency:
            return "–"
        return f"{balance.amount / price * 100:,.0f} %"

    @admin.display(description="as of")
    def age(self, balance: AccountBalance) -> SafeString:
        return when(balance.as_of)
