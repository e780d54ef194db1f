"""Store data: stores, customers, products, orders and what happens to them, and how it came in."""

from apps.orders.models.catalog import Customer, Product, Store
from apps.orders.models.intake import DataRequest, ImportRun, ReconciliationRun, WebhookDelivery
from apps.orders.models.orders import (
    Dispute,
    Fulfillment,
    FulfillmentEvent,
    Order,
    OrderLine,
    Refund,
    RefundLine,
    RiskAssessment,
    ShippingMethod,
    Transaction,
)

__all__ = [
    "Customer",
    "DataRequest",
    "Dispute",
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
    "ShippingMethod",
    "Store",
    "Transaction",
    "WebhookDelivery",
]
