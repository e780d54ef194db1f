"""Telling customers who they talk to and how long it takes: after all else, for it is asked of the database apiece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone

from apps.chat.config import status_for
from apps.chat.models import Conversation
from apps.chat.sockets.lanes import Batches, Lane

if TYPE_CHECKING:
    from apps.chat.sockets.hub import Room


class Statuses:
    """Statuses that sockets wait for; a room asks once at a time."""

    def __init__(self) -> None:
        self._asked: dict[int, bool] = {}  # whether it was asked again meanwhile
        self.lane = Lane("status")
        self.batches: Batches[int, dict[str, Any]] = Batches(self.lane, _statuses, most=20)

    def ask(self, room: Room) -> None:
        """Tell a room's sockets how its conversation stands; once more if it changed while that was looked up."""
        if room.pk in self._asked:
            self._asked[room.pk] = True
            return
        self._asked[room.pk] = False

        def told(status: dict[str, Any] | Exception) -> None:
            again = self._asked.pop(room.pk)
            if not isinstance(status, Exception):
                room.tell("status", **status)
            if again:
                self.ask(room)

        self.batches.submit(room.pk, told)


def _statuses(keys: list[int]) -> list[dict[str, Any] | Exception | None]:
    now = timezone.now()
    rows = Conversation.objects.select_related("site", "team", "assignee").in_bulk(keys)
    return [status_for(rows[key], now) for key in keys]
