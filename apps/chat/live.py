"""News for whoever looks at a conversation now: hints that something was stored, and what is never stored.

A hint says "look", never "this is what was said": who gets it reads the events after the last one that it has. So a hint
may come twice, late or never; the sockets also look by themselves every few seconds. Nothing here raises when Valkey
does not answer: it is counted.

Each hint goes three ways: to ``WIRE``, which every web process reads once for all its customers' sockets; to the group
``chat.<public id>`` and to the groups ``desk.<scope>`` and ``desk.team.<team>``, for consumers of Channels.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from channels.layers import get_channel_layer
from django.conf import settings
from prometheus_client import Counter

from apps.chat.models import Conversation
from apps.core import valkey
from config.env import database_number

hints_lost = Counter("riskdesk_chat_hints_lost_total", "News for sockets that Valkey did not take")

VIEWER_SECONDS = 30
TYPING_SECONDS = 6
"""How long a sign of typing is shown unless it is repeated."""


@dataclass(frozen=True, slots=True)
class Hint:
    """Something new in one conversation.

    Attributes:
        kinds: of the events, or what else changed, such as ``read`` and ``status``.
    """

    public_id: UUID
    scope_id: int
    seq: int
    kinds: Sequence[str] = ()
    team_id: int | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """What is shown and never stored, such as that somebody is typing.

    Attributes:
        kind: ``typing``, ``read`` or ``presence``; ``facts`` are what sockets are told.
    """

    public_id: UUID
    scope_id: int
    kind: str
    facts: Mapping[str, Any]


def wire() -> str:
    """The channel that all web processes read. Valkey's channels are common to its databases, so it names ours."""
    return f"rd{database_number(settings.REDIS_URL)}:chat"


def hint(conversation: Conversation, kinds: Iterable[str] = ()) -> None:
    """Tell that a conversation has something new; called after commit."""
    publish([Hint(conversation.public_id, conversation.scope_id, conversation.seq, tuple(kinds), conversation.team_id)])


def publish(hints: Sequence[Hint], *, sender: str = "") -> None:
    """Send several hints by one round trip.

    Args:
        sender: the web process that stored the events and knows them already.
    """
    if not hints:
        return
    news = {"from": sender, "hints": [[each.public_id.hex, each.seq, list(each.kinds)] for each in hints]}
    groups = [
        (group, {"type": "chat.hint", "conversation": each.public_id.hex, "seq": each.seq, "kinds": list(each.kinds)})
        for each in hints
        for group in _groups(each)
    ]
    _send([news], groups)


def _groups(hint: Hint) -> list[str]:
    """Who looks at the conversation, works in its scope, or in the scope of its team."""
    groups = [f"chat.{hint.public_id.hex}", f"desk.{hint.scope_id}"]
    return groups + ([f"desk.team.{hint.team_id}"] if hint.team_id else [])


def typing(conversation: Conversation, *, who: str, name: str, on: bool) -> None:
    """Show or hide that somebody is writing.

    Args:
        who: ``customer``, ``agent`` or ``bot``.
        name: what the others are shown.
    """
    _ephemeral(conversation, "typing", who=who, name=name, on=on)


def read(conversation: Conversation, *, by: str, seq: int) -> None:
    """Tell how far somebody has read: ``customer`` or ``staff``."""
    _ephemeral(conversation, "read", by=by, seq=seq)


def show(moments: Sequence[Moment], *, sender: str = "") -> None:
    """Send several moments by one round trip; ``type`` of the groups' message is ``chat.typing`` or ``chat.read``."""
    news, groups = [], []
    for each in moments:
        at = each.public_id.hex
        news.append({"from": sender, "at": at, "kind": each.kind, **each.facts})
        message = {"type": f"chat.{each.kind}", "conversation": at, **each.facts}
        groups.append((f"chat.{at}", message))
        if each.kind == "typing" and each.facts["who"] == "customer":
            groups.append((f"desk.{each.scope_id}", message))
    if news:
        _send(news, groups)


def _ephemeral(conversation: Conversation, kind: str, **facts: Any) -> None:
    show([Moment(conversation.public_id, conversation.scope_id, kind, facts)])


def _send(news: Sequence[Mapping[str, Any]], groups: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Publish to sockets of customers and to groups of Channels.

    The layer's own ``group_send`` wants an event loop and a connection for each; most callers are ordinary threads, so
    this writes what the layer would write.
    """
    layer = get_channel_layer()
    prefix = layer._kwargs["prefix"]
    try:
        with valkey.client().pipeline(transaction=False) as pipe:
            for each in news:
                pipe.publish(wire(), json.dumps(each))
            for group, message in groups:
                pipe.publish(f"{prefix}__group__{group}", layer.serialize(dict(message)))
            pipe.execute()
    except valkey.Unavailable:
        hints_lost.inc(len(news))


def view(conversation: Conversation, *, user_id: int, name: str, doing: str = "viewing") -> None:
    """Note that a member of staff looks at a conversation; forgotten after :data:`VIEWER_SECONDS` unless repeated.

    Args:
        doing: ``viewing`` or ``typing``.
    """
    key = _viewers_key(conversation.public_id)
    try:
        seconds, _micro = valkey.client().time()
        with valkey.client().pipeline(transaction=False) as pipe:
            pipe.hset(key, str(user_id), json.dumps({"name": name, "doing": doing, "at": seconds}))
            pipe.expire(key, VIEWER_SECONDS)
            pipe.execute()
    except valkey.Unavailable:
        hints_lost.inc()
        return
    _ephemeral(conversation, "presence", user=user_id, doing=doing)


def leave(conversation: Conversation, *, user_id: int) -> None:
    """Note that a member of staff looks no more."""
    try:
        valkey.client().hdel(_viewers_key(conversation.public_id), str(user_id))
    except valkey.Unavailable:
        hints_lost.inc()
        return
    _ephemeral(conversation, "presence", user=user_id, doing="left")


def viewers(conversation: Conversation) -> dict[int, dict[str, Any]]:
    """Who looks at a conversation now: name and what they do, by the key of the person. Empty if nobody can tell."""
    try:
        server = valkey.client()
        seconds, _micro = server.time()
        found = server.hgetall(_viewers_key(conversation.public_id))
    except valkey.Unavailable:
        return {}
    rows = {int(key): json.loads(value) for key, value in found.items()}
    return {
        key: {"name": row["name"], "doing": row["doing"]}
        for key, row in rows.items()
        if row["at"] > seconds - VIEWER_SECONDS
    }


def _viewers_key(public_id: UUID) -> str:
    return f"riskdesk:chat:viewers:{public_id.hex}"
