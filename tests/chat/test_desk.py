"""The desk over HTTP: lists, one conversation, what is offered, what is done, and who may."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as configured
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.test import Client
from django.utils import timezone

from apps.chat import conversations
from apps.chat.desk.acts import ACTS
from apps.chat.models import Conversation, Handoff, HandoffRating, Reading, Upload
from apps.core.models import Decision, Scope, User
from apps.core.roles import Role
from apps.escalation.models import CannedReply, Proposal, RiskFlag
from apps.knowledge.models import SearchIndex
from apps.knowledge.search import passages
from apps.orders.models import Customer, Order, Store
from apps.subscriptions.models import Subscription
from tests.chat.factories import NOON, chat_site, conversation, says, visitor
from tests.core.factories import ScopeFactory, UserFactory, person
from tests.escalation.factories import team
from tests.knowledge.factories import ArticleFactory, VersionFactory, published

pytestmark = pytest.mark.django_db

DESK = "/admin/chat/desk/"
State = Conversation.State


@pytest.fixture
def scope() -> Scope:
    return ScopeFactory(name="Nordlicht")


@pytest.fixture
def ada(scope: Scope, client: Client) -> User:
    """An agent, signed in."""
    user = person(Role.SUPPORT_AGENT, scope, first_name="Ada", username="ada")
    client.force_login(user)
    return user


@pytest.fixture
def talk(scope: Scope) -> Conversation:
    site = chat_site(scope)
    made = conversation(site, state=State.WAITING, waiting_since=timezone.now(), visitor=visitor(site, name="Mia"))
    says(made, "Where is my parcel?", at=timezone.now())
    return made


def url(of: Conversation, page: str = "") -> str:
    return f"{DESK}{of.public_id}/{page}"


def do(client: Client, of: Conversation, what: str, **body: Any) -> Any:
    of.refresh_from_db()
    body.setdefault("version", of.version)
    return client.post(url(of, f"do/{what}/"), json.dumps(body), content_type="application/json")


def handed(of: Conversation, **fields: Any) -> Handoff:
    values: dict[str, Any] = {
        "conversation": of, "context": of.context, "reason": "wish", "transcript_to_seq": of.seq,
        "requested_at": timezone.now(), "summary": "Parcel is late", "fields": {"order_reference": "#1001"},
        "missing": ["requester_contact"],
    }  # fmt: skip
    return Handoff.objects.create(**{**values, **fields})


# Lists


def test_the_lists_are_who_they_say(client: Client, ada: User, scope: Scope, talk: Conversation) -> None:
    site = talk.site
    mine = conversation(site, state=State.PERSON, assignee=ada)
    with_bot = conversation(site)
    done = conversation(site, state=State.RESOLVED)
    conversation(chat_site())  # of another scope
    found = {
        name: {row["id"] for row in client.get(f"{DESK}list/?list={name}").json()["rows"]}
        for name in ("mine", "waiting", "unassigned", "all")
    }
    keys = {
        name: str(one.public_id) for name, one in {"talk": talk, "mine": mine, "bot": with_bot, "done": done}.items()
    }
    assert found == {
        "mine": {keys["mine"]}, "waiting": {keys["talk"]}, "unassigned": {keys["talk"], keys["bot"]},
        "all": set(keys.values()),
    }  # fmt: skip
    answer = client.get(f"{DESK}list/").json()
    assert answer["counts"] == {"mine": 1, "waiting": 1, "unassigned": 2}


def test_a_line_says_who_what_and_until_when(client: Client, ada: User, talk: Conversation) -> None:
    row = client.get(f"{DESK}list/?list=waiting").json()["rows"][0]
    assert (row["who"], row["last"]["text"], row["unanswered"]) == ("Mia", "Where is my parcel?", True)
    assert row["due_at"] > row["since"]


def test_whose_customers_wait_come_first_in_mine(client: Client, ada: User, talk: Conversation) -> None:
    now = timezone.now()
    quiet, asks, asked_before = (conversation(talk.site, state=State.PERSON, assignee=ada) for _ in range(3))
    says(quiet, "Hi", at=now)
    says(quiet, "Hello", author="agent", user=ada, at=now)
    says(asks, "Are you there?", at=now)
    says(asked_before, "Anybody?", at=now - timedelta(minutes=5))
    rows = client.get(f"{DESK}list/?list=mine").json()["rows"]
    assert [row["id"] for row in rows] == [str(one.public_id) for one in (asked_before, asks, quiet)]
    assert [row["unanswered"] for row in rows] == [True, True, False]
    conversations.read(quiet.pk, ada, 1)
    assert [row["unread"] for row in client.get(f"{DESK}list/?list=mine").json()["rows"]] == [True, True, False]


def test_a_list_costs_the_same_for_many(
    client: Client, ada: User, talk: Conversation, django_assert_max_num_queries: Any
) -> None:
    for _ in range(8):
        says(conversation(talk.site, state=State.WAITING), "Hello")
    with django_assert_max_num_queries(24):
        assert len(client.get(f"{DESK}list/?list=waiting").json()["rows"]) == 9


def test_people_are_found_by_name(client: Client, ada: User, talk: Conversation) -> None:
    assert len(client.get(f"{DESK}list/?list=all&q=mia").json()["rows"]) == 1
    assert client.get(f"{DESK}list/?list=all&q=nobody").json()["rows"] == []


# One conversation


def test_opening_shows_all_and_is_recorded_once(client: Client, ada: User, talk: Conversation) -> None:
    conversations.note(talk.pk, ada, text="Careful", client_id=uuid4(), now=timezone.now())
    for _ in range(2):
        answer = client.get(url(talk, "events/")).json()
    assert [event["kind"] for event in answer["events"]] == ["message", "note"]
    assert answer["head"]["may"] == ["note", "assign", "transfer", "resolve", "ticket", "take"]
    assert answer["head"]["clock"]["due_at"]
    assert [(reading.user, reading.up_to_seq) for reading in Reading.objects.all()] == [(ada, 2)]


def test_new_words_of_others_make_another_reading(client: Client, ada: User, talk: Conversation) -> None:
    client.get(url(talk, "events/"))
    assert client.get(url(talk, "events/?after=1")).json()["events"] == []
    conversations.note(talk.pk, ada, text="My own words", client_id=uuid4(), now=timezone.now())
    client.get(url(talk, "events/?after=1"))
    assert Reading.objects.count() == 1
    says(talk, "Hello?", at=timezone.now())
    client.get(url(talk, "events/?after=2"))
    assert Reading.objects.count() == 2


def test_after_ten_minutes_it_is_another_reading(client: Client, ada: User, talk: Conversation) -> None:
    Reading.objects.create(
        conversation=talk, user=ada, up_to_seq=1, place="desk", at=timezone.now() - timedelta(minutes=11)
    )
    client.get(url(talk, "events/"))
    assert Reading.objects.count() == 2


def test_what_others_hide_is_not_beside_it(client: Client, ada: User, talk: Conversation) -> None:
    answer = client.get(url(talk, "customer/")).json()
    assert answer["visitor"]["name"] == "Mia"
    assert answer["orders"] == []


def test_earlier_conversations_and_flags_stand_beside(client: Client, ada: User, talk: Conversation) -> None:
    before = conversation(talk.site, visitor=talk.visitor, state=State.RESOLVED, subject="Refund")
    elsewhere = conversation(chat_site(), visitor=talk.visitor)
    answer = client.get(url(talk, "customer/")).json()
    assert [one["id"] for one in answer["earlier"]] == [str(before.public_id)]
    assert str(elsewhere.public_id) not in json.dumps(answer)


def test_files_are_downloads_and_recorded(
    client: Client, ada: User, talk: Conversation, settings: Any, tmp_path: Any
) -> None:
    settings.MEDIA_ROOT = tmp_path
    upload = Upload.objects.create(
        conversation=talk, name="<b>.html", content_type="text/html", size=3, by_customer=True, created_at=timezone.now(),
        file=ContentFile(b"<p>", name="x.html"),
    )  # fmt: skip
    answer = client.get(url(talk, f"files/{upload.public_id}/"))
    assert b"".join(answer.streaming_content) == b"<p>"
    assert answer["Content-Disposition"].startswith("attachment")
    assert "sandbox" in answer["Content-Security-Policy"]
    assert "no-store" in answer["Cache-Control"]
    assert Reading.objects.count() == 1
    other = conversation(talk.site)
    assert client.get(url(other, f"files/{upload.public_id}/")).status_code == 404


# What is done


def test_a_conversation_from_the_queue_to_its_end(client: Client, ada: User, talk: Conversation) -> None:
    handoff = handed(talk)
    taken = do(client, talk, "take", after=1).json()
    assert taken["head"]["mine"]
    assert [event["data"]["what"] for event in taken["events"]] == ["taken"]
    key = str(uuid4())
    for _ in range(2):
        said = do(client, talk, "reply", text="On its way", client_id=key, after=2).json()
    assert [event["text"] for event in said["events"]] == ["On its way"]
    assert do(client, talk, "note", text="Check later", client_id=str(uuid4())).status_code == 200
    assert do(client, talk, "read", seq=3).status_code == 200
    rated = do(client, talk, "rate", handoff=handoff.pk, useful=False, missing=["requester_contact", "x"], comment="")
    assert rated.json()["head"]["handoff"]["rating"]["missing"] == ["requester_contact"]
    assert HandoffRating.objects.get().by == ada
    assert do(client, talk, "resolve").json()["head"]["state"] == "resolved"
    assert do(client, talk, "reopen").json()["head"]["state"] == "person"


def test_what_changed_meanwhile_is_refused_with_the_version(client: Client, ada: User, talk: Conversation) -> None:
    answer = do(client, talk, "take", version=talk.version + 1)
    assert answer.status_code == 409
    assert answer.json()["error"] == {
        "code": "conversation_changed", "message": "Somebody changed this conversation since you looked at it.",
        "version": talk.version,
    }  # fmt: skip


def test_who_gives_a_conversation_away_may_lose_sight_of_it(client: Client, ada: User, scope: Scope) -> None:
    first, second = team(scope), team()
    elsewhere = chat_site(ScopeFactory())
    talk = conversation(elsewhere, state=State.WAITING, team=first, waiting_since=timezone.now())
    assert client.get(url(talk, "events/")).status_code == 200
    assert do(client, talk, "transfer", team=second.pk, why="Billing").json() == {"gone": True}
    assert client.get(url(talk, "events/")).status_code == 404


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("take", {"version": None}), ("take", {"version": "1"}), ("reply", {"text": 3, "client_id": str(uuid4())}),
        ("reply", {"text": "x", "client_id": "x"}), ("read", {}), ("rate", {"handoff": 1}), ("assign", {"person": 10**40}),
        ("nothing", {}), ("assign", {"person": 0}), ("transfer", {"team": 0, "why": "x"}), ("transfer", {"team": True}),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(
    client: Client, ada: User, talk: Conversation, what: str, body: dict[str, Any]
) -> None:
    answer = do(client, talk, what, **body)
    assert answer.status_code in (400, 404, 422)
    assert answer.json()["error"]["code"] in ("bad_request", "not_found", "cannot_give")
    assert client.post(url(talk, "do/take/"), "[", content_type="application/json").status_code == 400


def test_a_flag_is_raised_in_two_clicks(client: Client, ada: User, talk: Conversation) -> None:
    form_url = client.get(url(talk, "events/")).json()["head"]["flag_url"]
    form = client.get(form_url)
    initial = form.context["form"].initial
    assert "Where is my parcel?" in initial["description"]
    assert initial["affected_customers"] == "Mia"
    raised = client.post(
        form_url, {**{k: v for k, v in initial.items() if v is not None}, "level": 3, "title": "Late parcels"}
    )
    assert raised.status_code == 302
    flag = RiskFlag.objects.get()
    assert (flag.source, flag.references, flag.scope) == (
        f"conversation:{talk.pk}", [f"conversation:{talk.pk}"], talk.scope,
    )  # fmt: skip
    back = f"{DESK}number/{talk.pk}/"
    assert back in client.get(raised["Location"]).content.decode()
    assert client.get(back)["Location"] == url(talk)
    told = talk.events.get(kind="note")
    assert told.internal
    shown = client.get(url(talk, "events/")).json()["events"][-1]
    assert shown["data"]["flag_url"].endswith(f"/{flag.pk}/change/")
    assert [one["title"] for one in client.get(url(talk, "customer/")).json()["flags"]] == ["Late parcels"]


# What is offered


def test_prepared_answers_are_filled_in(client: Client, ada: User, talk: Conversation) -> None:
    CannedReply.objects.create(title="Hello", body="Hello {requester}, I am {agent}.")
    found = client.get(url(talk, "canned/?q=hel")).json()["replies"]
    assert found[0]["text"] == "Hello Mia, I am Ada."


def test_people_and_teams_are_those_who_can(client: Client, ada: User, talk: Conversation, scope: Scope) -> None:
    ben = person(Role.SUPPORT_AGENT, scope, first_name="Ben")
    person(Role.SUPPORT_AGENT, ScopeFactory())
    person(Role.OPERATOR, scope)
    billing = team()
    found = client.get(url(talk, "people/")).json()
    assert {one["id"] for one in found["people"]} == {ada.pk, ben.pk}
    assert [one["id"] for one in found["teams"]] == [billing.pk]


# Who may

READS = ("events/", "customer/", "canned/", "people/")


def test_strangers_and_customers_are_told_to_sign_in(client: Client, talk: Conversation) -> None:
    for user in (None, UserFactory()):
        if user:
            client.force_login(user)
        for page in READS:
            assert client.get(url(talk, page)).status_code == 401
        assert client.get(f"{DESK}list/").status_code == 401
        assert client.get(f"{DESK}articles/?q=x").status_code == 401
        assert do(client, talk, "take").status_code == 401
        assert client.get(DESK).status_code == 302


@pytest.mark.parametrize("role", Role)
def test_each_role_sees_and_does_what_the_table_says(
    client: Client, scope: Scope, talk: Conversation, role: Role
) -> None:
    client.force_login(who := person(role, scope))
    sees, talks = who.has_perm("chat.view_conversation"), who.has_perm("chat.chat_with_customer")
    assert client.get(DESK).status_code == (200 if sees else 403)
    assert client.get(url(talk)).status_code == (200 if sees else 403)
    for page in READS:
        assert client.get(url(talk, page)).status_code == (200 if sees else 403)
    assert client.get(f"{DESK}articles/?q=parcel").status_code == (200 if sees else 403)
    assert do(client, talk, "take").status_code == (200 if talks else 403)


@pytest.mark.parametrize("what", sorted(ACTS))
def test_acts_are_refused_to_readers_and_to_other_scopes(client: Client, talk: Conversation, what: str) -> None:
    handoff = handed(talk, accepted_at=timezone.now(), accepted_by=person(Role.SUPPORT_AGENT))
    body: dict[str, Any] = {
        "text": "x", "client_id": str(uuid4()), "person": 1, "why": "x", "seq": 1, "handoff": handoff.pk, "useful": True,
    }  # fmt: skip
    before = talk.seq, talk.version
    client.force_login(person(Role.SUPPORT_AGENT, ScopeFactory()))
    assert do(client, talk, what, **body).status_code == 404
    body["person"] = person(Role.SUPPORT_AGENT, talk.scope).pk
    client.force_login(person(Role.AUDITOR))
    assert do(client, talk, what, **body).status_code == (200 if what == "read" else 403)
    talk.refresh_from_db()
    assert (talk.seq, talk.version, talk.staff_read_seq) == (*before, 0)
    assert not HandoffRating.objects.exists()


def test_other_scopes_are_not_there(client: Client, talk: Conversation) -> None:
    client.force_login(person(Role.SUPPORT_AGENT, ScopeFactory()))
    for page in READS:
        assert client.get(url(talk, page)).status_code == 404
    assert client.get(f"{DESK}number/{talk.pk}/").status_code == 404
    assert client.get(f"{DESK}list/?list=all").json()["rows"] == []
    assert not Reading.objects.exists()


def test_another_does_not_rate_my_handoff(client: Client, ada: User, talk: Conversation, scope: Scope) -> None:
    handoff = handed(talk, accepted_at=timezone.now(), accepted_by=person(Role.SUPPORT_AGENT, scope))
    assert do(client, talk, "rate", handoff=handoff.pk, useful=True).status_code == 404


def test_a_form_of_another_page_does_nothing(talk: Conversation, ada: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada)
    assert do(strict, talk, "take").status_code == 403


def test_too_many_requests_are_refused(client: Client, ada: User, settings: Any) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "desk_user": "1/minute"}
    assert client.get(f"{DESK}list/").status_code == 200
    refused = client.get(f"{DESK}list/")
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) > 0


def test_articles_go_along_unless_they_are_for_staff(client: Client, ada: User, talk: Conversation) -> None:
    cache.clear()
    SearchIndex.objects.get_or_create(pk=1)
    public, internal = (
        published(
            VersionFactory.create(article=ArticleFactory.create(slug=slug, audience=audience), title=title, body=body)
        )
        for slug, audience, title, body in (
            ("parcel", "public", "Where is my parcel?", "Follow it with **the number**."),
            ("limits", "internal", "Goodwill for a late parcel", "Up to 100 EUR."),
        )
    )
    passages.index([public.article_id, internal.article_id])
    found = {one["version"]: one for one in client.get(f"{DESK}articles/?q=where is my parcel").json()["articles"]}
    assert found[public.pk]["url"] == "/help/articles/parcel/"
    assert not found[public.pk]["internal"]
    assert found[internal.pk]["internal"]
    do(client, talk, "take")
    body = {"text": "This should help", "client_id": str(uuid4()), "articles": [public.pk, internal.pk, "x", None]}
    assert do(client, talk, "reply", **body).status_code == 200
    sent = talk.events.filter(author="agent").latest("seq").data["articles"]
    assert [one["title"] for one in sent] == ["Where is my parcel?"]
    assert "internal" not in sent[0]
    assert sent[0]["excerpt"] == "Follow it with the number."
    assert sent[0]["url"] == f"{configured.SITE_URL}/help/articles/parcel/", "the customer's page is on another server"


def test_orders_and_subscriptions_stand_beside(client: Client, ada: User, scope: Scope) -> None:
    site = chat_site(scope)
    talk = conversation(site, visitor=visitor(site, name="Mia", email="mia@example.com"))
    now = timezone.now()
    for of, number in ((scope, "#1"), (ScopeFactory(), "#2")):
        store = Store.objects.create(name=number, scope=of, platform="file", domain=f"{number[1:]}.example")
        buyer = Customer.objects.create(store=store, external_id="1", email="mia@example.com", updated_at=now)
        Order.objects.create(
            store=store, external_id=number, number=number, customer=buyer, currency="EUR", total="9.50", created_at=now,
            updated_at=now, synced_at=now,
        )  # fmt: skip
    owner = UserFactory(email="Mia@example.com")
    Subscription.objects.create(
        owner=owner, scope=scope, name="Club", price="12", renews_on=now.date(), created_at=now, updated_at=now
    )
    beside = client.get(url(talk, "customer/")).json()
    assert [(one["number"], one["total"], one["proven"]) for one in beside["orders"]] == [("#1", "9.50 EUR", False)]
    assert [(one["name"], one["level"]) for one in beside["subscriptions"]] == [("Club", "")]
    assert not beside["visitor"]["known"]


def send(client: Client, talk: Conversation, content: bytes, name: str = "label.txt", key: str = "") -> Any:
    file = ContentFile(content, name=name)
    return client.post(url(talk, "files/"), {"client_id": key or str(uuid4()), "after": "0", "file": file})


def test_a_file_goes_to_the_customer_once(
    client: Client, ada: User, talk: Conversation, settings: Any, tmp_path: Any
) -> None:
    settings.MEDIA_ROOT = tmp_path
    do(client, talk, "take")
    key = str(uuid4())
    for _ in range(2):
        assert send(client, talk, b"Return to: Nordlicht", key=key).status_code == 200
    event = talk.events.get(kind="file")
    assert (event.author, event.user, event.internal) == ("agent", ada, False)
    upload = Upload.objects.get()
    assert (upload.by_customer, event.data["file"]["id"]) == (False, str(upload.public_id))
    talk.refresh_from_db()
    assert talk.first_response_at is not None
    assert send(client, talk, b"<html><script>1</script>").status_code == 415
    assert send(client, talk, b"").status_code in (400, 422)


def test_who_does_not_have_it_sends_no_file(
    client: Client, talk: Conversation, scope: Scope, settings: Any, tmp_path: Any
) -> None:
    settings.MEDIA_ROOT = tmp_path
    for who, status in (
        (person(Role.SUPPORT_AGENT, scope), 409), (person(Role.AUDITOR), 403), (person(Role.SUPPORT_AGENT, ScopeFactory()), 404),
    ):  # fmt: skip
        client.force_login(who)
        assert send(client, talk, b"hello").status_code == status
    assert not Upload.objects.exists()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "nothing is kept of what was refused"


def test_a_conversation_goes_on_as_a_ticket(client: Client, ada: User, talk: Conversation) -> None:
    says(talk, "Please change the address of order #1042")
    do(client, talk, "take")
    answer = do(client, talk, "ticket")
    assert answer.status_code == 200, answer.content
    talk.refresh_from_db()
    assert (talk.state, talk.resolution) == ("resolved", "ticket")
    assert talk.ticket is not None
    assert talk.ticket.number in talk.events.said().latest("seq").text, "the customer is told"
    assert "change the address" in talk.ticket.messages.get(kind="customer").body
    assert client.get(url(talk, "customer/")).json()["tickets"][0]["number"] == talk.ticket.number
    assert do(client, talk, "ticket").status_code == 409
    assert Decision.objects.filter(action="conversation_made_ticket").count() == 1


def test_flags_that_are_proposed_stand_beside(client: Client, talk: Conversation, scope: Scope) -> None:
    facts = {"scope": scope, "indicator": "safety", "level": 5, "score": 1.0, "created_at": NOON, "updated_at": NOON}
    Proposal.objects.create(**facts, subject=f"conversation:{talk.pk}", title="Hot charger", reasons=["It says: burnt"])
    Proposal.objects.create(**facts, subject="conversation:0", title="Of another")
    for role in (Role.TEAM_LEAD, Role.SUPPORT_AGENT):
        client.force_login(who := person(role, scope))
        shown = client.get(url(talk, "customer/")).json()["proposed"]
        sees = who.has_perm("escalation.view_proposal")
        assert [one["title"] for one in shown] == (["Hot charger"] if sees else [])


def test_a_line_says_what_cannot_wait(client: Client, ada: User, talk: Conversation) -> None:
    assert client.get(f"{DESK}list/?list=all").json()["rows"][0]["alarm"] == ""
    handed(talk, reason="risk")
    assert client.get(f"{DESK}list/?list=all").json()["rows"][0]["alarm"] == "A sign of risk"
    do(client, talk, "take")
    do(client, talk, "resolve")
    assert client.get(f"{DESK}list/?list=all").json()["rows"][0]["alarm"] == ""
