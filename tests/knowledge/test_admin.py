"""The pages of articles: what each person is offered, what happens, and what is refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from PIL import Image

from apps.core.models import Scope, User
from apps.core.roles import Role
from apps.knowledge import drafts, keeping, reviewing
from apps.knowledge.models import Article, ArticleImage, ArticleVersion, Category
from tests.core.factories import ScopeFactory, UserFactory, person
from tests.knowledge.factories import CategoryFactory

pytestmark = pytest.mark.django_db
BASE = "/admin/knowledge/article"


@pytest.fixture
def olga() -> User:
    """Owns the article."""
    return person(Role.CONTENT_OWNER, username="olga")


@pytest.fixture
def remy() -> User:
    """Owns others, and reviews."""
    return person(Role.CONTENT_OWNER, username="remy")


@pytest.fixture
def shelf() -> Category:
    return CategoryFactory.create(owner=UserFactory())


@pytest.fixture
def draft(olga: User, shelf: Category) -> ArticleVersion:
    return drafts.create_article(
        category=shelf,
        title="Where is my parcel?",
        body="Look at the **tracking** page.",
        actor=olga,
        now=timezone.now(),
    )


def in_review(draft: ArticleVersion) -> ArticleVersion:
    return reviewing.submit(version_id=draft.pk, seen_digest=draft.digest, actor=draft.author, now=timezone.now())


def approved(draft: ArticleVersion, remy: User) -> ArticleVersion:
    in_review(draft)
    return reviewing.approve(version_id=draft.pk, seen_digest=draft.digest, actor=remy, now=timezone.now())


def live(draft: ArticleVersion, remy: User) -> ArticleVersion:
    approved(draft, remy)
    return reviewing.publish(version_id=draft.pk, actor=draft.author, now=timezone.now())


def url(version: ArticleVersion, name: str = "") -> str:
    return f"{BASE}/{version.article_id}/versions/{version.number}/{name}"


def step(client: Client, address: str, **data: Any) -> Any:
    """Look at a page that asks, and send its form with what is typed into it."""
    page = client.get(address)
    assert page.status_code == 200, f"{address}: {page.status_code}"
    form = page.context["form"]
    sent = {name: form[name].value() for name in form.fields}
    return client.post(address, {name: value for name, value in {**sent, **data}.items() if value is not None})


def states(article: Article) -> list[str]:
    return list(article.versions.order_by("number").values_list("state", flat=True))


# ----- from a draft to readers


def test_an_article_is_written_reviewed_by_another_and_published(
    client: Client, olga: User, remy: User, shelf: Category
) -> None:
    client.force_login(olga)
    answer = step(
        client, f"{BASE}/new/", title="How do I return a lamp?", body="Send it **back**.", category=shelf.pk,
        questions="return lamp\nsend back a lamp", tags="Returns, lamps",
    )  # fmt: skip
    article = Article.objects.get()
    assert answer["Location"] == f"{BASE}/{article.pk}/versions/1/"
    assert (article.slug, article.owner, article.tags) == ("how-do-i-return-a-lamp", olga, ["returns", "lamps"])
    assert article.questions.count() == 2
    version = article.versions.get()
    step(client, url(version, "edit/"), body="Send it back within *30 days*.", changes="The time is said")
    step(client, url(version, "submit/"))
    assert client.get(url(version, "approve/")).status_code == 403

    client.force_login(remy)
    page = client.get(url(version, "approve/"))
    assert "<em>30 days</em>" in page.content.decode()
    step(client, url(version, "approve/"), comment="Well said.")

    client.force_login(olga)
    step(client, url(version, "publish/"))
    assert states(article) == ["published"]
    seen = client.get(f"{BASE}/{article.pk}/change/").content.decode()
    assert "reviewed by remy" in seen
    assert "Well said." in seen


def test_sent_back_with_reasons_and_taken_up_again(
    client: Client, draft: ArticleVersion, olga: User, remy: User
) -> None:
    in_review(draft)
    client.force_login(remy)
    assert step(client, url(draft, "send_back/"), reason=" ").status_code == 400
    step(client, url(draft, "send_back/"), reason="The page moved.")
    client.force_login(olga)
    assert "The page moved." in client.get(url(draft)).content.decode()
    assert states(draft.article) == ["draft"]


def test_rejected_for_good_and_gone_back_to(client: Client, draft: ArticleVersion, olga: User, remy: User) -> None:
    in_review(draft)
    client.force_login(remy)
    step(client, url(draft, "reject/"), reason="We do not say that.")
    assert states(draft.article) == ["rejected"]
    client.force_login(olga)
    answer = step(client, f"{BASE}/{draft.article_id}/draft/?like=1")
    assert answer["Location"] == f"{BASE}/{draft.article_id}/versions/2/edit/"
    assert draft.article.versions.get(number=2).body == draft.body
    assert client.get(f"{BASE}/{draft.article_id}/draft/?like=9").status_code == 404
    assert client.get(f"{BASE}/{draft.article_id}/draft/?like=²").status_code == 404


def test_scheduled_and_taken_back(client: Client, draft: ArticleVersion, olga: User, remy: User) -> None:
    approved(draft, remy)
    client.force_login(olga)
    at = timezone.localtime() + timedelta(days=2)
    assert step(client, url(draft, "schedule/"), publish_at="2001-01-01T00:00").status_code == 422
    step(client, url(draft, "schedule/"), publish_at=at.strftime("%Y-%m-%dT%H:%M"))
    draft.refresh_from_db()
    assert draft.publish_at is not None
    assert "Scheduled" in client.get(url(draft)).content.decode()
    step(client, url(draft, "withdraw/"))
    assert states(draft.article) == ["draft"]


def test_a_step_that_the_state_does_not_have_leads_back(
    client: Client, draft: ArticleVersion, olga: User, remy: User
) -> None:
    in_review(draft)
    client.force_login(olga)
    for name in ("edit/", "submit/", "publish/", "schedule/", "discard/"):
        answer = client.get(url(draft, name), follow=True)
        assert answer.redirect_chain == [(url(draft), 302)], name
        assert "in review now" in answer.content.decode()
    refused = client.get(url(draft, "approve/"))
    assert refused.status_code == 403
    assert "Somebody else than the author" in refused.content.decode()
    assert "You wrote it" in client.get(url(draft)).content.decode()
    client.force_login(remy)
    assert "You wrote it" not in client.get(url(draft)).content.decode()


def test_details_keep_a_language_that_came_from_a_file(client: Client, draft: ArticleVersion) -> None:
    Article.objects.update(language="pt-BR")
    client.force_login(draft.author)
    step(client, f"{BASE}/{draft.article_id}/details/", tags="a")
    assert Article.objects.values_list("language", "tags").get() == ("pt-BR", ["a"])


def test_a_draft_is_thrown_away_only_before_it_was_in_review(client: Client, draft: ArticleVersion, remy: User) -> None:
    live(draft, remy)
    second = drafts.new_draft(article_id=draft.article_id, actor=draft.author, now=timezone.now())
    client.force_login(draft.author)
    step(client, url(second, "discard/"))
    assert states(draft.article) == ["published"]
    third = drafts.new_draft(article_id=draft.article_id, actor=draft.author, now=timezone.now())
    in_review(third)
    reviewing.withdraw(version_id=third.pk, actor=draft.author, now=timezone.now())
    assert step(client, url(third, "discard/")).status_code == 409


def test_comments(client: Client, draft: ArticleVersion) -> None:
    client.force_login(person(Role.SUPPORT_AGENT))
    client.post(url(draft, "comment/"), {"text": "Customers say <b>parcel</b>, not shipment."})
    assert "&lt;b&gt;parcel&lt;/b&gt;" in client.get(url(draft)).content.decode()
    client.post(url(draft, "comment/"), {"text": " "})
    assert draft.comments.count() == 1
    assert client.get(url(draft, "comment/")).status_code == 405


# ----- bound to what was seen


def test_a_decision_about_an_older_text_is_refused_and_shows_the_new_one(
    client: Client, draft: ArticleVersion, remy: User, olga: User
) -> None:
    in_review(draft)
    client.force_login(remy)
    seen = draft.digest
    reviewing.withdraw(version_id=draft.pk, actor=olga, now=timezone.now())
    drafts.edit_draft(
        version_id=draft.pk,
        seen_digest=seen,
        title=draft.title,
        body="Call us.",
        changes="c",
        actor=olga,
        now=timezone.now(),
    )
    draft.refresh_from_db()
    in_review(draft)
    answer = client.post(url(draft, "approve/"), {"seen": seen, "comment": "Good"})
    assert answer.status_code == 409
    text = answer.content.decode()
    assert "version_changed" in text
    assert "Call us." in text
    assert draft.digest in text
    assert states(draft.article) == ["in_review"]


@pytest.mark.parametrize("name", ["submit", "withdraw", "publish", "schedule", "discard"])
def test_every_step_is_bound(client: Client, draft: ArticleVersion, remy: User, name: str) -> None:
    if name == "withdraw":
        in_review(draft)
    elif name in ("publish", "schedule"):
        approved(draft, remy)
    before = states(draft.article)
    client.force_login(draft.author)
    answer = client.post(url(draft, f"{name}/"), {"seen": "0" * 64, "publish_at": ""})
    assert (answer.status_code, states(draft.article)) == (409, before)


def test_an_edit_against_anothers_shows_what_is_kept(client: Client, draft: ArticleVersion, olga: User) -> None:
    seen = draft.digest
    drafts.edit_draft(
        version_id=draft.pk,
        seen_digest=seen,
        title=draft.title,
        body="Look below.",
        changes="c",
        actor=olga,
        now=timezone.now(),
    )
    client.force_login(olga)
    answer = client.post(
        url(draft, "edit/"), {"seen": seen, "title": "T", "body": "Mine is <script>alert(1)</script>.", "changes": "c"}
    )
    assert answer.status_code == 409
    text = answer.content.decode()
    assert "Look below." in text
    assert "<script>alert" not in text


def test_confirm_is_of_the_text_that_was_read(client: Client, draft: ArticleVersion, remy: User) -> None:
    version = live(draft, remy)
    Article.objects.filter(pk=version.article_id).update(next_review_on="2001-01-01")
    client.force_login(version.author)
    assert client.post(f"{BASE}/{version.article_id}/confirm/", {"seen": "x" * 64}).status_code == 409
    step(client, f"{BASE}/{version.article_id}/confirm/", note="Walked through it.")
    assert Article.objects.get().next_review_on > timezone.now().date()


# ----- details


def test_details_and_a_new_address(client: Client, draft: ArticleVersion, remy: User) -> None:
    client.force_login(draft.author)
    address = f"{BASE}/{draft.article_id}/details/"
    step(
        client, address, slug="parcel", questions="track\ntrack\nwhere is it", reviewers=[remy.pk], audience="internal"
    )
    article = Article.objects.get()
    assert (article.slug, article.audience, article.edition) == ("parcel", "internal", 2)
    assert list(article.reviewers.all()) == [remy]
    assert article.questions.count() == 2
    assert client.post(address, {"seen": 1}).status_code == 400
    page = client.get(address)
    form = {name: page.context["form"][name].value() for name in page.context["form"].fields}
    form = {name: value for name, value in form.items() if value is not None}
    drafts.change_details(
        article_id=article.pk, seen_edition=2, changes={"tags": ["x"]}, actor=draft.author, now=timezone.now()
    )
    assert client.post(address, form).status_code == 409


def test_given_to_somebody_archived_and_taken_up_again(
    client: Client, draft: ArticleVersion, olga: User, remy: User
) -> None:
    live(draft, remy)
    client.force_login(olga)
    pk = draft.article_id
    page = client.get(f"{BASE}/{pk}/reassign/")
    offered = set(page.context["form"].fields["owner"].queryset)
    assert remy in offered
    assert not offered & {person(Role.SUPPORT_AGENT), person(Role.AUDITOR)}
    step(client, f"{BASE}/{pk}/archive/", reason="Not sold any more.")
    assert states(draft.article) == ["archived"]
    step(client, f"{BASE}/{pk}/restore/")
    step(client, f"{BASE}/{pk}/reassign/", owner=remy.pk, reason="Knows lamps.")
    assert Article.objects.get().owner == remy
    assert client.get(f"{BASE}/{pk}/details/").status_code == 403  # it is not olga's any more


# ----- lists


def test_lists(client: Client, draft: ArticleVersion, olga: User, remy: User, shelf: Category) -> None:
    now = timezone.now()
    other = live(drafts.create_article(category=shelf, title="Other", body="b", actor=remy, now=now), olga)
    Article.objects.filter(pk=other.article_id).update(next_review_on=now.date() - timedelta(days=3))
    gone = drafts.create_article(category=shelf, title="Gone", body="b", actor=remy, now=now)
    reviewing.archive(article_id=gone.article_id, reason="r", actor=remy, now=now)
    in_review(draft)

    def listed(name: str) -> set[str]:
        page = client.get(f"{BASE}/?list={name}" if name else f"{BASE}/")
        assert page.status_code == 200
        return {row.title for row in page.context["cl"].result_list}

    parcel = draft.title
    client.force_login(olga)
    assert listed("") == {parcel, "Other"}
    assert listed("mine") == {parcel}
    assert listed("review") == set()
    assert listed("work") == {parcel}
    assert listed("due") == listed("stale") == {"Other"}
    assert listed("archived") == {"Gone"}
    client.force_login(remy)
    assert listed("review") == {parcel}
    assert listed("mine") == {"Other"}
    assert {row.pk for row in client.get(f"{BASE}/?q=parcel").context["cl"].result_list} == {draft.article_id}


def test_the_list_takes_few_queries(
    client: Client, olga: User, shelf: Category, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    for number in range(6):
        drafts.create_article(category=shelf, title=f"T{number}", body="b", actor=olga, now=timezone.now())
    client.force_login(olga)
    client.get(f"{BASE}/")
    with django_assert_max_num_queries(24):
        assert client.get(f"{BASE}/").status_code == 200


# ----- who may not


STEPS_OF_ARTICLE = ("details", "reassign", "archive", "restore", "confirm", "draft")
STEPS_OF_VERSION = ("edit", "submit", "withdraw", "approve", "send_back", "reject", "publish", "schedule", "discard")


@pytest.mark.parametrize("who", ["stranger_owner", "agent", "auditor", "operator"])
def test_others_change_nothing(client: Client, draft: ArticleVersion, who: str) -> None:
    version = draft
    somebody = {
        "stranger_owner": Role.CONTENT_OWNER, "agent": Role.SUPPORT_AGENT, "auditor": Role.AUDITOR, "operator": Role.OPERATOR,
    }[who]  # fmt: skip
    client.force_login(person(somebody))
    reviews = ("approve", "send_back", "reject") if who == "stranger_owner" else ()
    addresses = [f"{BASE}/{version.article_id}/{name}/" for name in STEPS_OF_ARTICLE]
    addresses += [url(version, f"{name}/") for name in STEPS_OF_VERSION if name not in reviews]
    data = {"seen": version.digest, "reason": "r", "title": "t", "body": "b", "changes": "c"}
    for address in addresses:
        assert client.get(address).status_code == 403, address
        assert client.post(address, data).status_code == 403, address
    version.refresh_from_db()
    assert (version.state, version.title) == ("draft", draft.title)
    assert client.get(f"{BASE}/{version.article_id}/change/").status_code == (403 if who == "operator" else 200)


@pytest.fixture
def hidden(olga: User, shelf: Category) -> ArticleVersion:
    """A version of an article that belongs to a scope."""
    scope: Scope = ScopeFactory()
    return drafts.create_article(category=shelf, title="t", body="b", scope=scope, actor=olga, now=timezone.now())


def test_articles_of_other_scopes_are_not_there(client: Client, hidden: ArticleVersion) -> None:
    client.force_login(person(Role.SUPPORT_MANAGER))
    for name in STEPS_OF_ARTICLE:
        assert client.get(f"{BASE}/{hidden.article_id}/{name}/").status_code == 404
    for name in STEPS_OF_VERSION:
        assert client.get(url(hidden, f"{name}/")).status_code == 404
    assert client.get(url(hidden)).status_code == 404
    assert client.post(url(hidden, "comment/"), {"text": "x"}).status_code == 404
    assert client.get(f"/admin/knowledge/articleversion/{hidden.pk}/change/").status_code in (302, 404)
    client.force_login(person(Role.SUPPORT_MANAGER, hidden.article.scope))
    assert client.get(url(hidden, "edit/")).status_code == 200  # managers edit all that they see


def test_versions_that_are_not_there(client: Client, draft: ArticleVersion) -> None:
    client.force_login(draft.author)
    for number in (2, 10**12):
        assert client.get(f"{BASE}/{draft.article_id}/versions/{number}/").status_code == 404
    assert client.get(f"{url(draft)}?than=7").status_code == 200
    assert client.get(f"{url(draft)}?than=x").status_code == 200


# ----- differences


def test_any_two_versions_are_compared(client: Client, draft: ArticleVersion, olga: User, remy: User) -> None:
    live(draft, remy)
    second = drafts.new_draft(article_id=draft.article_id, actor=olga, now=timezone.now())
    drafts.edit_draft(
        version_id=second.pk, seen_digest=second.digest, title="Where is my lamp?", body="Look at the tracking <page>.",
        changes="Lamps", actor=olga, now=timezone.now(),
    )  # fmt: skip
    client.force_login(olga)
    text = client.get(url(second)).content.decode()
    assert "<del>Where is my parcel?</del>" in text
    assert "<ins>Where is my lamp?</ins>" in text
    assert "&lt;page&gt;" in text
    assert "Changed since version 2" in client.get(f"{url(draft)}?than=2").content.decode()


# ----- the editor


def test_the_preview_is_harmless_and_for_writers(client: Client, olga: User) -> None:
    client.force_login(olga)
    body = "# H\n<script>alert(1)</script> [x](javascript:alert(1)) ![p](https://e.example/p.png)"
    html = client.post(f"{BASE}/preview/", {"body": body}).content.decode()
    assert "<script" not in html
    assert "<img" not in html
    assert 'href="javascript' not in html
    assert client.get(f"{BASE}/preview/").status_code == 405
    client.force_login(person(Role.SUPPORT_AGENT))
    assert client.post(f"{BASE}/preview/", {"body": body}).status_code == 403


def test_pictures_are_uploaded_by_those_who_may(
    client: Client, draft: ArticleVersion, settings: Any, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "PNG")
    address = f"{BASE}/{draft.article_id}/image/"

    def send(data: bytes) -> Any:
        file = io.BytesIO(data)
        file.name = "p.png"
        return client.post(address, {"file": file})

    client.force_login(draft.author)
    answer = send(out.getvalue())
    assert answer.status_code == 201
    assert answer.json()["url"].startswith("/help/images/")
    refused = send(b"<html>")
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_image")
    assert client.post(address).json()["code"] == "invalid_article"
    assert client.get(address).status_code == 405
    client.force_login(person(Role.CONTENT_OWNER))
    assert send(out.getvalue()).status_code == 403
    assert ArticleImage.objects.count() == 1


def test_an_owner_who_left_is_shown(client: Client, draft: ArticleVersion, remy: User) -> None:
    User.objects.filter(pk=draft.author_id).update(is_active=False)
    client.force_login(remy)
    assert "somebody else tonight" in client.get(f"{BASE}/{draft.article_id}/change/").content.decode()
    keeping.reassign_left(timezone.now())
    assert "somebody else tonight" not in client.get(f"{BASE}/{draft.article_id}/change/").content.decode()
