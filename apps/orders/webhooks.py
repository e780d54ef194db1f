"""The address to which stores send their webhooks."""

from __future__ import annotations

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.core.ratelimit import by_store, limited
from apps.orders import metrics
from apps.orders.intake.receive import NotTheStores, receive
from apps.orders.tasks import wake


@csrf_exempt  # a store has no session; its signature stands in for it
@require_POST
@limited("webhooks", by_store)
def webhook(request: HttpRequest, topic: str = "") -> HttpResponse:
    """Keep a webhook and acknowledge it at once; a duplicate is acknowledged too."""
    try:
        # One statement keeps it, so it needs no transaction around it, which would be two more journeys.
        kept = receive(topic=topic, headers=request.headers, body=request.body, now=timezone.now())
        if kept is not None:
            transaction.on_commit(wake)
    except NotTheStores:
        metrics.webhooks.labels("refused").inc()
        raise
    finally:
        # Back to the pool now, not when the answer was sent: in a burst the requests that wait for a connection keep the
        # answers of those that have one from being sent.
        if not connection.in_atomic_block:
            connection.close()
    metrics.webhooks.labels("duplicate" if kept is None else "kept").inc()
    return JsonResponse({"status": "duplicate" if kept is None else "kept"})
