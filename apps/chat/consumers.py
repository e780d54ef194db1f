"""The socket of a customer's widget (docs/chat-protocol.md).

A plain ASGI application instead of a class of Channels: those keep three tasks and a queue for each socket, and read the
channel layer once for each; here one subscription serves the process (:mod:`apps.chat.sockets`). Nothing that a page
sends is believed before its origin was allowed and its token opened a session, and each message asks the session again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from apps.chat.bot.owing import TALKING
from apps.chat.config import config_of
from apps.chat.doors import Body, data_in, parsed, text_in, uuid_in, whole_in
from apps.chat.limits import SocketLimits
from apps.chat.models import ChatSession, ChatSite
from apps.chat.origins import may_speak
from apps.chat.refusals import BadRequest, NoSuchSite, SessionOver
from apps.chat.saying_together import Utterance
from apps.chat.sessions import TOKEN_LENGTH, site_of
from apps.chat.sockets.connection import Connection, sockets_refused
from apps.chat.sockets.drain import before_the_end
from apps.chat.sockets.hub import Hub, hub
from apps.core.addresses import address_from, network_of
from apps.core.errors import DomainError

logger = structlog.get_logger(__name__)
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PROTOCOL = 1
HELLO_SECONDS = 10.0
LARGEST_FRAME = 32 * 1024
"""Characters; a message has at most 4,000, each of which JSON may write with six."""
SITE_SECONDS = 10.0
"""For so long a site is not asked for again."""
BAD_FRAME, NO_SESSION, BAD_ORIGIN, NO_SITE, NO_HELLO, TOO_LARGE, TOO_MANY, TRY_LATER = (
    4400, 4401, 4403, 4404, 4408, 4413, 4429, 1013,
)  # fmt: skip


class Closed(Exception):
    """The socket is to be closed, with a code and what stands beside it."""

    def __init__(self, code: int, reason: str = "") -> None:
        self.code, self.reason = code, reason
        super().__init__(code)


class Gone(Exception):
    """The other side closed the socket."""


class Customers:
    """The application for ``/ws/chat/<site key>/``; what it remembers is of its process."""

    def __init__(self) -> None:
        self._limits: SocketLimits | None = None
        self._sites: dict[str, tuple[float, ChatSite]] = {}

    @property
    def limits(self) -> SocketLimits:
        """Made late, so that tests may set others."""
        if self._limits is None:
            self._limits = SocketLimits()
        return self._limits

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        await send({"type": "websocket.accept"})  # a code reaches the page only over an open socket
        here = hub()
        here.start()
        before_the_end(here)
        network = _network(scope)
        if wait := self.limits.enter(network, time.monotonic()):
            await _close(send, Closed(TOO_MANY, str(wait)))
            return
        try:
            site = await self._site(here, scope)
            await Visit(here, self.limits, site, network, receive, send).last()
        except Closed as closed:
            await _close(send, closed)
        except Gone:
            return
        finally:
            self.limits.leave(network)

    async def _site(self, here: Hub, scope: Message) -> ChatSite:
        """The site of the address, if the page may show it."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        key = scope["url_route"]["kwargs"]["key"]
        kept = self._sites.get(key)
        if kept is None or kept[0] < time.monotonic():
            try:
                kept = (time.monotonic() + SITE_SECONDS, await here.reading.run(site_of, key))
            except NoSuchSite:
                self._sites.pop(key, None)
                raise Closed(NO_SITE) from None
            except (OperationalError, InterfaceError):  # the database is away, and the page shall come back
                logger.warning("chat_socket_unserved", exc_info=True)
                raise Closed(TRY_LATER, "2") from None
            self._sites[key] = kept
        if not may_speak(kept[1], headers.get(b"origin", ""), headers.get(b"host", "")):
            raise Closed(BAD_ORIGIN)
        return kept[1]


class Visit:
    """One socket, from its hello to its end."""

    def __init__(
        self, here: Hub, limits: SocketLimits, site: ChatSite, network: str, receive: Receive, send: Send
    ) -> None:
        self.here, self.limits, self.site, self.network = here, limits, site, network
        self.receive, self.send = receive, send

    async def last(self) -> None:
        """Serve the socket until it ends.

        Raises:
            Closed: it is to be closed.
            Gone: it was.
        """
        session, after = await self._hello()
        assert session.conversation is not None
        room = self.here.room_of(session.conversation)
        if sum(each.session_id == session.pk for each in room.sockets) >= self.limits.most_of_session:
            raise Closed(TOO_MANY, "60")
        sent = min(after, session.conversation.seq)
        self.me = Connection(self.send, session_id=session.pk, client=str(session.pk), room=room, sent=sent)
        self.name = session.visitor.name
        self.here.join(self.me)
        try:
            self.me.tell("ready", seq=session.conversation.seq, state=session.conversation.state,
                         conversation=room.public_id.hex, staff_read_seq=session.conversation.staff_read_seq,
                         config=config_of(self.site))  # fmt: skip
            room.look()
            self.here.statuses.ask(room)
            del session
            await self._serve()
        finally:
            self.here.leave(self.me)
            self.me.gone()

    async def _hello(self) -> tuple[ChatSession, int]:
        """The session that the first frame opens, and the seq that its page has."""
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                body = await self._frame()
        except TimeoutError:
            raise Closed(NO_HELLO) from None
        try:
            if body.get("type") != "hello" or whole_in(body, "protocol") != PROTOCOL:
                raise BadRequest
            token, after = text_in(body, "token", longest=200), whole_in(body, "after")
        except BadRequest:
            raise Closed(BAD_FRAME) from None
        try:
            session = await self.here.hellos.ask(token if len(token) == TOKEN_LENGTH else "")
        except SessionOver:
            raise Closed(NO_SESSION, "session_over") from None
        except DomainError:  # the database is away
            raise Closed(TRY_LATER, "2") from None
        if session.site_id != self.site.pk:
            raise Closed(NO_SESSION, "session_over")
        return session, after

    async def _serve(self) -> None:
        while True:
            body = await self._frame()
            if self.limits.frames.wait(self.me.client, time.monotonic()):
                raise Closed(TOO_MANY, "5")
            handle = _HANDLERS.get(body["type"])
            if handle is None:
                raise Closed(BAD_FRAME)
            try:
                handle(self, body)
            except BadRequest:
                raise Closed(BAD_FRAME) from None
            await self.me.room_to_send()

    async def _frame(self) -> Body:
        """The next frame, a JSON object with a type."""
        message = await self.receive()
        if message["type"] == "websocket.disconnect":
            raise Gone
        text = message.get("text")
        if not isinstance(text, str):
            raise Closed(BAD_FRAME)
        if len(text) > LARGEST_FRAME:
            raise Closed(TOO_LARGE)
        try:
            body = parsed(text)
        except BadRequest:
            raise Closed(BAD_FRAME) from None
        if not isinstance(body.get("type"), str):
            raise Closed(BAD_FRAME)
        return body

    def _message(self, body: Body) -> None:
        key = uuid_in(body, "client_msg_id")
        if wait := self.limits.message(self.me.client, self.network, time.monotonic()):
            why = "Too many messages. Please wait a moment."
            self.me.tell("refused", client_msg_id=str(key), code="rate_limited", message=why, retry_after=wait)
            return
        words = Utterance(
            session_id=self.me.session_id,
            conversation_id=self.me.room.pk,
            client_id=key,
            text=text_in(body, "text"),
            data=data_in(body),
            at=timezone.now(),
        )
        self.here.say(self.me, words, _refuse)

    def _typing(self, body: Body) -> None:
        on = body.get("on")
        if not isinstance(on, bool):
            raise BadRequest
        self.here.show(self.me.room, "typing", who="customer", name=self.name, on=on)
        if on and self.me.room.state in TALKING:
            self.here.mark(self.me, "typing", 0)

    def _read(self, body: Body) -> None:
        self.here.mark(self.me, "read", whole_in(body, "seq"))

    def _got(self, body: Body) -> None:
        self.here.mark(self.me, "got", whole_in(body, "seq"))

    def _after(self, body: Body) -> None:
        """The page misses something."""
        self.me.sent = min(whole_in(body, "seq"), self.me.sent)
        self.me.room.look()

    def _ping(self, body: Body) -> None:
        self.me.tell("pong", seq=self.me.sent)


_HANDLERS: dict[str, Callable[[Visit, Body], None]] = {
    "message": Visit._message,
    "typing": Visit._typing,
    "read": Visit._read,
    "got": Visit._got,
    "after": Visit._after,
    "ping": Visit._ping,
}


def _refuse(connection: Connection, said: Utterance, error: Exception) -> None:
    """Tell that a message was not stored; an ended session ends the socket."""
    assert isinstance(error, DomainError)
    facts = {"code": error.code, "message": error.message}
    pause = getattr(error, "retry_after", None)
    if pause is not None:
        facts["retry_after"] = pause
    connection.tell("refused", client_msg_id=str(said.client_id), **facts)
    if isinstance(error, SessionOver):
        connection.end(NO_SESSION, "session_over")


def _network(scope: Message) -> str:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    client = scope.get("client") or ("", 0)
    meta = {"REMOTE_ADDR": client[0], "HTTP_X_FORWARDED_FOR": headers.get(b"x-forwarded-for", "")}
    return network_of(address_from(meta))


async def _close(send: Send, closed: Closed) -> None:
    sockets_refused.labels(str(closed.code)).inc()
    try:
        await send({"type": "websocket.close", "code": closed.code, "reason": closed.reason})
    except (RuntimeError, OSError):
        return  # it was closed from the other side meanwhile
