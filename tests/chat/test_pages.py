"""Pages with the chat: one for each site that is in use, and a shop to try it in that is not there in production."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.chat import identity
from tests.chat.factories import chat_site

pytestmark = pytest.mark.django_db


def test_page_of_a_site_loads_the_widget_in_its_place(client: Client) -> None:
    chat_site(key="shop", name="Shop & Co", language="de")

    answer = client.get("/chat/shop/")

    text = answer.content.decode()
    assert answer.status_code == 200
    assert 'data-site="shop" data-mode="page"' in text
    assert '<html lang="de">' in text
    assert "Shop &amp; Co" in text
    assert "no-store" in answer["Cache-Control"]


def test_page_allows_sockets_to_this_server_and_no_more_scripts_than_others(client: Client) -> None:
    chat_site(key="shop")

    policy = client.get("/chat/shop/")["Content-Security-Policy"]

    assert re.search(r"connect-src 'self' wss?://[^ ;]+;", policy + ";")
    assert "script-src 'self';" in policy + ";"


@pytest.mark.parametrize("key", ["nothing", "old"])
def test_no_page_for_sites_that_are_not_in_use(client: Client, key: str) -> None:
    chat_site(key="old", is_active=False)

    assert client.get(f"/chat/{key}/").status_code == 404


def test_demo_without_a_site_says_what_to_do(client: Client) -> None:
    answer = client.get("/chat/demo/")

    assert answer.status_code == 200
    assert b"There is no chat yet" in answer.content
    assert b"widget.js" not in answer.content


def test_demo_signs_whom_its_visitor_is_signed_in_as(client: Client) -> None:
    chat_site(key="shop", identity_secret="of the shop")

    text = client.get("/chat/demo/?as=anna").content.decode()

    signed = re.search(r'data-identity="([^"]+)"', text)
    assert signed
    who = identity.read("of the shop", signed[1], timezone.now())
    assert (who.id, who.name) == ("demo-anna", "Anna Berg")


@pytest.mark.parametrize("query", ["", "?as=nobody"])
def test_demo_signs_nobody_else(client: Client, query: str) -> None:
    chat_site(key="shop", identity_secret="of the shop")

    assert b"data-identity" not in client.get(f"/chat/demo/{query}").content


def test_no_demo_in_production(client: Client, settings: Any) -> None:
    settings.PRODUCTION = True

    assert client.get("/chat/demo/").status_code == 404
    chat_site(key="demo", name="A real one")
    assert b"A real one" in client.get("/chat/demo/").content


@pytest.mark.parametrize(
    ("path", "policy"),
    [("chat/widget.js", "cross-origin"), ("chat/words/de.json", "cross-origin"), ("core/riskdesk.css", "same-origin")],
)
def test_pages_of_other_origins_load_the_widget_and_nothing_else(client: Client, path: str, policy: str) -> None:
    answer = client.get(f"/static/{path}")

    assert answer.status_code == 200
    assert answer["Cross-Origin-Resource-Policy"] == policy


def test_the_identity_that_the_guide_signs_is_taken(settings: Any) -> None:
    guide = (Path(settings.BASE_DIR) / "docs" / "chat-embed.md").read_text()
    example = re.search(r"\nPython:\n\n((?:    .*\n|\n)+)", guide)
    assert example
    names: dict[str, Any] = {}
    exec(dedent(example[1]), names)
    user = SimpleNamespace(pk=7, email="ada@example.com", get_full_name=lambda: "Ada Å. Berg")

    who = identity.read("secret", names["chat_identity"](user, "secret"), timezone.now())

    assert (who.id, who.name, who.email) == ("7", "Ada Å. Berg", "ada@example.com")
