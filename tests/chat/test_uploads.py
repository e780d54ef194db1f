"""Files of customers: which are taken, how they are named, who gets them."""

from __future__ import annotations

from io import BytesIO
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail as post
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from PIL import Image

from apps.chat import transcripts, uploads
from apps.chat.models import ChatSite, Conversation, Event, TranscriptMail, Upload
from apps.chat.refusals import WrongType
from tests.chat.factories import chat_site, says
from tests.chat.test_http import SHOP, Browser, code

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _storage(settings, tmp_path) -> None:
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def site() -> ChatSite:
    return chat_site(key="shop", allowed_origins=[SHOP])


@pytest.fixture
def browser(site) -> Browser:
    opened = Browser()
    opened.open()
    return opened


def picture(kind: str = "PNG") -> bytes:
    out = BytesIO()
    Image.new("RGB", (8, 8)).save(out, kind)
    return out.getvalue()


def sends(browser: Browser, content: bytes, name: str = "a.png", key: str = "", said: str = "image/png") -> Any:
    form = {"client_msg_id": key or str(uuid4()), "file": SimpleUploadedFile(name, content, said)}
    headers = {"Origin": SHOP, "Authorization": f"Chat {browser.token}"}
    return browser.client.post("/chat/shop/files", form, headers=headers)


def test_a_file_is_an_event_and_only_its_conversation_gets_it(browser) -> None:
    answer = sends(browser, picture(), "shot.png")
    assert answer.status_code == 201
    facts = answer.json()["event"]["data"]["file"]
    assert (facts["name"], facts["content_type"]) == ("shot.png", "image/png")
    got = browser.ask("GET", f"files/{facts['id']}")
    assert b"".join(got.streaming_content) == picture()
    assert got["Content-Disposition"].startswith("attachment")
    assert "sandbox" in got["Content-Security-Policy"]
    stranger = Browser()
    stranger.open()
    assert code(stranger.ask("GET", f"files/{facts['id']}")) == "not_found"
    stranger.token = ""
    assert code(stranger.ask("GET", f"files/{facts['id']}")) == "session_over"
    Upload.objects.update(removed_at=timezone.now())
    assert code(browser.ask("GET", f"files/{facts['id']}")) == "not_found"


def test_it_is_kept_under_a_name_of_our_own(browser, tmp_path) -> None:
    sends(browser, picture(), "../../etc/passwd.png")
    kept = Upload.objects.get()
    assert kept.name == "passwd.png"
    assert "passwd" not in kept.file.name
    assert (tmp_path / kept.file.name).is_file()


def test_the_same_file_again_is_stored_once(browser, tmp_path) -> None:
    key = str(uuid4())
    first, again = sends(browser, picture(), key=key), sends(browser, picture(), key=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert Upload.objects.count() == len([each for each in tmp_path.rglob("*") if each.is_file()]) == 1


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        (picture("JPEG"), "a.html", "image/jpeg"),
        (picture("GIF"), "a.gif", "image/gif"),
        (picture("WEBP"), "a.webp", "image/webp"),
        (b"%PDF-1.7 x", "a.exe", "application/pdf"),
        ("größe;1\n".encode(), "a.csv", "text/plain"),
    ],
)
def test_the_content_says_what_it_is(content, name, kind) -> None:
    assert uploads.type_of(SimpleUploadedFile(name, content)) == kind


@pytest.mark.parametrize(
    "content",
    [
        b"MZ\x90\0", b"\x7fELF", b"PK\x03\x04", b"<svg onload=alert(1)>", b" \n<!doctype html>", b"#!/bin/sh", b"\xff\xfe\0a",
        picture()[:30], b"\x89PNG\r\n\x1a\n", b"RIFF1234WAVE", b"%!PS",
    ],
)  # fmt: skip
def test_what_a_browser_or_a_machine_could_run_is_refused(browser, content) -> None:
    with pytest.raises(WrongType):
        uploads.type_of(SimpleUploadedFile("a.png", content))
    answer = sends(browser, content, "a.png")
    assert (answer.status_code, code(answer)) == (415, "wrong_type")
    assert not Upload.objects.exists()


def test_sizes_have_limits(browser, monkeypatch) -> None:
    assert code(sends(browser, b"")) in ("file_refused", "bad_request")
    monkeypatch.setattr(uploads, "LARGEST", 50)
    assert sends(browser, b"x" * 51, "a.txt").status_code == 413
    monkeypatch.setattr(uploads, "MOST_PIXELS", 10)
    monkeypatch.setattr(uploads, "LARGEST", 10_000)
    assert code(sends(browser, picture())) == "wrong_type"
    monkeypatch.setattr(uploads, "MOST_OF_CONVERSATION", 0)
    assert code(sends(browser, b"fine", "a.txt")) == "file_refused"


def test_a_file_that_cannot_be_noted_is_not_kept(browser, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(uploads, "MOST_OF_CONVERSATION", 0)
    sends(browser, b"fine", "a.txt")
    assert not [each for each in tmp_path.rglob("*") if each.is_file()]


@pytest.mark.parametrize("body", [{}, {"client_msg_id": "x"}])
def test_a_form_needs_a_file_and_an_id(browser, body) -> None:
    headers = {"Origin": SHOP, "Authorization": f"Chat {browser.token}"}
    assert code(browser.client.post("/chat/shop/files", body, headers=headers)) == "bad_request"


@pytest.mark.parametrize(
    ("given", "shown"),
    [("", "file.png"), ("a/b\\c.PNG", "c.png"), ("evil\u202egnp.exe", "evilgnp.png"), ("4111 1111 1111 1111.png", "[card number].png"), ("x" * 300, "x" * 120 + ".png")],
)  # fmt: skip
def test_names_are_cleaned(given, shown) -> None:
    assert uploads.name_for(given, "image/png") == shown


# Transcripts


def test_a_transcript_is_sent_without_notes_and_links(browser) -> None:
    conversation = Conversation.objects.get()
    says(conversation, "Look at https://evil.example/x now")
    says(conversation, "See https://shop.example/help", "bot")
    card = {"title": "Returns", "url": "https://desk.example/help/articles/returns/"}
    says(conversation, "This should help", "agent", data={"articles": [card]})
    says(conversation, "a private note", "agent", internal=True)
    assert browser.ask("POST", "transcript", {"email": "ada@example.com"}).status_code == 202
    assert transcripts.send_due(timezone.now()) == 1
    mail = post.outbox[0]
    assert mail.to == ["ada@example.com"]
    assert "[link]" in mail.body
    assert "evil.example" not in mail.body
    assert "https://shop.example/help" in mail.body
    assert "This should help\nReturns: https://desk.example/help/articles/returns/" in mail.body
    assert "private note" not in mail.body
    kept = TranscriptMail.objects.get()
    assert (kept.status, kept.address) == ("sent", "")
    assert transcripts.send_due(timezone.now()) == 0


def test_a_transcript_that_cannot_be_sent_now_is_tried_later(browser, monkeypatch) -> None:
    says(Conversation.objects.get(), "Hello")
    browser.ask("POST", "transcript", {"email": "ada@example.com"})

    def refuse(_mail: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    assert transcripts.send_due(timezone.now()) == 0
    kept = TranscriptMail.objects.get()
    assert (kept.status, kept.address, kept.error) == ("due", "ada@example.com", "ConnectionRefusedError")
    assert kept.next_attempt_at > timezone.now()


def test_who_may_ask_for_a_transcript(browser, settings) -> None:
    assert code(browser.ask("POST", "transcript", {"email": "ada@example.com"})) == "wrong_state"
    says(Conversation.objects.get(), "Hello")
    for wrong in ("", "x", "a@b\nBcc: c@d.example", 7):
        assert code(browser.ask("POST", "transcript", {"email": wrong})) == "bad_request"
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"chat_transcripts_to": "1/day", "chat_transcripts": "99/hour"}
    assert browser.ask("POST", "transcript", {"email": "ada@example.com"}).status_code == 202
    other = Browser()
    other.open()
    says(Conversation.objects.order_by("-pk")[0], "Hello")
    assert other.ask("POST", "transcript", {"email": "Ada@example.com"}).status_code == 429
    assert Event.objects.filter(kind="message").count() == 2
    browser.token = ""
    assert code(browser.ask("POST", "transcript", {"email": "ada@example.com"})) == "session_over"
