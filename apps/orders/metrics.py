"""Prometheus metrics of the orders' intake."""

from prometheus_client import Counter, Histogram

webhooks = Counter("riskdesk_webhooks_total", "Webhooks by what became of the request", ["outcome"])
deliveries = Counter(
    "riskdesk_webhook_deliveries_total", "Deliveries processed, by topic and outcome", ["topic", "outcome"]
)
delivery_seconds = Histogram(
    "riskdesk_webhook_delivery_seconds",
    "From a webhook's arrival to its cards",
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 120, 600, 3600),
)
reconciled_orders = Counter("riskdesk_reconciled_orders_total", "Orders that reconciliation asked for", ["outcome"])
