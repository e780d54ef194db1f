"""Searching, suggestions and feedback in the help centre."""

from __future__ import annotations

import re

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from apps.core.roles import Role
from apps.knowledge import feedback
from apps.knowledge.centre.asking import VISITOR
from apps.knowledge.models import ArticleFeedback, ArticleVersion, AskedQuestion, Question
from apps.knowledge.refusals import ArticleNotFound, InvalidArticle
from apps.knowledge.search import passages
from apps.knowledge.search.retrieve import Reader
from tests.core.factories import person
from tests.knowledge.factories import NOW, ArticleFactory, VersionFactory, published

pytestmark = pytest.mark.django_db
ARTICLES = {
    "Where is my parcel?": "The tracking page shows where it is. It needs four days to Norway.",
    "How do I return something?": "Print the label from your account and bring the box to the post office.",
    "Can I pay by invoice?": "Companies can pay by invoice within 30 days.",
    "How do I change my password?": "Choose Account, then Security, then New password.",
    "Do you ship to other countries?": "We ship to all countries of Europe.",
    "How do I cancel my subscription?": "Choose Account, then Subscriptions, then Cancel.",
}


@pytest.fixture
def shop() -> dict[str, ArticleVersion]:
    cache.clear()
    found = {title: published(VersionFactory.create(title=title, body=body)) for title, body in ARTICLES.items()}
    passages.index([version.article_id for version in found.values()])
    return found


def suggested(client: Client, text: str, **more: str) -> list[str]:
    response = client.get("/help/suggest/", {"q": text} | more)
    assert response.status_code == 200
    return [one["title"] for one in response.json()["suggestions"]]


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("wher", "Where is my parcel?"),
        ("change pass", "How do I change my password?"),
        ("password cha", "How do I change my password?"),
        ("subscr", "How do I cancel my subscription?"),
        ("pasword", "How do I change my password?"),
        ("send it back", "How do I return something?"),
        ("how do", "How do I cancel my subscription?"),
        ("Can I pay by invoice", "Can I pay by invoice?"),
    ],
)
def test_what_is_typed_is_completed(client: Client, shop: dict[str, ArticleVersion], typed: str, first: str) -> None:
    assert suggested(client, typed)[0] == first


def test_other_ways_to_ask_count(client: Client, shop: dict[str, ArticleVersion]) -> None:
    article = shop["Where is my parcel?"].article
    Question.objects.create(article=article, text="Has the courier lost it?", added_at=NOW)
    passages.index([article.pk])
    assert suggested(client, "couri") == ["Where is my parcel?"]


@pytest.mark.parametrize("typed", ["", " ", "p", "\x00p", "'", "':*", "a & | !", "🙂🙂", "%%%", "_" * 300, "x " * 500])
def test_odd_typing_does_no_harm(client: Client, shop: dict[str, ArticleVersion], typed: str) -> None:
    response = client.get("/help/suggest/", {"q": typed})
    assert response.status_code in (200, 400)
    response = client.get("/help/search/", {"q": typed})
    assert response.status_code in (200, 400)


def test_nothing_is_kept_of_what_is_typed(client: Client, shop: dict[str, ArticleVersion]) -> None:
    suggested(client, "where is my par")
    assert not AskedQuestion.objects.exists()


def test_internal_articles_are_suggested_to_staff_alone(client: Client, shop: dict[str, ArticleVersion]) -> None:
    version = published(
        VersionFactory.create(title="Goodwill limits", article=ArticleFactory.create(audience="internal"))
    )
    passages.index([version.article_id])
    assert suggested(client, "goodwill") == []
    client.force_login(person(Role.SUPPORT_AGENT))
    assert suggested(client, "goodwill") == ["Goodwill limits"]


def test_a_language_is_kept_to(client: Client, shop: dict[str, ArticleVersion]) -> None:
    german = published(VersionFactory.create(title="Wo ist mein Paket?", article=ArticleFactory.create(language="de")))
    passages.index([german.article_id])
    assert suggested(client, "Pak", lang="de") == ["Wo ist mein Paket?"]
    assert suggested(client, "parcel", lang="de") == []
    assert suggested(client, "parcel", lang="xx") == []


def test_a_question_is_answered_and_kept(client: Client, shop: dict[str, ArticleVersion]) -> None:
    page = client.get("/help/search/", {"q": "I forgot my password, how do I get a new one? I am kim@example.com"})
    words = page.content.decode()
    assert page["Cache-Control"] == "private, no-store"
    assert page["X-Robots-Tag"] == "noindex"
    assert "Choose Account, then Security, then New password." in words
    asked = AskedQuestion.objects.get()
    assert (asked.source, asked.outcome, asked.versions) == (
        "help_centre",
        "answered",
        [shop["How do I change my password?"].pk],
    )
    assert "kim@example.com" not in asked.text
    assert asked.customer
    client.head("/help/search/?q=password")
    assert AskedQuestion.objects.count() == 1


def test_a_reader_says_that_it_was_not_the_answer(client: Client, shop: dict[str, ArticleVersion]) -> None:
    client = Client(enforce_csrf_checks=True)
    page = client.get("/help/search/", {"q": "i forgot my password, how do I get a new one"}).content.decode()
    place = re.search(r'action="(/help/answers/[^"]+)"', page)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert place is not None
    assert token is not None
    assert client.post(place[1], {"helpful": "no"}).status_code == 403  # another site's form
    assert client.post(place[1], {"helpful": "no", "csrfmiddlewaretoken": token[1]}).status_code == 200
    assert AskedQuestion.objects.get().outcome == "unhelpful"
    assert client.post("/help/answers/x/", {"csrfmiddlewaretoken": token[1]}).status_code == 404


def test_nobody_marks_what_others_asked(client: Client, shop: dict[str, ArticleVersion]) -> None:
    client.get("/help/search/", {"q": "i forgot my password, how do I get a new one"})
    asked = AskedQuestion.objects.get()
    assert client.post(f"/help/answers/{asked.pk}/", {"helpful": "no"}).status_code == 404
    asked.refresh_from_db()
    assert asked.outcome == "answered"


def test_when_not_sure_it_says_so(client: Client, shop: dict[str, ArticleVersion]) -> None:
    words = client.get("/help/search/", {"q": "what is the capital of france"}).content.decode()
    assert "help-answer" not in words
    assert "not sure" in words or "Nothing found." in words
    assert AskedQuestion.objects.get().outcome == "not_sure"


def test_what_was_asked_is_shown_as_text(client: Client, shop: dict[str, ArticleVersion]) -> None:
    words = client.get("/help/search/", {"q": '"><script>alert(1)</script>'}).content.decode()
    assert "<script>alert" not in words
    assert "&lt;script&gt;alert(1)" in words


def test_there_is_a_limit(client: Client, shop: dict[str, ArticleVersion], settings) -> None:  # type: ignore[no-untyped-def]
    settings.RATE_LIMITS = settings.RATE_LIMITS | {
        "help_search": "1/minute",
        "help_suggest": "1/minute",
        "help_feedback": "1/minute",
    }
    path = f"/help/articles/{shop['Can I pay by invoice?'].article.slug}/feedback/"
    said = {"helpful": "yes", "version": shop["Can I pay by invoice?"].pk}
    for ask in (
        lambda: client.get("/help/search/?q=parcel"),
        lambda: client.get("/help/suggest/?q=parcel"),
        lambda: client.post(path, said),
    ):
        assert ask().status_code == 200
        refused = ask()
        assert (refused.status_code, int(refused["Retry-After"]) > 0) == (429, True)
    assert client.get("/help/search/").status_code == 200  # nothing is asked


def test_a_reader_says_whether_an_article_helped(client: Client, shop: dict[str, ArticleVersion]) -> None:
    version = shop["Can I pay by invoice?"]
    path = f"/help/articles/{version.article.slug}/feedback/"
    form = client.get(path, {"helpful": "no"}).content.decode()
    assert 'value="no" checked' in form
    assert not ArticleFeedback.objects.exists()  # a look gives no vote, as machines look too
    said = {"helpful": "no", "version": version.pk, "reason": "wrong", "comment": "Not so for 4111 1111 1111 1111."}
    answer = client.post(path, said)
    assert "Thank you" in answer.content.decode()
    given = ArticleFeedback.objects.get()
    assert (given.version_id, given.helpful, given.reason) == (version.pk, False, "wrong")
    assert "4111" not in given.comment
    cookie = answer.cookies[VISITOR]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert given.visitor != cookie.value
    client.post(path, {"helpful": "yes", "version": version.pk, "reason": "wrong"})  # a change of mind
    given.refresh_from_db()
    assert (given.helpful, given.reason, given.comment) == (True, "", "")
    Client().post(path, {"helpful": "yes", "version": version.pk})
    assert ArticleFeedback.objects.count() == 2


@pytest.mark.parametrize(
    "wrong", [{"helpful": "maybe"}, {"version": "x"}, {"version": ""}, {"reason": "else"}, {"comment": "x" * 1_001}]
)
def test_wrong_feedback_is_refused(client: Client, shop: dict[str, ArticleVersion], wrong: dict[str, str]) -> None:
    version = shop["Can I pay by invoice?"]
    said = {"helpful": "no", "version": str(version.pk)} | wrong
    response = client.post(f"/help/articles/{version.article.slug}/feedback/", said)
    assert response.status_code == 422
    assert 'role="alert"' in response.content.decode()
    assert not ArticleFeedback.objects.exists()


def test_feedback_needs_the_form_of_this_site(shop: dict[str, ArticleVersion]) -> None:
    version = shop["Can I pay by invoice?"]
    client = Client(enforce_csrf_checks=True)
    response = client.post(f"/help/articles/{version.article.slug}/feedback/", {"helpful": "no", "version": version.pk})
    assert response.status_code == 403
    assert not ArticleFeedback.objects.exists()


def test_feedback_is_about_what_the_reader_can_read(shop: dict[str, ArticleVersion]) -> None:
    internal = published(VersionFactory.create(article=ArticleFactory.create(audience="internal")))
    draft = VersionFactory.create()
    facts = {"helpful": False, "visitor": "v", "now": timezone.now()}
    for version in (internal, draft):
        with pytest.raises(ArticleNotFound):
            feedback.give(version_id=version.pk, reader=Reader(), **facts)  # type: ignore[arg-type]
    assert feedback.give(version_id=internal.pk, reader=Reader(internal=True, scopes=None), **facts).pk  # type: ignore[arg-type]
    with pytest.raises(InvalidArticle):
        feedback.give(version_id=shop["Can I pay by invoice?"].pk, reader=Reader(), reason="x", **facts)  # type: ignore[arg-type]
