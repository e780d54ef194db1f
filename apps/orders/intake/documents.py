"""Documents of Shopify's REST shape, as webhooks carry them, made into rows.

Source: shopify.dev, Admin API, REST resources Order, Refund, Fulfillment, FulfillmentEvent, Transaction, Customer.
Unknown fields are ignored; a missing one that matters raises :class:`~apps.orders.intake.values.Malformed`.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal

from apps.orders.intake import values as v
from apps.orders.intake.rows import (
    CustomerRow,
    EventRow,
    FulfillmentRow,
    LineRow,
    OrderRow,
    ProductRow,
    RefundLineRow,
    RefundRow,
    Rows,
    TransactionRow,
)
from apps.orders.intake.values import Doc, Malformed

_FINANCIAL = frozenset({"pending", "authorized", "paid", "partially_paid", "partially_refunded", "refunded", "voided"})
_OVERNIGHT = ("overnight", "next day", "next-day", "nextday", "same day", "same-day")
_EXPRESS = ("express", "expedited", "priority", "2-day", "2 day", "two day", "second day")
_KINDS = frozenset({"authorization", "capture", "sale", "void", "refund"})
_OUTCOMES = frozenset({"pending", "success", "failure", "error"})


def shipping_method(name: str) -> str:
    """How fast, by what the shop calls it."""
    name = name.casefold()
    if any(word in name for word in _OVERNIGHT):
        return "overnight"
    return "express" if any(word in name for word in _EXPRESS) else "standard"


def financial_status(value: str) -> str:
    """The payment's state; an expired authorization is void."""
    if value == "expired":
        return "voided"
    return value if value in _FINANCIAL else "pending"


def fulfillment_status(value: str) -> str:
    """How far an order was sent; what was restocked nobody waits for."""
    return {"partial": "partial", "fulfilled": "fulfilled", "restocked": "fulfilled"}.get(value, "unfulfilled")


def parcel_status(status: str, shipment: str) -> str:
    """The parcel's state, from that of the fulfilment and what the carrier last reported."""
    if status in ("cancelled", "canceled"):
        return "cancelled"
    if shipment == "delivered":
        return "delivered"
    if shipment == "failure" or status in ("error", "failure"):
        return "failed"
    return "in_transit" if status == "success" and shipment != "ready_for_pickup" else "pending"


def order(doc: Doc, rows: Rows) -> str:
    """An order with all that came with it; returns its external id."""
    ref, updated = v.identifier(doc), v.required_moment(doc, "updated_at", "created_at")
    buyer = v.part(doc, "customer")
    if buyer.get("id"):
        customer(buyer, rows, at=updated, address=v.part(doc, "billing_address") or v.part(doc, "shipping_address"))
    rows.orders.append(_order_row(doc, ref, updated, v.reference(buyer, "id")))
    for item in v.documents(doc, "line_items"):
        _line(item, ref, updated, rows)
    for parcel in v.documents(doc, "fulfillments"):
        fulfillment({**parcel, "order_id": ref}, rows)
    for back in v.documents(doc, "refunds"):
        refund({**back, "order_id": ref}, rows)
    for movement in v.documents(doc, "transactions"):
        transaction({**movement, "order_id": ref}, rows)
    return ref


def _order_row(doc: Doc, ref: str, updated: datetime, customer_ref: str) -> OrderRow:
    billing, shipping = v.part(doc, "billing_address"), v.part(doc, "shipping_address")
    lines = v.documents(doc, "shipping_lines")
    method = " ".join(f"{v.text(line, 'title', 100)} {v.text(line, 'code', 100)}" for line in lines)
    browser = v.text(doc, "browser_ip", 60) or v.text(v.part(doc, "client_details"), "browser_ip", 60)
    notes = {v.text(note, "name", 60): note for note in v.documents(doc, "note_attributes")}
    tags = doc.get("tags") or ""
    named = tags if isinstance(tags, list) else str(tags).split(",")
    return OrderRow(
        external_id=ref,
        number=v.text(doc, "name", 64) or v.text(doc, "order_number", 64) or ref,
        customer_ref=customer_ref,
        email=v.text(doc, "email", 254) or v.text(doc, "contact_email", 254),
        currency=v.currency(doc, "currency"),
        total=v.money(doc, "total_price"),
        financial_status=financial_status(v.text(doc, "financial_status", 20)),
        fulfillment_status=fulfillment_status(v.text(doc, "fulfillment_status", 20)),
        created_at=v.required_moment(doc, "created_at"),
        updated_at=updated,
        cancelled_at=v.moment(doc, "cancelled_at"),
        cancel_reason=v.text(doc, "cancel_reason", 40),
        closed_at=v.moment(doc, "closed_at"),
        shipping_method=shipping_method(method),
        billing_country=v.country(billing, "country_code"),
        shipping_country=v.country(shipping, "country_code"),
        # The platform does not say where an IP address is; shops have an app write it into this attribute.
        ip_country=v.country(notes.get("ip_country", {}), "value"),
        billing_name=v.person(billing),
        shipping_name=v.person(shipping),
        address_key=v.address_key(shipping),
        ip_key=v.ip_key(browser),
        payment_key=v.payment_key(v.part(doc, "payment_details")),
        tags=json.dumps([tag.strip()[:40] for tag in map(str, named) if tag.strip()]),
    )


def _line(item: Doc, order_ref: str, told_at: datetime, rows: Rows) -> None:
    title = v.text(item, "title", 255) or v.text(item, "name", 255)
    product = v.reference(item, "product_id")
    if product:
        rows.products.append(ProductRow(product, title))
    rows.lines.append(
        LineRow(
            order_ref=order_ref,
            external_id=v.identifier(item),
            title=title,
            quantity=v.count(item, "quantity"),
            price=v.money(item, "price"),
            told_at=told_at,
            product_ref=product,
        )
    )


def customer(doc: Doc, rows: Rows, *, at: datetime | None = None, address: Doc | None = None) -> str:
    """A customer; returns the external id.

    Args:
        at: when the news is from, if the customer's own time is missing (inside an order it may be).
        address: whose name to take where the customer has none.
    """
    ref = v.identifier(doc)
    updated = v.moment(doc, "updated_at") or at
    if updated is None:
        raise Malformed("updated_at is missing")
    name = v.person({**doc, "name": ""}) or v.person(v.part(doc, "default_address")) or v.person(address or {})
    rows.customers.append(
        CustomerRow(
            external_id=ref,
            updated_at=updated,
            email=v.text(doc, "email", 254),
            phone=v.text(doc, "phone", 40),
            name=name,
            created_at=v.moment(doc, "created_at"),
        )
    )
    return ref


def fulfillment(doc: Doc, rows: Rows) -> tuple[str, str]:
    """A parcel; returns the external ids of its order and its own."""
    order_ref, ref = v.identifier(doc, "order_id"), v.identifier(doc)
    updated = v.required_moment(doc, "updated_at", "created_at")
    status = parcel_status(v.text(doc, "status", 20), v.text(doc, "shipment_status", 40))
    numbers, urls = doc.get("tracking_numbers") or [""], doc.get("tracking_urls") or [""]
    rows.fulfillments.append(
        FulfillmentRow(
            order_ref=order_ref,
            external_id=ref,
            created_at=v.required_moment(doc, "created_at"),
            updated_at=updated,
            status=status,
            carrier=v.text(doc, "tracking_company", 80),
            tracking_number=v.text(doc, "tracking_number", 120) or str(numbers[0])[:120],
            tracking_url=_web_address(v.text(doc, "tracking_url", 500) or str(urls[0])),
            estimated_delivery_at=v.moment(doc, "estimated_delivery_at"),
            delivered_at=updated if status == "delivered" else None,
        )
    )
    return order_ref, ref


def _web_address(value: str) -> str:
    """A link that may be shown; anything but the web is left out, as it would be a script on our page."""
    return value if value.startswith(("https://", "http://")) and len(value) <= 500 else ""


def fulfillment_event(doc: Doc, rows: Rows) -> tuple[str, str]:
    """What a carrier reported; returns the external ids of the order and the parcel."""
    order_ref, parcel = v.identifier(doc, "order_id"), v.identifier(doc, "fulfillment_id")
    rows.events.append(
        EventRow(
            order_ref=order_ref,
            fulfillment_ref=parcel,
            external_id=v.identifier(doc),
            status=v.text(doc, "status", 40).lower(),
            happened_at=v.required_moment(doc, "happened_at", "created_at"),
            message=v.text(doc, "message", 255),
        )
    )
    return order_ref, parcel


def refund(doc: Doc, rows: Rows) -> tuple[str, str]:
    """A refund with its lines and movements of money; returns the external ids of its order and its own."""
    order_ref, ref = v.identifier(doc, "order_id"), v.identifier(doc)
    made = v.documents(doc, "transactions")
    for movement in made:
        transaction({**movement, "order_id": order_ref}, rows, refund_ref=ref)
    lines = v.documents(doc, "refund_line_items")
    for item in lines:
        _refund_line(item, order_ref, ref, rows)
    paid = [v.money(one, "amount") for one in made if one.get("kind") == "refund" and one.get("status") == "success"]
    rows.refunds.append(
        RefundRow(
            order_ref=order_ref,
            external_id=ref,
            amount=sum(paid, Decimal(0)) if made else sum((_worth(item) for item in lines), Decimal(0)),
            currency=next((v.currency(one, "currency") for one in made if one.get("currency")), ""),
            created_at=v.required_moment(doc, "created_at", "processed_at"),
            note=v.text(doc, "note", 500),
        )
    )
    return order_ref, ref


def _worth(item: Doc) -> Decimal:
    """What a refunded line is worth: what the platform says, else price times quantity."""
    if item.get("subtotal") not in (None, ""):
        return v.money(item, "subtotal") + v.money(item, "total_tax", "0")
    return v.money(v.part(item, "line_item"), "price", "0") * v.count(item, "quantity")


def _refund_line(item: Doc, order_ref: str, refund_ref: str, rows: Rows) -> None:
    line = v.part(item, "line_item")
    product = v.reference(line, "product_id")
    if product:
        rows.products.append(ProductRow(product, v.text(line, "title", 255)))
    rows.refund_lines.append(
        RefundLineRow(
            order_ref=order_ref,
            refund_ref=refund_ref,
            external_id=v.identifier(item),
            quantity=v.count(item, "quantity"),
            amount=_worth(item),
            line_ref=v.reference(item, "line_item_id"),
            product_ref=product,
        )
    )


def transaction(doc: Doc, rows: Rows, *, refund_ref: str = "") -> str:
    """A movement of money or an attempt at one; returns the external id of its order."""
    order_ref = v.identifier(doc, "order_id")
    kind, status = v.text(doc, "kind", 20).lower(), v.text(doc, "status", 20).lower()
    if kind not in _KINDS:  # such as "change" at a till: no money through a gateway
        return order_ref
    rows.transactions.append(
        TransactionRow(
            order_ref=order_ref,
            external_id=v.identifier(doc),
            kind=kind,
            status=status if status in _OUTCOMES else "pending",
            amount=v.money(doc, "amount", "0"),
            currency=v.currency(doc, "currency") if doc.get("currency") else "",
            created_at=v.required_moment(doc, "created_at", "processed_at"),
            refund_ref=refund_ref,
            gateway=v.text(doc, "gateway", 80),
            error_code=v.text(doc, "error_code", 80),
        )
    )
    key = v.payment_key(v.part(doc, "payment_details"))
    if key:
        rows.payment_keys[order_ref] = key
    return order_ref


def merged(into: Rows, more: Rows) -> None:
    """Add the rows of one news to those of others."""
    for name in Rows.__slots__:
        if name == "payment_keys":
            into.payment_keys.update(more.payment_keys)
        else:
            getattr(into, name).extend(getattr(more, name))
