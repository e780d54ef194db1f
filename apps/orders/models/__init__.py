"""Store data: stores, customers, products, orders and what happens to them, and how it came in."""

from apps.orders.models.catalog import Customer, Product, Store
from apps.orders.models.intake import ImportRun, ReconciliationRun, WebhookDelivery
from apps.orders.models.orders import (
    Fulfillment,
    FulfillmentEvent,
    Order,
    OrderLine,
    Refund,
    RefundLine,
    RiskAssessment,
    Transaction,
)

__all__ = [
    "Customer",
    "Fulfillment",
    "FulfillmentEvent",
    "ImportRun",
    "Order",
    "OrderLine",
    "Product",
    "ReconciliationRun",
    "Refund",
    "RefundLine",
    "RiskAssessment",
    "Store",
    "Transaction",
    "WebhookDelivery",
]
