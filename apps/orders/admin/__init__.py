"""Admin pages of stores, orders and how they came in."""

from apps.orders.admin import intake, orders, stores

__all__ = ["intake", "orders", "stores"]
