"""What the executors of orders share: which order a card is about, and the Admin API of its store."""

from __future__ import annotations

from apps.actions.executors import EffectFailed
from apps.actions.models import ActionCard
from apps.orders.models import Order
from apps.orders.shopify import AdminApi

_PATHS = {"order": "pk", "fulfillment": "fulfillments", "refund": "refunds"}


def order_of(card: ActionCard) -> Order | None:
    """The order that a card is about, directly or by its parcel or refund; None for cards about something else."""
    kind, _, key = card.subject.partition(":")
    if kind not in _PATHS or not key.isdecimal():
        return None
    return Order.objects.existing().select_related("store", "customer").filter(**{_PATHS[kind]: int(key)}).first()


def can_be_asked(card: ActionCard) -> bool:
    """Whether the card is about an order whose store's Admin API we may use."""
    order = order_of(card)
    return (
        order is not None and order.store.active and order.store.platform == "shopify" and bool(order.store.api_token)
    )


def required_order(card: ActionCard) -> Order:
    """The order that a card is about.

    Raises:
        EffectFailed: if it is gone.
    """
    order = order_of(card)
    if order is None:
        raise EffectFailed("The order of this card does not exist any more.")
    return order


def admin_api(order: Order) -> AdminApi:
    """The Admin API of an order's store, to be closed.

    Raises:
        EffectFailed: if we may not use it any more.
    """
    if not order.store.active or not order.store.api_token:
        raise EffectFailed(f"There is no access to {order.store.name}: enter a token for its Admin API.")
    return AdminApi(order.store)


def global_id(order: Order) -> str:
    """The order's id in GraphQL."""
    return f"gid://shopify/Order/{order.external_id}"
