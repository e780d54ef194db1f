"""Orders as the Admin API's GraphQL tells them, brought into the shape that webhooks have, and so into rows.

Source: shopify.dev, Admin GraphQL, objects Order, Fulfillment, FulfillmentOrder, Refund, OrderTransaction,
OrderRiskSummary. ``createdAt`` of parcels and refunds, not ``processedAt``, is what the webhooks carry too.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from apps.orders.intake import documents
from apps.orders.intake import values as v
from apps.orders.intake.rows import Rows
from apps.orders.intake.topics import RiskNews
from apps.orders.intake.values import Doc

_MONEY = "{ shopMoney { amount currencyCode } }"
_ADDRESS = "{ address1 address2 city zip countryCodeV2 name firstName lastName }"


def _fields(most: int) -> str:
    """What is asked of an order, with at most so many of each part; a query's cost grows with it."""
    few = max(3, most // 5)
    return f"""
  id name email createdAt updatedAt cancelledAt cancelReason closedAt tags clientIp
  displayFinancialStatus displayFulfillmentStatus
  totalPriceSet {_MONEY}
  customer {{ id firstName lastName email phone createdAt updatedAt }}
  billingAddress {_ADDRESS} shippingAddress {_ADDRESS}
  shippingLine {{ title code }}
  customAttributes {{ key value }}
  lineItems(first: {most}) {{ nodes {{ id title quantity originalUnitPriceSet {_MONEY} product {{ id }} }} }}
  fulfillments(first: {few}) {{
    id status displayStatus createdAt updatedAt estimatedDeliveryAt deliveredAt
    trackingInfo(first: 1) {{ company number url }}
  }}
  fulfillmentOrders(first: {few}) {{ nodes {{ status fulfillAt }} }}
  refunds(first: {few}) {{
    id createdAt note
    refundLineItems(first: {few}) {{ nodes {{ id quantity subtotalSet {_MONEY} lineItem {{ id title product {{ id }} }} }} }}
    transactions(first: {few}) {{ nodes {{ id kind status amountSet {_MONEY} createdAt gateway errorCode }} }}
  }}
  transactions(first: {few}) {{
    id kind status amountSet {_MONEY} createdAt gateway errorCode
    paymentDetails {{ ... on CardPaymentDetails {{ bin number company }} }}
  }}
  risk {{ recommendation assessments {{ riskLevel provider {{ title }} facts {{ description sentiment }} }} }}
"""


ONE_ORDER = f"query order($id: ID!) {{ order(id: $id) {{ {_fields(100)} }} }}"
# Webhooks carry every line; reconciliation looks for what was missed, and asks less of each of many orders.
MANY_ORDERS = f"""query orders($filter: String!, $after: String, $first: Int!) {{
  orders(first: $first, after: $after, query: $filter, sortKey: UPDATED_AT) {{
    pageInfo {{ hasNextPage endCursor }} nodes {{ {_fields(15)} }}
  }}
}}"""
_LEVELS = ("high", "medium", "low", "pending", "none")


def order(node: Doc) -> Rows:
    """An order's node with all that came with it."""
    rows = Rows()
    ref = documents.order(_document(node), rows)
    rows.orders[-1].fulfillment_scheduled_at = _scheduled(node)
    for row in rows.fulfillments:
        parcel = next(one for one in v.documents(node, "fulfillments") if v.identifier(one) == row.external_id)
        row.delivered_at = v.moment(parcel, "deliveredAt") or row.delivered_at
    for one in v.documents(node, "transactions"):
        key = v.payment_key(_card(v.part(one, "paymentDetails")))
        if key:
            rows.payment_keys[ref] = key
    return rows


def risk(node: Doc) -> RiskNews | None:
    """The platform's verdict; the worst of its assessments. None if there is none."""
    summary = v.part(node, "risk")
    found = v.documents(summary, "assessments")
    if not found:
        return None
    worst = min(found, key=lambda one: _LEVELS.index(_level(one)))
    recommendation = v.text(summary, "recommendation", 12).lower()
    facts = [v.text(fact, "description", 300) for one in found for fact in v.documents(one, "facts")]
    return RiskNews(
        order_ref=v.identifier(node),
        level="low" if _level(worst) == "none" else _level(worst),
        provider=v.text(v.part(worst, "provider"), "title", 120) or "Shopify",
        # The summary has no time of its own; the order changes with it.
        assessed_at=v.moment(node, "updatedAt") or datetime.fromtimestamp(0, UTC),
        recommendation=recommendation if recommendation in ("accept", "investigate", "cancel") else "none",
        facts=tuple(facts[:20]),
    )


def _level(assessment: Doc) -> str:
    level = v.text(assessment, "riskLevel", 10).lower()
    return level if level in _LEVELS else "pending"


def _nodes(doc: Doc, name: str) -> list[Doc]:
    return v.documents(v.part(doc, name), "nodes")


def _scheduled(node: Doc) -> datetime | None:
    """When the first part of the order is planned to be sent; None if nothing is planned."""
    planned = [
        v.moment(one, "fulfillAt") for one in _nodes(node, "fulfillmentOrders") if one.get("status") == "SCHEDULED"
    ]
    return min((at for at in planned if at), default=None)


def _amount(doc: Doc, name: str) -> tuple[Any, Any]:
    shop = v.part(v.part(doc, name), "shopMoney")
    return shop.get("amount"), shop.get("currencyCode")


def _card(details: Doc) -> Doc:
    return {
        "credit_card_bin": details.get("bin"),
        "credit_card_number": details.get("number"),
        "credit_card_company": details.get("company"),
    }


def _address(doc: Doc) -> dict[str, Any]:
    return {
        "address1": doc.get("address1"), "address2": doc.get("address2"), "city": doc.get("city"), "zip": doc.get("zip"),
        "country_code": doc.get("countryCodeV2"), "name": doc.get("name"),
        "first_name": doc.get("firstName"), "last_name": doc.get("lastName"),
    }  # fmt: skip


def _document(node: Doc) -> dict[str, Any]:
    """The node in the shape of a webhook's document."""
    total, code = _amount(node, "totalPriceSet")
    buyer, method = v.part(node, "customer"), v.part(node, "shippingLine")
    return {
        "id": v.identifier(node), "name": node.get("name"), "email": node.get("email"),
        "created_at": node.get("createdAt"), "updated_at": node.get("updatedAt"),
        "cancelled_at": node.get("cancelledAt"), "cancel_reason": v.text(node, "cancelReason", 40).lower(),
        "closed_at": node.get("closedAt"), "tags": node.get("tags"), "browser_ip": node.get("clientIp"),
        "currency": code, "total_price": total,
        "financial_status": v.text(node, "displayFinancialStatus", 30).lower(),
        "fulfillment_status": _fulfillment_status(v.text(node, "displayFulfillmentStatus", 30)),
        "customer": _customer(buyer) if buyer else None,
        "billing_address": _address(v.part(node, "billingAddress")),
        "shipping_address": _address(v.part(node, "shippingAddress")),
        "shipping_lines": [{"title": method.get("title"), "code": method.get("code")}] if method else [],
        "note_attributes": [
            {"name": one.get("key"), "value": one.get("value")} for one in v.documents(node, "customAttributes")
        ],
        "line_items": [_line(one) for one in _nodes(node, "lineItems")],
        "fulfillments": [_parcel(one) for one in v.documents(node, "fulfillments")],
        "refunds": [_refund(one) for one in v.documents(node, "refunds")],
        "transactions": _movements(v.documents(node, "transactions")),
    }  # fmt: skip


def _fulfillment_status(value: str) -> str:
    return {"FULFILLED": "fulfilled", "PARTIALLY_FULFILLED": "partial", "RESTOCKED": "restocked"}.get(value, "")


def _customer(doc: Doc) -> dict[str, Any]:
    return {
        "id": v.identifier(doc), "first_name": doc.get("firstName"), "last_name": doc.get("lastName"),
        "email": doc.get("email"), "phone": doc.get("phone"), "created_at": doc.get("createdAt"),
        "updated_at": doc.get("updatedAt"),
    }  # fmt: skip


def _line(doc: Doc) -> dict[str, Any]:
    product = v.part(doc, "product")
    return {
        "id": v.identifier(doc), "title": doc.get("title"), "quantity": doc.get("quantity"),
        "price": _amount(doc, "originalUnitPriceSet")[0], "product_id": product.get("id"),
    }  # fmt: skip


def _parcel(doc: Doc) -> dict[str, Any]:
    tracking = next(iter(v.documents(doc, "trackingInfo")), {})
    return {
        "id": v.identifier(doc), "status": v.text(doc, "status", 20).lower(),
        "shipment_status": v.text(doc, "displayStatus", 40).lower(),
        "created_at": doc.get("createdAt"), "updated_at": doc.get("updatedAt"),
        "estimated_delivery_at": doc.get("estimatedDeliveryAt"),
        "tracking_company": tracking.get("company"), "tracking_number": tracking.get("number"),
        "tracking_url": tracking.get("url"),
    }  # fmt: skip


def _refund(doc: Doc) -> dict[str, Any]:
    lines = [
        {
            "id": v.identifier(one), "quantity": one.get("quantity"), "subtotal": _amount(one, "subtotalSet")[0],
            "line_item_id": v.part(one, "lineItem").get("id"),
            "line_item": {
                "product_id": v.part(v.part(one, "lineItem"), "product").get("id"),
                "title": v.part(one, "lineItem").get("title"),
            },
        }
        for one in _nodes(doc, "refundLineItems")
    ]  # fmt: skip
    return {
        "id": v.identifier(doc), "created_at": doc.get("createdAt"), "note": doc.get("note"),
        "refund_line_items": lines, "transactions": _movements(_nodes(doc, "transactions")),
    }  # fmt: skip


def _movements(found: Iterable[Doc]) -> list[dict[str, Any]]:
    return [
        {
            "id": v.identifier(one), "kind": v.text(one, "kind", 20).lower(), "status": v.text(one, "status", 20).lower(),
            "amount": _amount(one, "amountSet")[0], "currency": _amount(one, "amountSet")[1],
            "created_at": one.get("createdAt"), "gateway": one.get("gateway"), "error_code": one.get("errorCode"),
        }
        for one in found
    ]  # fmt: skip
