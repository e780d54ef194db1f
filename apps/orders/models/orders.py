"""Orders, their lines, money, parcels and refunds."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from apps.orders.models.catalog import Customer, Product, Store
from apps.orders.querysets import FulfillmentQuerySet, OfOrderQuerySet, OfStoreQuerySet, OrderQuerySet, RefundQuerySet


class ShippingMethod(models.TextChoices):
    """How fast the customer was promised the goods."""

    STANDARD = "standard", "Standard"
    EXPRESS = "express", "Express"
    OVERNIGHT = "overnight", "Overnight"


class Order(models.Model):
    """One order. External times are the store's; ``synced_at`` is when we learnt of the last change."""

    class Fulfillment(models.TextChoices):
        UNFULFILLED = "unfulfilled", "Unfulfilled"
        PARTIAL = "partial", "Partly fulfilled"
        FULFILLED = "fulfilled", "Fulfilled"

    class Financial(models.TextChoices):
        PENDING = "pending", "Payment pending"
        AUTHORIZED = "authorized", "Authorized"
        PAID = "paid", "Paid"
        PARTIALLY_PAID = "partially_paid", "Partly paid"
        PARTIALLY_REFUNDED = "partially_refunded", "Partly refunded"
        REFUNDED = "refunded", "Refunded"
        VOIDED = "voided", "Voided"

    store = models.ForeignKey(Store, models.PROTECT, related_name="orders")
    external_id = models.CharField(max_length=64)
    number = models.CharField(max_length=64, help_text="What people call it, such as #1001.")
    customer = models.ForeignKey(Customer, models.PROTECT, null=True, blank=True, related_name="orders")
    email = models.CharField(max_length=254, blank=True)
    currency = models.CharField(max_length=3)
    total = models.DecimalField(max_digits=14, decimal_places=2)
    financial_status = models.CharField(max_length=20, choices=Financial, default=Financial.PENDING)
    fulfillment_status = models.CharField(max_length=12, choices=Fulfillment, default=Fulfillment.UNFULFILLED)
    fulfillment_scheduled_at = models.DateTimeField(
        null=True, blank=True, help_text="Set when sending is planned for later."
    )
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField(help_text="The store's own time of the last change; older news is ignored.")
    cancelled_at = models.DateTimeField(null=True, blank=True)
    cancel_reason = models.CharField(max_length=40, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True, help_text="When the store told us that it was deleted.")
    estimated_delivery_at = models.DateTimeField(null=True, blank=True)
    shipping_method = models.CharField(
        max_length=10,
        choices=ShippingMethod,
        default=ShippingMethod.STANDARD,
        help_text="What was promised; parcels take it over.",
    )
    billing_country = models.CharField(max_length=2, blank=True)
    shipping_country = models.CharField(max_length=2, blank=True)
    ip_country = models.CharField(max_length=2, blank=True)
    billing_name = models.CharField(max_length=200, blank=True)
    shipping_name = models.CharField(max_length=200, blank=True)
    address_key = models.CharField(max_length=64, blank=True, help_text="Keyed digest of the shipping address.")
    ip_key = models.CharField(max_length=64, blank=True, help_text="Keyed digest of the browser's address.")
    payment_key = models.CharField(max_length=64, blank=True, help_text="Keyed digest of the payment fingerprint.")
    tags = models.JSONField(default=list, blank=True)
    synced_at = models.DateTimeField()

    objects = OrderQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["store", "external_id"], name="order_external")]
        indexes = [
            models.Index(
                F("created_at"),
                condition=Q(
                    fulfillment_status__in=["unfulfilled", "partial"],
                    cancelled_at=None,
                    closed_at=None,
                    deleted_at=None,
                ),
                name="order_waiting",
            ),
            models.Index(fields=["store", "created_at"], name="order_created"),
            models.Index(fields=["customer", "created_at"], name="order_customer"),
            models.Index(F("address_key"), F("created_at"), condition=~Q(address_key=""), name="order_address"),
            models.Index(F("ip_key"), F("created_at"), condition=~Q(ip_key=""), name="order_ip"),
            models.Index(F("payment_key"), F("created_at"), condition=~Q(payment_key=""), name="order_payment"),
            models.Index(F("cancelled_at"), condition=Q(cancelled_at__isnull=False), name="order_cancelled"),
            models.Index(fields=["number"], name="order_number"),
        ]

    def __str__(self) -> str:
        return f"Order {self.number}"


class OrderLine(models.Model):
    """One product of an order."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    external_id = models.CharField(max_length=64)
    product = models.ForeignKey(Product, models.PROTECT, null=True, blank=True, related_name="order_lines")
    title = models.CharField(max_length=255)
    quantity = models.PositiveIntegerField()
    price = models.DecimalField(max_digits=14, decimal_places=2, help_text="Per unit, in the order's currency.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "external_id"], name="orderline_external")]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.title}"


class Fulfillment(models.Model):
    """A parcel on its way."""

    class Status(models.TextChoices):
        PENDING = "pending", "Pending"
        IN_TRANSIT = "in_transit", "In transit"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Delivery failed"
        CANCELLED = "cancelled", "Cancelled"

    Method = ShippingMethod

    order = models.ForeignKey(Order, models.CASCADE, related_name="fulfillments")
    external_id = models.CharField(max_length=64)
    status = models.CharField(max_length=12, choices=Status, default=Status.PENDING)
    method = models.CharField(max_length=10, choices=Method, default=Method.STANDARD)
    carrier = models.CharField(max_length=80, blank=True)
    tracking_number = models.CharField(max_length=120, blank=True)
    tracking_url = models.URLField(max_length=500, blank=True)
    created_at = models.DateTimeField(help_text="When it was handed to the carrier.")
    updated_at = models.DateTimeField()
    estimated_delivery_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    synced_at = models.DateTimeField()

    objects = FulfillmentQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "external_id"], name="fulfillment_external")]
        indexes = [
            models.Index(
                F("created_at"), condition=Q(status="in_transit", delivered_at=None), name="fulfillment_moving"
            ),
            models.Index(F("tracking_number"), condition=~Q(tracking_number=""), name="fulfillment_tracking"),
        ]

    def __str__(self) -> str:
        return f"Tracking #{self.tracking_number}" if self.tracking_number else f"Parcel {self.external_id}"


class FulfillmentEvent(models.Model):
    """A status that the carrier reported."""

    fulfillment = models.ForeignKey(Fulfillment, models.CASCADE, related_name="events")
    external_id = models.CharField(max_length=64)
    status = models.CharField(max_length=40)
    happened_at = models.DateTimeField()
    message = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering = ["happened_at"]
        constraints = [models.UniqueConstraint(fields=["fulfillment", "external_id"], name="fulfillmentevent_external")]

    def __str__(self) -> str:
        return self.status


class Refund(models.Model):
    """A refund as the store recorded it. Whether money moved is said by its transactions."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="refunds")
    store = models.ForeignKey(Store, models.PROTECT, related_name="refunds", help_text="The order's, for rate queries.")
    customer = models.ForeignKey(Customer, models.PROTECT, null=True, blank=True, related_name="refunds")
    external_id = models.CharField(max_length=64)
    amount = models.DecimalField(max_digits=14, decimal_places=2)
    currency = models.CharField(max_length=3)
    created_at = models.DateTimeField()
    note = models.CharField(max_length=500, blank=True)
    synced_at = models.DateTimeField()

    objects = RefundQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "external_id"], name="refund_external")]
        indexes = [
            models.Index(fields=["store", "created_at"], name="refund_created"),
            # For rules over the last days of all stores.
            models.Index(F("created_at"), name="refund_time"),
            models.Index(fields=["customer", "created_at"], name="refund_customer"),
        ]

    def __str__(self) -> str:
        return f"Refund {self.external_id} of {self.amount} {self.currency}"


class RefundLine(models.Model):
    """One product of a refund."""

    refund = models.ForeignKey(Refund, models.CASCADE, related_name="lines")
    external_id = models.CharField(max_length=64)
    order_line = models.ForeignKey(OrderLine, models.SET_NULL, null=True, blank=True, related_name="refund_lines")
    product = models.ForeignKey(Product, models.PROTECT, null=True, blank=True, related_name="refund_lines")
    quantity = models.PositiveIntegerField()
    amount = models.DecimalField(max_digits=14, decimal_places=2)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["refund", "external_id"], name="refundline_external")]


class Transaction(models.Model):
    """A movement of money, or an attempt at one."""

    class Kind(models.TextChoices):
        AUTHORIZATION = "authorization", "Authorization"
        CAPTURE = "capture", "Capture"
        SALE = "sale", "Sale"
        VOID = "void", "Void"
        REFUND = "refund", "Refund"

    class Status(models.TextChoices):
        PENDING = "pending", "Pending"
        SUCCESS = "success", "Success"
        FAILURE = "failure", "Failure"
        ERROR = "error", "Error"

    order = models.ForeignKey(Order, models.CASCADE, related_name="transactions")
    refund = models.ForeignKey(Refund, models.SET_NULL, null=True, blank=True, related_name="transactions")
    external_id = models.CharField(max_length=64)
    kind = models.CharField(max_length=14, choices=Kind)
    status = models.CharField(max_length=8, choices=Status)
    amount = models.DecimalField(max_digits=14, decimal_places=2)
    currency = models.CharField(max_length=3)
    gateway = models.CharField(max_length=80, blank=True)
    error_code = models.CharField(max_length=80, blank=True)
    created_at = models.DateTimeField()

    objects = OfOrderQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "external_id"], name="transaction_external")]
        indexes = [
            models.Index(F("created_at"), condition=Q(status__in=["failure", "error"]), name="transaction_failed"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.amount} {self.currency}"


class Dispute(models.Model):
    """A chargeback or an inquiry that the customer's bank opened."""

    store = models.ForeignKey(Store, models.CASCADE, related_name="disputes")
    order = models.ForeignKey(Order, models.CASCADE, null=True, blank=True, related_name="disputes")
    external_id = models.CharField(max_length=64)
    kind = models.CharField(max_length=20, help_text="Such as chargeback or inquiry.")
    status = models.CharField(max_length=30)
    reason = models.CharField(max_length=60, blank=True)
    amount = models.DecimalField(max_digits=14, decimal_places=2)
    currency = models.CharField(max_length=3)
    initiated_at = models.DateTimeField(null=True, blank=True)
    evidence_due_at = models.DateTimeField(null=True, blank=True)
    finalized_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(help_text="When the store told us; older news is ignored.")

    objects = OfStoreQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["store", "external_id"], name="dispute_external")]

    def __str__(self) -> str:
        return f"Dispute {self.external_id} of {self.amount} {self.currency}"


class RiskAssessment(models.Model):
    """The platform's own verdict on an order; the newest counts."""

    class Level(models.TextChoices):
        LOW = "low", "Low"
        MEDIUM = "medium", "Medium"
        HIGH = "high", "High"
        PENDING = "pending", "Pending"

    class Recommendation(models.TextChoices):
        ACCEPT = "accept", "Accept"
        INVESTIGATE = "investigate", "Investigate"
        CANCEL = "cancel", "Cancel"
        NONE = "none", "None"

    order = models.OneToOneField(Order, models.CASCADE, related_name="risk")
    provider = models.CharField(max_length=120, blank=True)
    level = models.CharField(max_length=8, choices=Level)
    recommendation = models.CharField(max_length=12, choices=Recommendation, default=Recommendation.NONE)
    facts = models.JSONField(default=list, blank=True)
    assessed_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(
                F("assessed_at"),
                condition=Q(level="high") | Q(recommendation__in=["cancel", "investigate"]),
                name="risk_bad",
            )
        ]
