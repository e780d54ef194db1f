"""One person's data: all of it for the person to read, or forgotten on request. What was decided stays without them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.text import slugify

from apps.chat import forgetting
from apps.chat.binding import AREA, OPEN, authorise
from apps.chat.conversations import resolve
from apps.chat.models import ChatSession, Conversation, Reading, TranscriptMail, Upload, Verification, Visitor
from apps.chat.refusals import ConversationNotFound
from apps.core.decisions import Entry, record
from apps.core.models import User
from apps.core.scope import in_scope
from apps.escalation.retention import forget_subjects
from apps.knowledge.answers import forget_questions

ERASE = "chat.erase_customer"


def same_person(visitor: Visitor) -> QuerySet[Visitor]:
    """All rows that are the same person: by the page's own id on the same site, or by the e-mail address in the same scope."""
    same = Q(pk=visitor.pk)
    if visitor.external_id:
        same |= Q(site=visitor.site_id, external_id=visitor.external_id)
    if visitor.email:
        same |= Q(site__scope=visitor.site.scope_id, email__iexact=visitor.email)
    return Visitor.objects.filter(same)


def person_of(visitor_id: int, actor: User) -> Visitor:
    """A visitor whose data the actor may hand out or erase.

    Raises:
        NotAllowed, ConversationNotFound: the role does not include it, or there is none in this person's scope.
    """
    authorise(actor, ERASE)
    found = in_scope(Visitor.objects.select_related("site"), actor, "site__scope").filter(pk=visitor_id).first()
    if found is None:
        raise ConversationNotFound
    return found


@transaction.atomic
def export(*, visitor_id: int, actor: User, now: datetime) -> dict[str, Any]:
    """All that is kept of a person, for the person: no private notes of staff. Recorded as a reading of each conversation.

    Raises:
        NotAllowed, ConversationNotFound: as for :func:`person_of`.
    """
    visitor = person_of(visitor_id, actor)
    people = same_person(visitor)
    conversations = list(Conversation.objects.filter(visitor__in=people).select_related("site").order_by("pk"))
    Reading.objects.bulk_create(
        Reading(conversation=one, user=actor, up_to_seq=one.seq, place="export", at=now) for one in conversations
    )
    subject = f"visitor:{visitor.pk}"
    record(Entry(scope=AREA, actor=actor, action="chat_person_exported", subject=subject))
    return {
        "made_at": now,
        "people": [
            {
                "name": one.name,
                "email": one.email,
                "id": one.external_id,
                "language": one.language,
                "first_seen": one.created_at,
                "last_seen": one.seen_at,
            }
            for one in people.order_by("pk")
        ],
        "conversations": [_conversation(one) for one in conversations],
    }


def _conversation(one: Conversation) -> dict[str, Any]:
    return {
        "site": one.site.name,
        "opened_at": one.opened_at,
        "state": one.get_state_display(),
        "subject": one.subject,
        "events": [
            {"at": event.at, "by": event.get_author_display(), "what": event.get_kind_display(), "text": event.text}
            for event in one.events.for_customer().order_by("seq")
        ],
        "files": list(one.uploads.filter(removed_at=None).values("name", "content_type", "size", "created_at")),
        "ratings": list(one.ratings.order_by("context").values("score", "comment", "at")),
    }


@transaction.atomic
def erase(*, visitor_id: int, reason: str, actor: User, now: datetime) -> int:
    """Forget a person: who they are, what was said, files, and what the indicators and the search kept of it.

    Conversations stay as skeletons: when something happened, and what was decided. Sessions end at once.

    Returns:
        How many conversations were cleared.

    Raises:
        NotAllowed, ConversationNotFound: as for :func:`person_of`.
    """
    visitor = person_of(visitor_id, actor)
    people = list(same_person(visitor).values_list("pk", flat=True))
    # Locked, so that no message slips in between the clearing of the words and the end of the session.
    mine = Conversation.objects.filter(visitor__in=people).order_by("pk")
    conversations = list(mine.select_for_update(of=("self",)).values_list("pk", flat=True))
    ChatSession.objects.filter(visitor__in=people, ended_at=None).update(ended_at=now)
    for pk in list(mine.filter(state__in=OPEN).values_list("pk", flat=True)):  # nobody is there to be answered any more
        resolve(pk, None, seen_version=None, now=now, resolution=Conversation.Resolution.LEFT)
    forgetting.clear_words(conversations, now)
    uploads = Upload.objects.filter(conversation__in=conversations, removed_at=None)
    forgetting.remove_files(list(uploads.values_list("pk", flat=True)), now)
    Verification.objects.filter(conversation__in=conversations).delete()
    waiting = TranscriptMail.objects.filter(conversation__in=conversations).exclude(address="")
    waiting.update(status=TranscriptMail.Status.FAILED, error="erased", address="", finished_at=now)
    subjects = [f"conversation:{pk}" for pk in conversations]
    forget_subjects(subjects)
    forget_questions(subjects)
    forgetting.forget_person(people, now)
    record(
        Entry(
            scope=AREA, actor=actor, action="chat_person_erased", subject=f"visitor:{visitor.pk}", rationale=reason,
            payload={"visitors": len(people), "conversations": len(conversations)},
        )
    )  # fmt: skip
    return len(conversations)


def file_name(visitor: Visitor, now: datetime) -> str:
    """What an export is called."""
    return f"{slugify(visitor.site.key)}-visitor-{visitor.pk}-{now:%Y-%m-%d}.json"
