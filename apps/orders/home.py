"""What the home page says about store data."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Count, Min

from apps.core import home
from apps.orders.models import WebhookDelivery

if TYPE_CHECKING:
    from apps.core.models import User

# Deliveries are processed within seconds; one that waits longer shows a backlog.
LATE = timedelta(minutes=2)


@home.panel(
    slug="webhooks",
    title="Webhooks",
    icon="webhook",
    order=30,
    permission="orders.view_webhookdelivery",
    column="side",
)
def webhooks_panel(user: User, now: datetime) -> home.Content:
    """Deliveries given up, and how many wait. Processed ones are not counted, for they are many."""
    unfinished = WebhookDelivery.objects.visible_to(user).filter(
        status__in=[WebhookDelivery.Status.DEAD, WebhookDelivery.Status.PENDING]
    )
    counted = unfinished.values_list("status").annotate(Count("id"), Min("received_at"))
    found = {status: (number, first) for status, number, first in counted}
    dead, _ = found.get(WebhookDelivery.Status.DEAD, (0, None))
    waiting, oldest = found.get(WebhookDelivery.Status.PENDING, (0, None))
    late = oldest is not None and now - oldest > LATE
    url = home.address("admin:orders_webhookdelivery_changelist")
    return home.Content(
        stats=[
            home.Stat(value=dead, label="Gave up", tone="bad" if dead else "ok", url=f"{url}?status__exact=dead"),
            home.Stat(
                value=waiting,
                label="Waiting, late" if late else "Waiting",
                tone="warn" if late else "muted",
                url=f"{url}?status__exact=pending",
            ),
        ],
        url=url,
        more="Deliveries",
    )
