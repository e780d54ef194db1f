"""Customers' words go through the escalation's indicators, after they are stored.

``judged_seq`` of the conversation says how far they looked. Events become visible in the order of ``seq``, so nothing
that commits late is passed over; whatever a lost task left, the next sweep finds.
"""

from __future__ import annotations

from django.db import transaction

from apps.chat.models import Conversation, Event
from apps.chat.saying import locked
from apps.escalation.reports import observe

BATCH = 500


def judge_waiting(*, limit: int = BATCH) -> int:
    """Hand in what customers wrote since the last look. Returns how many messages were handed in."""
    waiting = Conversation.objects.unjudged().select_related("visitor", "category", "scope").order_by("pk")[:limit]
    return sum(judge(conversation) for conversation in waiting)


@transaction.atomic
def judge(conversation: Conversation) -> int:
    """Hand in a conversation's new messages; a message handed in twice is the same report."""
    locked(conversation.pk)  # whoever is forgotten meanwhile leaves no report: their words are gone, or the report is
    customer = conversation.visitor.email or f"visitor:{conversation.visitor_id}"
    category = conversation.category.slug if conversation.category else ""
    events = conversation.events.after(conversation.judged_seq)
    count, seen = 0, conversation.judged_seq
    for event in events.filter(seq__lte=conversation.seq):
        seen = event.seq
        if event.author != Event.Author.CUSTOMER or event.kind != Event.Kind.MESSAGE or not event.text:
            continue
        observe(
            source=f"chat_message:{event.pk}",
            text=event.text,
            customer=customer,
            category=category,
            scope=conversation.scope,
            at=event.at,
            subject=f"conversation:{conversation.pk}",
        )
        count += 1
    Conversation.objects.filter(pk=conversation.pk, judged_seq__lt=seen).update(judged_seq=seen)
    return count
