"""Many names: one card, account, address or browser that orders for many people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.core.numbers import plural
from apps.orders.findings import fraud_hit
from apps.orders.identities import Cluster, span, suspicious
from apps.orders.models import Store

_NAME = "lower(regexp_replace(coalesce(nullif(o.billing_name, ''), o.shipping_name), '[[:space:][:punct:]]+', '', 'g'))"
# Those with enough orders at all are few; only their names are compared.
_NAMES = f"""
    WITH recent AS (
        SELECT o.store_id, {{key}} AS key, o.id, o.total, o.currency, o.created_at, o.synced_at, {_NAME} AS name
        FROM orders_order o
        WHERE {{chosen}} AND o.created_at > %(since)s AND o.created_at <= %(now)s AND o.deleted_at IS NULL
            AND (o.billing_name <> '' OR o.shipping_name <> '')
    ), many AS (
        SELECT store_id, key FROM recent GROUP BY store_id, key
        HAVING count(*) >= %(limit)s AND count(DISTINCT name) >= %(limit)s
    )
    SELECT r.store_id, r.key, r.id, r.total, r.currency, r.created_at, r.synced_at
    FROM (
        SELECT DISTINCT ON (store_id, key, name) * FROM recent JOIN many USING (store_id, key)
        ORDER BY store_id, key, name, created_at DESC, id DESC
    ) r
    ORDER BY r.id
"""  # noqa: S608  # made of constants only


class Settings(RuleSettings):
    """How many names in how many days, by what the buyer is recognised by."""

    customer_names: int = Field(
        4, ge=2, le=1000, title="Per customer", description="Names on the orders of one customer, or more."
    )
    payment_names: int = Field(
        3, ge=2, le=1000, title="Per payment card", description="Names on one payment card, or more."
    )
    address_names: int = Field(
        6, ge=2, le=1000, title="Per address",
        description="Names at one shipping address, or more; families and offices share one.",
    )  # fmt: skip
    ip_names: int = Field(
        8, ge=2, le=1000, title="Per IP address",
        description="Names from one IP address, or more; offices and mobile networks share one.",
    )  # fmt: skip
    window_days: int = Field(30, ge=1, le=365, title="Window", description="Days that are looked back.")

    def limit(self, kind: str) -> int:
        """Names that are too many for one kind of identity."""
        return int(getattr(self, f"{kind}_names"))


@detector(
    slug="many-names",
    title="One identity, many names",
    kind="fraud-pattern-alert",
    settings=Settings,
    events=frozenset({"order.created", "order.updated", "customer.created"}),
    mitigation="Compare the orders: does one person collect goods that many people pay for? Hold what has not been sent.",
    escalation="Escalate when the names belong to different cards, or goods go to one address.",
    rollback="Release the held orders and apologise to the customers for the check.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Customers, cards, addresses and IP addresses whose orders of the window carry too many different names.

    Names are those of the bill, else of the parcel, compared without case, spaces and punctuation; the newest order of
    each name is told, and the names themselves are not repeated on the card. The money at risk is these orders' total.
    """
    values = {"now": now, "since": now - timedelta(days=settings.window_days)}
    for cluster, store, name in suspicious(subjects, _NAMES, values, settings.limit):
        yield _hit(cluster, store, name, settings, now)


def _hit(cluster: Cluster, store: Store, name: str, settings: Settings, now: datetime) -> Hit:
    found, limit = cluster.found, settings.limit(cluster.kind)
    names = plural(found.count, "name")
    return fraud_hit(
        store=store,
        subject=cluster.subject,
        target=name,
        draft=f"{names} by {cluster.words} within {span(found)}. {name}. Total: {found.sums}",
        rationale=f"{names} on the orders by {cluster.words} in {settings.window_days} days, at or above the limit of "
        f"{limit}. Whoever uses other people's cards or invents buyers leaves such a trace; families and offices leave a "
        "smaller one.",
        data={
            "identity": cluster.kind,
            "nameCount": found.count,
            "threshold": limit,
            "windowDays": settings.window_days,
            **found.as_json(),
        },
        observed_at=found.observed_at or now,
        impact=found.sums.main(store.currency),
        confidence="0.75" if cluster.kind == "payment" else "0.60",
        tier="policy" if cluster.kind == "payment" else "safety",
    )
