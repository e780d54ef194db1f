"""The widget over HTTP: each address allows whom it should and refuses the others, in one shape."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from apps.chat import identity
from apps.chat.models import ChatSession, ChatSite, Conversation, Event, Rating, Visitor
from apps.chat.sessions import end_session
from tests.chat.factories import chat_site

pytestmark = pytest.mark.django_db
SHOP = "https://shop.example.com"
SECRET = "the shop's secret"


@pytest.fixture
def site() -> ChatSite:
    return chat_site(key="shop", allowed_origins=[SHOP], identity_secret=SECRET, greeting="Hello!")


class Browser:
    """A page of the shop that carries the widget."""

    def __init__(self, site: str = "shop", origin: str = SHOP) -> None:
        self.site, self.origin, self.key, self.token = site, origin, uuid4(), ""
        self.client = Client(enforce_csrf_checks=True)

    def ask(self, method: str, what: str, body: Any = None, **headers: str) -> Any:
        if self.origin:
            headers.setdefault("Origin", self.origin)
        if self.token:
            headers.setdefault("Authorization", f"Chat {self.token}")
        raw = body if isinstance(body, str | bytes) else json.dumps(body)
        sent = {} if method in ("GET", "OPTIONS") else {"data": raw, "content_type": "application/json"}
        return getattr(self.client, method.lower())(f"/chat/{self.site}/{what}", headers=headers, **sent)

    def open(self, **body: Any) -> Any:
        answer = self.ask("POST", "session", {"client_key": str(self.key), **body})
        self.token = answer.json().get("token", "")
        return answer

    def says(self, text: str, **body: Any) -> Any:
        return self.ask("POST", "messages", {"client_msg_id": str(uuid4()), "text": text, **body})


@pytest.fixture
def browser(site) -> Browser:
    opened = Browser()
    assert opened.open().status_code == 200
    return opened


def signed(secret: str = SECRET, **payload: Any) -> str:
    return identity.sign(secret, {"id": "u1", "exp": timezone.now().timestamp() + 600, **payload})


def code(answer: Any) -> str:
    return answer.json()["error"]["code"]


# Sessions


def test_a_session_is_the_same_however_often_it_is_asked_for(site) -> None:
    browser = Browser()
    first, again = browser.open().json(), browser.open().json()
    assert (first["token"], first["conversation"]) == (again["token"], again["conversation"])
    assert first["config"]["greeting"] == "Hello!"
    assert ChatSession.objects.count() == Visitor.objects.count() == Conversation.objects.count() == 1


def test_another_key_is_another_visitor(site, browser) -> None:
    assert Browser().open().json()["conversation"] != browser.open().json()["conversation"]
    assert Visitor.objects.count() == 2


@pytest.mark.parametrize("body", [{}, {"client_key": "x"}, {"client_key": 7}, [], "{", "[" * 30_000])
def test_a_session_needs_a_key(site, body) -> None:
    answer = Browser().ask("POST", "session", body)
    assert (answer.status_code, code(answer)) == (400, "bad_request")


def test_a_signed_identity_names_the_visitor_on_every_device(site) -> None:
    first, other = Browser(), Browser()
    opened = first.open(identity=signed(name="Ada\n", email="ada@example.com")).json()
    assert opened["visitor"] == {"name": "Ada", "email": "ada@example.com"}
    assert other.open(identity=signed()).json()["conversation"] == opened["conversation"]
    assert Visitor.objects.get().external_id == "u1"


@pytest.mark.parametrize(
    "wrong",
    [
        "x",
        "é.é",
        signed("another secret"),
        signed() + "x",
        signed(exp=0),
        signed(exp="tomorrow"),
        signed(exp=9e12),
        signed(id=""),
        signed(id=None),
        identity.sign(SECRET, []),  # type: ignore[arg-type]
    ],
    ids=range(10),  # what is signed holds the time, and each process of tests has to call it the same
)
def test_an_identity_that_does_not_hold_is_refused(site, wrong) -> None:
    answer = Browser().open(identity=wrong)
    assert (answer.status_code, code(answer)) == (401, "identity_refused")
    assert not Visitor.objects.exists()


def test_a_site_without_a_secret_knows_no_identities(site) -> None:
    ChatSite.objects.update(identity_secret="")
    assert code(Browser().open(identity=signed(""))) == "identity_refused"


def test_nobody_gets_the_conversation_of_who_sat_here_before(site) -> None:
    browser = Browser()
    browser.open(identity=signed())
    assert code(browser.open(identity=signed(id="u2"))) == "identity_changed"
    assert code(browser.open()) == "identity_changed"


def test_an_anonymous_visitor_who_signs_in_keeps_the_conversation(site, browser) -> None:
    before = browser.open().json()["conversation"]
    assert browser.open(identity=signed(name="Ada")).json()["conversation"] == before
    assert Visitor.objects.get().name == "Ada"


def test_who_signs_in_with_conversations_elsewhere_starts_with_those(site, browser) -> None:
    Browser().open(identity=signed())
    assert code(browser.open(identity=signed())) == "identity_changed"


# Origins


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://shop.example.com.evil.example", "http://shop.example.com"]
)
@pytest.mark.parametrize(
    ("method", "what"), [("POST", "session"), ("GET", "events"), ("OPTIONS", "session"), ("GET", "config")]
)
def test_a_foreign_page_is_refused(site, browser, origin, method, what) -> None:
    browser.origin = origin
    answer = browser.ask(method, what, {"client_key": str(uuid4())})
    assert (answer.status_code, code(answer)) == (403, "origin_refused")
    if what == "config":  # what the page may read is the refusal, which tells it that the server is there
        assert (answer["Access-Control-Allow-Origin"], list(answer.json())) == ("*", ["error"])
    else:
        assert "Access-Control-Allow-Origin" not in answer


def test_an_allowed_page_may_read_answers_and_refusals(site, browser) -> None:
    for answer in (browser.ask("GET", "events"), browser.ask("POST", "read", {})):
        assert answer["Access-Control-Allow-Origin"] == SHOP
        assert "Origin" in answer["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer


def test_a_preflight_names_what_is_allowed(site) -> None:
    answer = Browser().ask("OPTIONS", "messages")
    assert answer.status_code == 204
    assert answer["Access-Control-Allow-Methods"] == "POST, OPTIONS"
    assert "Authorization" in answer["Access-Control-Allow-Headers"]


def test_our_own_pages_may_always_show_it(site) -> None:
    browser = Browser(origin="http://localhost")
    assert browser.ask("POST", "session", {"client_key": str(uuid4())}, Host="localhost").status_code == 200


def test_a_request_that_another_site_made_without_naming_itself_is_refused(site, browser) -> None:
    browser.origin = ""
    assert browser.ask("GET", "events").status_code == 200
    assert browser.ask("GET", "events", **{"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_a_site_out_of_use_is_not_there(site, browser) -> None:
    ChatSite.objects.update(is_active=False)
    assert code(browser.ask("GET", "events")) == code(browser.open()) == "no_such_site"


# Tokens

NEEDS_SESSION = [
    ("GET", "events"),
    ("POST", "messages"),
    ("POST", "read"),
    ("POST", "typing"),
    ("POST", "rating"),
    ("POST", "end"),
]


@pytest.mark.parametrize(("method", "what"), NEEDS_SESSION)
def test_without_a_token_nothing_is_told(site, browser, method, what) -> None:
    for token in ("", "x", "é" * 43, "A" * 43, browser.token[:-1]):
        browser.token = token
        answer = browser.ask(method, what, {})
        assert (answer.status_code, code(answer)) == (401, "session_over")


def test_a_token_of_another_site_opens_nothing(site, browser) -> None:
    chat_site(key="other", allowed_origins=[SHOP])
    browser.site = "other"
    assert code(browser.ask("GET", "events")) == "session_over"


def test_a_session_that_ended_or_expired_opens_nothing(site, browser) -> None:
    end_session(ChatSession.objects.get(), timezone.now())
    assert code(browser.ask("GET", "events")) == "session_over"
    browser.open()
    ChatSession.objects.update(expires_at=timezone.now())
    assert code(browser.ask("GET", "events")) == "session_over"


def test_an_erased_visitor_has_no_session(site, browser) -> None:
    Visitor.objects.update(erased_at=timezone.now())
    assert code(browser.ask("GET", "events")) == "session_over"
    assert code(browser.open()) == "identity_changed"


def test_use_moves_the_end_of_a_session(site, browser) -> None:
    ChatSession.objects.update(
        seen_at=timezone.now() - timedelta(days=20), expires_at=timezone.now() + timedelta(days=1)
    )
    browser.ask("GET", "events")
    assert ChatSession.objects.get().expires_at > timezone.now() + timedelta(days=29)


@pytest.mark.parametrize(
    ("method", "what"), [("POST", "events"), ("GET", "messages"), ("DELETE", "session"), ("PUT", "read")]
)
def test_other_methods_are_not_done_here(site, browser, method, what) -> None:
    assert browser.ask(method, what, {}).status_code == 405


# Messages and events


def test_a_message_is_stored_once(site, browser) -> None:
    key = str(uuid4())
    first = browser.says("Where is my order 1234?", client_msg_id=key)
    again = browser.says("Where is my order 1234?", client_msg_id=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    event = first.json()["event"]
    assert (event["seq"], event["text"], event["client_id"]) == (1, "Where is my order 1234?", key)
    assert Event.objects.count() == 1


def test_what_was_masked_is_told(site, browser) -> None:
    event = browser.says("My card is 4111 1111 1111 1111").json()["event"]
    assert "4111" not in event["text"]
    assert event["data"]["masked"] == [{"kind": "card", "count": 1}]


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"text": " \0 "}, "empty_message"),
        ({"text": "x" * 4_001}, "message_too_long"),
        ({"text": "x" * 40_000}, "too_large"),
        ({"text": 7}, "bad_request"),
        ({"text": "x", "client_msg_id": "1"}, "bad_request"),
        ({"text": "x", "data": {"articles": []}}, "bad_request"),
        ({"text": "x", "data": {"form": {"a": 1}}}, "bad_request"),
        ({"text": "x", "reply_to": True}, "bad_request"),
    ],
)
def test_what_is_no_message_is_refused(site, browser, body, refused) -> None:
    assert code(browser.says(**body)) == refused
    assert not Event.objects.exists()


def test_halves_of_signs_do_not_reach_the_database(site, browser) -> None:
    raw = f'{{"client_msg_id": "{uuid4()}", "text": "a\\ud800b \\ud83d\\ude00"}}'
    assert browser.ask("POST", "messages", raw).json()["event"]["text"] == "ab 😀"


def test_choices_and_forms_go_with_a_message(site, browser) -> None:
    data = {"choice": "Track", "form": {"order": "1234", "email": "ada@example.com", "note": "4111 1111 1111 1111"}}
    kept = browser.says("Track", data=data, reply_to=1).json()["event"]["data"]
    assert kept["choice"] == "Track"
    assert kept["form"]["email"] == "ada@example.com"
    assert "4111" not in kept["form"]["note"]
    assert kept["reply_to"] == 1


def test_events_after_a_seq_are_all_there_is(site, browser) -> None:
    for text in ("one", "two", "three"):
        browser.says(text)
    answer = browser.ask("GET", "events?after=1").json()
    assert [each["text"] for each in answer["events"]] == ["two", "three"]
    assert (answer["after"], answer["seq"], answer["last"], answer["state"]) == (1, 3, 3, "bot")
    assert Conversation.objects.get().customer_got_seq == 3
    assert browser.ask("GET", "events?after=3").json()["events"] == []


@pytest.mark.parametrize("after", ["x", "-1", "9" * 10, "²"])
def test_after_is_a_number(site, browser, after) -> None:
    assert code(browser.ask("GET", f"events?after={after}")) == "bad_request"


def test_a_browser_sees_its_own_conversation_only(site, browser) -> None:
    other = Browser()
    other.open()
    other.says("a secret of mine")
    assert browser.ask("GET", "events").json()["events"] == []


def test_reading_is_noted_and_never_goes_back(site, browser) -> None:
    browser.says("one")
    for seq, noted in ((1, 1), (0, 1), (99, 1)):
        assert browser.ask("POST", "read", {"seq": seq}).status_code == 200
        assert Conversation.objects.get().customer_read_seq == noted
    assert code(browser.ask("POST", "read", {"seq": -1})) == "bad_request"


def test_typing_says_on_or_off(site, browser) -> None:
    assert browser.ask("POST", "typing", {"on": True}).status_code == 200
    assert code(browser.ask("POST", "typing", {"on": "yes"})) == "bad_request"


# The end


def test_a_rating_counts_once_for_each_context(site, browser) -> None:
    assert code(browser.ask("POST", "rating", {"score": 5})) == "wrong_state"
    browser.says("Thanks")
    for score in (5, 5, 4):
        assert (
            browser.ask("POST", "rating", {"score": score, "comment": "Call me: 4111 1111 1111 1111"}).status_code
            == 200
        )
    rating = Rating.objects.get()
    assert (rating.score, rating.resolved_by) == (4, "bot")
    assert "4111" not in rating.comment
    assert Event.objects.filter(kind="rating").count() == 2
    assert Conversation.objects.get().turn == 1


@pytest.mark.parametrize("body", [{"score": 0}, {"score": 6}, {"score": "5"}, {}, {"score": 5, "comment": "x" * 1_001}])
def test_a_rating_is_one_to_five(site, browser, body) -> None:
    browser.says("Thanks")
    assert code(browser.ask("POST", "rating", body)) == "bad_request"


def test_who_writes_after_the_end_begins_anew(site, browser) -> None:
    browser.says("Thanks")
    assert browser.ask("POST", "end", {"helped": True}).json()["state"] == "resolved"
    ended = Conversation.objects.get()
    assert (ended.resolution, ended.context) == ("confirmed", 1)
    assert browser.ask("POST", "end", {"helped": True}).json()["seq"] == ended.seq
    browser.says("One more thing")
    again = Conversation.objects.get()
    assert (again.state, again.context, again.resolved_at) == ("bot", 2, None)


# Limits


def test_too_many_messages_are_told_when_to_come_back(site, browser, settings) -> None:
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"chat_messages": "1/minute"}
    browser.says("one")
    answer = browser.says("two")
    assert (answer.status_code, code(answer)) == (429, "rate_limited")
    assert 1 <= int(answer["Retry-After"]) <= 60
    assert answer["Access-Control-Allow-Origin"] == SHOP


def test_one_address_opens_so_many_sessions(site, settings) -> None:
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"chat_sessions": "1/minute"}
    assert Browser().open().status_code == 200
    assert Browser().open().status_code == 429


def test_tokens_are_not_tried_by_the_thousand(site, browser, settings) -> None:
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"chat_address": "1/minute"}
    browser.token = "A" * 43
    assert browser.ask("GET", "events").status_code == 401
    assert browser.ask("GET", "events").status_code == 429
