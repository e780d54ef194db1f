"""What the sockets of one server send is stored together, in the order in which each customer wrote it."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from apps.chat.models import ChatSession, Conversation, Event
from apps.chat.saying_together import Stored, Utterance, store
from tests.chat.factories import NOON, chat_site, conversation

pytestmark = pytest.mark.django_db


def utterances(of: Conversation, *texts: str) -> list[Utterance]:
    session, _ = ChatSession.objects.get_or_create(
        site=of.site, visitor=of.visitor, conversation=of,
        defaults={
            "client_key": uuid4(), "token_digest": uuid4().bytes, "created_at": NOON, "seen_at": NOON,
            "expires_at": NOON + timedelta(days=1),
        },
    )  # fmt: skip
    return [Utterance(session.pk, of.pk, uuid4(), text, {}, NOON) for text in texts]


def test_a_message_that_needs_more_care_keeps_its_place() -> None:
    one, other = (conversation(site=chat_site(has_bot=False)) for _ in range(2))
    said = utterances(one, "Hello", "Write to ada@example.com please", "Thanks")
    batch = [said[0], *utterances(other, "Hi"), said[1], said[2]]
    answers = store(batch)
    assert all(isinstance(answer, Stored) for answer in answers)
    texts = list(one.events.filter(author=Event.Author.CUSTOMER).order_by("seq").values_list("text", flat=True))
    assert [text.split()[0] for text in texts] == ["Hello", "Write", "Thanks"]
    assert other.events.filter(author=Event.Author.CUSTOMER).count() == 1


def test_the_same_id_twice_in_one_batch_is_stored_once() -> None:
    one = conversation()
    (said,) = utterances(one, "Hello")
    first, second = store([said, said])
    assert isinstance(first, Stored)
    assert isinstance(second, Stored)
    assert (first.repeated, second.repeated) == (False, True)
    assert one.events.filter(author=Event.Author.CUSTOMER).count() == 1
