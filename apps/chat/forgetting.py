"""Taking the words out of conversations while the skeleton stays: who wrote when, and what was decided.

Events allow nothing else (a database trigger), so that the order of what happened can be shown for good.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import partial

from django.db import transaction
from django.db.models import Q

from apps.chat.models import Conversation, Dialogue, Event, Handoff, HandoffRating, Rating, Upload, Visitor

KEPT = (Event.Kind.STATE, Event.Kind.ASSIGNED)
"""Changes of state, in the product's own words: nothing of the customer's is in them."""


def clear_words(conversations: Collection[int], now: datetime) -> int:
    """Forget what was said in conversations, in the caller's transaction. Returns how many events lost their words."""
    told = Event.objects.filter(conversation__in=conversations).exclude(kind__in=KEPT).exclude(text="", data={})
    count = told.update(text="", data={})
    Dialogue.objects.filter(conversation__in=conversations).delete()
    Handoff.objects.filter(conversation__in=conversations).update(summary="", fields={})
    HandoffRating.objects.filter(handoff__conversation__in=conversations).exclude(comment="").update(comment="")
    Rating.objects.filter(conversation__in=conversations).exclude(comment="").update(comment="")
    Dialogue.objects.filter(conversation__in=conversations).delete()
    Conversation.objects.filter(pk__in=conversations).update(subject="", cleared_at=now)
    return count


def remove_files(uploads: Collection[int], now: datetime) -> int:
    """Delete uploaded files; the row says that there was one. Returns how many.

    The file goes after commit: a rollback would otherwise leave a row that names a file which is gone.
    """
    rows = list(Upload.objects.filter(pk__in=uploads, removed_at=None).select_for_update())
    for row in rows:
        if row.file.name:
            transaction.on_commit(partial(row.file.storage.delete, row.file.name), robust=True)
    Upload.objects.filter(pk__in=[row.pk for row in rows]).update(name="removed", file="", removed_at=now)
    return len(rows)


def forget_person(visitors: Collection[int], now: datetime) -> int:
    """Forget who visitors are; their rows stay under a number. Returns how many were somebody."""
    known = Q(name__gt="") | Q(email__gt="") | Q(external_id__gt="") | Q(erased_at=None)
    return Visitor.objects.filter(known, pk__in=visitors).update(name="", email="", external_id="", erased_at=now)
