"""Listening to what other processes tell: one subscription for all sockets of this process."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings
from redis import asyncio as valkey
from redis.exceptions import RedisError

from apps.chat import live

if TYPE_CHECKING:
    from apps.chat.sockets.hub import Hub

logger = structlog.get_logger(__name__)
SHORTEST_WAIT, LONGEST_WAIT = 0.2, 5.0
QUIET_SECONDS = 15.0
"""After so long without news Valkey is asked whether it is still there."""
OF_STAFF = frozenset({"state", "handoff", "assigned", "status"})
"""Kinds of news after which a customer may be talking to somebody else."""


async def listen(hub: Hub) -> None:
    """Hear hints for as long as the process lives; while none can be heard, the hub looks more often."""
    wait = SHORTEST_WAIT
    while True:
        client = valkey.Redis.from_url(settings.REDIS_URL, socket_timeout=None, socket_connect_timeout=2)
        try:
            async with client.pubsub(ignore_subscribe_messages=True) as ear:
                await ear.subscribe(live.wire())
                wait, hub.blind = SHORTEST_WAIT, False
                hub.wake()
                while True:
                    message = await ear.get_message(timeout=QUIET_SECONDS)
                    if message is None:
                        async with asyncio.timeout(2):
                            await client.ping()
                    elif message["type"] == "message":
                        _heard(hub, message["data"])
        except (RedisError, OSError, TimeoutError):
            hub.blind = True
            hub.wake()
            logger.warning("chat_hints_away", wait=wait)
        finally:
            await client.aclose()
        await asyncio.sleep(wait)
        wait = min(LONGEST_WAIT, wait * 2)


def _heard(hub: Hub, raw: bytes) -> None:
    try:
        news: dict[str, Any] = json.loads(raw)
    except ValueError:
        logger.warning("chat_hint_unread")
        return
    if "hints" in news:
        ours = news["from"] == hub.name
        for key, seq, kinds in news["hints"]:
            room = hub.by_public_id.get(key)
            if room is None:
                continue
            if not ours:
                room.hinted(seq)
            if not OF_STAFF.isdisjoint(kinds):
                hub.statuses.ask(room)
    elif (room := hub.by_public_id.get(news.get("at", ""))) is not None:
        if news["kind"] == "typing" and news["who"] != "customer":
            room.tell("typing", who=news["who"], name=news["name"], on=news["on"])
        elif news["kind"] == "read" and news["by"] == "staff":
            room.tell("read", by="staff", seq=news["seq"])
