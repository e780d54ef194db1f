"""Named queries over the core's rows."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from apps.core.models import Delivery, Notification, User


class NotificationQuerySet(models.QuerySet["Notification"]):
    def visible_to(self, user: User) -> Self:
        """A person's own notifications; nobody reads another person's inbox."""
        return self.filter(recipient_id=user.pk) if user.is_authenticated and user.is_active else self.none()

    def unread(self) -> Self:
        return self.filter(read_at=None)


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def due(self, now: datetime) -> Self:
        """E-mails to be sent now, urgent ones first (index ``delivery_due``)."""
        waiting = Q(channel="email", status="pending", next_attempt_at__lte=now)
        return self.filter(waiting).order_by("-notification__urgent", "next_attempt_at", "id")
