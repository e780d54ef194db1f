"""Asks the Admin API for what a webhook leaves out: the whole order after an edit, the recommendation of a risk."""

from __future__ import annotations

from dataclasses import replace

from apps.orders.intake import documents, nodes
from apps.orders.intake.topics import News
from apps.orders.models import Store
from apps.orders.shopify import AdminApi


def complete(store: Store, news: News) -> News:
    """The news with what the Admin API adds; as it is where the store cannot be asked.

    Raises:
        TransientFailure: the store cannot be asked now.
        PermanentFailure: it refuses.
    """
    if not news.ask_order or not store.api_token:
        return news
    with AdminApi(store) as api:
        for ref in sorted(news.orders):
            found = api.execute(nodes.ONE_ORDER, {"id": f"gid://shopify/Order/{ref}"}).get("order")
            if found:
                documents.merged(news.rows, nodes.order(found))
                verdict = nodes.risk(found)
                news.risks = (
                    [replace(verdict, assessed_at=old.assessed_at) for old in news.risks] if verdict else news.risks
                )
    return news
