"""Questions, gaps, feedback, synonyms, categories and settings in the admin."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.core import home
from apps.core.admin import page_of
from apps.core.models import Decision, Scope, User
from apps.core.roles import Role
from apps.escalation.models import Ticket, TicketMessage
from apps.knowledge import drafts, gaps, reviewing
from apps.knowledge.calibration import current_settings
from apps.knowledge.indexing import index_left
from apps.knowledge.models import (
    AnswerSettings,
    Article,
    ArticleFeedback,
    AskedQuestion,
    Category,
    Gap,
    IndexBuild,
    SearchIndex,
    Synonym,
)
from apps.knowledge.refusals import NotAllowed
from apps.knowledge.replies import replies_to
from apps.knowledge.thresholds import SettingsChanged, choose_thresholds
from tests.core.factories import ScopeFactory, person
from tests.knowledge.factories import CategoryFactory, VersionFactory, published
from tests.knowledge.test_admin import step

pytestmark = pytest.mark.django_db
BASE = "/admin/knowledge"


@pytest.fixture
def olga() -> User:
    """Owns articles."""
    return person(Role.CONTENT_OWNER, username="olga")


@pytest.fixture
def mara() -> User:
    """Manages support: keeps categories and settings."""
    return person(Role.SUPPORT_MANAGER, username="mara")


def asked(text: str = "Do you rent tents?", **facts: Any) -> AskedQuestion:
    given = {
        "audience": "public", "source": "help_centre", "outcome": "not_sure", "confidence": 0.1, "asked_at": timezone.now(),
        "settings": current_settings(), **facts,
    }  # fmt: skip
    row: AskedQuestion = AskedQuestion.objects.create(text=text, **given)
    return row


@pytest.fixture
def gap() -> Gap:
    """Two customers ask the same, one of them by a ticket that an agent answered."""
    now = timezone.now()
    row = Gap.objects.create(title="Do you rent tents?", customers=2, questions=2, first_at=now, last_at=now)
    ticket = Ticket.objects.create(number="T-1", subject="s", channel="email", created_at=now, updated_at=now)
    for kind, words in (("customer", "Tents?"), ("agent", "No, we only sell them."), ("note", "Internal.")):
        TicketMessage.objects.create(ticket=ticket, kind=kind, body=words, created_at=now)
    asked(gap=row, customer="a")
    asked("May I rent a <b>tent</b>?", gap=row, source=f"ticket:{ticket.pk}", customer="b")
    return row


# ----- gaps


def test_an_article_is_drafted_from_a_gap_with_what_agents_replied(client: Client, olga: User, gap: Gap) -> None:
    shelf = CategoryFactory.create()
    client.force_login(olga)
    page = client.get(f"{BASE}/gap/{gap.pk}/change/").content.decode()
    assert "No, we only sell them." in page
    assert "Internal." not in page
    assert "<b>tent</b>" not in page
    answer = step(client, f"{BASE}/gap/{gap.pk}/draft/", category=shelf.pk)
    article = Article.objects.get()
    version = article.versions.get()
    assert answer["Location"] == f"{BASE}/article/{article.pk}/versions/1/edit/"
    assert (version.title, version.state) == ("Do you rent tents?", "draft")
    assert "No, we only sell them." in version.body
    assert article.questions.count() == 2
    gap.refresh_from_db()
    assert (gap.state, gap.article) == ("drafted", article)
    assert step(client, f"{BASE}/gap/{gap.pk}/draft/", category=shelf.pk).status_code == 409
    assert client.get(f"{BASE}/article/{article.pk}/change/").status_code == 200


def test_only_writers_draft_articles(client: Client, gap: Gap) -> None:
    for role in (Role.SUPPORT_AGENT, Role.AUDITOR):
        client.force_login(person(role))
        assert client.get(f"{BASE}/gap/{gap.pk}/change/").status_code == 200
        assert client.get(f"{BASE}/gap/{gap.pk}/draft/").status_code == 403
        assert client.post(f"{BASE}/gap/{gap.pk}/draft/", {"category": 1}).status_code == 403
    client.force_login(person(Role.OPERATOR))
    assert client.get(f"{BASE}/gap/").status_code == 403


def test_gaps_are_ranked_by_customers_and_closed_ones_stand_apart(client: Client, olga: User, gap: Gap) -> None:
    now = timezone.now()
    more = Gap.objects.create(title="Gift wrap?", customers=9, questions=9, first_at=now, last_at=now)
    Gap.objects.create(title="Done", state="closed", customers=99, first_at=now, last_at=now, closed_at=now)
    client.force_login(olga)
    assert [row.pk for row in client.get(f"{BASE}/gap/").context["cl"].result_list] == [more.pk, gap.pk]
    assert client.get(f"{BASE}/gap/?state=all").context["cl"].result_count == 3
    assert "Answered" in client.get(f"{BASE}/gap/?state=closed").content.decode()


def test_replies_of_tickets_that_one_does_not_see_are_not_told(olga: User, gap: Gap) -> None:
    assert replies_to(gap, olga) == ["No, we only sell them."]
    Ticket.objects.update(scope=ScopeFactory())
    assert replies_to(gap, olga) == []


# ----- asked questions and feedback


def test_questions_of_other_scopes_are_not_there(client: Client, olga: User) -> None:
    scope: Scope = ScopeFactory()
    row = asked("Mine?", scope=scope)
    hidden = Gap.objects.create(title="Mine?", first_at=row.asked_at, last_at=row.asked_at)
    AskedQuestion.objects.filter(pk=row.pk).update(gap=hidden)
    client.force_login(olga)
    assert client.get(f"{BASE}/askedquestion/{row.pk}/change/").status_code == 404
    assert client.get(f"{BASE}/gap/{hidden.pk}/change/").status_code == 404
    assert "Mine?" not in client.get(f"{BASE}/askedquestion/").content.decode()
    client.force_login(person(Role.SUPPORT_AGENT, scope))
    assert client.get(f"{BASE}/askedquestion/{row.pk}/change/").status_code == 200


def test_a_question_shows_what_was_answered_by_which_version(client: Client, olga: User) -> None:
    version = published(VersionFactory.create(article__owner=olga))
    row = asked("Where <is> it?", outcome="answered", versions=[version.pk, 10**9], scores=[0.9, 0.1], confidence=1.0,
                degraded="Answered without vectors", attack=True)  # fmt: skip
    client.force_login(olga)
    text = client.get(f"{BASE}/askedquestion/{row.pk}/change/").content.decode()
    for words in ("Where &lt;is&gt; it?", version.title, "not in your sight", "99 %", "without vectors", "Looks like"):
        assert words in text
    assert client.post(f"{BASE}/askedquestion/{row.pk}/change/").status_code == 405


def test_trying_a_question_keeps_nothing_and_shows_staff_articles_to_staff_only(client: Client, olga: User) -> None:
    version = published(
        VersionFactory.create(article__owner=olga, title="Refund limit for agents", article__audience="internal")
    )
    index_left()
    client.force_login(olga)
    address = f"{BASE}/askedquestion/try/?q=refund+limit+for+agents"
    assert version.title in client.get(address).content.decode()
    assert version.title not in client.get(f"{address}&for=public").content.decode()
    assert client.get(f"{BASE}/askedquestion/try/").status_code == 200
    assert not AskedQuestion.objects.exists()
    client.force_login(person(Role.OPERATOR))
    assert client.get(address).status_code == 403


def test_feedback_stands_in_its_list_and_with_the_article(client: Client, olga: User) -> None:
    version = published(VersionFactory.create(article__owner=olga))
    ArticleFeedback.objects.create(
        version=version,
        helpful=False,
        reason="wrong",
        comment="The <i>page</i> moved.",
        visitor="v",
        given_at=timezone.now(),
    )
    client.force_login(olga)
    for address in (f"{BASE}/articlefeedback/", f"{BASE}/article/{version.article_id}/change/"):
        assert "The &lt;i&gt;page&lt;/i&gt; moved." in client.get(address).content.decode()


# ----- settings


def test_thresholds_are_a_new_version_bound_to_what_was_seen(client: Client, mara: User) -> None:
    first = current_settings()
    client.force_login(mara)
    address = f"{BASE}/answersettings/choose/"
    assert step(client, address, choose_at=0.9, answer_at=0.5, reason="r").status_code == 400
    assert step(client, address, choose_at=0.3, answer_at=1.5, reason="r").status_code == 400
    step(client, address, answer_at=0.8, choose_at=0.3, reason="Fewer wrong ones.")
    made = current_settings()
    assert (made.number, made.answer_at, made.created_by, made.calibration) == (
        first.number + 1,
        0.8,
        mara,
        first.calibration,
    )
    assert Decision.objects.filter(action="answers_calibrated", subject=f"answer_settings:{made.number}").exists()
    old = client.post(address, {"seen": first.number, "answer_at": 0.7, "choose_at": 0.2, "reason": "r"})
    assert old.status_code == 409
    assert b"settings_changed" in old.content
    assert AnswerSettings.objects.count() == 2
    now = timezone.now()
    IndexBuild.objects.create(
        kind="rebuild", total=9, done=4, skipped=1, last_error="Broken.", started_at=now, updated_at=now
    )
    listed = client.get(f"{BASE}/answersettings/").content.decode()
    assert "4 of 9" in listed
    assert "Broken." in listed
    assert "Replaced" in client.get(f"{BASE}/answersettings/{first.pk}/change/").content.decode()


def test_who_chooses_thresholds(client: Client, olga: User) -> None:
    client.force_login(olga)
    assert client.get(f"{BASE}/answersettings/choose/").status_code == 403
    facts = {"answer_at": 0.8, "choose_at": 0.3, "reason": "r", "now": timezone.now()}
    with pytest.raises(NotAllowed):
        choose_thresholds(seen=current_settings().number, actor=olga, **facts)  # type: ignore[arg-type]
    with pytest.raises(SettingsChanged):
        choose_thresholds(seen=99, actor=person(Role.SUPPORT_MANAGER), **facts)  # type: ignore[arg-type]


# ----- categories and synonyms


def test_synonyms_are_two_single_words_at_least(client: Client, olga: User) -> None:
    client.force_login(olga)
    address = f"{BASE}/synonym/add/"
    for words in ("parcel", "parcel, parcel", "parcel, big box"):
        assert client.post(address, {"words": words, "language": "en"}).status_code == 200
    assert not Synonym.objects.exists()
    client.post(address, {"words": "Parcel, package", "language": "en"})
    made = Synonym.objects.get()
    assert (made.words, made.added_by) == (["parcel", "package"], olga)
    before = SearchIndex.objects.get().generation
    client.post(f"{BASE}/synonym/{made.pk}/delete/", {"post": "yes"})
    assert SearchIndex.objects.get().generation == before + 1  # answers that are kept are found anew
    assert not Synonym.objects.exists()
    client.force_login(person(Role.SUPPORT_AGENT))
    assert client.post(address, {"words": "a, b", "language": "en"}).status_code == 403


def test_a_category_is_owned_by_somebody_who_can_own_articles(client: Client, mara: User, olga: User) -> None:
    client.force_login(mara)
    address = f"{BASE}/category/add/"
    data = {"title": "Gifts", "slug": "gifts", "position": 5, "description": ""}
    assert client.post(address, {**data, "owner": person(Role.SUPPORT_AGENT).pk}).status_code == 200
    client.post(address, {**data, "owner": olga.pk})
    assert Category.objects.get().owner == olga
    client.force_login(olga)
    assert client.post(address, {**data, "slug": "g", "owner": olga.pk}).status_code == 403


# ----- home, decisions


def test_the_home_page_says_what_waits(olga: User, mara: User) -> None:
    now = timezone.now()
    version = drafts.create_article(category=CategoryFactory.create(), title="Parcel?", body="b", actor=olga, now=now)
    reviewing.submit(version_id=version.pk, seen_digest=version.digest, actor=olga, now=now)
    Article.objects.update(next_review_on=now.date() - timedelta(days=1))

    def panel(user: User) -> home.Content | None:
        return {one.slug: content for one, content in home.panels_for(user, now)}.get("articles")

    mine, other = panel(olga), panel(mara)
    assert mine is not None
    assert other is not None
    assert [row.badge for row in mine.rows] == ["Overdue"]
    assert [row.badge for row in other.rows] == ["To review"]
    assert panel(person(Role.SUPPORT_AGENT)) is None


def test_decisions_lead_to_their_articles(client: Client, olga: User) -> None:
    version = VersionFactory.create(article__owner=olga)
    client.force_login(olga)
    assert page_of(f"article:{version.article_id}") == f"{BASE}/article/{version.article_id}/change/"
    answer = client.get(page_of(f"article_version:{version.pk}"))
    assert answer["Location"] == f"{BASE}/article/{version.article_id}/versions/1/"


def test_gaps_of_the_collector_have_a_page(client: Client, olga: User) -> None:
    asked("How do I hang the lamp on a slope?")
    if gaps.collect():  # the embedding model is there
        client.force_login(olga)
        assert client.get(f"{BASE}/gap/{Gap.objects.get().pk}/change/").status_code == 200
