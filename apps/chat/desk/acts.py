"""What is done on the desk. One address for each act; the body says what was seen and what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone

from apps.chat import conversations, handoff_ratings, live
from apps.chat.binding import called, seen_by
from apps.chat.desk import offers
from apps.chat.desk.doors import answers, body_of
from apps.chat.desk.pane import news
from apps.chat.desk.ticketing import to_ticket
from apps.chat.models import Conversation
from apps.chat.refusals import BadRequest, CannotGive, NoSuchAct
from apps.core.models import User
from apps.escalation.models import Team

Body = Mapping[str, Any]
Act = Callable[[Conversation, User, Body, datetime], None]
MAX_INT = 2**31 - 1


@answers("POST")
def act(user: User, request: HttpRequest, public_id: UUID, what: str) -> Mapping[str, Any]:
    """Do one of :data:`ACTS`, and answer with the news since ``after``.

    Raises:
        NoSuchAct: there is none of this name.
        DomainError: it was refused; nothing was done.
    """
    if what not in ACTS:
        raise NoSuchAct
    conversation, body, now = seen_by(user, public_id), body_of(request), timezone.now()
    ACTS[what](conversation, user, body, now)
    # A conversation that was given to another team may be out of sight now.
    still = Conversation.objects.visible_to(user).filter(pk=conversation.pk).exists()
    if not still:
        return {"gone": True}
    return news(seen_by(user, public_id), user, _number(body, "after") or 0, now)


def _take(conversation: Conversation, user: User, body: Body, now: datetime) -> None:
    conversations.take(conversation.pk, user, _seen(body), now)


def _reply(conversation: Conversation, user: User, body: Body, now: datetime) -> None:
    asked = body.get("articles")
    cards = offers.cards(asked) if isinstance(asked, list) else []
    data: dict[str, object] = {"articles": cards} if cards else {}
    conversations.reply(conversation.pk, user, text=_text(body), client_id=_client_id(body), now=now, data=data)
    live.typing(conversation, who="agent", name=called(user), on=False)


def _note(conversation: Conversation, user: User, body: Body, now: datetime) -> None:
    conversations.note(conversation.pk, user, text=_text(body), client_id=_client_id(body), now=now)


def _assign(conversation: Conversation, user: User, body: Body, now: datetime) -> None:
    conversations.assign(
        conversation.pk, user, to=_person(body), seen_version=_seen(body), now=now, why=_text(body, "why")
    )


def _transfer(conversation: Conversation, user: User, body: Body, now: datetime) -> None:
    to = _team(body) if body.get("team") is not None else _person(body)
    conversations.transfer(conversation.pk, user, to=to, why=_text(body, "why"), seen_version=_seen(body), now=now)


def _resolve(conversation: Conversation, user: User, body: Body, now: datetime) -> None:
    conversations.resolve(conversation.pk, user, seen_version=_seen(body), now=now)


def _ticket(conversation: Conversation, user: User, body: Body, now: datetime) -> None:
    to_ticket(conversation.pk, user, seen_version=_seen(body), now=now)


def _reopen(conversation: Conversation, user: User, body: Body, now: datetime) -> None:
    conversations.reopen(conversation.pk, user, _seen(body), now)


def _read(conversation: Conversation, user: User, body: Body, now: datetime) -> None:
    seq = _number(body, "seq")
    if seq is None:
        raise BadRequest
    if conversations.read(conversation.pk, user, seq):
        live.read(conversation, by="staff", seq=seq)


def _rate(conversation: Conversation, user: User, body: Body, now: datetime) -> None:
    handoff, useful, missing = _number(body, "handoff"), body.get("useful"), body.get("missing", [])
    if handoff is None or not isinstance(useful, bool) or not isinstance(missing, list):
        raise BadRequest
    handoff_ratings.rate(
        handoff, user, useful=useful, missing=[str(one) for one in missing], comment=_text(body, "comment"), now=now
    )


ACTS: Mapping[str, Act] = {
    "take": _take, "reply": _reply, "note": _note, "assign": _assign, "transfer": _transfer, "resolve": _resolve,
    "ticket": _ticket, "reopen": _reopen, "read": _read, "rate": _rate,
}  # fmt: skip


def _text(body: Body, name: str = "text") -> str:
    found = body.get(name, "")
    if not isinstance(found, str):
        raise BadRequest
    return found


def _number(body: Body, name: str) -> int | None:
    found = body.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= MAX_INT:
        raise BadRequest
    return found


def _seen(body: Body) -> int:
    """The version that was seen: no act of the desk goes without.

    Raises:
        BadRequest: it is missing.
    """
    seen = _number(body, "version")
    if seen is None:
        raise BadRequest("The version that was seen is missing.")
    return seen


def _client_id(body: Body) -> UUID:
    try:
        return UUID(_text(body, "client_id"))
    except ValueError:
        raise BadRequest("The client_id is missing.") from None


def _person(body: Body) -> User:
    found = User.objects.filter(pk=_number(body, "person") or 0, is_active=True).first()
    if found is None:
        raise CannotGive
    return found


def _team(body: Body) -> Team:
    found = Team.objects.filter(pk=_number(body, "team") or 0).first()
    if found is None:
        raise CannotGive
    return found
