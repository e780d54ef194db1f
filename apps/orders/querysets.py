"""Named queries over store data."""

from __future__ import annotations

from typing import Any, Self

from django.apps import apps
from django.db import models
from django.db.models import Exists, OuterRef, Q

from apps.core.models import User
from apps.core.scope import in_scope


class StoreQuerySet(models.QuerySet["Store"]):  # type: ignore[name-defined]  # forward reference, no cycle
    def visible_to(self, user: User) -> Self:
        return in_scope(self, user)

    def reachable(self) -> Self:
        """Stores whose Admin API can be asked. The token is encrypted, so that it is empty is seen, what it is not."""
        return self.filter(active=True, platform="shopify").exclude(api_token="")


class OfStoreQuerySet(models.QuerySet[Any]):
    """Rows that belong to a store."""

    def visible_to(self, user: User) -> Self:
        return in_scope(self, user, "store__scope")


class OfOrderQuerySet(models.QuerySet[Any]):
    """Rows that belong to an order."""

    def visible_to(self, user: User) -> Self:
        return in_scope(self, user, "order__store__scope")


class OrderQuerySet(models.QuerySet["Order"]):  # type: ignore[name-defined]  # forward reference, no cycle
    def visible_to(self, user: User) -> Self:
        return in_scope(self, user, "store__scope")

    def waiting(self) -> Self:
        """Orders somebody waits for: not fully sent, not cancelled, closed or deleted (index ``order_waiting``)."""
        return self.filter(
            fulfillment_status__in=["unfulfilled", "partial"], cancelled_at=None, closed_at=None, deleted_at=None
        )

    def existing(self) -> Self:
        """Orders that the store has not deleted."""
        return self.filter(deleted_at=None)

    def awaited(self) -> Self:
        """Waiting orders whose money has not gone back: somebody still expects goods."""
        return self.waiting().exclude(financial_status__in=["refunded", "voided"])


class FulfillmentQuerySet(models.QuerySet["Fulfillment"]):  # type: ignore[name-defined]  # forward reference, no cycle
    def visible_to(self, user: User) -> Self:
        return in_scope(self, user, "order__store__scope")

    def moving(self) -> Self:
        """Parcels on their way (index ``fulfillment_moving``)."""
        return self.filter(status="in_transit", delivered_at=None)


class RefundQuerySet(models.QuerySet["Refund"]):  # type: ignore[name-defined]  # forward reference, no cycle
    def visible_to(self, user: User) -> Self:
        return in_scope(self, user, "store__scope")

    def money_moved(self) -> Self:
        """Refunds that paid something back.

        A platform records a refund whether or not money moved, so one of its transactions must have succeeded.
        Imported files carry no transactions; there the amount speaks.
        """
        transactions = apps.get_model("orders", "Transaction").objects.filter(refund=OuterRef("pk"), kind="refund")
        succeeded = Exists(transactions.filter(status="success"))
        told_by_file = Q(store__platform="file") & ~Exists(transactions)
        return self.filter(succeeded | told_by_file, amount__gt=0, order__deleted_at=None)


class WebhookDeliveryQuerySet(models.QuerySet["WebhookDelivery"]):  # type: ignore[name-defined]  # forward reference
    def visible_to(self, user: User) -> Self:
        return in_scope(self, user, "store__scope")
