"""What one web process knows about its customers' sockets: which conversation each looks at, and how far it has got.

The database is the truth. News comes on three ways, and each only makes the room look: what this process stored itself
(given on at once, for it is in hand), hints of other processes, and a sweep every few seconds, which finds what hints
have missed. A socket gets events in the order of their seq, or none; whatever is missing is read.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID, uuid4
from weakref import WeakKeyDictionary

import structlog
from django.utils import timezone
from kombu.exceptions import KombuError

from apps.chat import live
from apps.chat.bot import owing
from apps.chat.marks import mark
from apps.chat.models import ChatSession, Conversation
from apps.chat.reading import News, news_after
from apps.chat.refusals import SessionOver
from apps.chat.saying_together import Stored, Utterance, store
from apps.chat.sessions import note_use, sessions_of
from apps.chat.sockets.connection import Connection, sockets_open
from apps.chat.sockets.lanes import Batches, Lane
from apps.chat.sockets.status import Statuses
from apps.chat.sockets.wire import listen

logger = structlog.get_logger(__name__)
_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()

Mark = tuple[str, int, int]
SWEEP_SECONDS, BLIND_SWEEP_SECONDS = 20.0, 3.0
"""How often the database is asked for what hints have missed; the second while no hints come."""


def hub() -> Hub:
    """The hub of this event loop."""
    loop = asyncio.get_running_loop()
    found = _hubs.get(loop)
    if found is None:
        found = _hubs[loop] = Hub()
    return found


class Room:
    """One conversation, with the sockets that look at it here."""

    __slots__ = ("hub", "looking", "pk", "public_id", "scope_id", "sockets", "stale", "state")

    def __init__(self, hub: Hub, conversation: Conversation) -> None:
        self.hub, self.pk, self.public_id = hub, conversation.pk, conversation.public_id
        self.scope_id, self.state = conversation.scope_id, conversation.state
        self.sockets: list[Connection] = []
        self.looking = self.stale = False

    def look(self) -> None:
        """Read what its sockets have not got; again after that, if there is more."""
        if self.looking:
            self.stale = True
            return
        waiting = [each.sent for each in self.sockets if not each.lags]
        if waiting:
            self.looking, after = True, min(waiting)
            self.hub.reads.submit((self.pk, after), partial(self._found, after))

    def stored(self, answer: Stored, by: Connection) -> None:
        """Give on what one of its sockets said."""
        event = json.dumps(answer.event, separators=(",", ":"))
        seq = answer.event["seq"]
        key = json.dumps(answer.event.get("client_id"))
        by.push(f'{{"type":"ack","client_msg_id":{key},"seq":{seq},"event":{event}}}')
        if by.sent == seq - 1:
            by.sent = seq
        frame, behind = f'{{"type":"events","after":{seq - 1},"events":[{event}],"seq":{seq}}}', by.sent < seq
        for each in self.sockets:
            if each is by:
                continue
            if each.sent == seq - 1 and not each.lags:
                each.give(seq, frame)
            behind = behind or each.sent < seq
        if behind:
            self.look()

    def hinted(self, seq: int) -> None:
        """Another process stored events up to ``seq``."""
        if any(each.sent < seq for each in self.sockets):
            self.look()

    def tell(self, kind: str, **facts: Any) -> None:
        """Send all its sockets what is not stored."""
        frame = json.dumps({"type": kind, **facts}, separators=(",", ":"))
        for each in self.sockets:
            each.push(frame)

    def _found(self, after: int, news: News | Exception) -> None:
        """Give on what was read; a socket that came meanwhile and has less than ``after`` waits for the next reading."""
        self.looking = False
        if isinstance(news, Exception):  # the database is away; the sweep looks again
            return
        self.state = news.state
        frames: dict[int, str] = {}
        for each in self.sockets:
            if each.sent < after and not each.lags:
                self.stale = True
            if each.lags or not after <= each.sent < news.seq:
                continue
            if each.sent not in frames:
                frames[each.sent] = _frame(news, each.sent)
            each.give(news.seq, frames[each.sent])
        if self.stale or news.seq < news.last:
            self.stale = False
            self.look()


class Hub:
    """All rooms of one process, and the work that is done for all of them together."""

    def __init__(self) -> None:
        self.name = uuid4().hex
        self.rooms: dict[int, Room] = {}
        self.by_public_id: dict[str, Room] = {}
        writing, reading, telling, turning = Lane("write"), Lane("read"), Lane("tell"), Lane("turns")
        self.writes: Batches[Utterance, Stored] = Batches(writing, store, most=400)
        self.reads: Batches[tuple[int, int], News] = Batches(reading, _read)
        self.hellos: Batches[str, ChatSession] = Batches(reading, _hello)
        self.marks: Batches[Mark, Sequence[live.Moment]] = Batches(reading, _mark, most=1_000)
        self.news: Batches[live.Hint | live.Moment, bool] = Batches(telling, self._tell, most=1_000)
        self.turns: Batches[tuple[int, float], bool] = Batches(turning, _hand_out)
        self.statuses = Statuses()
        self.reading = reading
        self._lanes = (writing, reading, telling, turning, self.statuses.lane)
        self.blind = True
        self._tasks: list[asyncio.Task[None]] = []
        self._woken = asyncio.Event()

    def start(self) -> None:
        """Begin to listen and to sweep; with the first socket."""
        if self._tasks:
            return
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(listen(self)), loop.create_task(self._sweep())]

    async def stop(self) -> None:
        """End the listening, wait for the work that was asked for, and give the connections back."""
        for each in self._tasks:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for work in (self.hellos, self.writes, self.reads, self.marks, self.news, self.turns, self.statuses.batches):
            await work.done()
        for lane in self._lanes:
            lane.close()

    def join(self, connection: Connection) -> None:
        """Let a socket look at its conversation."""
        room = connection.room
        room.sockets.append(connection)
        self.rooms[room.pk] = self.by_public_id[room.public_id.hex] = room
        sockets_open.inc()

    def leave(self, connection: Connection) -> None:
        """A socket is gone."""
        room = connection.room
        room.sockets.remove(connection)
        sockets_open.dec()
        if not room.sockets:
            self.rooms.pop(room.pk, None)
            self.by_public_id.pop(room.public_id.hex, None)

    def room_of(self, conversation: Conversation) -> Room:
        """The room of a conversation; a new one is known only when somebody joins it."""
        return self.rooms.get(conversation.pk) or Room(self, conversation)

    def say(self, connection: Connection, utterance: Utterance, refuse: Any) -> None:
        """Store what a socket said, acknowledge it after commit, and give it on.

        Args:
            refuse: called with what was said and why it was not stored.
        """
        room = connection.room

        def answered(answer: Stored | Exception) -> None:
            connection.answered()
            if isinstance(answer, Exception):
                refuse(connection, utterance, answer)
                return
            room.stored(answer, connection)
            # Also of what was stored before: perhaps its process died before it could tell.
            hint = live.Hint(answer.public_id, answer.scope_id, answer.event["seq"], ("message",), answer.team_id)
            self.news.submit(hint, _ignore)
            if answer.answer_in is not None:
                self.turns.submit((room.pk, answer.answer_in), _ignore)

        connection.in_flight += 1
        self.writes.submit(utterance, answered)

    def mark(self, connection: Connection, what: str, seq: int) -> None:
        """Note how far a socket's customer has ``got`` or ``read``, and show the latter to staff."""

        def noted(moments: Sequence[live.Moment] | Exception) -> None:
            for each in [] if isinstance(moments, Exception) else moments:
                self.news.submit(each, _ignore)

        self.marks.submit((what, connection.room.pk, seq), noted)

    def show(self, room: Room, kind: str, **facts: Any) -> None:
        """Show staff, and other processes' sockets, what is not stored."""
        self.news.submit(live.Moment(room.public_id, room.scope_id, kind, facts), _ignore)

    def wake(self) -> None:
        """Let all rooms look, because hints may have been missed."""
        self._woken.set()

    async def _sweep(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(BLIND_SWEEP_SECONDS if self.blind else SWEEP_SECONDS):
                    await self._woken.wait()
            self._woken.clear()
            await self._look_around()

    async def _look_around(self) -> None:
        """Find what hints have missed, and sockets whose session is over."""
        keys = list(self.rooms)
        for start in range(0, len(keys), 2_000):
            part = keys[start : start + 2_000]
            sessions = [each.session_id for key in part if (room := self.rooms.get(key)) for each in room.sockets]
            try:
                heads, alive = await self.reading.run(_heads, part, sessions)
            except (
                Exception
            ):  # whatever fails, mostly the database, this task serves all sockets and goes on next round
                logger.warning("chat_sweep_failed", exc_info=True)
                return
            for key, seq in heads.items():
                if room := self.rooms.get(key):
                    room.hinted(seq)
            asked = set(sessions)
            for key in part:
                if room := self.rooms.get(key):
                    for each in [each for each in room.sockets if each.session_id in asked - alive]:
                        await each.close(4401, "session_over")

    def _tell(self, batch: list[live.Hint | live.Moment]) -> list[bool | Exception | None]:
        newest: dict[UUID, live.Hint] = {}
        for each in batch:
            if isinstance(each, live.Hint) and (each.public_id not in newest or newest[each.public_id].seq < each.seq):
                newest[each.public_id] = each
        live.publish(list(newest.values()), sender=self.name)
        live.show([each for each in batch if isinstance(each, live.Moment)], sender=self.name)
        return [True] * len(batch)


def _frame(news: News, sent: int) -> str:
    events = [each for each in news.events if each["seq"] > sent]
    return json.dumps({"type": "events", "after": sent, "events": events, "seq": news.seq}, separators=(",", ":"))


def _ignore(answer: object) -> None:
    """Nobody waits for it."""


def _read(wanted: list[tuple[int, int]]) -> list[News | Exception | None]:
    least: dict[int, int] = {}
    for pk, after in wanted:
        least[pk] = min(after, least.get(pk, after))
    found = news_after(least)
    return [found[pk] for pk, _after in wanted]


def _hello(tokens: list[str]) -> list[ChatSession | Exception | None]:
    now = timezone.now()
    found = sessions_of(tokens, now)
    note_use(found.values(), now)
    return [found.get(token) or SessionOver() for token in tokens]


def _hand_out(turns: list[tuple[int, float]]) -> list[bool | Exception | None]:
    for pk, seconds in turns:
        with suppress(KombuError, OSError):  # the sweep of the due turns finds what nobody was told
            owing.hand_out(pk, seconds)
    return [True] * len(turns)


def _mark(marks: list[Mark]) -> list[Sequence[live.Moment] | Exception | None]:
    furthest: dict[str, dict[int, int]] = {"got": {}, "read": {}, "typing": {}}
    for what, pk, seq in marks:
        furthest[what][pk] = max(seq, furthest[what].get(pk, 0))
    moments: list[live.Moment] = []
    for pk in furthest["typing"]:
        owing.still_writing(pk, timezone.now())
    if furthest["got"]:
        mark(furthest["got"], "got")
    for row in mark(furthest["read"], "read") if furthest["read"] else []:
        facts = {"by": "customer", "seq": row.customer_read_seq}
        moments.append(live.Moment(row.public_id, row.scope_id, "read", facts))
    return [moments, *[[]] * (len(marks) - 1)]


def _heads(keys: list[int], sessions: Iterable[int]) -> tuple[dict[int, int], set[int]]:
    now = timezone.now()
    alive = ChatSession.objects.filter(
        pk__in=list(sessions), ended_at=None, expires_at__gt=now, site__is_active=True, visitor__erased_at=None
    )
    note_use(alive, now)
    return dict(Conversation.objects.filter(pk__in=keys).values_list("pk", "seq")), {each.pk for each in alive}
