"""Stops the order from being sent until somebody has looked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apps.actions.executors import EffectFailed, Job, executor
from apps.actions.models import ActionCard
from apps.orders.effects import admin_api, can_be_asked, global_id, order_of, required_order

_ASK = """query holds($id: ID!) { order(id: $id) { id fulfillmentOrders(first: 20) { nodes {
  id status fulfillmentHolds { id handle }
} } } }"""
_HOLD = """mutation hold($id: ID!, $hold: FulfillmentOrderHoldInput!) {
  fulfillmentOrderHold(id: $id, fulfillmentHold: $hold) { fulfillmentHold { id } userErrors { field message } }
}"""
_RELEASE = """mutation release($id: ID!, $holds: [ID!]) {
  fulfillmentOrderReleaseHold(id: $id, holdIds: $holds) { fulfillmentOrder { id } userErrors { field message } }
}"""
_OPEN = frozenset({"OPEN", "SCHEDULED", "ON_HOLD"})


@executor(
    slug="hold_order",
    title="Hold the order",
    describe="The shop does not send what is left of the order until the hold is released.",
    describe_rollback="Our hold is released; holds of others stay.",
)
class HoldOrder:
    """Each hold carries the card's number as its handle, so a repetition finds what is held already."""

    def available(self, card: ActionCard) -> bool:
        order = order_of(card)
        return can_be_asked(card) and order is not None and order.fulfillment_status != "fulfilled"

    def execute(self, job: Job) -> dict[str, Any]:
        order = required_order(job.card)
        held = []
        with admin_api(order) as api:
            found = api.execute(_ASK, {"id": global_id(order)}).get("order")
            parts = [part for part in _parts(found) if part.get("status") in _OPEN]
            if not parts:
                raise EffectFailed("Nothing of this order is left to be held.")
            for part in parts:
                if not any(self._is_ours(hold, job) for hold in part.get("fulfillmentHolds") or []):
                    hold = {
                        "reason": "HIGH_RISK_OF_FRAUD",
                        "reasonNotes": job.card.target[:200],
                        "handle": _handle(job),
                    }
                    api.mutate(_HOLD, {"id": part["id"], "hold": hold}, "fulfillmentOrderHold", key=job.key)
                held.append(part["id"])
        return {"order": order.external_id, "held": held}

    def roll_back(self, job: Job) -> dict[str, Any]:
        order = required_order(job.card)
        released = []
        with admin_api(order) as api:
            for part in _parts(api.execute(_ASK, {"id": global_id(order)}).get("order")):
                ours = [hold["id"] for hold in part.get("fulfillmentHolds") or [] if self._is_ours(hold, job)]
                if ours:
                    api.mutate(_RELEASE, {"id": part["id"], "holds": ours}, "fulfillmentOrderReleaseHold", key=job.key)
                    released.append(part["id"])
        return {"order": order.external_id, "released": released}

    @staticmethod
    def _is_ours(hold: dict[str, Any], job: Job) -> bool:
        return bool(hold.get("handle") == _handle(job))


def _handle(job: Job) -> str:
    return f"riskdesk-{job.card.pk}"


def _parts(order: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    if not order:
        raise EffectFailed("The shop does not know this order any more.")
    yield from (order.get("fulfillmentOrders") or {}).get("nodes") or []
