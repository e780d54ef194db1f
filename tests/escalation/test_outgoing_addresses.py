"""Where news may be sent: only to the public internet, also after names were looked up, and addresses are not shown."""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.test import Client as Browser

from apps.core import networks
from apps.core.breaker import Breaker
from apps.core.http import Client, PermanentFailure, TransientFailure
from apps.core.networks import PrivateAddress, is_public, public_address
from apps.core.roles import Role
from apps.escalation import outgoing
from apps.escalation.models import Endpoint, OutgoingNews
from apps.escalation.sweep import sweep
from tests.core.factories import person
from tests.escalation.factories import NOON, minutes, raised
from tests.support.faulty_server import answer, faulty_server

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "255.255.255.255", "224.0.0.1", "192.0.2.1", "198.18.0.1", "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1",
    "ff02::1", "::ffff:127.0.0.1", "::ffff:10.1.2.3", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:53aa:64c::1",
    "2001:db8::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_in_all_their_guises_are_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


def leads_to(monkeypatch: pytest.MonkeyPatch, *found: str) -> list[str]:
    """Have every name lead to these addresses; the list tells which names were asked for."""
    asked: list[str] = []

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(networks.socket, "getaddrinfo", look_up)
    return asked


def test_a_name_with_one_private_address_is_refused_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    leads_to(monkeypatch, "8.8.8.8", "10.0.0.1")
    with pytest.raises(PrivateAddress):
        public_address("example.com", 443)
    leads_to(monkeypatch, "2606:4700:4700::1111", "8.8.8.8")
    assert public_address("example.com", 443) == "8.8.8.8"


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "localhost", "[::1]", "rebound.example"])
def test_nothing_reaches_this_machine_however_it_is_written(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty_server() as server:
        port = server.url.rsplit(":", 1)[1]
        if host == "rebound.example":
            leads_to(monkeypatch, "127.0.0.1")
        breaker = Breaker("addresses", probe_seconds=1)
        breaker.reset()
        with (
            Client("test", f"http://{host}:{port}", public_only=True, breaker=breaker) as client,
            pytest.raises(PermanentFailure) as refused,
        ):
            client.request("GET", "/")
        assert refused.value.code == "private_address"
        assert server.seen == []


def test_what_was_looked_at_is_what_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is looked at and private a moment later gains nothing: it is looked up once."""
    asked = leads_to(monkeypatch, "203.0.113.9")
    monkeypatch.setattr(networks, "is_public", lambda text: True)
    connected: list[str] = []

    def refuse(address: tuple[str, int], *_: Any, **__: Any) -> None:
        connected.append(address[0])
        raise OSError

    monkeypatch.setattr(socket, "create_connection", refuse)
    breaker = Breaker("addresses", probe_seconds=1)
    breaker.reset()
    with (
        Client("test", "http://rebound.example", public_only=True, breaker=breaker) as client,
        pytest.raises(TransientFailure),
    ):
        client.request("POST", "/", content=b"x")
    assert (asked, connected) == (["rebound.example"], ["203.0.113.9"])


def test_a_host_without_an_address_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any, **__: Any) -> None:
        raise socket.gaierror

    monkeypatch.setattr(networks.socket, "getaddrinfo", nothing)
    with Client("test", "http://nowhere.example", public_only=True) as client, pytest.raises(TransientFailure) as error:
        client.request("POST", "/", content=b"x")
    assert error.value.code == "unknown_host"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://example.com/hook?key=1", ""),
        ("http://example.com/", "not_https"),
        ("ftp://example.com/", "not_https"),
        ("https://user:pass@example.com/", "credentials_in_address"),
        ("https://localhost/", "private_address"),
        ("https://db.internal/", "private_address"),
        ("https://169.254.169.254/latest/meta-data", "private_address"),
        ("https://[::ffff:10.0.0.1]/", "private_address"),
        ("https://", "not_an_address"),
        ("https://[::1", "not_an_address"),
        ("https://example.com:99999/", "not_an_address"),
    ],
)
def test_an_address_that_is_typed_in_is_looked_at(url: str, problem: str, settings: Any) -> None:
    settings.DEBUG = False
    assert outgoing.unusable(url) == problem


@pytest.mark.django_db
def test_news_to_a_private_address_is_given_up_with_its_reason(settings: Any) -> None:
    settings.DEBUG = True
    with faulty_server() as server:
        endpoint = Endpoint.objects.create(name="Inside", url=f"{server.url}/?token=t0p", secret="s")
        outgoing.publish(outgoing.News("ticket.created", "1", {}, NOON))
        outgoing.deliver_one(now=lambda: NOON)
        assert server.seen == []
    row = OutgoingNews.objects.get()
    assert (row.status, row.last_error) == ("dead", "private_address")
    Breaker(f"outgoing-{endpoint.pk}").reset()


@pytest.mark.django_db
def test_a_redirect_into_our_network_is_not_followed(settings: Any) -> None:
    settings.DEBUG = settings.OUTGOING_PRIVATE_ADDRESSES = True
    with faulty_server() as server, faulty_server() as inside:
        server.plan = [answer(307, headers={"Location": f"{inside.url}/secret"})]
        endpoint = Endpoint.objects.create(name="Leads astray", url=server.url, secret="s")
        outgoing.publish(outgoing.News("ticket.created", "1", {}, NOON))
        outgoing.deliver_one(now=lambda: NOON)
        assert inside.seen == []
    assert OutgoingNews.objects.get().last_error.startswith("redirect_refused")
    Breaker(f"outgoing-{endpoint.pk}").reset()


FORM = {
    "name": "New",
    "url": "https://example.com/hook?token=t0p",
    "secret": "s3cret-of-mine",
    "kinds": "",
    "active": "on",
}


@pytest.mark.django_db
@pytest.mark.parametrize("url", ["https://10.0.0.1/", "http://example.com/", "https://u:p@example.com/"])
def test_the_form_refuses_such_an_address(client: Browser, url: str, settings: Any) -> None:
    settings.DEBUG = False
    client.force_login(person(Role.ADMINISTRATOR))
    answer = client.post("/admin/escalation/endpoint/add/", FORM | {"url": url})
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors["url"]
    assert not Endpoint.objects.exists()


@pytest.mark.django_db
def test_neither_secret_nor_token_is_shown_to_who_may_only_look_nor_kept_in_the_trail(client: Browser) -> None:
    client.force_login(person(Role.ADMINISTRATOR))
    assert client.post("/admin/escalation/endpoint/add/", FORM).status_code == 302
    endpoint = Endpoint.objects.get()
    page = f"/admin/escalation/endpoint/{endpoint.pk}/change/"
    assert "s3cret-of-mine" not in client.get(page).content.decode()
    trail = str(list(LogEntry.objects.values_list("changes", flat=True)))
    assert "s3cret-of-mine" not in trail
    assert "t0p" not in trail
    for role in (Role.AUDITOR, Role.SUPPORT_MANAGER):
        client.force_login(person(role))
        for address in (page, "/admin/escalation/endpoint/", "/admin/escalation/outgoingnews/"):
            shown = client.get(address).content.decode()
            assert "t0p" not in shown
            assert "s3cret-of-mine" not in shown
        assert "https://example.com/…" in client.get(page).content.decode()


@pytest.mark.django_db
def test_a_worker_that_slept_over_its_claim_undoes_nothing(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DEBUG = settings.OUTGOING_PRIVATE_ADDRESSES = True
    with faulty_server() as server:
        endpoint = Endpoint.objects.create(name="Partner", url=server.url, secret="s")
        outgoing.publish(outgoing.News("ticket.created", "1", {}, NOON))
        send = outgoing._send

        def slept(news: OutgoingNews, at: Any) -> None:
            monkeypatch.setattr(outgoing, "_send", send)
            outgoing.deliver_one(now=lambda: NOON + outgoing.CLAIM)  # another worker, once the claim has ended
            raise PermanentFailure("too late", code="http_410")

        monkeypatch.setattr(outgoing, "_send", slept)
        outgoing.deliver_one(now=lambda: NOON)
        assert len(server.seen) == 1
    assert OutgoingNews.objects.get().status == "sent"
    Breaker(f"outgoing-{endpoint.pk}").reset()


@pytest.mark.django_db
def test_a_deadline_of_a_step_that_passed_is_news() -> None:
    Endpoint.objects.create(name="Partner", url="https://example.com/", secret="s", kinds=["flag.overdue"])
    flag = raised(level=5)
    sweep(now=NOON + minutes(16))
    body = OutgoingNews.objects.get().body
    assert (body["kind"], body["flag"], body["target"], body["announced"]) == ("flag.overdue", flag.pk, "step", 1)
    assert body["due_at"] == "2026-03-02T12:15:00Z"
    sweep(now=NOON + minutes(16) + timedelta(seconds=1))
    assert OutgoingNews.objects.count() == 1
