"""Writes the finding into the order's note in the shop."""

from __future__ import annotations

from typing import Any

from apps.actions.executors import EffectFailed, Job, executor
from apps.actions.models import ActionCard
from apps.orders.effects import admin_api, can_be_asked, global_id, required_order
from apps.orders.models import Order
from apps.orders.shopify import AdminApi

LONGEST = 5_000
_ASK = "query note($id: ID!) { order(id: $id) { id note } }"
_SET = """mutation annotate($input: OrderInput!) {
  orderUpdate(input: $input) { order { id } userErrors { field message } }
}"""


@executor(
    slug="annotate_order",
    title="Write a note on the order",
    describe="The finding is added to the order's note in the shop.",
    describe_rollback="The lines that were added to the note are taken out again.",
)
class AnnotateOrder:
    """The lines carry the card's number, so a repetition finds them and adds nothing."""

    def available(self, card: ActionCard) -> bool:
        return can_be_asked(card)

    def execute(self, job: Job) -> dict[str, Any]:
        order = required_order(job.card)
        with admin_api(order) as api:
            before = self._note(api, order)
            if self._lines(job) not in before:
                self._write(api, order, f"{before}\n{self._lines(job)}".strip(), job)
        return {"order": order.external_id, "card": job.card.pk}

    def roll_back(self, job: Job) -> dict[str, Any]:
        order = required_order(job.card)
        with admin_api(order) as api:
            before = self._note(api, order)
            mark = self._mark(job)
            kept = [line for line in before.splitlines() if not line.startswith(mark)]
            if len(kept) < len(before.splitlines()):
                self._write(api, order, "\n".join(kept).strip(), job)
        return {"order": order.external_id, "card": job.card.pk}

    @staticmethod
    def _mark(job: Job) -> str:
        return f"[Riskdesk {job.card.pk}]"

    def _lines(self, job: Job) -> str:
        return f"{self._mark(job)} {' '.join(job.card.draft.split())}"

    @staticmethod
    def _note(api: AdminApi, order: Order) -> str:
        found = api.execute(_ASK, {"id": global_id(order)}).get("order")
        if not found:
            raise EffectFailed("The shop does not know this order any more.")
        return str(found.get("note") or "")

    @staticmethod
    def _write(api: AdminApi, order: Order, note: str, job: Job) -> None:
        if len(note) > LONGEST:
            raise EffectFailed("The order's note is full.")
        api.mutate(_SET, {"input": {"id": global_id(order), "note": note}}, "orderUpdate", key=job.key)
