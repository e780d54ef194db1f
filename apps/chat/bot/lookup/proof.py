"""Proving that an order or a subscription is somebody's: its number, the e-mail address on it, and a code mailed there.

Whatever the details are, right, wrong or made up, the same is done and said, and the mail goes out later from a task; so
neither words nor times tell what exists. A code that cannot be right takes as many attempts as one that could be.

The code is derived from the row with the site's secret key, so that a mail that was lost is sent again with the same code,
and no code stands in a queue or a table.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from enum import StrEnum

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q
from django.utils import translation
from django.utils.translation import gettext as _

from apps.chat.bot import metrics
from apps.chat.bot.language import base
from apps.chat.bot.lookup import orders, subscriptions
from apps.chat.models import ChatSite, Conversation, Verification

logger = structlog.get_logger(__name__)

VALID = timedelta(minutes=10)
"""How long a code is taken."""
HOLDS = timedelta(minutes=30)
"""How long a proof counts, in the same context of the conversation."""
ATTEMPTS = 5
"""Codes that may be tried for one proof."""
HOUR = timedelta(hours=1)
MOST = {"conversation": 3, "contact": 5, "reference": 5}
"""Proofs that may be begun within an hour, by conversation, address and number."""
Matter = Verification.Matter


class Checked(StrEnum):
    """What became of a code."""

    RIGHT = "right"
    WRONG = "wrong"
    ENDED = "ended"


def digest(kind: str, value: str) -> bytes:
    """Tells values apart without keeping them."""
    return hmac.new(settings.SECRET_KEY.encode(), f"chat-{kind}:{value}".encode(), hashlib.sha256).digest()


def plain_reference(reference: str) -> str:
    """A number as it is compared: without signs around it, in lower case."""
    return reference.strip().strip("#").casefold()


def plain_contact(contact: str) -> str:
    return contact.strip().casefold()


def too_many(conversation: Conversation, reference: str, contact: str, now: datetime) -> bool:
    """Whether another proof may not be begun now; whether there is anything to prove plays no part."""
    recent = Verification.objects.filter(created_at__gt=now - HOUR)
    counts = {
        "conversation": Q(conversation=conversation),
        "contact": Q(contact_digest=digest("contact", plain_contact(contact))),
        "reference": Q(reference_digest=digest("reference", plain_reference(reference))),
    }
    return any(recent.filter(condition).count() >= MOST[name] for name, condition in counts.items())


@transaction.atomic
def begin(conversation: Conversation, matter: str, reference: str, contact: str, now: datetime) -> Verification:
    """Begin a proof; its code is made and mailed after commit. Called while holding the conversation's row lock."""
    Verification.objects.filter(conversation=conversation, ended_at=None).update(ended_at=now)
    found = subject(conversation.site, matter, reference, contact)
    row = Verification(
        conversation=conversation,
        context=conversation.context,
        matter=matter,
        subject_id=found,
        reference_digest=digest("reference", plain_reference(reference)),
        contact_digest=digest("contact", plain_contact(contact)),
        created_at=now,
        expires_at=now + VALID,
    )
    row.code_digest = digest("code", code_of(row))
    row.save(force_insert=True)
    transaction.on_commit(lambda: _hand_out(row.pk), robust=True)
    return row


def subject(site: ChatSite, matter: str, reference: str, contact: str) -> int | None:
    """What a number and an address belong to, if to the same thing; compared so that the time tells nothing."""
    find = orders.candidates if matter == Matter.ORDER else subscriptions.candidates
    wanted, found = digest("contact", plain_contact(contact)), None
    rows = find(site, plain_reference(reference))
    # At least one comparison is made, so that a number that exists costs no more than one that does not.
    for key, address in rows or [(0, "nobody")]:
        if hmac.compare_digest(digest("contact", plain_contact(address)), wanted) and rows:
            found = key
    return found


def code_of(row: Verification) -> str:
    """The six digits of a proof."""
    facts = f"{row.conversation_id}:{row.created_at.isoformat()}:{bytes(row.reference_digest).hex()}"
    return f"{int.from_bytes(digest('one-time', facts)[:8]) % 1_000_000:06}"


def _hand_out(key: int) -> None:
    from apps.chat.tasks import send_code  # not at the top: the tasks call this module

    send_code.delay(key)


def send(key: int, now: datetime) -> bool:
    """Mail a proof's code to the address on the order or subscription, if there is one, and note that it was made.

    Whoever dies between the two sends the same code again.

    Returns:
        Whether there is nothing left to do. A mail that failed is tried again by the next look, while its code is valid.
    """
    row = Verification.objects.select_related("conversation__site").filter(pk=key, coded_at=None, ended_at=None).first()
    if row is None or row.expires_at <= now:
        return True
    if row.subject_id is not None:
        address = (orders if row.matter == Matter.ORDER else subscriptions).address_of(row.subject_id)
        if address and not _mail(row, address):
            return False
    Verification.objects.filter(pk=key).update(coded_at=now)
    return True


def _mail(row: Verification, address: str) -> bool:
    site = row.conversation.site
    with translation.override(base(row.conversation.language)):
        subject_line = _("Your code for the chat with %(site)s") % {"site": site.name}
        body = _(
            "Your code is %(code)s. It is valid for %(minutes)s minutes.\n\n"
            "Somebody asked in our chat about an order or a subscription with this address. If that was not you, ignore "
            "this message, and give the code to nobody."
        ) % {"code": code_of(row), "minutes": int(VALID.total_seconds() // 60)}
    message = EmailMessage(" ".join(subject_line.split()), body, to=[address])
    try:
        message.send()
    except OSError as error:  # smtplib's errors are among them
        logger.warning("code_not_mailed", verification=row.pk, error=type(error).__name__)
        metrics.codes_total.labels("not_mailed").inc()
        return False
    metrics.codes_total.labels("mailed").inc()
    return True


def unsent(now: datetime, limit: int = 50) -> list[int]:
    """Proofs whose task was lost, or whose mail failed."""
    waiting = Verification.objects.filter(coded_at=None, ended_at=None, expires_at__gt=now)
    due = waiting.filter(created_at__lt=now - timedelta(seconds=5))
    return list(due.order_by("pk").values_list("pk", flat=True)[:limit])


@transaction.atomic
def check(conversation_id: int, code: str, now: datetime) -> Checked:
    """Try a code. The attempt counts whatever becomes of the answer."""
    rows = Verification.objects.select_for_update().filter(conversation=conversation_id, ended_at=None)
    row = rows.first()
    if row is None or row.expires_at <= now:
        if row:
            _end(row, now)
        return Checked.ENDED
    row.attempts += 1
    right = hmac.compare_digest(digest("code", code), bytes(row.code_digest)) and row.subject_id is not None
    if right:
        row.passed_at = now
    if right or row.attempts >= ATTEMPTS:
        row.ended_at = now
    row.save(update_fields=["attempts", "passed_at", "ended_at"])
    outcome = Checked.RIGHT if right else Checked.ENDED if row.ended_at else Checked.WRONG
    metrics.codes_total.labels(outcome).inc()
    return outcome


def _end(row: Verification, now: datetime) -> None:
    row.ended_at = now
    row.save(update_fields=["ended_at"])


def proven(conversation: Conversation, matter: str, now: datetime) -> Verification | None:
    """The latest proof that still counts in this context."""
    rows = Verification.objects.filter(conversation=conversation, context=conversation.context, matter=matter)
    return rows.filter(passed_at__gt=now - HOLDS, subject_id__isnull=False).order_by("-passed_at").first()
