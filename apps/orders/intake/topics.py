"""What each webhook topic says: its document made into :class:`News`. Nothing here writes or asks anybody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from apps.orders.intake import documents
from apps.orders.intake import values as v
from apps.orders.intake.rows import Rows
from apps.orders.intake.values import Doc, Malformed


@dataclass(frozen=True, slots=True)
class DisputeNews:
    """A chargeback or an inquiry."""

    external_id: str
    order_ref: str
    kind: str
    status: str
    reason: str
    amount: Decimal
    currency: str
    initiated_at: datetime | None
    evidence_due_at: datetime | None
    finalized_at: datetime | None


@dataclass(frozen=True, slots=True)
class RiskNews:
    """The platform judged an order. The webhook carries no recommendation; the Admin API does."""

    order_ref: str
    level: str
    provider: str
    assessed_at: datetime
    recommendation: str = "none"
    facts: tuple[str, ...] = ()


@dataclass(slots=True)
class News:
    """What one delivery says, and whom it touches.

    Attributes:
        rows: to be written.
        events: names by which rules are called.
        orders, customers, fulfillments, refunds: external ids of what was touched; fulfillments and refunds as pairs
            with their order's.
        needs_order: whether the order must be known before; if not, the delivery waits for it.
        ask_order: whether the whole order should be asked of the Admin API, because the document does not hold it.
        deleted: external ids of deleted orders.
    """

    rows: Rows = field(default_factory=Rows)
    events: set[str] = field(default_factory=set)
    orders: set[str] = field(default_factory=set)
    customers: set[str] = field(default_factory=set)
    fulfillments: set[tuple[str, str]] = field(default_factory=set)
    refunds: set[tuple[str, str]] = field(default_factory=set)
    needs_order: bool = False
    ask_order: bool = False
    deleted: set[str] = field(default_factory=set)
    disputes: list[DisputeNews] = field(default_factory=list)
    risks: list[RiskNews] = field(default_factory=list)


Reader = Callable[[Doc, datetime], News]
"""Takes the document and when the store sent it."""


def _order(*events: str) -> Reader:
    def read(doc: Doc, at: datetime) -> News:
        news = News(events=set(events))
        news.orders.add(documents.order(doc, news.rows))
        news.customers.update(row.external_id for row in news.rows.customers)
        news.fulfillments.update((row.order_ref, row.external_id) for row in news.rows.fulfillments)
        news.refunds.update((row.order_ref, row.external_id) for row in news.rows.refunds)
        if news.refunds:  # an update may be the first to tell of a refund
            news.events.add("refund.created")
        if news.rows.transactions:
            news.events.add("transaction.created")
        return news

    return read


def _edited(doc: Doc, at: datetime) -> News:
    edit = v.part(doc, "order_edit") or doc
    ref = v.identifier(edit, "order_id")
    return News(events={"order.updated"}, orders={ref}, needs_order=True, ask_order=True)


def _deleted(doc: Doc, at: datetime) -> News:
    ref = v.identifier(doc)
    return News(events={"order.updated"}, orders={ref}, deleted={ref})


def _refund(doc: Doc, at: datetime) -> News:
    news = News(events={"refund.created"}, needs_order=True)
    pair = documents.refund(doc, news.rows)
    news.orders.add(pair[0])
    news.refunds.add(pair)
    return news


def _transaction(doc: Doc, at: datetime) -> News:
    news = News(events={"transaction.created"}, needs_order=True)
    news.orders.add(documents.transaction(doc, news.rows))
    return news


def _fulfillment(doc: Doc, at: datetime) -> News:
    news = News(events={"fulfillment.updated"}, needs_order=True)
    pair = documents.fulfillment(doc, news.rows)
    news.orders.add(pair[0])
    news.fulfillments.add(pair)
    return news


def _fulfillment_event(doc: Doc, at: datetime) -> News:
    news = News(events={"fulfillment.updated"}, needs_order=True)
    pair = documents.fulfillment_event(doc, news.rows)
    news.orders.add(pair[0])
    news.fulfillments.add(pair)
    return news


def _customer(*events: str) -> Reader:
    def read(doc: Doc, at: datetime) -> News:
        news = News(events=set(events))
        news.customers.add(documents.customer(doc, news.rows, at=at))
        return news

    return read


def _dispute(doc: Doc, at: datetime) -> News:
    ref = v.reference(doc, "order_id")
    one = DisputeNews(
        external_id=v.identifier(doc),
        order_ref=ref,
        kind=v.text(doc, "type", 20) or "chargeback",
        status=v.text(doc, "status", 30),
        reason=v.text(doc, "reason", 60),
        amount=v.money(doc, "amount"),
        currency=v.currency(doc, "currency"),
        initiated_at=v.moment(doc, "initiated_at"),
        evidence_due_at=v.moment(doc, "evidence_due_by"),
        finalized_at=v.moment(doc, "finalized_on"),
    )
    orders = {ref} if ref else set()
    return News(events={"order.updated"}, orders=orders, disputes=[one], needs_order=bool(ref))


def _risk(doc: Doc, at: datetime) -> News:
    named = next((name for name in ("order_id", "admin_graphql_api_order_id") if doc.get(name)), "order_id")
    ref = v.identifier(doc, named)
    level = v.text(doc, "risk_level", 10).lower() or "pending"
    if level not in ("low", "medium", "high", "none", "pending"):
        raise Malformed("risk_level is unknown")
    one = RiskNews(
        order_ref=ref,
        level="low" if level == "none" else level,
        provider=v.text(doc, "provider_title", 120),
        assessed_at=v.moment(doc, "created_at") or at,
    )
    return News(events={"risk.changed"}, orders={ref}, risks=[one], needs_order=True, ask_order=True)


READERS: dict[str, Reader] = {
    "orders/create": _order("order.created"),
    "orders/updated": _order("order.updated"),
    "orders/cancelled": _order("order.cancelled"),
    "orders/edited": _edited,
    "orders/delete": _deleted,
    "orders/risk_assessment_changed": _risk,
    "refunds/create": _refund,
    "order_transactions/create": _transaction,
    "fulfillments/create": _fulfillment,
    "fulfillments/update": _fulfillment,
    "fulfillment_events/create": _fulfillment_event,
    "customers/create": _customer("customer.created"),
    "customers/update": _customer(),
    "disputes/create": _dispute,
    "disputes/update": _dispute,
}
COMPLIANCE = frozenset({"customers/data_request", "customers/redact", "shop/redact"})
TOPICS = frozenset(READERS) | COMPLIANCE
_LOOSE = {topic.rstrip("d"): topic for topic in TOPICS}


def canonical(topic: str) -> str:
    """The topic as the platform writes it; ``orders/created`` is ``orders/create``. Empty if it is unknown."""
    topic = topic.strip("/").lower()
    return topic if topic in TOPICS else _LOOSE.get(topic.rstrip("d"), "")
