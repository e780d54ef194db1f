"""What is kept only for a while: the texts of webhooks, and answers to data requests."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.orders.models import DataRequest, WebhookDelivery

BODIES = timedelta(days=7)
DELIVERIES = timedelta(days=30)
"""Longer than a platform repeats a webhook (Shopify: four hours), so that a late repetition is still recognised."""
ANSWERS = timedelta(days=30)


def forget_old(*, now: datetime) -> int:
    """Empty processed webhooks after a week and delete them after a month; empty closed data requests after a month.

    Dead letters stay until somebody decides about them, though not longer than a month either.

    Returns:
        How many rows were emptied or deleted.
    """
    over = WebhookDelivery.objects.exclude(status="pending")
    deleted, _ = over.filter(received_at__lt=now - DELIVERIES).delete()
    emptied = over.filter(status="done", processed_at__lt=now - BODIES).exclude(body={}).update(body={})
    closed = DataRequest.objects.filter(closed_at__lt=now - ANSWERS).exclude(export={})
    return deleted + emptied + closed.update(export={})
