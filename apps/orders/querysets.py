"""Named queries over store data."""

from __future__ import annotations

from typing import Self

from django.db import models

from apps.core.models import User
from apps.core.scope import in_scope


class OrderQuerySet(models.QuerySet["Order"]):  # type: ignore[name-defined]  # forward reference, no cycle
    def visible_to(self, user: User) -> Self:
        return in_scope(self, user, "store__scope")

    def waiting(self) -> Self:
        """Orders somebody waits for: not fully sent, not cancelled, closed or deleted (index ``order_waiting``)."""
        return self.filter(
            fulfillment_status__in=["unfulfilled", "partial"], cancelled_at=None, closed_at=None, deleted_at=None
        )


class FulfillmentQuerySet(models.QuerySet["Fulfillment"]):  # type: ignore[name-defined]  # forward reference, no cycle
    def visible_to(self, user: User) -> Self:
        return in_scope(self, user, "order__store__scope")

    def moving(self) -> Self:
        """Parcels on their way (index ``fulfillment_moving``)."""
        return self.filter(status="in_transit", delivered_at=None)


class RefundQuerySet(models.QuerySet["Refund"]):  # type: ignore[name-defined]  # forward reference, no cycle
    def visible_to(self, user: User) -> Self:
        return in_scope(self, user, "store__scope")


class WebhookDeliveryQuerySet(models.QuerySet["WebhookDelivery"]):  # type: ignore[name-defined]  # forward reference
    def visible_to(self, user: User) -> Self:
        return in_scope(self, user, "store__scope")
