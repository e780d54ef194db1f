"""News to other systems: signed, retried, given up and sent again."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from apps.core.breaker import Breaker
from apps.core.models import Decision
from apps.core.roles import Role
from apps.escalation import outgoing
from apps.escalation.binding import NotAllowed
from apps.escalation.models import Endpoint, OutgoingNews
from tests.core.factories import person
from tests.escalation.desk import desk, made
from tests.escalation.factories import NOON, raised
from tests.support.faulty_server import FaultyServer, answer, drop, faulty_server

pytestmark = pytest.mark.django_db
SECRET = "whsec-of-the-test"


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with faulty_server() as running:
        yield running


@pytest.fixture(autouse=True)
def endpoint(server: FaultyServer, settings: Any) -> Iterator[Endpoint]:
    settings.DEBUG = True  # the server speaks http
    settings.OUTGOING_PRIVATE_ADDRESSES = True  # and is on this machine
    made_here = Endpoint.objects.create(name="Partner", url=f"{server.url}/hook?token=t0p", secret=SECRET)
    yield made_here
    Breaker(f"outgoing-{made_here.pk}").reset()


def news(key: str = "1", kind: str = "ticket.created") -> OutgoingNews:
    outgoing.publish(outgoing.News(kind, key, {"ticket": 1}, NOON))
    return OutgoingNews.objects.get(dedupe_key=key)


def deliver(at: datetime = NOON) -> OutgoingNews | None:
    return outgoing.deliver_one(now=lambda: at)


def test_a_delivery_is_signed_over_time_and_body(server: FaultyServer) -> None:
    sent = news()
    assert deliver(NOON) == sent
    (request,) = server.seen
    body = json.loads(request.body)
    assert body == {"id": str(sent.pk), "kind": "ticket.created", "at": "2026-03-02T12:00:00Z", "ticket": 1}
    fields = dict(part.split("=") for part in request.headers["riskdesk-signature"].split(","))
    expected = hmac.new(SECRET.encode(), f"{fields['t']}.".encode() + request.body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(fields["v1"], expected)
    assert int(fields["t"]) == int(NOON.timestamp())
    assert request.headers["riskdesk-delivery"] == request.headers["idempotency-key"] == str(sent.pk)
    sent.refresh_from_db()
    assert (sent.status, sent.sent_at, sent.attempts) == ("sent", NOON, 1)
    assert deliver(NOON) is None


def test_what_failed_for_now_is_tried_again_later_with_the_same_body(server: FaultyServer) -> None:
    server.plan = [answer(503), drop, answer(200)]
    row, at = news(), NOON
    for attempt, wait in ((1, 1), (2, 4)):
        deliver(at)
        row.refresh_from_db()
        assert (row.status, row.attempts) == ("pending", attempt)
        assert row.next_attempt_at == at + timedelta(minutes=wait)
        assert deliver(at) is None
        at = row.next_attempt_at
    deliver(at)
    row.refresh_from_db()
    assert (row.status, row.last_error) == ("sent", "")
    assert len({request.body for request in server.seen}) == 1
    assert len({request.headers["riskdesk-signature"] for request in server.seen}) == 3  # each with its own time


def test_a_pause_that_is_asked_for_is_kept(server: FaultyServer) -> None:
    server.plan = [answer(429, headers={"Retry-After": "600"})]
    row = news()
    deliver()
    row.refresh_from_db()
    assert row.next_attempt_at == NOON + timedelta(minutes=10)


def test_what_would_fail_again_is_given_up_at_once(server: FaultyServer) -> None:
    server.plan = [answer(410)]
    row = news()
    deliver()
    assert list(outgoing.dead_letters()) == [row]
    row.refresh_from_db()
    assert row.last_error.startswith("http_410")
    assert "t0p" not in row.last_error


def test_after_the_last_attempt_it_is_given_up(server: FaultyServer, endpoint: Endpoint) -> None:
    server.plan = [answer(500)]
    row, at = news(), NOON
    for _ in range(outgoing.MAX_ATTEMPTS):
        Breaker(f"outgoing-{endpoint.pk}").reset()
        deliver(at)
        row.refresh_from_db()
        at = row.next_attempt_at or at
    assert (row.status, row.attempts) == ("dead", outgoing.MAX_ATTEMPTS)
    assert len(server.seen) == outgoing.MAX_ATTEMPTS


def test_an_open_breaker_costs_no_attempt(server: FaultyServer, endpoint: Endpoint) -> None:
    server.plan = [answer(500)]
    breaker = Breaker(f"outgoing-{endpoint.pk}")
    while breaker.admit().allowed:
        breaker.fail("test")
    row = news()
    deliver()
    row.refresh_from_db()
    assert (row.status, row.attempts, server.seen) == ("pending", 0, [])
    assert row.next_attempt_at >= NOON + timedelta(seconds=30)


def test_a_worker_that_died_while_sending_loses_nothing(server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    row = news()

    def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(outgoing, "_send", killed)
        with pytest.raises(SystemExit):
            deliver()
    assert deliver() is None  # the dead worker's claim holds
    assert deliver(NOON + outgoing.CLAIM) == row
    assert len(server.seen) == 1


def test_given_up_news_is_sent_again_by_a_person_who_may(server: FaultyServer) -> None:
    server.plan = [answer(404), answer(200)]
    row, fine = news("1"), news("2")
    deliver()
    deliver()
    with pytest.raises(NotAllowed):
        outgoing.replay(news_ids=[row.pk], actor=person(Role.SUPPORT_AGENT), now=NOON)
    administrator = person(Role.ADMINISTRATOR)
    assert outgoing.replay(news_ids=[row.pk, fine.pk], actor=administrator, now=NOON) == 1
    assert Decision.objects.get(action="outgoing_replayed").payload["count"] == 1
    deliver()
    row.refresh_from_db()
    assert row.status == "sent"


def test_only_active_endpoints_that_want_it_are_told_and_once(endpoint: Endpoint, server: FaultyServer) -> None:
    other = Endpoint.objects.create(name="Flags only", url=server.url, secret="x", kinds=["flag.raised"])
    Endpoint.objects.create(name="Off", url=server.url, secret="x", active=False)
    for _ in range(2):
        outgoing.publish(outgoing.News("ticket.created", "a", {}, NOON))
        outgoing.publish(outgoing.News("flag.raised", "b", {}, NOON))
    told = OutgoingNews.objects.values_list("endpoint__name", "kind").order_by("endpoint__name", "kind")
    assert list(told) == [
        (other.name, "flag.raised"), (endpoint.name, "flag.raised"), (endpoint.name, "ticket.created"),
    ]  # fmt: skip


def test_an_endpoint_that_was_switched_off_or_is_not_encrypted_gets_nothing(
    endpoint: Endpoint, server: FaultyServer, settings: Any
) -> None:
    row = news()
    settings.DEBUG = False
    deliver()
    row.refresh_from_db()
    assert (row.status, row.last_error, server.seen) == ("dead", "not_https", [])
    second = news("2")
    Endpoint.objects.update(active=False)
    deliver()
    second.refresh_from_db()
    assert (second.status, second.last_error) == ("dead", "switched_off")


def test_tickets_and_flags_are_news_without_names_or_words() -> None:
    _, about, _ = desk()
    ticket = made(category=about, requester_name="Joe Doe", message="It broke")
    flag = raised(description="Joe Doe complained")
    bodies = {row.kind: row.body for row in OutgoingNews.objects.all()}
    assert bodies["ticket.created"]["number"] == ticket.number
    assert bodies["flag.raised"]["flag"] == flag.pk
    assert "Joe" not in json.dumps(list(bodies.values()))
    assert "example.com" not in json.dumps(list(bodies.values()))


def test_sent_news_is_forgotten_and_given_up_news_stays(server: FaultyServer) -> None:
    server.plan = [answer(200), answer(404)]
    news("1")
    news("2")
    deliver()
    deliver()
    assert outgoing.forget_old(now=NOON + timedelta(days=31)) == 1
    assert outgoing.dead_letters().count() == 1
