"""How an order stands, read with as little as the answer needs: no names, no addresses, no prices.

The shop is asked for the newest state where it can be, behind a short time limit, one repetition and the circuit breaker of
the shop. What it cannot say now is told as such.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db.models import Q
from django.utils import formats
from django.utils.translation import gettext as _

from apps.chat.models import ChatSite
from apps.core.http import IntegrationError, Policy, TransientFailure
from apps.orders.intake import nodes
from apps.orders.intake import values as v
from apps.orders.intake.apply import apply
from apps.orders.intake.topics import News
from apps.orders.models import Fulfillment, Order, Store
from apps.orders.shopify import AdminApi

logger = structlog.get_logger(__name__)

TIMEOUT = 2.5
"""Seconds for one attempt; the customer waits."""
POLICY = Policy(attempts=2, base_delay=0.2, max_delay=0.5, patience=0.5)
FRESH = timedelta(minutes=5)
"""What was learnt since then is not asked again."""
MOST = 20
"""Orders of one number that are compared: shops count from the same start."""


@dataclass(frozen=True, slots=True)
class Found:
    """How an order stands, in words.

    Attributes:
        text: for the customer.
        fresh: whether the shop was asked, or its news is recent enough.
        known_at: when it was learnt.
        contact: the address on it; for the team only.
    """

    number: str
    text: str
    fresh: bool
    known_at: datetime
    contact: str


def candidates(site: ChatSite, reference: str) -> list[tuple[int, str]]:
    """Orders with a number, as keys and addresses: those of the site's own shop, or where it has none, of all shops."""
    if not reference:
        reference = "-"  # finds nothing, at the same cost
    rows = Order.objects.filter(store__active=True, deleted_at=None)
    if Store.objects.filter(scope=site.scope_id).exists():
        rows = rows.filter(store__scope=site.scope_id)
    written = {form for bare in (reference, reference.upper()) for form in (bare, f"#{bare}")}
    known = ~Q(email="") | ~Q(customer__email="")
    found = rows.filter(known, number__in=written).order_by("-created_at").values_list("pk", "email", "customer__email")
    return [(key, email or other or "") for key, email, other in found[:MOST]]


def address_of(key: int) -> str:
    """The address on an order."""
    row = Order.objects.filter(pk=key).values_list("email", "customer__email").first()
    return (row[0] or row[1] or "") if row else ""


def status(key: int, now: datetime) -> Found | None:
    """How an order stands. Asks the shop: not to be called within a transaction."""
    fresh = _refresh(key, now)
    order = (
        Order.objects.filter(pk=key, deleted_at=None).defer("billing_name", "shipping_name", "total", "tags").first()
    )
    if order is None:
        return None
    return Found(order.number, _words(order), fresh, order.synced_at, address_of(key))


def _refresh(key: int, now: datetime) -> bool:
    """Take over the shop's own word, unless ours is recent or the shop cannot be asked by design. Returns False if it failed."""
    order = Order.objects.select_related("store").only("external_id", "synced_at", "store").filter(pk=key).first()
    if order is None or order.synced_at > now - FRESH:
        return True
    if not Store.objects.reachable().filter(pk=order.store_id).exists():
        return True  # imported, not connected: what is here is all there is
    try:
        with AdminApi(order.store, timeout=TIMEOUT, policy=POLICY, sleep=_short) as api:
            found: Any = api.execute(nodes.ONE_ORDER, {"id": f"gid://shopify/Order/{order.external_id}"}).get("order")
        if found:
            _store(order.store, found, now)
    except (IntegrationError, v.Malformed) as error:
        logger.warning("order_not_asked", store=order.store_id, error=str(error)[:200])
        return False
    return True


def _short(seconds: float) -> None:
    """Sleep, but not while a customer waits for longer than that."""
    if seconds > POLICY.max_delay:
        raise TransientFailure("shopify asks for a longer pause than a customer waits", code="throttled")
    time.sleep(seconds)


def _store(store: Store, found: Any, now: datetime) -> None:
    doc = v.document(found, "order")
    rows = nodes.order(doc)
    apply(store, [News(rows=rows, orders={row.external_id for row in rows.orders}, risks=[])], now=now)


def _words(order: Order) -> str:
    first = _("Order %(number)s of %(day)s:") % {"number": order.number, "day": _day(order.created_at)}
    if order.cancelled_at:
        return f"{first} " + _("It was cancelled on %(day)s.") % {"day": _day(order.cancelled_at)}
    parcels = list(order.fulfillments.exclude(status=Fulfillment.Status.CANCELLED).order_by("created_at"))
    lines = [_parcel(parcel) for parcel in parcels]
    if order.fulfillment_status != Order.Fulfillment.FULFILLED:
        if parcels:
            lines.append(_("The rest is being prepared."))
        elif order.fulfillment_scheduled_at:
            lines.append(_("It will be sent on %(day)s.") % {"day": _day(order.fulfillment_scheduled_at)})
        else:
            lines.append(_("It is being prepared and has not left us yet."))
    elif not parcels:
        lines.append(_("It was sent."))
    if order.estimated_delivery_at and not any(parcel.delivered_at for parcel in parcels):
        lines.append(_("It should arrive on %(day)s.") % {"day": _day(order.estimated_delivery_at)})
    return " ".join([first, *lines])


def _parcel(parcel: Fulfillment) -> str:
    facts = {
        "carrier": parcel.carrier or _("The carrier"),
        "number": parcel.tracking_number,
        "day": _day(parcel.delivered_at or parcel.created_at),
    }
    if parcel.status == Fulfillment.Status.DELIVERED or parcel.delivered_at:
        words = _("%(carrier)s delivered it on %(day)s.") % facts
    elif parcel.status == Fulfillment.Status.FAILED:
        words = _("%(carrier)s could not deliver it.") % facts
    else:
        words = _on_its_way(parcel) % facts
        if parcel.estimated_delivery_at:
            words += " " + _("It should arrive on %(day)s.") % {"day": _day(parcel.estimated_delivery_at)}
    if parcel.tracking_number:
        words += " " + _("Tracking number: %(number)s.") % facts
    return words


def _on_its_way(parcel: Fulfillment) -> str:
    if parcel.carrier:
        return _("It has been on its way with %(carrier)s since %(day)s.")
    return _("It has been on its way since %(day)s.")


def _day(at: datetime) -> str:
    return str(formats.date_format(at, _("j F Y")))
