"""How a subscription stands: name, status, next renewal; nothing of balances, scores or ways of paying."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.utils import formats
from django.utils.translation import gettext as _

from apps.chat.models import ChatSite
from apps.subscriptions.models import RenewalAttempt, Subscription

SHORTEST = 8
"""Characters of the number that must be given; letters and mails show its beginning."""
_FIND = """
    SELECT s.key, u.email FROM (
        SELECT id, owner_id, ('x' || substr(replace(id::text, '-', ''), 1, 15))::bit(60)::bigint AS key
        FROM subscriptions_subscription WHERE id >= %s AND id <= %s ORDER BY id LIMIT 20
    ) s JOIN core_user u ON u.id = s.owner_id WHERE u.is_active AND u.email <> ''
"""


@dataclass(frozen=True, slots=True)
class Found:
    """How a subscription stands, in words for the customer."""

    number: str
    text: str
    fresh: bool
    known_at: datetime
    contact: str


def key_of(subscription: UUID) -> int:
    """A number for a subscription that fits a column of whole numbers: its first sixty bits."""
    return subscription.int >> 68


def bounds(reference: str) -> tuple[UUID, UUID]:
    """The first and the last number that begin as the given one; of what is no number, a range that holds none."""
    bare = reference.replace("-", "")
    if not SHORTEST <= len(bare) <= 32 or any(char not in "0123456789abcdef" for char in bare):
        return UUID(int=1), UUID(int=0)
    return UUID(bare.ljust(32, "0")), UUID(bare.ljust(32, "f"))


def candidates(site: ChatSite, reference: str) -> list[tuple[int, str]]:
    """Subscriptions with a number, or its beginning, as keys and their owners' addresses."""
    with connection.cursor() as cursor:
        cursor.execute(_FIND, list(bounds(reference)))
        return [(int(key), str(email)) for key, email in cursor.fetchall()]


def _of(key: int) -> Subscription | None:
    low, high = UUID(int=key << 68), UUID(int=(key << 68) | ((1 << 68) - 1))
    found: Subscription | None = Subscription.objects.filter(id__gte=low, id__lte=high).select_related("owner").first()
    return found


def address_of(key: int) -> str:
    """The address of a subscription's owner."""
    found = _of(key)
    return found.owner.email if found else ""


def status(key: int, now: datetime) -> Found | None:
    """How a subscription stands."""
    found = _of(key)
    if found is None:
        return None
    facts = {"name": found.name, "day": formats.date_format(found.renews_on, _("j F Y"))}
    words = {
        Subscription.Status.ACTIVE.value: _("Your subscription “%(name)s” is active. It renews on %(day)s."),
        Subscription.Status.PAUSED.value: _("Your subscription “%(name)s” is paused."),
        Subscription.Status.CANCELLED.value: _("Your subscription “%(name)s” was cancelled."),
        Subscription.Status.EXPIRED.value: _("Your subscription “%(name)s” has expired."),
    }[found.status] % facts
    last = RenewalAttempt.objects.filter(subscription=found).order_by("-attempt_date").values_list("success", flat=True)
    if found.status == Subscription.Status.ACTIVE and last.first() is False:
        words += " " + _("The last renewal could not be charged; please check your way of paying.")
    return Found(str(found.pk)[:8], words, True, found.updated_at, found.owner.email)
