"""Sending customers the transcript of their conversation.

Whoever has a session may name any address, so this must be no way to send strangers what one likes: few mails go to one
address, and links in what the customer wrote are taken out.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext, override

from apps.chat.models import Conversation, Event, TranscriptMail
from apps.chat.reading import shown
from apps.chat.refusals import BadRequest, WrongState
from apps.chat.saying import locked, still_open
from apps.core.notifications import backoff, is_permanent
from apps.core.ratelimit import spend

logger = structlog.get_logger(__name__)
MAX_ATTEMPTS = 6
CLAIM = timedelta(minutes=5)
MOST_EVENTS = 2_000
Status = TranscriptMail.Status
_LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)


def ask(*, conversation: Conversation, address: str, now: datetime, session_id: int | None = None) -> TranscriptMail:
    """Have the present transcript sent.

    Raises:
        BadRequest: this is no address.
        WrongState: nothing was said yet.
        TooManyRequests: enough was sent to this address lately.
        SessionOver: the session by which it was asked for ended meanwhile.
    """
    try:
        validate_email(address)
    except ValidationError:
        raise BadRequest from None
    seq = Conversation.objects.values_list("seq", flat=True).get(pk=conversation.pk)
    if not seq:
        raise WrongState
    spend("chat_transcripts_to", address.lower())
    with transaction.atomic():
        locked(conversation.pk)
        still_open(session_id)
        mail = TranscriptMail.objects.create(
            conversation=conversation, address=address, up_to_seq=seq, next_attempt_at=now, created_at=now
        )
        transaction.on_commit(partial(_hand_out), robust=True)
    return mail


def _hand_out() -> None:
    from apps.chat.tasks import mail_transcripts  # the tasks call this module

    mail_transcripts.delay()


def send_due(now: datetime) -> int:
    """Send what is due; returns how many were sent. A mail that fails for a while is tried again later."""
    sent = 0
    while (mail := _claim(now)) is not None:
        try:
            written(mail).send()
        except OSError as error:  # SMTP's errors are among these
            _failed(mail, error, now)
        else:
            _finish(mail, Status.SENT, now)
            sent += 1
    return sent


def written(mail: TranscriptMail) -> EmailMessage:
    """The mail: words between customer and company, in the conversation's language, without private notes."""
    conversation = Conversation.objects.select_related("site").get(pk=mail.conversation_id)
    events = conversation.events.said().filter(seq__lte=mail.up_to_seq).select_related("user").order_by("seq")
    with override(conversation.language):
        lines = [_line(conversation, each) for each in events[:MOST_EVENTS]]
        subject = gettext("Your conversation with %(name)s") % {"name": conversation.site.name}
        intro = gettext("This is what was said, as you asked for. Times are in UTC.")
    body = "\n\n".join([intro, *lines])
    headers = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}
    return EmailMessage(subject=" ".join(subject.split()), body=f"{body}\n", to=[mail.address], headers=headers)


def _line(conversation: Conversation, event: Event) -> str:
    own = event.author == Event.Author.CUSTOMER
    who = gettext("You") if own else shown(event)["name"] or conversation.site.name
    words = _LINK.sub(gettext("[link]"), event.text) if own else event.text
    cards = [] if own else [f"{card['title']}: {card['url']}" for card in event.data.get("articles", [])]
    return "\n".join([f"{event.at:%Y-%m-%d %H:%M} {who}:", words, *cards])


def _claim(now: datetime) -> TranscriptMail | None:
    """Take one for us; if we die, it is due again when the claim ends."""
    with transaction.atomic():
        due = TranscriptMail.objects.filter(status=Status.DUE, next_attempt_at__lte=now)
        mail = due.select_for_update(skip_locked=True).order_by("next_attempt_at").first()
        if mail is not None:
            mail.attempts, mail.next_attempt_at = mail.attempts + 1, now + CLAIM
            mail.save(update_fields=["attempts", "next_attempt_at"])
    return mail


def _failed(mail: TranscriptMail, error: Exception, now: datetime) -> None:
    mail.error = type(error).__name__[:200]  # the server's words often name the address
    logger.warning("transcript_failed", mail=mail.pk, attempts=mail.attempts, error=mail.error)
    if is_permanent(error) or mail.attempts >= MAX_ATTEMPTS:
        _finish(mail, Status.FAILED, now)
        return
    mail.next_attempt_at = now + backoff(mail.attempts)
    mail.save(update_fields=["error", "next_attempt_at"])


def _finish(mail: TranscriptMail, status: str, now: datetime) -> None:
    mail.status, mail.finished_at, mail.address = status, now, ""
    mail.save(update_fields=["status", "finished_at", "address", "error"])
