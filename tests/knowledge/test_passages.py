"""How versions become passages that can be found."""

from __future__ import annotations

import pytest
from django.db import connection

from apps.knowledge.models import ArticleVersion, Passage, PassageVector, Question, SearchIndex, Word
from apps.knowledge.search import passages
from apps.knowledge.search.embedding import DIMENSIONS, embedder
from tests.knowledge.factories import NOW, VersionFactory, moved, published

pytestmark = pytest.mark.django_db
BODY = """Look at the tracking page.

## Late parcels

Write to us after **ten** days.

| Country | Days |
|---|---|
| Norway | 4 |
"""


def live(title: str = "Where is my parcel?", body: str = BODY, **article: object) -> ArticleVersion:
    version = published(
        VersionFactory.create(title=title, body=body, **{f"article__{k}": v for k, v in article.items()})
    )
    passages.index([version.article_id])
    return version


def counted() -> dict[str, int]:
    return dict(Word.objects.filter(passages__gt=0).values_list("stem", "passages"))


def test_a_body_is_cut_at_its_headings_and_loses_its_marks() -> None:
    assert [(piece.heading, piece.text) for piece in passages.pieces(BODY)] == [
        ("", "Look at the tracking page."),
        ("Late parcels", "Write to us after ten days.\nCountry\nDays\nNorway\n4"),
    ]


def test_a_long_body_is_cut_between_paragraphs_and_loses_nothing() -> None:
    words = [f"word{n}" for n in range(3_000)]
    body = "\n\n".join(" ".join(words[n : n + 30]) for n in range(0, 3_000, 30))
    found = passages.pieces(body)
    assert len(found) == passages.MOST
    assert " ".join(piece.text.replace("\n", " ") for piece in found).split() == words


@pytest.mark.parametrize("body", ["", "   ", "<script>alert(1)</script>", "```\n```", "# Only a heading"])
def test_a_body_without_paragraphs_has_no_parts(body: str) -> None:
    assert passages.pieces(body) == []


def test_a_published_version_has_its_title_ways_to_ask_and_body_as_passages() -> None:
    version = VersionFactory.create(body=BODY)
    Question.objects.create(article=version.article, text="My package is late", added_at=NOW)
    published(version)
    assert passages.index([version.article_id]) == 4
    kinds = Passage.objects.order_by("id").values_list("kind", "text", flat=False)
    assert [kind for kind, _ in kinds] == ["title", "question", "body", "body"]
    assert PassageVector.objects.filter(model="all-MiniLM-L6-v2-int8").count() == 4
    assert len(PassageVector.objects.all()[0].vector) == DIMENSIONS


def test_indexing_again_changes_no_count() -> None:
    version = live()
    before, generation = counted(), SearchIndex.objects.get().generation
    passages.index([version.article_id])
    assert counted() == before
    assert before["parcel"] == 1
    assert SearchIndex.objects.get().generation == generation + 1
    assert SearchIndex.objects.get().passages == Passage.objects.count()


def test_a_draft_beside_the_live_version_is_not_found() -> None:
    version = live()
    VersionFactory.create(article=version.article, title="Secret plans")
    passages.index([version.article_id])
    assert set(Passage.objects.values_list("version_id", flat=True)) == {version.pk}


def test_an_archived_article_loses_its_passages_and_its_words() -> None:
    version = live()
    moved(version, "archived")
    passages.index([version.article_id])
    assert not Passage.objects.exists()
    assert not counted()
    assert SearchIndex.objects.get().passages == 0


def test_what_is_not_indexed_is_known() -> None:
    version = published(VersionFactory.create())
    assert list(passages.to_index()) == [version.article]
    passages.index([version.article_id])
    assert not passages.to_index().exists()


def test_another_model_is_filled_in_beside_the_one_in_use() -> None:
    live()
    model = embedder()
    assert model is not None

    class Newer:
        name = "newer"

        def __call__(self, texts: list[str]) -> object:
            return model(texts)  # type: ignore[misc]

    newer = Newer()
    assert passages.embed(newer, batch=2) == 2  # type: ignore[arg-type]
    assert passages.embed(newer, batch=2) == 1  # type: ignore[arg-type]
    assert passages.embed(newer, batch=2) == 0  # type: ignore[arg-type]
    assert PassageVector.objects.filter(model="newer").count() == Passage.objects.count()


def test_without_the_model_words_are_indexed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passages, "models_to_write", lambda: [])
    live()
    assert counted()["parcel"] == 1
    assert not PassageVector.objects.exists()


def test_accents_and_endings_make_no_difference() -> None:
    live(title="Überweisungen and refunding", body="")
    with connection.cursor() as cursor:
        cursor.execute("SELECT tsvector_to_array(words) FROM knowledge_passage")
        assert cursor.fetchone()[0] == ["refund", "uberweisungen"]
