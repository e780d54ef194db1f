"""The API of the knowledge base: for strangers what is public, for staff what their role includes."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from apps.core import tokens
from apps.core.models import User
from apps.core.roles import Role
from apps.knowledge.answers import hashed
from apps.knowledge.models import ArticleVersion, AskedQuestion, SlugRedirect
from apps.knowledge.search import passages
from tests.core.factories import UserFactory, person
from tests.knowledge.factories import NOW, ArticleFactory, VersionFactory, published

pytestmark = pytest.mark.django_db
QUESTION = "i forgot my password, how do I get a new one"


@pytest.fixture
def shop() -> dict[str, ArticleVersion]:
    cache.clear()
    texts = {
        "password": ("How do I change my password?", "## Change it\n\nChoose **Account**, then Security, then New password.", {}),
        "parcel": ("Where is my parcel?", "The tracking page shows where it is.", {}),
        "limits": ("Up to which amount may agents refund?", "Up to 100 EUR.", {"audience": "internal"}),
        "paket": ("Wo ist mein Paket?", "Auf der Seite der Sendung.", {"language": "de"}),
    }  # fmt: skip
    found = {}
    for slug, (title, body, more) in texts.items():
        article = ArticleFactory.create(slug=slug, **more)
        found[slug] = published(VersionFactory.create(article=article, title=title, body=body))
    passages.index([version.article_id for version in found.values()])
    return found


def bearer(user: User) -> dict[str, Any]:
    return {"headers": {"Authorization": "Bearer " + tokens.issue(user=user, name="t", days=1, now=timezone.now())[1]}}


def ask(client: Client, body: Any, **more: Any) -> Any:
    return client.post("/api/knowledge/answer", body, content_type="application/json", **more)


def test_strangers_search_what_is_public(client: Client, shop: dict[str, ArticleVersion]) -> None:
    response = client.get("/api/knowledge/search", {"q": "how to change my password", "limit": 2})
    assert response.status_code == 200
    first = response.json()["results"][0]
    assert first == {
        "slug": "password", "title": "How do I change my password?", "language": "en",
        "excerpt": "Choose Account, then Security, then New password.",
        "url": "http://localhost:8000/help/articles/password/",
    }  # fmt: skip
    refund = client.get("/api/knowledge/search", {"q": "agents refund amount"}).json()["results"]
    assert "limits" not in [one["slug"] for one in refund]
    assert not AskedQuestion.objects.exists()


def test_staff_with_a_token_find_what_is_internal(client: Client, shop: dict[str, ArticleVersion]) -> None:
    agent, operator, customer = person(Role.SUPPORT_AGENT), person(Role.OPERATOR), UserFactory.create()
    for user, found in ((agent, True), (operator, False), (customer, False)):
        header = bearer(user)
        results = client.get("/api/knowledge/search", {"q": "agents refund amount"}, **header).json()["results"]
        assert ("limits" in [one["slug"] for one in results]) is found
        assert client.get("/api/knowledge/articles/limits", **header).status_code == (200 if found else 404)
        said = ask(client, {"question": "up to which amount may agents refund"}, **header).json()
        assert ("limits" in [one["slug"] for one in said["articles"]]) is found
    assert client.get("/api/knowledge/articles/limits").status_code == 404
    wrong = client.get("/api/knowledge/articles/password", headers={"Authorization": "Bearer rd_nothing"})
    assert wrong.status_code == 401


def test_an_article_is_told_with_its_version(client: Client, shop: dict[str, ArticleVersion]) -> None:
    SlugRedirect.objects.create(slug="pass", article=shop["password"].article, created_at=NOW)
    told = client.get("/api/knowledge/articles/password").json()
    assert told == client.get("/api/knowledge/articles/pass").json()
    assert (told["version"], told["body"].splitlines()[0], told["updated_at"]) == (
        1,
        "## Change it",
        "2026-03-02T09:00:00Z",
    )
    assert told["html"].startswith('<h2 id="about-change-it">Change it</h2>\n<p>Choose <strong>Account</strong>')
    assert "reviewer" not in told
    assert "owner" not in told
    missing = client.get("/api/knowledge/articles/none")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


def test_a_question_is_answered_and_kept(client: Client, shop: dict[str, ArticleVersion]) -> None:
    said = ask(client, {"question": QUESTION}).json()
    assert (said["outcome"], said["text"]) == ("answer", "Choose Account, then Security, then New password.")
    assert (said["articles"][0]["slug"], said["articles"][0]["version"]) == ("password", shop["password"].pk)
    assert said["confidence"] > 0.5
    asked = AskedQuestion.objects.get(pk=said["asked"])
    assert (asked.source, asked.versions) == ("api", [shop["password"].pk])
    nothing = ask(client, {"question": "what is the capital of france"}).json()
    assert (nothing["outcome"], nothing["text"], nothing["articles"]) == ("not_sure", "", [])


@pytest.mark.parametrize("question", ["   ", "???", "\u202e\u200b"])
def test_what_says_nothing_is_not_kept_as_a_question(
    client: Client, shop: dict[str, ArticleVersion], question: str
) -> None:
    said = ask(client, {"question": question}).json()
    assert (said["outcome"], said["asked"]) == ("not_sure", None)
    assert not AskedQuestion.objects.exists()


def test_a_language_is_kept_to(client: Client, shop: dict[str, ArticleVersion]) -> None:
    found = client.get("/api/knowledge/search", {"q": "Paket", "language": "de"}).json()["results"]
    assert [one["slug"] for one in found] == ["paket"]
    assert client.get("/api/knowledge/search", {"q": "password", "language": "de"}).json()["results"] == []


def test_strangers_cannot_ask_in_the_name_of_many_customers(client: Client, shop: dict[str, ArticleVersion]) -> None:
    ask(client, {"question": QUESTION, "customer": "7"})
    ask(client, {"question": QUESTION, "customer": "8"})
    ask(client, {"question": QUESTION, "customer": "7"}, **bearer(person(Role.SUPPORT_AGENT)))
    first, second, third = AskedQuestion.objects.order_by("pk").values_list("customer", flat=True)
    assert first == second
    assert third == hashed("7")


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("search", {}), ("search", {"q": ""}), ("search", {"q": "x" * 1_001}), ("search", {"q": "x", "limit": "0"}),
        ("search", {"q": "x", "limit": "11"}), ("search", {"q": "x", "limit": "²"}), ("search", {"q": "x", "language": "e"}),
        ("search", {"q": "x", "language": "en\n"}),
    ],
)  # fmt: skip
def test_wrong_searches_are_refused(client: Client, path: str, query: dict[str, str]) -> None:
    response = client.get(f"/api/knowledge/{path}", query)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid")


@pytest.mark.parametrize(
    "body",
    [
        {}, {"question": ""}, {"question": 7}, {"question": "x" * 1_001}, {"question": "x", "language": "<b>"},
        {"question": "x", "more": 1}, [], {"question": "x", "language": 7}, {"question": "a\x00b"},
    ],
)  # fmt: skip
def test_wrong_questions_are_refused(client: Client, body: Any) -> None:
    assert ask(client, body).status_code == 400
    assert not AskedQuestion.objects.exists()


def test_each_address_has_a_limit(client: Client, shop: dict[str, ArticleVersion], settings: Any) -> None:
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"api_address": "2/minute"}
    codes = [client.get("/api/knowledge/search", {"q": "parcel"}).status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    assert client.get("/api/knowledge/search", {"q": "parcel"}, REMOTE_ADDR="203.0.113.9").status_code == 200
    other = client.get("/api/knowledge/search", {"q": "parcel"}, **bearer(person(Role.SUPPORT_AGENT)))
    assert other.status_code == 200
