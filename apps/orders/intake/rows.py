"""The rows of store data before they have database keys: they refer to each other by the store's own ids.

Platform JSON and files are made into these, and ``apps.orders.intake.writer`` writes them. Field names are those of the
columns, except ``order_ref``, ``customer_ref``, ``product_ref`` and the like, which hold external ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


@dataclass(slots=True)
class CustomerRow:
    external_id: str
    updated_at: datetime
    email: str = ""
    phone: str = ""
    name: str = ""
    created_at: datetime | None = None


@dataclass(slots=True)
class ProductRow:
    external_id: str
    title: str


@dataclass(slots=True)
class OrderRow:
    external_id: str
    number: str
    currency: str
    created_at: datetime
    updated_at: datetime
    total: Decimal
    customer_ref: str = ""
    email: str = ""
    financial_status: str = "pending"
    fulfillment_status: str = "unfulfilled"
    fulfillment_scheduled_at: datetime | None = None
    cancelled_at: datetime | None = None
    cancel_reason: str = ""
    closed_at: datetime | None = None
    estimated_delivery_at: datetime | None = None
    shipping_method: str = "standard"
    billing_country: str = ""
    shipping_country: str = ""
    ip_country: str = ""
    billing_name: str = ""
    shipping_name: str = ""
    address_key: str = ""
    ip_key: str = ""
    payment_key: str = ""
    tags: str = "[]"


@dataclass(slots=True)
class LineRow:
    """``told_at`` is the order's ``updated_at`` of the same news: older news must not change a newer order's lines."""

    order_ref: str
    external_id: str
    title: str
    quantity: int
    price: Decimal
    told_at: datetime
    product_ref: str = ""


@dataclass(slots=True)
class FulfillmentRow:
    """An empty ``method`` is the order's."""

    order_ref: str
    external_id: str
    created_at: datetime
    updated_at: datetime
    status: str = "pending"
    method: str = ""
    carrier: str = ""
    tracking_number: str = ""
    tracking_url: str = ""
    estimated_delivery_at: datetime | None = None
    delivered_at: datetime | None = None


@dataclass(slots=True)
class EventRow:
    order_ref: str
    fulfillment_ref: str
    external_id: str
    status: str
    happened_at: datetime
    message: str = ""


@dataclass(slots=True)
class RefundRow:
    order_ref: str
    external_id: str
    amount: Decimal
    created_at: datetime
    currency: str = ""
    note: str = ""


@dataclass(slots=True)
class RefundLineRow:
    order_ref: str
    refund_ref: str
    external_id: str
    quantity: int
    amount: Decimal
    line_ref: str = ""
    product_ref: str = ""


@dataclass(slots=True)
class TransactionRow:
    order_ref: str
    external_id: str
    kind: str
    status: str
    amount: Decimal
    created_at: datetime
    currency: str = ""
    refund_ref: str = ""
    gateway: str = ""
    error_code: str = ""


Row = (
    CustomerRow
    | ProductRow
    | OrderRow
    | LineRow
    | FulfillmentRow
    | EventRow
    | RefundRow
    | RefundLineRow
    | TransactionRow
)


@dataclass(slots=True)
class Rows:
    """Rows by table; what one news says, or many. ``payment_keys``: what payments say of their orders' cards."""

    customers: list[CustomerRow] = field(default_factory=list)
    products: list[ProductRow] = field(default_factory=list)
    orders: list[OrderRow] = field(default_factory=list)
    lines: list[LineRow] = field(default_factory=list)
    fulfillments: list[FulfillmentRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    refunds: list[RefundRow] = field(default_factory=list)
    refund_lines: list[RefundLineRow] = field(default_factory=list)
    transactions: list[TransactionRow] = field(default_factory=list)
    payment_keys: dict[str, str] = field(default_factory=dict)
