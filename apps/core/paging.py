"""Pages of lists that may hold a million rows."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any, cast

from django.core.paginator import Paginator
from django.db.models import QuerySet

EXACT_UP_TO = 1_000
MAX_PAGES = 200


class EstimatedPaginator(Paginator):
    """A paginator that counts few rows exactly and takes the planner's estimate for many.

    Counting a million rows takes longer than showing fifty of them, and nobody needs the last digit. ``estimated`` says
    which it was. Pages end at ``MAX_PAGES``, because a far page must skip all rows before it; filters reach the rest.
    """

    estimated: bool = False

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list).order_by()
        few = int(rows.values("pk")[: EXACT_UP_TO + 1].count())
        if few <= EXACT_UP_TO:
            return few
        self.estimated = True
        plan = json.loads(rows.values("pk").explain(format="json"))
        return max(int(plan[0]["Plan"]["Plan Rows"]), few)

    @cached_property
    def num_pages(self) -> int:
        return min(super().num_pages, MAX_PAGES)
