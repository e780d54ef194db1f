"""Tags the order in the shop, where those who pack it see it."""

from __future__ import annotations

from typing import Any

from apps.actions.executors import EffectFailed, Job, executor
from apps.actions.models import ActionCard
from apps.orders.effects import admin_api, can_be_asked, global_id, required_order

TAG = "risk-review"
_ASK = "query tags($id: ID!) { order(id: $id) { id tags } }"
_ADD = """mutation add($id: ID!, $tags: [String!]!) {
  tagsAdd(id: $id, tags: $tags) { node { id } userErrors { field message } }
}"""
_REMOVE = """mutation remove($id: ID!, $tags: [String!]!) {
  tagsRemove(id: $id, tags: $tags) { node { id } userErrors { field message } }
}"""


@executor(
    slug="tag_order",
    title="Tag the order",
    describe=f"The order gets the tag “{TAG}” in the shop.",
    describe_rollback=f"The tag “{TAG}” is taken away, unless the order had it before.",
)
class TagOrder:
    """Adding a tag twice adds it once, so a repetition is harmless."""

    def available(self, card: ActionCard) -> bool:
        return can_be_asked(card)

    def execute(self, job: Job) -> dict[str, Any]:
        order = required_order(job.card)
        with admin_api(order) as api:
            found = api.execute(_ASK, {"id": global_id(order)}).get("order")
            if not found:
                raise EffectFailed("The shop does not know this order any more.")
            tags = found.get("tags") or []
            mark = next((one for one in self._marks(job) if one in tags), "") or self._marks(job)[TAG in tags]
            api.mutate(_ADD, {"id": global_id(order), "tags": [TAG, mark]}, "tagsAdd", key=job.key)
        return {"order": order.external_id, "tag": TAG, "mark": mark, "had_it_before": mark == self._marks(job)[1]}

    def roll_back(self, job: Job) -> dict[str, Any]:
        order = required_order(job.card)
        tags = [str(job.result.get("mark", ""))] + ([] if job.result.get("had_it_before") else [TAG])
        with admin_api(order) as api:
            api.mutate(
                _REMOVE, {"id": global_id(order), "tags": [tag for tag in tags if tag]}, "tagsRemove", key=job.key
            )
        return {"order": order.external_id, "removed": tags}

    @staticmethod
    def _marks(job: Job) -> tuple[str, str]:
        """A tag of this card alone tells a second attempt that the first came through, and what it had found.

        The first says that the order had not been tagged before, the second that it had.
        """
        return f"{TAG}-{job.card.pk}", f"{TAG}-{job.card.pk}-kept"
