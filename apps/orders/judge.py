"""Judging a store whose orders came in at once."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.actions.models import RuleRun
from apps.actions.services import run_rules
from apps.core.models import Scope
from apps.orders.models import Store


def judge_import(*, store: Store, as_of: datetime | None, now: datetime) -> list[RuleRun]:
    """Let the detectors judge an imported store, so that what they find is in the queue at once.

    Args:
        as_of: the files are a copy of the store as it was then. It is judged as of that moment, and sweeps of the present
            pass it by until files without such a moment are imported. None: the files say how things are now.
        now: the present.

    Returns:
        The runs; those of rules that found nothing to change are not in the database.
    """
    with transaction.atomic():
        scope = Scope.objects.select_for_update().get(pk=store.scope_id)
        if scope.judged_as_of != as_of:
            scope.judged_as_of = as_of
            scope.save(update_fields=["judged_as_of"])
    return run_rules(now=as_of or now, trigger=RuleRun.Trigger.EVENT, scope=scope)
