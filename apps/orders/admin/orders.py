"""Orders and what belongs to them, customers and products: to look at, for the shop owns them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.actions.models import ActionCard
from apps.core.templatetags.desk import badge, money
from apps.orders.admin.shared import (
    MONEY_TONES,
    PARCEL_TONES,
    PAYMENT_TONES,
    SENT_TONES,
    DataAdmin,
    DataInline,
    StoreFilter,
    state,
    when,
)
from apps.orders.models import (
    Customer,
    Dispute,
    Fulfillment,
    FulfillmentEvent,
    Order,
    OrderLine,
    Product,
    Refund,
    RefundLine,
    RiskAssessment,
    Transaction,
)


class LineInline(DataInline):
    model = OrderLine
    fields = ["title", "quantity", "cost"]
    readonly_fields = ["cost"]

    @admin.display(description="price each")
    def cost(self, line: OrderLine) -> SafeString:
        return money(line.price, line.order.currency)


class FulfillmentInline(DataInline):
    model = Fulfillment
    fields = ["parcel", "condition", "method", "carrier", "created_at", "estimated_delivery_at", "delivered_at"]
    readonly_fields = ["parcel", "condition"]
    verbose_name_plural = "parcels"

    @admin.display(description="parcel")
    def parcel(self, fulfillment: Fulfillment) -> SafeString:
        url = reverse("admin:orders_fulfillment_change", args=[fulfillment.pk])
        return format_html('<a href="{}">{}</a>', url, fulfillment)

    @admin.display(description="status")
    def condition(self, fulfillment: Fulfillment) -> SafeString:
        return state(PARCEL_TONES, fulfillment.status, fulfillment.get_status_display())


class RefundInline(DataInline):
    model = Refund
    fields = ["paid_back", "created_at", "note"]
    readonly_fields = ["paid_back"]

    @admin.display(description="amount")
    def paid_back(self, refund: Refund) -> SafeString:
        return money(refund.amount, refund.currency)


class TransactionInline(DataInline):
    model = Transaction
    fields = ["kind", "result", "sum", "gateway", "error_code", "created_at"]
    readonly_fields = ["result", "sum"]
    verbose_name_plural = "payments"

    @admin.display(description="status")
    def result(self, transaction: Transaction) -> SafeString:
        return state(MONEY_TONES, transaction.status, transaction.get_status_display())

    @admin.display(description="amount")
    def sum(self, transaction: Transaction) -> SafeString:
        return money(transaction.amount, transaction.currency)


class RiskInline(DataInline):
    model = RiskAssessment
    fields = ["level", "recommendation", "provider", "facts", "assessed_at"]
    verbose_name_plural = "verdict of the platform"


class WaitingFilter(admin.SimpleListFilter):
    """Orders that somebody waits for."""

    title = "waiting"
    parameter_name = "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Waiting to be sent")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        return queryset.awaited() if self.value() == "yes" else queryset  # type: ignore[attr-defined]


@admin.register(Order)
class OrderAdmin(DataAdmin):
    """One order with its lines, parcels, payments, refunds and cards on one page."""

    list_display = ["number", "store", "customer", "worth", "payment", "sent", "shipping_method", "placed"]
    list_filter = [StoreFilter, WaitingFilter, "financial_status", "fulfillment_status", "shipping_method"]
    list_select_related = ["store", "customer"]
    search_fields = ["number"]
    search_help_text = "Beginning of the order's number, or the shop's own id"
    inlines = [LineInline, FulfillmentInline, TransactionInline, RefundInline, RiskInline]
    readonly_fields = ["worth", "payment", "sent", "cards", "buyer"]
    fieldsets = [
        (None, {"fields": ["number", "store", "buyer", "email", "worth", "payment", "sent", "cards"]}),
        ("Times", {"fields": ["created_at", "updated_at", "estimated_delivery_at", "fulfillment_scheduled_at",
                              "cancelled_at", "cancel_reason", "closed_at", "deleted_at", "synced_at"]}),
        ("Where to and from where", {"fields": ["shipping_method", "billing_name", "billing_country", "shipping_name",
                                                "shipping_country", "ip_country", "tags", "external_id"]}),
    ]  # fmt: skip

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        # Written with and without the sign, because people type what they see or what they mean.
        numbers = Q(number__startswith=term) | Q(number__startswith=f"#{term}")
        return queryset.filter(numbers | Q(external_id=term)), False

    @admin.display(description="total")
    def worth(self, order: Order) -> SafeString:
        return money(order.total, order.currency)

    @admin.display(description="payment")
    def payment(self, order: Order) -> SafeString:
        return state(PAYMENT_TONES, order.financial_status, order.get_financial_status_display())

    @admin.display(description="sent")
    def sent(self, order: Order) -> SafeString:
        if order.deleted_at:
            return badge("muted", "Deleted")
        if order.cancelled_at:
            return badge("muted", "Cancelled")
        return state(SENT_TONES, order.fulfillment_status, order.get_fulfillment_status_display())

    @admin.display(description="placed")
    def placed(self, order: Order) -> SafeString:
        return when(order.created_at)

    @admin.display(description="customer")
    def buyer(self, order: Order) -> SafeString | str:
        if order.customer_id is None:
            return "guest"
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:orders_customer_change", args=[order.customer_id]), order.customer
        )

    @admin.display(description="cards")
    def cards(self, order: Order) -> SafeString | str:
        """The cards about the order, its parcels and refunds. They are of the order's scope, which the person sees."""
        subjects = [f"order:{order.pk}"]
        subjects += [f"fulfillment:{key}" for key in order.fulfillments.values_list("pk", flat=True)]
        subjects += [f"refund:{key}" for key in order.refunds.values_list("pk", flat=True)]
        found = ActionCard.objects.filter(subject__in=subjects).order_by("-pk")[:20]
        links = (
            (
                reverse("admin:actions_actioncard_change", args=[card.pk]),
                card.get_kind_display(),
                card.get_status_display(),
            )
            for card in found
        )
        return format_html_join(", ", '<a href="{}">{}</a> ({})', links) or "none"


class OrderInline(DataInline):
    model = Order
    fk_name = "customer"
    fields = ["link", "worth", "financial_status", "fulfillment_status", "created_at"]
    readonly_fields = ["link", "worth"]
    ordering = ["-created_at"]
    max_num = 50
    verbose_name_plural = "orders"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        return super().get_queryset(request).order_by("-created_at")

    @admin.display(description="order")
    def link(self, order: Order) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("admin:orders_order_change", args=[order.pk]), order.number)

    @admin.display(description="total")
    def worth(self, order: Order) -> SafeString:
        return money(order.total, order.currency)


@admin.register(Customer)
class CustomerAdmin(DataAdmin):
    list_display = ["__str__", "email", "store", "since"]
    list_filter = [StoreFilter]
    list_select_related = ["store"]
    search_fields = ["name", "email"]
    search_help_text = "Part of the name or the e-mail address"
    inlines = [OrderInline]
    fields = ["name", "email", "phone", "store", "external_id", "created_at", "updated_at", "redacted_at"]

    @admin.display(description="customer since")
    def since(self, customer: Customer) -> SafeString:
        return when(customer.created_at)


@admin.register(Product)
class ProductAdmin(DataAdmin):
    list_display = ["title", "store", "external_id"]
    list_filter = [StoreFilter]
    list_select_related = ["store"]
    search_fields = ["title__startswith"]
    search_help_text = "Beginning of the title"
    fields = ["title", "store", "external_id"]


class EventInline(DataInline):
    model = FulfillmentEvent
    fields = ["happened_at", "status", "message"]
    verbose_name_plural = "what the carrier reported"


@admin.register(Fulfillment)
class FulfillmentAdmin(DataAdmin):
    list_display = ["__str__", "order", "condition", "method", "carrier", "handed_over", "delivered_at"]
    list_filter = [StoreFilter, "status", "method"]
    list_select_related = ["order"]
    search_fields = ["tracking_number__startswith"]
    search_help_text = "Beginning of the tracking number"
    inlines = [EventInline]
    readonly_fields = ["condition"]
    fields = [
        "order", "condition", "method", "carrier", "tracking_number", "tracking_url", "created_at",
        "estimated_delivery_at", "delivered_at", "updated_at", "synced_at",
    ]  # fmt: skip

    @admin.display(description="status")
    def condition(self, fulfillment: Fulfillment) -> SafeString:
        return state(PARCEL_TONES, fulfillment.status, fulfillment.get_status_display())

    @admin.display(description="handed over")
    def handed_over(self, fulfillment: Fulfillment) -> SafeString:
        return when(fulfillment.created_at)


class RefundLineInline(DataInline):
    model = RefundLine
    fields = ["product", "quantity", "amount"]


@admin.register(Refund)
class RefundAdmin(DataAdmin):
    list_display = ["external_id", "order", "paid_back", "customer", "note", "made"]
    list_filter = [StoreFilter]
    list_select_related = ["order", "customer"]
    inlines = [RefundLineInline]
    readonly_fields = ["paid_back"]
    fields = ["order", "store", "customer", "paid_back", "note", "created_at", "external_id", "synced_at"]

    @admin.display(description="amount")
    def paid_back(self, refund: Refund) -> SafeString:
        return money(refund.amount, refund.currency)

    @admin.display(description="made")
    def made(self, refund: Refund) -> SafeString:
        return when(refund.created_at)


@admin.register(Transaction)
class TransactionAdmin(DataAdmin):
    list_display = ["external_id", "order", "kind", "result", "sum", "gateway", "error_code", "made"]
    list_filter = [StoreFilter, "kind", "status"]
    list_select_related = ["order"]
    readonly_fields = ["result", "sum"]
    fields = ["order", "kind", "result", "sum", "gateway", "error_code", "refund", "created_at", "external_id"]

    @admin.display(description="status")
    def result(self, transaction: Transaction) -> SafeString:
        return state(MONEY_TONES, transaction.status, transaction.get_status_display())

    @admin.display(description="amount")
    def sum(self, transaction: Transaction) -> SafeString:
        return money(transaction.amount, transaction.currency)

    @admin.display(description="made")
    def made(self, transaction: Transaction) -> SafeString:
        return when(transaction.created_at)


@admin.register(Dispute)
class DisputeAdmin(DataAdmin):
    list_display = ["external_id", "order", "kind", "status", "reason", "at_stake", "evidence_due_at"]
    list_filter = [StoreFilter, "kind", "status"]
    list_select_related = ["order"]
    readonly_fields = ["at_stake"]
    fields = [
        "store", "order", "kind", "status", "reason", "at_stake", "initiated_at", "evidence_due_at", "finalized_at",
        "told_at", "external_id",
    ]  # fmt: skip

    @admin.display(description="amount")
    def at_stake(self, dispute: Dispute) -> SafeString:
        return money(dispute.amount, dispute.currency)
