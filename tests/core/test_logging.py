"""Logs: one shape, masked secrets, and one id from the request through the queue into the task."""

from __future__ import annotations

import json
import logging
import queue
from collections.abc import Callable, Iterator
from io import StringIO

import pytest
import structlog
from celery import Celery
from celery.contrib.testing.worker import start_worker
from django.conf import settings as django_settings
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django_structlog.celery.receivers import CeleryReceiver
from django_structlog.celery.steps import DjangoStructLogInitStep
from hypothesis import given
from hypothesis import strategies as st

from apps.core.logging import MASK, formatting, redact
from config.celery import app as product_app
from tests.core.factories import UserFactory


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict]]]:
    """Everything logged during the test, as production writes it."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    pre_chain = logging.getLogger().handlers[0].formatter.foreign_pre_chain
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=pre_chain, processors=formatting("json"))
    )
    logging.getLogger().addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.getLogger().removeHandler(handler)


def test_our_events_and_libraries_have_one_shape(lines) -> None:
    with structlog.contextvars.bound_contextvars(request_id="abcdefgh"):
        structlog.get_logger("ours").warning("card_opened", card=7)
        logging.getLogger("theirs").warning("a %s happened", "thing")
    ours, theirs = lines()
    assert (ours["event"], ours["card"], ours["logger"], ours["level"]) == ("card_opened", 7, "ours", "warning")
    assert (theirs["event"], theirs["logger"]) == ("a thing happened", "theirs")
    assert ours["request_id"] == theirs["request_id"] == "abcdefgh"
    assert ours["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "new_password1",
        "access_token",
        "SECRET_KEY",
        "Authorization",
        "X-Shopify-Hmac-Sha256",
        "api_key",
        "Cookie",
        "sessionid",
    ],
)
def test_values_under_secret_names_are_masked_at_any_depth(key) -> None:
    event = {"event": "x", key: "hunter2", "headers": {key: "hunter2", "list": [{key: ["hunter2"]}]}}
    assert "hunter2" not in repr(redact(None, "info", event))


@pytest.mark.parametrize(
    "text",
    [
        "sent Bearer hunter2.abc",
        "authorization: Basic hunter2==",
        "{'Authorization': 'Bearer hunter2'}",
        "postgres://riskdesk:hunter2@db/riskdesk is down",
        "token was shpat_hunter2",
        b"hunter2",
    ],
)
def test_secrets_inside_texts_are_masked(text) -> None:
    assert "hunter2" not in repr(redact(None, "info", {"event": "x", "detail": text}))
    assert "hunter2" not in repr(redact(None, "info", {"event": text}))
    assert "hunter2" not in repr(redact(None, "info", {"event": "x", "error": ValueError(text)})) or isinstance(
        text, bytes
    )


@pytest.mark.parametrize(
    "text",
    [
        "mail to ann.smith+x@shop.example.com was refused",
        "duplicate key value\nDETAIL:  Key (lower(name::text))=(Ann Smith) already exists.",
        "null value in column\nDETAIL:  Failing row contains (7, Ann\nSmith, null).\n\nThe above exception was the",
    ],
)
def test_personal_data_inside_texts_is_masked(text) -> None:
    shown = repr(redact(None, "info", {"event": text, "error": ValueError(text), "list": [text]}))
    assert "ann" not in shown.lower()
    assert "smith" not in shown.lower()


def test_what_is_harmless_stays() -> None:
    event = {"event": "task_ok", "order": 7, "rate": 0.5, "ok": True, "none": None, "names": ["a"], "password": ""}
    assert redact(None, "info", dict(event)) == event


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_redaction_never_fails(value) -> None:
    json.dumps(redact(None, "info", {"event": "x", "value": value}), default=str)


def leaky(request: HttpRequest) -> HttpResponse:
    """A careless view: it logs what it got and fails with it."""
    structlog.get_logger("leaky").info("got", headers=dict(request.headers), body=request.body, form=dict(request.POST))
    logging.getLogger("leaky").warning("with %s", request.headers["Authorization"])
    raise RuntimeError(f"{request.headers['Authorization']} of {request.POST['email']}")


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user))


urlpatterns = [path("leaky", leaky), path("home", home)]
handler500 = "apps.core.errors.server_error"


def test_a_failing_request_tells_no_secret_from_header_body_or_exception(lines, settings) -> None:
    settings.ROOT_URLCONF = __name__
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "hunter2-session"
    form = {"password": "hunter2-form", "email": "ann@example.com"}
    headers = {"Authorization": "Bearer hunter2-header", "X-Shopify-Hmac-Sha256": "hunter2-hmac"}
    answer = client.post("/leaky?token=hunter2-query", form, headers=headers)
    assert answer.status_code == 500
    told = lines()
    text = json.dumps(told)
    assert "hunter2" not in text
    assert "ann@" not in text
    failed = [line for line in told if line["event"] == "request_failed"]
    assert [(line["request"], line["code"]) for line in failed] == [("POST /leaky", 500)]
    assert {line["request_id"] for line in told if line["event"] != "with Bearer [redacted]"} == {
        answer["X-Request-ID"]
    }
    assert "RuntimeError" in failed[0]["exception"]


@pytest.mark.django_db
def test_the_person_is_logged_by_id(lines, settings, client: Client) -> None:
    settings.ROOT_URLCONF = __name__
    ann = UserFactory(username="ann")
    client.force_login(ann)
    assert client.get("/home").content == b"ann"
    finished = [line for line in lines() if line["event"] == "request_finished"]
    assert [line["user_id"] for line in finished] == [str(ann.pk)]
    assert '"ann' not in json.dumps(lines())


def test_a_database_that_is_down_is_logged_and_has_its_page(lines, settings) -> None:
    settings.ROOT_URLCONF = __name__
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "x" * 32
    answer = client.get("/home")  # this test has no access to the database
    assert answer.status_code == 500
    assert answer["X-Request-ID"].encode() in answer.content
    assert "default-src 'self'" in answer["Content-Security-Policy"]
    assert [line["request_id"] for line in lines() if line["event"] == "request_failed"] == [answer["X-Request-ID"]]


def test_tracebacks_are_masked(lines) -> None:
    try:
        raise ValueError("refused Bearer hunter2")
    except ValueError:
        structlog.get_logger().exception("broke", password="hunter2")
    text = json.dumps(lines())
    assert "hunter2" not in text
    assert "ValueError" in text
    assert MASK in text


def test_a_request_has_an_id_and_is_logged_without_its_query(lines, client: Client) -> None:
    answer = client.get("/nowhere", {"q": "hunter2"}, headers={"X-Request-ID": "proxy-1234.abc"})
    assert answer["X-Request-ID"] == "proxy-1234.abc"
    finished = [line for line in lines() if line["event"] == "request_finished"]
    assert [(line["request"], line["code"], line["request_id"]) for line in finished] == [
        ("GET /nowhere", 404, "proxy-1234.abc")
    ]
    assert "hunter2" not in json.dumps(lines())


@pytest.mark.parametrize("bad", ["short", "x" * 65, "with space 123", 'quote"12345', "", "{jndi:ldap://x}"])
def test_a_malformed_id_is_replaced(client: Client, bad) -> None:
    given_back = client.get("/health/live", headers={"X-Request-ID": bad})["X-Request-ID"]
    assert given_back != bad
    assert len(given_back) == 36


def test_ids_do_not_leak_into_the_next_request(client: Client) -> None:
    first, second = client.get("/health/live"), client.get("/health/live")
    assert first["X-Request-ID"] != second["X-Request-ID"]
    assert structlog.contextvars.get_contextvars() == {}


def test_probes_are_not_logged(lines, client: Client) -> None:
    client.get("/health/live")
    assert lines() == []


@pytest.fixture
def outer_app() -> Iterator[Celery]:
    """An application with the product's settings and a queue of its own on the real Valkey."""
    app = Celery("test", broker=django_settings.CELERY_BROKER_URL, set_as_current=False)
    app.conf.update(task_default_queue="test-logging", task_ignore_result=True, broker_connection_retry_on_startup=True)
    app.steps["worker"].add(DjangoStructLogInitStep)
    yield app
    with app.connection() as connection:
        connection.default_channel.queue_purge("test-logging")
    app.close()


def test_the_request_id_reaches_the_task(outer_app: Celery) -> None:
    seen: queue.Queue[dict] = queue.Queue()

    @outer_app.task(name="tests.remember")
    def remember() -> None:
        seen.put(structlog.contextvars.get_contextvars())

    CeleryReceiver().connect_signals()
    with structlog.contextvars.bound_contextvars(request_id="request-7"):
        remember.delay()
    with start_worker(outer_app, pool="solo", perform_ping_check=False, queues=["test-logging"]):
        context = seen.get(timeout=20)
    assert context["request_id"] == "request-7"
    assert context["task_id"]


def test_the_product_binds_ids_in_its_workers() -> None:
    assert DjangoStructLogInitStep in product_app.steps["worker"]
    assert django_settings.DJANGO_STRUCTLOG_CELERY_ENABLED
