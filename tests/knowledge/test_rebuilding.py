"""The index is made anew, and its embedding model changed, while questions go on being answered; whatever is lost, killed
or doubled meanwhile."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from io import StringIO

import numpy as np
import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of
from hypothesis import strategies as st
from kombu.exceptions import OperationalError as BrokerDown

from apps.knowledge import rebuilding
from apps.knowledge.answers import MODEL_FAILED, OTHER_MODEL, Outcome, answer
from apps.knowledge.calibration import current_settings
from apps.knowledge.indexing import build_more, index_after_commit, index_articles, index_left
from apps.knowledge.models import (
    AnswerSettings,
    Article,
    ArticleVersion,
    AskedQuestion,
    IndexBuild,
    Passage,
    PassageVector,
    SearchIndex,
    Word,
)
from apps.knowledge.rebuilding import begin_change, begin_rebuild, proceed
from apps.knowledge.search import embedding, passages
from apps.knowledge.search.embedding import DELIVERED, DIMENSIONS, EmbeddingFailed, Vectors
from apps.knowledge.search.in_use import model_in_use
from apps.knowledge.search.retrieve import Reader
from apps.knowledge.tasks import complete_index
from tests.knowledge.factories import NOW, VersionFactory, published

pytestmark = pytest.mark.django_db
TITLES = ["Where is my parcel?", "Can I pay by invoice?", "How do I change my password?"]


class Tiny:
    """A second embedding model: each word is one of the dimensions."""

    name = "tiny"
    broken = False

    def __call__(self, texts: Sequence[str]) -> Vectors:
        if self.broken:
            raise EmbeddingFailed("out of order")
        found = np.full((len(texts), DIMENSIONS), 1e-3, np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().replace("?", "").split():
                found[row, int(hashlib.sha256(word.encode()).hexdigest(), 16) % DIMENSIONS] += 1
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()


@pytest.fixture
def live() -> list[ArticleVersion]:
    found = [published(VersionFactory.create(title=title, body=f"About: {title}")) for title in TITLES]
    passages.index([version.article_id for version in found])
    begin_change(NOW)
    return found


@pytest.fixture
def tiny(settings: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tiny]:
    """The settings name another model than the one that answers."""
    made = Tiny()
    monkeypatch.setitem(embedding.MAKERS, "tiny", lambda _: made)
    settings.EMBEDDING_MODEL = "tiny"  # type: ignore[attr-defined]
    yield made
    embedding._loaded.cache_clear()


def ask(question: str = "where is my parcel") -> object:
    return answer(question, reader=Reader(), source="help_centre", now=NOW)


def vectors() -> dict[str, int]:
    names = PassageVector.objects.values_list("model", flat=True)
    return {name: list(names).count(name) for name in set(names)}


def test_a_rebuild_makes_everything_anew_and_says_how_far_it_is(live: list[ArticleVersion]) -> None:
    Passage.objects.filter(article=live[0].article).delete()
    Word.objects.update(passages=99)
    Word.objects.create(language="en", stem="nowhere", passages=3)
    SearchIndex.objects.update(passages=12_345)
    out = StringIO()
    call_command("rebuild_search", stdout=out)
    assert "All passages made anew: 3 of 3. 0 skipped." in out.getvalue()
    assert Passage.objects.count() == SearchIndex.objects.get().passages == 6
    assert dict(Word.objects.values_list("stem", "passages"))["parcel"] == 2
    assert not Word.objects.filter(stem="nowhere").exists()
    build = IndexBuild.objects.get()
    assert (build.state, build.done, build.total) == ("done", 3, 3)


def test_a_rebuild_that_was_killed_goes_on_where_it_was(
    live: list[ArticleVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "CHUNK", 1)
    done: list[int] = []

    def index(articles: Sequence[int]) -> int:
        if len(done) == 2:
            raise KeyboardInterrupt  # no exception that anybody handles: as if it were killed
        done.extend(articles)
        return 1

    with monkeypatch.context() as patch:
        patch.setattr(passages, "index", index)
        with pytest.raises(KeyboardInterrupt):
            proceed(begin_rebuild(NOW))
        build = IndexBuild.objects.get()
        assert (build.state, build.done, build.after) == ("running", 2, done[-1])
        seen: list[int] = []
        patch.setattr(passages, "index", seen.extend)
        build_more(NOW)  # the next turn of the worker
    assert seen == [live[2].article_id]
    assert IndexBuild.objects.get().state == "done"


def test_a_database_that_goes_away_skips_no_article(
    live: list[ArticleVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    def index(articles: Sequence[int]) -> int:
        raise OperationalError("the database system is shutting down")

    with monkeypatch.context() as patch:
        patch.setattr(passages, "index", index)
        with pytest.raises(OperationalError):
            proceed(begin_rebuild(NOW))
    assert (IndexBuild.objects.get().done, IndexBuild.objects.get().skipped) == (0, 0)
    assert proceed(begin_rebuild(NOW)).state == "done"


def test_an_article_that_cannot_be_indexed_hinders_no_other(
    live: list[ArticleVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = passages.index

    def index(articles: Sequence[int]) -> int:
        if live[1].article_id in articles:
            raise ValueError("strange words")
        return right(articles)

    monkeypatch.setattr(passages, "index", index)
    build = proceed(begin_rebuild(NOW))
    assert (build.state, build.done, build.skipped) == ("done", 3, 1)
    assert build.last_error == f"Article {live[1].article_id}: ValueError: strange words"


def test_two_rebuilds_at_once_are_one(live: list[ArticleVersion]) -> None:
    assert begin_rebuild(NOW) == begin_rebuild(NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        IndexBuild.objects.create(kind="rebuild", started_at=NOW, updated_at=NOW)


@pytest.mark.django_db(transaction=True)
def test_of_two_processes_one_works(live: list[ArticleVersion]) -> None:
    build = begin_rebuild(NOW)
    caught: list[BaseException] = []

    def other() -> None:
        try:
            with pytest.raises(CommandError, match="Another process is at it\\. All passages made anew: 3 of 3"):
                call_command("rebuild_search")
            build_more(NOW)  # and the worker leaves it alone
        except BaseException as error:
            caught.append(error)
        finally:
            connections.close_all()

    def told(_: IndexBuild) -> None:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    proceed(build, told=lambda row: told(row) if row.state == "running" else None)
    assert not caught
    assert build.state == "done"


def test_it_can_be_left_to_the_worker(live: list[ArticleVersion]) -> None:
    out = StringIO()
    call_command("rebuild_search", "--background", stdout=out)
    assert "0 of 3. The worker goes on" in out.getvalue()
    assert [build.state for build in build_more(NOW)] == ["done"]


def test_a_long_rebuild_stops_after_its_turn(live: list[ArticleVersion], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "CHUNK", 1)
    build = proceed(begin_rebuild(NOW), at_most=timedelta(0))
    assert (build.state, build.done) == ("running", 1)


def test_a_new_way_to_ask_or_another_audience_is_indexed_though_its_task_was_lost(live: list[ArticleVersion]) -> None:
    assert index_left() == 0
    Article.objects.filter(pk=live[0].article_id).update(edition=2)  # as each change of details does
    assert index_left() == 1
    assert index_left() == 0


def test_a_taken_down_article_leaves_the_index_though_its_task_was_lost(live: list[ArticleVersion]) -> None:
    Article.objects.filter(pk=live[0].article_id).update(archived_at=NOW)
    assert index_left() == 1
    assert not Passage.objects.filter(article=live[0].article).exists()
    assert index_left() == 0


def test_an_article_that_becomes_internal_is_found_by_nobody_else_at_once(live: list[ArticleVersion]) -> None:
    assert ask().hits[0].version == live[0].pk  # type: ignore[attr-defined]
    Article.objects.filter(pk=live[0].article_id).update(audience="internal")  # no task has run
    assert live[0].pk not in [hit.version for hit in ask().hits]  # type: ignore[attr-defined]


def test_while_the_model_changes_the_old_one_answers_and_then_the_new_one(
    live: list[ArticleVersion], tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = begin_change(NOW)
    assert build
    monkeypatch.setattr(passages.embed, "__kwdefaults__", {"batch": 2})
    proceed(build, at_most=timedelta(0))
    assert vectors() == {DELIVERED: 6, "tiny": 2}
    assert SearchIndex.objects.get().model == DELIVERED
    assert (ask().outcome, ask().degraded) == (Outcome.ANSWER, "")  # type: ignore[attr-defined]
    newer = published(VersionFactory.create(title="Do you sell gift cards?", body=""))
    passages.index([newer.article_id])  # published meanwhile: it has vectors of both
    assert vectors() == {DELIVERED: 7, "tiny": 3}
    generation = SearchIndex.objects.get().generation
    assert [build.state for build in build_more(NOW)] == ["done"]
    index = SearchIndex.objects.get()
    assert (index.model, index.generation, vectors()) == ("tiny", generation + 1, {DELIVERED: 7, "tiny": 7})
    assert model_in_use() is tiny
    assert ask().hits[0].version == live[0].pk  # type: ignore[attr-defined]
    build_more(index.model_since + rebuilding.GRACE)  # type: ignore[operator]
    assert vectors() == {"tiny": 7}


def test_vectors_of_two_models_never_meet(live: list[ArticleVersion], tiny: Tiny) -> None:
    """A vector of the other model that is the same as the question's does not bring its article forward."""
    vector = PassageVector.objects.get(passage__text=TITLES[0]).vector
    PassageVector.objects.create(
        passage=Passage.objects.get(kind="title", article=live[1].article), model="tiny", vector=vector
    )
    assert ask("Where is my parcel?").hits[0].version == live[0].pk  # type: ignore[attr-defined]


def test_after_a_change_settings_of_the_other_model_decide_and_that_is_said(
    live: list[ArticleVersion], tiny: Tiny
) -> None:
    first = current_settings()
    facts = {"answer_at": 0.5, "choose_at": 0.2, "calibration": first.calibration, "reason": "Test", "created_at": NOW}
    other = AnswerSettings.objects.create(number=2, model="tiny", **facts)
    assert current_settings() == first  # calibrated before the change, and not in force yet
    build_more(NOW)
    assert current_settings() == other
    assert ask().degraded == ""  # type: ignore[attr-defined]


def test_thresholds_of_another_model_are_no_secret(live: list[ArticleVersion], tiny: Tiny) -> None:
    build_more(NOW)
    said = ask()
    assert said.degraded == OTHER_MODEL  # type: ignore[attr-defined]
    assert AskedQuestion.objects.get().degraded == OTHER_MODEL


def test_a_new_model_that_fails_leaves_the_old_one_answering_and_says_so(
    live: list[ArticleVersion], tiny: Tiny
) -> None:
    build_more(NOW - timedelta(days=1))  # makes it known
    SearchIndex.objects.update(model=DELIVERED)
    PassageVector.objects.filter(model="tiny").delete()
    tiny.broken = True
    [build] = build_more(NOW)
    assert (build.state, build.last_error) == ("running", "The model failed: out of order")
    assert ask().degraded == ""  # type: ignore[attr-defined]
    tiny.broken = False
    assert [build.state for build in build_more(NOW)] == ["done"]


def test_a_change_that_is_no_longer_wanted_is_given_up(
    live: list[ArticleVersion], tiny: Tiny, settings: object
) -> None:
    assert begin_change(NOW)
    settings.EMBEDDING_MODEL = ""  # type: ignore[attr-defined]
    assert begin_change(NOW) is None
    assert IndexBuild.objects.get().state == "given_up"


def test_a_model_that_is_not_there_is_said_on_the_row(live: list[ArticleVersion], settings: object) -> None:
    settings.EMBEDDING_MODEL = "gone"  # type: ignore[attr-defined]
    with pytest.raises(CommandError, match="The model is not there"):
        call_command("rebuild_search", "--model")
    assert ask().degraded == ""  # type: ignore[attr-defined]


def test_a_model_that_fails_while_a_question_is_asked_degrades_the_answer(
    live: list[ArticleVersion], tiny: Tiny
) -> None:
    build_more(NOW)
    tiny.broken = True
    said = ask()
    assert said.degraded == MODEL_FAILED  # type: ignore[attr-defined]
    assert said.hits[0].version == live[0].pk  # type: ignore[attr-defined]
    tiny.broken = False
    assert ask().degraded == OTHER_MODEL  # type: ignore[attr-defined]  # what was degraded was not kept


def test_a_model_that_fails_while_articles_are_indexed_loses_no_article(live: list[ArticleVersion], tiny: Tiny) -> None:
    build_more(NOW)
    tiny.broken = True
    newer = published(VersionFactory.create(title="Do you sell gift cards?", body=""))
    passages.index([newer.article_id])
    assert vectors()["tiny"] == 6
    assert index_left() == 0
    tiny.broken = False
    assert index_left() == 1
    assert vectors()["tiny"] == 7


def test_a_passage_that_is_replaced_while_it_is_embedded_does_no_harm(live: list[ArticleVersion]) -> None:
    class Slow(Tiny):
        name = "slow"

        def __call__(self, texts: Sequence[str]) -> Vectors:
            passages.index([live[0].article_id])
            return super().__call__(texts)

    assert passages.embed(Slow()) == 6
    assert vectors()["slow"] == 4
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_a_lost_index_task_is_made_good(
    live: list[ArticleVersion], django_capture_on_commit_callbacks: Callable
) -> None:  # type: ignore[type-arg]
    Passage.objects.filter(article=live[0].article).delete()
    assert ask("where is my parcel").hits == ()  # type: ignore[attr-defined]
    assert index_left() == 1
    assert ask("where is my parcel").hits[0].version == live[0].pk  # type: ignore[attr-defined]


@pytest.mark.django_db(transaction=True)
def test_what_is_published_while_valkey_is_down_is_live_and_indexed_by_the_next_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def down(*_: object, **__: object) -> None:
        raise BrokerDown("Valkey is down")

    monkeypatch.setattr(index_articles, "apply_async", down)
    version = published(VersionFactory.create(title=TITLES[0]))
    with transaction.atomic():
        index_after_commit(version.article_id)  # as publishing does
    assert not Passage.objects.exists()
    assert complete_index.apply().get() == 1
    assert ask().hits[0].version == version.pk  # type: ignore[attr-defined]


@settings_of(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(max_size=1_200))
def test_any_text_is_answered_by_something_and_never_by_what_is_internal(live: list[ArticleVersion], text: str) -> None:
    Article.objects.filter(pk=live[1].article_id).update(audience="internal")
    said = answer(text, reader=Reader(), source="api", now=NOW, keep=False)
    assert 0 <= said.confidence <= 1
    assert live[1].pk not in [hit.version for hit in said.hits]
