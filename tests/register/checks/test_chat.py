"""The checks of the chat pass, warn and fail."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

from apps.chat.checks import sockets_and_polling
from apps.chat.models import ChatSession, Conversation
from apps.register.probing import Reply
from tests.chat.factories import chat_site, conversation, says
from tests.register.looking import NOON, Answering, look

pytestmark = pytest.mark.django_db


def test_transcripts_go_when_their_time_is_over() -> None:
    assert look("transcripts-forgotten").outcome == "pass"
    old = NOON - timedelta(days=200)
    one = conversation(opened_at=old, last_event_at=old)
    says(one, "Hello", at=old)
    assert look("transcripts-forgotten").outcome == "pass"  # somebody still has to answer
    Conversation.objects.filter(pk=one.pk).update(state="resolved", resolved_at=old)
    found = look("transcripts-forgotten")
    assert (found.outcome, found.facts["late"]["transcripts"]) == ("fail", 1)
    assert look("transcripts-forgotten", now=old + timedelta(days=181)).outcome == "pass"


def test_a_session_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = look("chat-session-once")
    assert found.outcome == "pass", found
    assert found.facts["kept"] == 1
    assert ChatSession.objects.count() == 1

    def refuses(**given: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr("apps.chat.views.open_session", refuses)
    assert look("chat-session-once").outcome == "fail"


@pytest.fixture
def socket(settings: Any) -> Iterator[list[int]]:
    """A server of sockets that turns everybody away with the code in the list."""
    codes = [4401]

    def turn_away(one: ServerConnection) -> None:
        one.recv()
        one.close(codes[0])

    with serve(turn_away, "127.0.0.1", 0) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        settings.PROBE_URL = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        yield codes
        server.shutdown()


def test_both_ways_are_tried(socket: list[int]) -> None:
    assert look("chat-reachable").outcome == "warn"  # no site has a chat
    place = chat_site(allowed_origins=["https://shop.example.com"])
    path = f"/chat/{place.key}/events?after=0"
    site = Answering({path: Reply(401, {}, "", "http")})
    assert look("chat-reachable", site=site).outcome == "pass"
    socket[0] = 1011
    assert look("chat-reachable", site=site).outcome == "fail"
    socket[0] = 4401
    assert look("chat-reachable", site=Answering({path: Reply(502, {}, "", "http")})).outcome == "fail"


def test_no_socket_at_all_is_said(settings: Any) -> None:
    settings.PROBE_URL = "http://127.0.0.1:9"
    assert sockets_and_polling.knock("shop", "https://shop.example.com") is None
