"""What is kept of customers' words, for how long, and what becomes of it when they ask."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse

from apps.chat import people, policies, ratings, retention, risk, transcripts, uploads
from apps.chat.bot import owing
from apps.chat.closing import QUIET, close_quiet
from apps.chat.models import (
    BotTurn,
    ChatPolicyVersion,
    ChatSession,
    Conversation,
    Reading,
    TranscriptMail,
    Upload,
    Verification,
)
from apps.chat.refusals import ConversationNotFound, NotAllowed, SessionOver
from apps.chat.saying import say
from apps.core.models import Decision
from apps.core.roles import Role
from apps.core.versions import InvalidSettings
from apps.escalation.models import Report
from tests.chat.factories import NOON, chat_site, conversation, says, visitor
from tests.core.factories import ScopeFactory, person

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(days=400)


def resolved(at: datetime = NOON, **fields: Any) -> Conversation:
    """A conversation with words, a file and a proof in it, that ended."""
    one = conversation(**fields)
    says(one, "Where is my order 1042?", at=at)
    upload = Upload(conversation=one, name="box.png", content_type="image/png", size=3, by_customer=True, created_at=at)
    upload.file.save("box.png", ContentFile(b"abc"))
    Verification.objects.create(
        conversation=one, context=1, matter="order", reference_digest=b"r", contact_digest=b"c", code_digest=b"d",
        created_at=at, expires_at=at, ended_at=at,
    )  # fmt: skip
    Conversation.objects.filter(pk=one.pk).update(
        state="resolved", resolved_at=at, resolution="person", last_event_at=at, subject="Order"
    )
    one.refresh_from_db()
    return one


def words(one: Conversation) -> list[str]:
    return list(one.events.values_list("text", flat=True))


def test_what_is_past_its_window_is_shown_first_and_then_forgotten(
    settings: Any, tmp_path: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.MEDIA_ROOT = tmp_path
    old = resolved(visitor=visitor(chat_site(), name="Ada", email="ada@example.com"))
    new = resolved(at=LATER - timedelta(days=1), visitor=visitor(old.site, seen_at=LATER - timedelta(days=1)))
    held = conversation(site=old.site)
    says(held, "Nobody answered me yet")
    due = retention.preview(now=LATER)
    assert (due.transcripts, due.files, due.proofs, due.people) == (1, 1, 1, 1)
    assert words(old) != [""]

    with django_capture_on_commit_callbacks(execute=True):
        assert retention.forget(now=LATER) == due

    old.refresh_from_db()
    assert (words(old), old.subject, old.cleared_at) == ([""], "", LATER)
    assert (old.visitor.name, old.visitor.email, old.visitor.erased_at) == ("", "", LATER)
    assert words(new) == ["Where is my order 1042?"]
    assert words(held) == ["Nobody answered me yet"], "somebody still has to answer it"
    assert len(list(tmp_path.rglob("*.png"))) == 1
    assert not retention.forget(now=LATER)
    assert Decision.objects.filter(action="chat_forgotten").count() == 1


def test_the_command_shows_and_only_deletes_when_told(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    old = resolved()
    out = StringIO()
    call_command("forget_chats", stdout=out)
    assert "1 transcripts" in out.getvalue()
    assert words(old) != [""]
    call_command("forget_chats", "--delete", stdout=StringIO())
    assert words(old) == [""]


def test_windows_are_versions_that_only_some_make() -> None:
    values = policies.Retention(transcript_days=5).model_dump()
    with pytest.raises(NotAllowed):
        policies.new_version(slug="retention", settings=values, reason="Less", actor=person(Role.SUPPORT_AGENT))
    manager = person(Role.SUPPORT_MANAGER)
    with pytest.raises(InvalidSettings):
        policies.new_version(slug="retention", settings=values | {"file_days": 0}, reason="Less", actor=manager)
    made = policies.new_version(slug="retention", settings=values, reason="Less", actor=manager)
    assert policies.retention().transcript_days == 5
    with pytest.raises(DatabaseError), transaction.atomic():
        ChatPolicyVersion.objects.filter(pk=made.pk).update(reason="Other")


def test_an_event_loses_its_words_and_nothing_else() -> None:
    one = conversation()
    said = says(one, "Hello")
    for change in ({"text": "Other"}, {"author": "agent"}, {"seq": 9}, {"text": "", "data": {}, "internal": True}):
        with pytest.raises(DatabaseError), transaction.atomic():
            one.events.filter(pk=said.pk).update(**change)
    with pytest.raises(DatabaseError), transaction.atomic():
        one.events.all().delete()
    one.events.filter(pk=said.pk).update(text="", data={})
    assert words(one) == [""]


def test_a_person_gets_all_that_is_kept_and_private_notes_stay_private() -> None:
    site = chat_site()
    mine = conversation(site=site, visitor=visitor(site, email="ada@example.com"))
    says(mine, "My lamp is broken")
    manager = person(Role.SUPPORT_MANAGER, site.scope)
    says(mine, "She was here before", author="agent", user=manager, internal=True)
    again = conversation(site=site, visitor=visitor(site, email="Ada@example.com"))
    says(again, "And the box, too")
    other = conversation(site=site, visitor=visitor(site, email="bob@example.com"))
    says(other, "Something else")

    data = people.export(visitor_id=mine.visitor_id, actor=manager, now=NOON)
    said = [event["text"] for one in data["conversations"] for event in one["events"]]
    assert said == ["My lamp is broken", "And the box, too"]
    assert Reading.objects.filter(user=manager, place="export").count() == 2
    assert Decision.objects.filter(action="chat_person_exported").exists()


def test_a_person_is_forgotten_everywhere_and_the_skeleton_stays() -> None:
    site = chat_site()
    mine = conversation(site=site, visitor=visitor(site, email="ada@example.com", external_id="u1"))
    says(mine, "My lamp sparks and smells burnt")
    risk.judge(mine)
    ChatSession.objects.create(
        site=site, visitor=mine.visitor, conversation=mine, client_key="a" * 8 + "-0000-4000-8000-" + "0" * 12,
        token_digest=b"t", created_at=NOON, seen_at=NOON, expires_at=LATER,
    )  # fmt: skip
    assert Report.objects.filter(subject=f"conversation:{mine.pk}").exists()
    manager = person(Role.SUPPORT_MANAGER, site.scope)

    assert people.erase(visitor_id=mine.visitor_id, reason="Asked by letter", actor=manager, now=LATER) == 1
    mine.refresh_from_db()
    assert {event.text for event in mine.events.said()} == {""}
    assert (mine.visitor.email, mine.visitor.external_id, mine.visitor.erased_at) == ("", "", LATER)
    assert not Report.objects.filter(subject=f"conversation:{mine.pk}").exists()
    assert ChatSession.objects.get().ended_at == LATER
    assert Decision.objects.get(action="chat_person_erased").subject == f"visitor:{mine.visitor_id}"


@pytest.mark.parametrize("role", [Role.SUPPORT_AGENT, Role.TEAM_LEAD, Role.AUDITOR, Role.CONTENT_OWNER])
def test_who_may_not_hand_out_or_erase(role: Role) -> None:
    one = conversation()
    somebody = person(role, one.scope)
    for act in (
        lambda: people.export(visitor_id=one.visitor_id, actor=somebody, now=NOON),
        lambda: people.erase(visitor_id=one.visitor_id, reason="", actor=somebody, now=NOON),
    ):
        with pytest.raises(NotAllowed):
            act()


def test_nobody_erases_in_a_foreign_scope() -> None:
    one = conversation()
    with pytest.raises(ConversationNotFound):
        people.erase(visitor_id=one.visitor_id, reason="", actor=person(Role.SUPPORT_MANAGER, ScopeFactory()), now=NOON)


def test_each_message_of_a_customer_meets_the_indicators_once() -> None:
    one = conversation()
    says(one, "The lamp caught fire")
    says(one, "Sorry to hear that", author="bot")
    says(one, "My hand hurts")
    assert risk.judge_waiting() == 2
    assert risk.judge_waiting() == 0
    says(one, "It still does")
    assert risk.judge_waiting() == 1
    texts = Report.objects.filter(subject=f"conversation:{one.pk}").order_by("pk").values_list("text", flat=True)
    assert list(texts) == ["The lamp caught fire", "My hand hurts", "It still does"]


def test_quiet_conversations_end_as_what_they_were() -> None:
    helped, left, talking = conversation(), conversation(), conversation()
    for one in (helped, left):
        says(one, "Do you ship to Norway?")
    BotTurn.objects.create(
        conversation=helped,
        context=1,
        turn=1,
        up_to_seq=1,
        state="done",
        outcome="answered",
        due_at=NOON,
        created_at=NOON,
    )
    later = NOON + QUIET + timedelta(minutes=1)
    says(talking, "Hello?", at=later)
    assert close_quiet(now=later) == 2
    ends = {one.pk: Conversation.objects.get(pk=one.pk) for one in (helped, left, talking)}
    assert [ends[one.pk].resolution for one in (helped, left, talking)] == ["assumed", "left", ""]


def test_who_is_forgotten_in_the_middle_of_it_is_answered_by_nobody() -> None:
    site = chat_site()
    mine = conversation(site=site, visitor=visitor(site, email="ada@example.com"))
    says(mine, "Where is my parcel?")
    owing.owe(mine, NOON, "Where is my parcel?")
    TranscriptMail.objects.create(
        conversation=mine, address="ada@example.com", up_to_seq=1, next_attempt_at=NOON, created_at=NOON
    )
    stale = Conversation.objects.select_related("visitor", "category", "scope").get(pk=mine.pk)
    manager = person(Role.SUPPORT_MANAGER, site.scope)
    people.erase(visitor_id=mine.visitor_id, reason="Asked by letter", actor=manager, now=LATER)

    mine.refresh_from_db()
    assert (mine.state, mine.resolution) == ("resolved", "left")
    assert not BotTurn.objects.filter(state="due").exists()
    assert (TranscriptMail.objects.get().address, transcripts.send_due(LATER)) == ("", 0)
    assert risk.judge(stale) == 0, "a task that began before finds no words"


def test_what_was_on_its_way_while_somebody_was_forgotten_is_not_kept(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    site = chat_site()
    mine = conversation(site=site)
    says(mine, "Hello")
    session = ChatSession.objects.create(
        site=site, visitor=mine.visitor, conversation=mine, client_key="a" * 8 + "-0000-4000-8000-" + "0" * 12,
        token_digest=b"t", created_at=NOON, seen_at=NOON, expires_at=LATER,
    )  # fmt: skip
    manager = person(Role.SUPPORT_MANAGER, site.scope)
    people.erase(visitor_id=mine.visitor_id, reason="Asked by letter", actor=manager, now=LATER)
    by = {"conversation_id": mine.pk, "now": LATER, "session_id": session.pk}  # each knew the session before it ended
    with pytest.raises(SessionOver):
        say(**by, author="customer", text="Secret words", client_id=uuid4())
    with pytest.raises(SessionOver):
        transcripts.ask(conversation=mine, address="ada@example.com", now=LATER, session_id=session.pk)
    with pytest.raises(SessionOver):
        ratings.rate(**by, score=5, comment="Secret words")
    with pytest.raises(SessionOver):
        uploads.receive(**by, file=ContentFile(b"Secret words", name="a.txt"), client_id=uuid4())
    mine.refresh_from_db()
    assert (mine.state, {event.text for event in mine.events.said()}) == ("resolved", {""})
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_page_of_the_windows_says_what_is_past_them_now(client: Client) -> None:
    site = chat_site()
    old = conversation(site=site, state="resolved", last_event_at=NOON - timedelta(days=4000))
    manager = person(Role.SUPPORT_MANAGER, site.scope)
    client.force_login(manager)
    address = reverse("admin:chat_policy", args=["retention"])
    assert "<dt>Transcripts</dt><dd>1</dd>" in client.get(address).content.decode()
    retention.forget(now=LATER)
    assert "Nothing is past its window" in client.get(address).content.decode()
    shown = client.get(reverse("admin:chat_visitor_change", args=[old.visitor_id])).content.decode()
    assert reverse("chat_desk_open", args=[old.public_id]) in shown
