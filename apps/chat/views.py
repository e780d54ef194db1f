"""What the widget asks over HTTP; the same as over its socket, so that it works where sockets do not."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import FileResponse, HttpRequest, JsonResponse
from django.utils import timezone

from apps.chat import live, ratings, transcripts, uploads
from apps.chat.bot.owing import still_writing
from apps.chat.config import config_of, status_for
from apps.chat.doors import body_of, data_in, for_session, for_site, text_in, uuid_in, whole_in
from apps.chat.marks import mark
from apps.chat.models import ChatSession, ChatSite, Conversation, Event
from apps.chat.reading import PAGE, news_after, shown
from apps.chat.refusals import BadRequest, ConversationNotFound
from apps.chat.saying import say
from apps.chat.sessions import open_session

POLL_MS, QUIET_POLL_MS = 2_000, 8_000
"""When a widget without a socket asks again: after news, and after none."""


@for_site(methods="GET", limit="chat_address", tells=True)  # "not here" differs from a server that is away
def config(request: HttpRequest, site: ChatSite) -> JsonResponse:
    """How the site's chat looks and greets; needed before anybody writes."""
    return JsonResponse(config_of(site))


@for_site(methods="POST", limit="chat_sessions")
def session(request: HttpRequest, site: ChatSite) -> JsonResponse:
    """Open a session, or give it again: ``{client_key, identity?, language?}``."""
    body = body_of(request)
    opened = open_session(
        site_key=site.key,
        client_key=uuid_in(body, "client_key"),
        identity=text_in(body, "identity", longest=4_000),
        language=text_in(body, "language", longest=40),
        origin=request.headers.get("Origin", ""),
        host=request.headers.get("Host", ""),
        now=timezone.now(),
    )
    conversation = opened.conversation
    return JsonResponse(
        {
            "token": opened.token,
            "conversation": conversation.public_id.hex,
            "seq": conversation.seq,
            "state": conversation.state,
            "config": config_of(site),
            "visitor": {"name": opened.session.visitor.name, "email": opened.session.visitor.email},
        }
    )


@for_session(methods="GET", limit="chat_reads")
def events(request: HttpRequest, session: ChatSession) -> JsonResponse:
    """Events after a seq: ``?after=N``."""
    given = request.GET.get("after", "0")
    if not given.isdecimal() or len(given) > 9:
        raise BadRequest
    pk, now = _conversation(session).pk, timezone.now()
    news = news_after({pk: int(given)})[pk]
    if news.events:
        mark({pk: news.seq}, "got")
    answer: dict[str, Any] = {"after": int(given), "events": news.events, "seq": max(news.seq, 0), "last": news.last}
    answer |= {"state": news.state, "staff_read_seq": news.staff_read_seq, "status": _status(session, news.state, now)}
    answer["poll_after_ms"] = 0 if news.seq < news.last else POLL_MS if news.events else QUIET_POLL_MS
    return JsonResponse(answer | {"page": PAGE})


@for_session(methods="POST", limit="chat_messages")
def messages(request: HttpRequest, session: ChatSession) -> JsonResponse:
    """Say something: ``{client_msg_id, text, reply_to?, data?}``. The same id again stores nothing."""
    body = body_of(request)
    said = say(
        conversation_id=_conversation(session).pk,
        author=Event.Author.CUSTOMER,
        text=text_in(body, "text"),
        client_id=uuid_in(body, "client_msg_id"),
        data={**data_in(body), "via": "http"},
        now=timezone.now(),
        session_id=session.pk,
    )
    answer = {"client_msg_id": str(said.event.client_id), "seq": said.event.seq, "event": shown(said.event)}
    return JsonResponse(answer, status=200 if said.repeated else 201)


@for_session(methods="POST", limit="chat_reads")
def read(request: HttpRequest, session: ChatSession) -> JsonResponse:
    """Note how far the customer has read: ``{seq}``."""
    seq = whole_in(body_of(request), "seq")
    for row in mark({_conversation(session).pk: seq}, "read"):
        live.read(row, by="customer", seq=row.customer_read_seq)
    return JsonResponse({})


@for_session(methods="POST", limit="chat_reads")
def typing(request: HttpRequest, session: ChatSession) -> JsonResponse:
    """Show or hide that the customer is writing: ``{on}``."""
    on = body_of(request).get("on")
    if not isinstance(on, bool):
        raise BadRequest
    live.typing(_conversation(session), who="customer", name=session.visitor.name, on=on)
    if on:
        still_writing(_conversation(session).pk, timezone.now())
    return JsonResponse({})


@for_session(methods="POST", limit="chat_rarely")
def rating(request: HttpRequest, session: ChatSession) -> JsonResponse:
    """Rate the conversation: ``{score, comment?}``."""
    body = body_of(request)
    rated = ratings.rate(
        conversation_id=_conversation(session).pk,
        score=whole_in(body, "score"),
        comment=text_in(body, "comment"),
        now=timezone.now(),
        session_id=session.pk,
    )
    return JsonResponse({"score": rated.score})


@for_session(methods="POST", limit="chat_rarely")
def end(request: HttpRequest, session: ChatSession) -> JsonResponse:
    """End the conversation: ``{helped?}``."""
    helped = body_of(request).get("helped", False)
    if not isinstance(helped, bool):
        raise BadRequest
    ended = ratings.end(conversation_id=_conversation(session).pk, helped=helped, now=timezone.now())
    return JsonResponse({"state": ended.state, "seq": ended.seq})


@for_session(methods="POST", limit="chat_files")
def files(request: HttpRequest, session: ChatSession) -> JsonResponse:
    """Send a file: a form with ``file`` and ``client_msg_id``."""
    file = request.FILES.get("file")
    if file is None or len(request.FILES) > 1:
        raise BadRequest
    received = uploads.receive(
        conversation_id=_conversation(session).pk,
        file=file,
        client_id=uuid_in(request.POST.dict(), "client_msg_id"),
        now=timezone.now(),
        session_id=session.pk,
    )
    event = received.event
    answer = {"client_msg_id": str(event.client_id), "seq": event.seq, "event": shown(event)}
    return JsonResponse(answer, status=200 if received.repeated else 201)


@for_session(methods="GET", limit="chat_reads")
def file(request: HttpRequest, session: ChatSession, public_id: UUID) -> FileResponse:
    """A file of the session's own conversation."""
    return uploads.handed_out(uploads.upload_of(_conversation(session), public_id))


@for_session(methods="POST", limit="chat_transcripts")
def transcript(request: HttpRequest, session: ChatSession) -> JsonResponse:
    """Have the conversation sent by e-mail: ``{email}``. The answer is the same whether or not the address exists."""
    address = text_in(body_of(request), "email", longest=254)
    transcripts.ask(conversation=_conversation(session), address=address, now=timezone.now(), session_id=session.pk)
    return JsonResponse({}, status=202)


def _conversation(session: ChatSession) -> Conversation:
    if session.conversation is None:
        raise ConversationNotFound
    return session.conversation


def _status(session: ChatSession, state: str, now: datetime) -> dict[str, Any]:
    conversation = _conversation(session)
    conversation.state = state
    return status_for(conversation, now)
