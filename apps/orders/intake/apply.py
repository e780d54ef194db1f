"""Writes what deliveries say and tells whom it touched, as subjects that rules understand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from apps.orders.intake import documents
from apps.orders.intake.rows import Rows
from apps.orders.intake.topics import DisputeNews, News, RiskNews
from apps.orders.intake.writer import write
from apps.orders.models import Customer, Dispute, Fulfillment, Order, Refund, RiskAssessment, Store

Pair = tuple[str, str]


@dataclass(slots=True)
class Applied:
    """What became of some news.

    Attributes:
        subjects: keys such as ``order:17``.
        events: names by which rules are called.
        waiting: places of the news whose order or parcel is not known yet; what they say was not kept.
    """

    subjects: set[str] = field(default_factory=set)
    events: set[str] = field(default_factory=set)
    waiting: set[int] = field(default_factory=set)


@transaction.atomic
def apply(store: Store, news: Sequence[News], *, now: datetime) -> Applied:
    """Write all news of one store in one transaction.

    Args:
        now: when we learnt it.
    """
    rows = Rows()
    for one in news:
        documents.merged(rows, one.rows)
    write(store, rows, now=now)
    _bury(store, {ref for one in news for ref in one.deleted}, now)
    orders = _ids(Order, store, {ref for one in news for ref in one.orders})
    for one in news:
        for risk in one.risks:
            judge(orders.get(risk.order_ref), risk)
        for dispute in one.disputes:
            _dispute(store, orders.get(dispute.order_ref), dispute, now)
    return _touched(store, news, orders)


def _bury(store: Store, refs: set[str], now: datetime) -> None:
    """Mark orders as deleted. One we do not know yet gets a tombstone, so that late news does not bring it back."""
    values: list[list[Any]] = [
        [store.pk, ref, ref, store.currency, now, datetime.fromtimestamp(0, UTC), now, now] for ref in sorted(refs)
    ]
    if not values:
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO orders_order AS t (store_id, external_id, number, currency, created_at, updated_at, deleted_at, "
            "synced_at, email, total, financial_status, fulfillment_status, cancel_reason, shipping_method, "
            "billing_country, shipping_country, ip_country, billing_name, shipping_name, address_key, ip_key, payment_key, "
            "tags) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, '', 0, 'pending', 'unfulfilled', '', 'standard', '', '', '', '', "
            "'', '', '', '', '[]') ON CONFLICT (store_id, external_id) DO UPDATE "
            "SET deleted_at = EXCLUDED.deleted_at, synced_at = EXCLUDED.synced_at WHERE t.deleted_at IS NULL",
            values,
        )


def judge(order: int | None, risk: RiskNews) -> None:
    """Keep the platform's verdict on an order, unless a younger one is kept already."""
    if order is None:
        return
    known = RiskAssessment.objects.select_for_update().filter(order=order).first()
    if known and known.assessed_at > risk.assessed_at:
        return
    # News without a recommendation does not take back the one that was asked for the same verdict.
    recommended = risk.recommendation
    if recommended == "none" and known and known.level == risk.level:
        recommended = known.recommendation
    RiskAssessment.objects.update_or_create(
        order_id=order,
        defaults={
            "provider": risk.provider,
            "level": risk.level,
            "recommendation": recommended,
            "facts": list(risk.facts) or (known.facts if known else []),
            "assessed_at": risk.assessed_at,
        },
    )


def _dispute(store: Store, order: int | None, news: DisputeNews, now: datetime) -> None:
    known = Dispute.objects.select_for_update().filter(store=store, external_id=news.external_id).first()
    if known and known.finalized_at and news.finalized_at is None:
        return  # late news from before it was settled
    values = {
        name: getattr(news, name)
        for name in (
            "kind", "status", "reason", "amount", "currency", "initiated_at", "evidence_due_at", "finalized_at",
        )
    }  # fmt: skip
    Dispute.objects.update_or_create(
        store=store, external_id=news.external_id, defaults={**values, "order_id": order, "told_at": now}
    )


def _ids(model: type[Order] | type[Customer], store: Store, refs: set[str]) -> dict[str, int]:
    if not refs:
        return {}
    return dict(model.objects.filter(store=store, external_id__in=refs).values_list("external_id", "pk"))


def _pairs(model: type[Fulfillment] | type[Refund], pairs: set[Pair], orders: dict[str, int]) -> dict[Pair, int]:
    """Database keys of parcels or refunds, by the external ids of their order and their own."""
    names = {orders[order]: order for order, _ in pairs if order in orders}
    if not names:
        return {}
    found = model.objects.filter(order__in=names, external_id__in={ref for _, ref in pairs})
    return {(names[order], ref): pk for order, ref, pk in found.values_list("order_id", "external_id", "pk")}


def _touched(store: Store, news: Sequence[News], orders: dict[str, int]) -> Applied:
    customers = _ids(Customer, store, {ref for one in news for ref in one.customers})
    parcels = _pairs(Fulfillment, {pair for one in news for pair in one.fulfillments}, orders)
    refunds = _pairs(Refund, {pair for one in news for pair in one.refunds}, orders)
    done = Applied()
    for place, one in enumerate(news):
        if one.needs_order and not (one.orders <= orders.keys() and one.fulfillments <= parcels.keys()):
            done.waiting.add(place)
            continue
        done.events |= one.events
        done.subjects |= _keys("order", one.orders, orders) | _keys("customer", one.customers, customers)
        done.subjects |= _keys("fulfillment", one.fulfillments, parcels) | _keys("refund", one.refunds, refunds)
    if done.subjects:
        done.subjects.add(f"store:{store.pk}")
    return done


def _keys(kind: str, refs: Iterable[str | Pair], known: dict) -> set[str]:
    return {f"{kind}:{known[ref]}" for ref in refs if ref in known}
