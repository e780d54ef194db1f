"""Who of the staff read which transcript, and up to where."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection, transaction

from apps.chat.models import Conversation, Reading
from apps.core.models import User

AGAIN = timedelta(minutes=10)
"""After this time a look at the same words counts as another reading."""
_LOCK = 6_118_203  # first key of an advisory lock, any constant


@transaction.atomic
def note(conversation: Conversation, user: User, *, up_to: int, place: str, now: datetime) -> Reading | None:
    """Record that a person read a transcript.

    One row for each person, conversation and ten minutes; words of others that came since make another one. Two windows
    of one person that load at once make one.

    Args:
        up_to: ``seq`` of the last event that was shown.
        place: where it was read, such as ``desk`` or ``export``.

    Returns:
        The new row, or None where one stands already.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK, hash((conversation.pk, user.pk)) & 0x7FFFFFFF])
    last = conversation.readings.filter(user=user, place=place, at__gt=now - AGAIN).order_by("-up_to_seq").first()
    if last and not _news(conversation, user, last.up_to_seq, up_to):
        return None
    return Reading.objects.create(conversation=conversation, user=user, up_to_seq=up_to, place=place, at=now)


def _news(conversation: Conversation, user: User, after: int, up_to: int) -> bool:
    """Whether there are events of others in between; what one wrote oneself one does not read."""
    if up_to <= after:
        return False
    between = conversation.events.after(after).filter(seq__lte=up_to)
    return between.exclude(user=user).exists()
