"""The desk's socket: says where something is new, who writes and who looks. It carries hints; the page asks by HTTP.

Who connects is known by the session's cookie, from pages of this site alone. Every event is authorised: what the page
says, by looking the conversation up as this person; what is sent, by asking which of the conversations the person sees.
A person who signs out, leaves or loses the role is cut off within :data:`RIGHTS_SECONDS`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.sessions.models import Session
from django.db import DatabaseError
from django.utils import timezone
from redis import RedisError

from apps.chat import live
from apps.chat.binding import VIEW, called, seen_by
from apps.chat.desk.pane import others
from apps.chat.models import Conversation
from apps.core.errors import DomainError
from apps.core.models import Scope, User
from apps.core.scope import scope_ids_of, sees_every_scope
from apps.escalation.models import Team

RIGHTS_SECONDS = 20
"""How often it is asked whether the person may still listen."""
PAUSE = 0.4
"""Seconds between two deliveries of hints; those that come in between are put together."""
MOST_WAITING = 500
"""Conversations of which a slow page can be behind; then it is told to look at all."""
LONGEST = 1_000
"""Characters of a frame of the page."""
BURST, PER_SECOND = 30, 5
NOT_SIGNED_IN, NOT_ALLOWED, BAD_FRAME, TOO_MANY, NOT_NOW = 4401, 4403, 4400, 4429, 1013
UNAVAILABLE = (DatabaseError, RedisError, OSError)

T = TypeVar("T")
logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rights:
    """What a person may listen to.

    Attributes:
        groups: of Channels, by scope and by team.
    """

    user: User
    groups: frozenset[str]


def rights_of(user_id: int | None, session_key: str | None) -> Rights | int:
    """What a person may listen to now, or the code with which the socket is closed."""
    user = User.objects.filter(pk=user_id, is_active=True, is_staff=True).first() if user_id else None
    if user is None or not Session.objects.filter(session_key=session_key, expire_date__gt=timezone.now()).exists():
        return NOT_SIGNED_IN
    if not user.has_perm(VIEW):
        return NOT_ALLOWED
    scopes = list(Scope.objects.values_list("pk", flat=True)) if sees_every_scope(user) else scope_ids_of(user)
    teams = Team.objects.filter(scope__in=scopes).values_list("pk", flat=True)
    return Rights(user, frozenset([*(f"desk.{pk}" for pk in scopes), *(f"desk.team.{pk}" for pk in teams)]))


def visible(user: User, ids: list[str]) -> set[str]:
    """Which of the conversations a person sees."""
    found = Conversation.objects.visible_to(user).filter(public_id__in=ids).values_list("public_id", flat=True)
    return {one.hex for one in found}


class DeskConsumer(AsyncWebsocketConsumer):
    """One window of the desk."""

    rights: Rights | None = None
    viewing: Conversation | None = None

    async def connect(self) -> None:
        await self.accept()
        self.behind: dict[str, int] = {}
        self.look_at_all = False
        self.allowance, self.allowed_at = float(BURST), time.monotonic()
        self.wake = asyncio.Event()
        self.jobs: list[asyncio.Task[None]] = []
        await self._kept_up(self._begin)

    async def _begin(self) -> None:
        if await self._renew():
            self.jobs = [asyncio.create_task(self._kept_up(job)) for job in (self._deliver, self._watch)]
            await self._tell("ready")

    async def _kept_up(self, work: Callable[[], Awaitable[None]]) -> None:
        """Without the database or Valkey it would be deaf and look alive: then it ends, and the page asks by itself."""
        try:
            await work()
        except UNAVAILABLE as error:
            logger.warning("desk_socket_ended", reason=type(error).__name__)
            await self.close(NOT_NOW)

    async def disconnect(self, code: int) -> None:
        for job in self.jobs:
            job.cancel()
        with suppress(*UNAVAILABLE):
            await self._look_away()
            for group in self.rights.groups if self.rights else ():
                await self.channel_layer.group_discard(group, self.channel_name)

    # What the page says

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self._may_speak():
            await self.close(TOO_MANY)
            return
        try:
            said: Any = json.loads(text_data or "") if len(text_data or "") <= LONGEST else None
        except (ValueError, RecursionError):
            said = None
        answer = self.SAYINGS.get(str(said.get("type"))) if isinstance(said, dict) else None
        if answer is None or self.rights is None:
            await self.close(BAD_FRAME)
            return
        try:
            await answer(self, said)
        except DomainError as error:
            await self._tell("refused", code=error.code, message=error.message)
        except UNAVAILABLE as error:
            logger.warning("desk_socket_ended", reason=type(error).__name__)
            await self.close(NOT_NOW)

    async def _ping(self, said: Mapping[str, Any]) -> None:
        await self._tell("pong")

    async def _view(self, said: Mapping[str, Any]) -> None:
        """Look at another conversation, or at none."""
        wanted = said.get("conversation")
        if self.viewing and str(self.viewing.public_id) != wanted:
            await self._look_away()
        if wanted is None:
            return
        conversation = await self._seen(wanted)
        if self.viewing is None:
            await self.channel_layer.group_add(f"chat.{conversation.public_id.hex}", self.channel_name)
        self.viewing = conversation
        await self._mark("viewing")
        await self._people()

    async def _typing(self, said: Mapping[str, Any]) -> None:
        """Show or hide that the person writes: to the customer only by who has the conversation, and never for notes."""
        conversation, on = await self._seen(said.get("conversation")), said.get("on") is True
        self.viewing = conversation if self.viewing else None
        await self._mark("typing" if on else "viewing", conversation)
        user = self._user()
        mine = conversation.state == Conversation.State.PERSON and conversation.assignee_id == user.pk
        if mine and said.get("note") is not True:
            await _thread(lambda: live.typing(conversation, who="agent", name=called(user), on=on))

    SAYINGS = {"ping": _ping, "view": _view, "typing": _typing}

    # What comes from others

    async def chat_hint(self, event: Mapping[str, Any]) -> None:
        if len(self.behind) < MOST_WAITING:
            self.behind[str(event["conversation"])] = int(event.get("seq", 0))
        else:
            self.look_at_all = True
        self.wake.set()

    async def chat_typing(self, event: Mapping[str, Any]) -> None:
        if event.get("who") != "agent" and self._is_viewed(event):
            await self._tell("typing", **_about(event), who=event["who"], on=bool(event["on"]))

    async def chat_read(self, event: Mapping[str, Any]) -> None:
        if event.get("by") == "customer" and self._is_viewed(event):
            await self._tell("read", **_about(event), seq=event["seq"])

    async def chat_presence(self, event: Mapping[str, Any]) -> None:
        if self._is_viewed(event) and event.get("user") != self._user().pk:
            await self._people()

    async def _deliver(self) -> None:
        """Send hints, those of one pause together, after asking which of them this person may have."""
        while True:
            await self.wake.wait()
            self.wake.clear()
            behind, self.behind = self.behind, {}
            everything, self.look_at_all = self.look_at_all, False
            user = self._user()
            seen = await _thread(partial(visible, user, list(behind)))
            hints = [[str(UUID(key)), seq] for key, seq in behind.items() if key in seen]
            if hints or everything:
                await self._tell("hints", hints=hints, all=everything)
            await asyncio.sleep(PAUSE)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(RIGHTS_SECONDS)
            if not await self._renew():
                return
            if self.viewing:
                with suppress(DomainError):
                    self.viewing = await self._seen(str(self.viewing.public_id))
                    await self._mark("viewing")
                    continue
                await self._look_away()

    async def _renew(self) -> bool:
        """Ask again what the person may listen to; without rights the socket ends."""
        user_id, key = (
            getattr(self.scope.get("user"), "pk", None),
            getattr(self.scope.get("session"), "session_key", None),
        )
        found = await _thread(lambda: rights_of(user_id, key))
        if isinstance(found, int):
            await self.close(found)
            return False
        before = self.rights.groups if self.rights else frozenset()
        for group in before - found.groups:
            await self.channel_layer.group_discard(group, self.channel_name)
        for group in found.groups - before:
            await self.channel_layer.group_add(group, self.channel_name)
        self.rights = found
        return True

    async def _seen(self, wanted: object) -> Conversation:
        user = self._user()

        def look() -> Conversation:
            try:
                key = UUID(str(wanted))
            except ValueError:
                key = UUID(int=0)
            return seen_by(User.objects.get(pk=user.pk), key)

        return await _thread(look)

    async def _look_away(self) -> None:
        if self.viewing is None:
            return
        left, self.viewing, user = self.viewing, None, self._user()
        await self.channel_layer.group_discard(f"chat.{left.public_id.hex}", self.channel_name)
        await _thread(lambda: live.leave(left, user_id=user.pk))

    async def _mark(self, doing: str, conversation: Conversation | None = None) -> None:
        at, user = conversation or self.viewing, self._user()
        if at:
            await _thread(lambda: live.view(at, user_id=user.pk, name=called(user), doing=doing))

    async def _people(self) -> None:
        at, user = self.viewing, self._user()
        if at:
            found = await _thread(lambda: others(at, user))
            await self._tell("people", conversation=str(at.public_id), viewers=found)

    def _is_viewed(self, event: Mapping[str, Any]) -> bool:
        return self.viewing is not None and event.get("conversation") == self.viewing.public_id.hex

    def _user(self) -> User:
        if self.rights is None:
            raise RuntimeError("Nobody listens yet.")
        return self.rights.user

    def _may_speak(self) -> bool:
        now = time.monotonic()
        self.allowance = min(float(BURST), self.allowance + (now - self.allowed_at) * PER_SECOND)
        self.allowed_at = now
        self.allowance -= 1
        return self.allowance >= 0

    async def _tell(self, kind: str, **facts: Any) -> None:
        await self.send(json.dumps({"type": kind, **facts}))


def _about(event: Mapping[str, Any]) -> dict[str, str]:
    return {"conversation": str(UUID(str(event["conversation"])))}


async def _thread(work: Callable[[], T]) -> T:
    """Ask database or Valkey without keeping others waiting: not in the one thread that Channels shares."""
    found: T = await database_sync_to_async(work, thread_sensitive=False)()
    return found
