"""What a team needs to know of a conversation that is handed to it: what is known already, and what is asked, one by one.

The fields are those that the category requires of a ticket, and those that agents said were missing in earlier hand-offs of
the category (:class:`~apps.chat.models.HandoffRating`).
"""

from __future__ import annotations

import re
from collections import Counter

from django.db.models import Q
from django.utils.translation import gettext as _

from apps.chat.bot import wishes
from apps.chat.bot.lookup import orders
from apps.chat.models import Conversation, Event, HandoffRating, Verification
from apps.escalation.models import Category

FIELDS = ("summary", "order_reference", "requester_name", "requester_contact")
"""Everything that can be asked, in the order in which it is."""
LAST_RATINGS, OFTEN = 20, 3
"""A field that so many of the last ratings of a category miss is asked from then on."""
ENOUGH_WORDS = 5
"""A message of so many words says what it is about."""
LONGEST = {"summary": 1_000, "order_reference": 100, "requester_name": 200, "requester_contact": 254}
_ORDER = re.compile(
    r"(?:\b(?:order|bestellung|bestellnummer|auftrag|order number|number|nummer|nr|no)\b[\s.:#-]{0,4}|#)"
    r"((?=[\w-]*\d)[A-Z0-9][A-Z0-9-]{2,40})",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"^(?:(?:hi|hello|hallo)[ ,]+)?(?:my name is|i am|i'm|this is|it's|ich heiße|ich bin|mein name ist|name:?)\s+",
    re.IGNORECASE,
)


def question(field: str) -> str:
    """How a field is asked for."""
    return {
        "summary": _("What is it about? A sentence or two help my colleagues."),
        "order_reference": _("What is the number of your order? If it is not about an order, say “skip”."),
        "requester_name": _("What is your name?"),
        "requester_contact": _("How can we reach you? Please give an e-mail address or a phone number."),
    }[field]


def label(field: str) -> str:
    """What the customer sees as the name of a field."""
    return {
        "summary": _("What it is about"),
        "order_reference": _("Order number"),
        "requester_name": _("Name"),
        "requester_contact": _("E-mail address or phone number"),
    }[field]


def needed(category: Category | None, *, contact: bool) -> list[str]:
    """Fields that a hand-off of a category needs, in the order in which they are asked.

    Args:
        contact: whether the customer has to be reached later, as where a ticket is made.
    """
    wanted = set(category.required_fields if category else ()) | _often_missed(category)
    wanted |= {"summary"} | ({"requester_contact"} if contact else set())
    return [field for field in FIELDS if field in wanted]


def _often_missed(category: Category | None) -> set[str]:
    ratings = HandoffRating.objects.filter(handoff__category=category).order_by("-at")
    counts = Counter(
        field for missing in ratings.values_list("missing", flat=True)[:LAST_RATINGS] for field in set(missing)
    )
    return {field for field, count in counts.items() if count >= OFTEN}


def known(conversation: Conversation, messages: list[str]) -> dict[str, str]:
    """What is known already, from the page's own word, earlier answers, proofs and the messages of this context."""
    visitor = conversation.visitor
    found = {"requester_name": visitor.name, "requester_contact": visitor.email}
    for text in messages:
        if order := order_number(text):
            found["order_reference"] = order
    if proof := _proven(conversation):
        found.setdefault("order_reference", _("the one proven in this chat"))
        # Who typed the code reads that mailbox, so it reaches them.
        found["requester_contact"] = found["requester_contact"] or orders.address_of(proof.subject_id or 0)
    found["summary"] = about(messages)
    return {field: value[: LONGEST[field]] for field, value in found.items() if value}


def _proven(conversation: Conversation) -> Verification | None:
    proofs = Verification.objects.filter(conversation=conversation, context=conversation.context, matter="order")
    return proofs.filter(passed_at__isnull=False).order_by("-passed_at").first()


def about(messages: list[str]) -> str:
    """What it is about, in the customer's words: the messages that say something beside wishes and small talk."""
    telling = [
        text
        for text in messages
        if len(text.split()) >= ENOUGH_WORDS
        and not any(wishes.is_whole(kind, text) for kind in ("greeting", "thanks", "bye", "are_you_bot", "can_do"))
        and not (wishes.wants_person(text) and len(text.split()) < 2 * ENOUGH_WORDS)
    ]
    return "\n".join(telling)[: LONGEST["summary"]]


def order_number(text: str) -> str:
    """An order's number in a text, if the text calls it one."""
    found = _ORDER.search(text)
    return found.group(1).strip("-") if found else ""


def answer(field: str, text: str, heard: dict[str, str]) -> str:
    """What a message answers to a field; empty if it does not."""
    text = " ".join(text.split())
    if field == "requester_contact":
        return heard.get("contact", "")
    if field == "order_reference":
        bare = re.search(r"(?=[\w-]*\d)#?[A-Za-z0-9][\w-]{2,63}", text)
        return order_number(text) or (bare.group().lstrip("#") if bare else "")
    if field == "requester_name":
        name = _NAME.sub("", text).strip(" .!,")
        return name if 0 < len(name.split()) <= 6 and len(name) >= 2 and not re.search(r"[\d?@]", name) else ""
    return text if len(text.split()) >= 2 or len(text) >= 10 else ""


def messages_of(conversation: Conversation, limit: int = 60) -> list[str]:
    """What the customer wrote in the present context, oldest first."""
    start = context_start(conversation)
    rows = Event.objects.filter(conversation=conversation, seq__gt=start, kind="message", author="customer")
    return list(rows.order_by("-seq").values_list("text", flat=True)[:limit])[::-1]


def context_start(conversation: Conversation) -> int:
    """The ``seq`` after which the present context begins."""
    ends = Event.objects.filter(conversation=conversation, kind="state")
    ends = ends.filter(Q(data__what__in=["resolved", "reopened"]) | Q(data__again=True))
    return ends.order_by("-seq").values_list("seq", flat=True).first() or 0
