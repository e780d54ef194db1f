"""Taking in what was asked for and must not stand in the transcript: e-mail addresses, phone numbers and one-time codes.

Messages are redacted before they are stored, so the bot could not read these from them. What is heard here is kept encrypted
in the conversation's :class:`~apps.chat.models.Dialogue`, only where it was asked for or a lookup begins with it, and is
deleted as soon as it was used.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta

from apps.chat.bot.owing import TALKING
from apps.chat.bot.wishes import wants_lookup
from apps.chat.models import Conversation, Dialogue
from apps.core.sensitive.contacts import find_emails, find_phones

PATIENCE = timedelta(minutes=30)
"""How long an answer is waited for."""
CONTACT, CODE, NUMBER, FIELD_CONTACT = "contact", "code", "number", "requester_contact"
_MAYBE = re.compile(r"@|\d(?:[\s-]?\d){4}")
_CODE = re.compile(r"(?<![\w-])\d(?:[ -]?\d){5}(?![\w-])", re.ASCII)
CODE_MASK = "[security code]"


def may_matter(conversation: Conversation, text: str) -> bool:
    """Whether a text may hold one of these, and the bot could have asked for it. Asks no database."""
    return conversation.state in TALKING and bool(_MAYBE.search(text))


def heard(conversation: Conversation, text: str, now: datetime) -> str:
    """Take in what a customer's message says of these, and return the text that may be redacted and stored.

    Called while holding the conversation's row lock.
    """
    dialogue = Dialogue.objects.filter(
        conversation=conversation, context=conversation.context, expires_at__gt=now
    ).first()
    asking = dialogue.asking if dialogue else ""
    if asking == CODE and (code := _CODE.search(text)):
        _keep(conversation, {"code": re.sub(r"\D", "", code.group())}, now)
        return _CODE.sub(CODE_MASK, text)
    contact = _contact(text, phones=asking == FIELD_CONTACT)
    if contact and (asking in (CONTACT, NUMBER, FIELD_CONTACT) or (not asking and wants_lookup(text))):
        _keep(conversation, {"contact": contact}, now)
    return text


def _contact(text: str, *, phones: bool) -> str:
    """The first address that a text holds, otherwise, if that will do, the first phone number."""
    spans = [*find_emails(text), *(find_phones(text) if phones else ())]
    return text[spans[0].start : spans[0].end].strip() if spans else ""


def _keep(conversation: Conversation, found: dict[str, str], now: datetime) -> None:
    dialogue, _ = Dialogue.objects.get_or_create(
        conversation=conversation, defaults={"context": conversation.context, "expires_at": now + PATIENCE}
    )
    if dialogue.expires_at <= now or dialogue.context != conversation.context:
        dialogue.matter, dialogue.asking, dialogue.known, dialogue.heard, dialogue.tries = "", "", {}, "", 0
    dialogue.context, dialogue.expires_at = conversation.context, now + PATIENCE
    dialogue.heard = json.dumps(what_was_heard(dialogue) | found)
    dialogue.save()


def what_was_heard(dialogue: Dialogue | None) -> dict[str, str]:
    """The answers kept so far, by kind."""
    return dict(json.loads(dialogue.heard)) if dialogue and dialogue.heard else {}


def forget(now: datetime) -> int:
    """Delete what was kept for answers that did not come. Returns of how many conversations."""
    return int(Dialogue.objects.filter(expires_at__lte=now).delete()[0])
