"""Opening a browser's session and finding it again by its token.

The browser chooses a random key and asks with it as often as it likes: it gets the same session, the same token and the
same conversation. The token is derived from that key, so it can be given again though only its digest is kept.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils.crypto import salted_hmac
from django.utils.translation import get_supported_language_variant

from apps.chat import identity as identities
from apps.chat.identity import Identity
from apps.chat.models import ChatSession, ChatSite, Conversation, Visitor
from apps.chat.origins import may_speak
from apps.chat.refusals import IdentityChanged, NoSuchSite, OriginRefused, SessionOver

LIFETIME = timedelta(days=30)
"""Since it was last used."""
NOTED_EVERY = timedelta(hours=1)
TOKEN_LENGTH = 43


@dataclass(frozen=True, slots=True)
class Opened:
    """A session with its token, which is to be had only with the browser's key."""

    session: ChatSession
    token: str
    conversation: Conversation


def site_of(key: str) -> ChatSite:
    """The site of a key.

    Raises:
        NoSuchSite: there is none, or it is out of use.
    """
    found = ChatSite.objects.filter(key=key, is_active=True).first()
    if found is None:
        raise NoSuchSite
    return found


def open_session(
    *,
    site_key: str,
    client_key: UUID,
    identity: str,
    language: str,
    origin: str,
    now: datetime,
    host: str = "",
) -> Opened:
    """Open a browser's session, or give it again.

    Args:
        identity: signed by the page's server; empty for visitors it does not know.
        language: of the page, such as ``de-AT``; the site's where we do not speak it.
        origin: of the page; empty for programs that are no browser.
        host: by which the server was asked; pages of its own may always show the chat.

    Raises:
        NoSuchSite, OriginRefused, IdentityRefused: of the arguments.
        IdentityChanged: the key's session belongs to another visitor, or to one whom the page names no more.
    """
    site = site_of(site_key)
    if origin and not may_speak(site, origin, host):
        raise OriginRefused
    known = identities.read(site.identity_secret, identity, now) if identity else None
    return _open(site, client_key, known, spoken(language, site), now)


@transaction.atomic
def _open(site: ChatSite, client_key: UUID, known: Identity | None, language: str, now: datetime) -> Opened:
    token = token_for(site, client_key)
    sessions = ChatSession.objects.select_for_update(of=("self",)).select_related("visitor", "conversation")
    session = sessions.filter(site=site, client_key=client_key).first()
    if session is None:
        fresh = ChatSession(site=site, client_key=client_key, created_at=now, seen_at=now, expires_at=now + LIFETIME)
        fresh.token_digest = digest_of(token)
        fresh.visitor = _visitor(site, known, language, now)
        # Two tabs may ask at once; the one that comes second finds the other's row.
        ChatSession.objects.bulk_create([fresh], ignore_conflicts=True)
        session = sessions.get(site=site, client_key=client_key)
        if session.visitor_id != fresh.visitor_id and known is None:
            fresh.visitor.delete()
    _belongs(session, known, now)
    session.token_digest = digest_of(token)  # another one only after SECRET_KEY was exchanged
    session.conversation = session.conversation or _conversation(session, language, now)
    session.seen_at, session.expires_at, session.ended_at = now, now + LIFETIME, None
    session.save(update_fields=["token_digest", "conversation", "seen_at", "expires_at", "ended_at"])
    session.site = site
    return Opened(session, token, session.conversation)


def token_for(site: ChatSite, client_key: UUID) -> str:
    """The token of a browser's key."""
    raw = salted_hmac("riskdesk.chat.session", f"{site.pk}:{client_key.hex}", algorithm="sha256").digest()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def digest_of(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def session_of(token: str, now: datetime, *, site_key: str = "") -> ChatSession:
    """The session that a token opens, with site, visitor and conversation; notes now and then that it was used.

    Args:
        site_key: of the address that was asked; a token of another site is no token there. Empty: any site.

    Raises:
        SessionOver: none, ended or expired; its site is out of use; its visitor was erased.
    """
    session = sessions_of([token], now).get(token)
    if session is None or (site_key and session.site.key != site_key):
        raise SessionOver
    note_use([session], now)
    return session


def sessions_of(tokens: Iterable[str], now: datetime) -> dict[str, ChatSession]:
    """The living sessions of several tokens, by one query."""
    digests = {digest_of(token): token for token in tokens if len(token) == TOKEN_LENGTH}
    rows = ChatSession.objects.select_related("site", "visitor", "conversation").filter(
        token_digest__in=list(digests),
        ended_at=None,
        expires_at__gt=now,
        site__is_active=True,
        visitor__erased_at=None,
        conversation__isnull=False,
    )
    return {digests[bytes(row.token_digest)]: row for row in rows}


def note_use(sessions: Iterable[ChatSession], now: datetime) -> None:
    """Move the end of sessions that are in use, at most once an hour for each."""
    due = sorted({each.pk for each in sessions if each.seen_at < now - NOTED_EVERY})
    if due:
        ChatSession.objects.filter(pk__in=due).update(seen_at=now, expires_at=now + LIFETIME)


def end_session(session: ChatSession, now: datetime) -> None:
    """Its token opens nothing any more, such as when the page's user signs out."""
    ChatSession.objects.filter(pk=session.pk, ended_at=None).update(ended_at=now)


def spoken(language: str, site: ChatSite) -> str:
    """The language of ours that fits best, else the site's."""
    try:
        return get_supported_language_variant(language[:20])
    except LookupError:
        return site.language


def _visitor(site: ChatSite, known: Identity | None, language: str, now: datetime) -> Visitor:
    if known is None:
        return Visitor.objects.create(site=site, language=language, created_at=now, seen_at=now)
    facts = {"name": known.name, "email": known.email, "language": language, "seen_at": now}
    visitor, _made = Visitor.objects.update_or_create(
        site=site, external_id=known.id, defaults=facts, create_defaults=facts | {"created_at": now}
    )
    return visitor


def _belongs(session: ChatSession, known: Identity | None, now: datetime) -> None:
    """See to it that the session is of this visitor: nobody gets the conversation of who sat here before.

    An anonymous visitor who signs in keeps the conversation, unless the page's user has conversations of their own
    already; then the browser starts anew with those.
    """
    visitor = session.visitor
    if visitor.erased_at is not None:
        raise IdentityChanged
    if not visitor.external_id and known is None:
        return
    if known is None or (visitor.external_id and visitor.external_id != known.id):
        raise IdentityChanged
    if not visitor.external_id and Visitor.objects.filter(site=session.site_id, external_id=known.id).exists():
        raise IdentityChanged
    visitor.external_id, visitor.seen_at = known.id, now
    visitor.name, visitor.email = known.name or visitor.name, known.email or visitor.email
    visitor.save(update_fields=["external_id", "seen_at", "name", "email"])


def _conversation(session: ChatSession, language: str, now: datetime) -> Conversation:
    """The one that a known visitor has already, on whatever device; otherwise a new one."""
    visitor = session.visitor
    if visitor.external_id:
        mine = Conversation.objects.filter(visitor=visitor, cleared_at=None).order_by("-last_event_at").first()
        if mine is not None:
            return mine
    site = session.site
    return Conversation.objects.create(
        site=site, scope_id=site.scope_id, visitor=visitor, language=language, opened_at=now, last_event_at=now
    )
