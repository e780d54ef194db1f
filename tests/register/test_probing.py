"""Asking the site: over HTTP where it answers, by this process' copy where it does not, and both say so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import structlog
from django.db import connection, transaction
from prometheus_client import REGISTRY

from apps.register.probing import RunningSite, SiteSilent, in_process, visitor

pytestmark = pytest.mark.django_db
SEEN: list[dict[str, str]] = []


class Server(BaseHTTPRequestHandler):
    """Says what it was asked."""

    def do_GET(self) -> None:
        SEEN.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(301 if self.path == "/onward" else 200)
        self.send_header("Location", "/elsewhere")
        self.send_header("Set-Cookie", "a=1; Secure; HttpOnly; SameSite=Lax")
        self.send_header("Set-Cookie", "b=2")
        self.end_headers()
        self.wfile.write(b"Here I am")

    def log_message(self, *_: Any) -> None:
        """Quietly."""


@pytest.fixture
def address() -> Iterator[str]:
    SEEN.clear()
    server = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_web_server_is_asked_at_its_inner_address_under_its_public_name(settings: Any, address: str) -> None:
    settings.PROBE_URL, settings.SITE_URL, settings.USE_HTTPS = address, "https://desk.example.com", True
    reply = RunningSite().ask("GET", "/onward", headers={"Origin": "https://x.invalid"})
    assert (reply.status, reply.via, reply.text) == (301, "http", "Here I am")
    assert reply.header("Location") == "/elsewhere"
    assert reply.cookies["a"]["secure"]
    assert not reply.cookies["b"]["secure"]
    (seen,) = SEEN
    assert (seen["host"], seen["x-forwarded-proto"]) == ("desk.example.com", "https")
    assert seen["origin"] == "https://x.invalid"
    RunningSite().ask("GET", "/", secure=False)
    assert SEEN[-1]["x-forwarded-proto"] == "http"


def test_without_an_inner_address_the_public_one_is_asked_by_the_scheme_that_is_meant(
    settings: Any, address: str
) -> None:
    settings.SITE_URL, settings.USE_HTTPS = address.replace("http://", "https://"), True
    assert RunningSite().ask("GET", "/", secure=False).via == "http"
    assert RunningSite().ask("GET", "/health/live").via == "process"  # nobody speaks TLS there


def test_where_nobody_answers_this_process_does_and_says_so(settings: Any) -> None:
    settings.PROBE_URL = "http://127.0.0.1:9"
    reply = RunningSite().ask("GET", "/health/live")
    assert (reply.status, reply.via) == (200, "process")
    with pytest.raises(SiteSilent, match="does not answer"):
        RunningSite().over_http("/health/live")


def test_own_questions_are_no_requests_of_the_metrics_and_forget_no_context() -> None:
    def counted() -> float:
        labels = {"method": "GET", "view": "health_live", "status": "200"}
        return REGISTRY.get_sample_value("riskdesk_http_request_seconds_count", labels) or 0

    before = counted()
    with structlog.contextvars.bound_contextvars(task_id="7"):
        assert in_process("GET", "/health/live").status == 200
        assert structlog.contextvars.get_contextvars()["task_id"] == "7"
    assert counted() == before


def test_visitors_act_in_the_api_and_on_the_desk() -> None:
    guest = visitor()
    assert in_process("GET", "/api/tickets", headers=guest.headers).status == 200
    assert in_process("GET", "/admin/", person=guest.person).status == 200
    assert in_process("GET", "/api/tickets").status == 401


@pytest.mark.django_db(transaction=True)
def test_no_visitor_is_made_where_it_would_stay() -> None:
    assert not connection.in_atomic_block
    with pytest.raises(transaction.TransactionManagementError):
        visitor()
