"""Articles out to files and in again: nothing lost, nothing twice, nothing half-written."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from apps.core.models import User
from apps.core.roles import Role
from apps.knowledge import drafts, reviewing
from apps.knowledge.exchange import BadArticles, Paper, as_csv, as_json, as_markdown, read_papers
from apps.knowledge.images import add_image, address
from apps.knowledge.models import Article, ArticleVersion, Category
from apps.knowledge.refusals import NotAllowed
from apps.knowledge.taking_in import Taken, take_in
from tests.core.factories import person
from tests.knowledge.factories import NOW, CategoryFactory, published

pytestmark = pytest.mark.django_db
PAPER = Paper(
    title="How do I return a lamp?", body="Send it **back**.\n\n---\n\n=1+1", category="returns", slug="return-a-lamp",
    tags=["returns", "lamps"], questions=["Where is the return form?", "=SUM(1)", 'I want to "give back"'],
)  # fmt: skip
OTHER = Paper(title="-10 % code?", body="- no", category="returns", slug="code", audience="internal")


@pytest.fixture
def mara() -> User:
    """Manages support: edits all articles, makes categories."""
    return person(Role.SUPPORT_MANAGER, username="mara")


@pytest.fixture(autouse=True)
def shelf() -> Category:
    return CategoryFactory.create(slug="returns")


def written(folder: Path, kind: str, *papers: Paper) -> Path:
    """The papers as files of a kind."""
    if kind == "md":
        for paper in papers:
            (folder / f"{paper.slug}.md").write_text(as_markdown(paper))
        return folder
    file = folder / f"articles.{kind}"
    file.write_text((as_csv if kind == "csv" else as_json)(papers))
    return file


def taken(path: Path, actor: User, **more: Any) -> Taken:
    return take_in(read_papers(path), actor=actor, now=NOW, **more)


@pytest.mark.parametrize("kind", ["md", "csv", "json"])
def test_what_goes_out_comes_in_the_same(tmp_path: Path, kind: str) -> None:
    found = [one.paper for one in read_papers(written(tmp_path, kind, OTHER, PAPER))]
    assert found == [OTHER, PAPER]


@pytest.mark.parametrize("kind", ["md", "csv", "json"])
def test_articles_come_in_as_drafts_once(tmp_path: Path, mara: User, kind: str) -> None:
    path = written(tmp_path, kind, PAPER, OTHER)
    assert len(taken(path, mara).created) == 2
    article = Article.objects.get(slug="return-a-lamp")
    version = article.versions.get()
    assert (version.state, version.body, version.author, article.owner) == ("draft", PAPER.body, mara, mara)
    assert article.questions.count() == 3
    again = taken(path, mara)
    assert (len(again.unchanged), again.created, again.changed) == (2, [], [])
    assert ArticleVersion.objects.count() == 2


def test_a_change_of_a_live_article_is_a_draft_beside_it(tmp_path: Path, mara: User) -> None:
    taken(written(tmp_path, "md", PAPER), mara)
    published(ArticleVersion.objects.get())
    changed = PAPER.model_copy(update={"body": "By post.", "tags": ["post"]})
    assert taken(written(tmp_path, "md", changed), mara, submit=True).changed == ["return-a-lamp"]
    article = Article.objects.get()
    assert list(article.versions.order_by("number").values_list("state", "body")) == [
        ("published", PAPER.body), ("in_review", "By post."),
    ]  # fmt: skip
    assert article.tags == ["post"]
    assert taken(tmp_path, mara).unchanged == ["return-a-lamp"]
    more = PAPER.model_copy(update={"body": "By a third way."})
    assert len(taken(written(tmp_path, "md", more), mara).in_the_way) == 1
    assert ArticleVersion.objects.count() == 2


def test_duplicates_of_what_is_there_are_left_out(tmp_path: Path, mara: User) -> None:
    taken(written(tmp_path, "md", PAPER), mara)
    same_title = Paper(title="how do I RETURN  a lamp", body="x", category="returns", slug="a")
    same_text = Paper(title="Something else", body=PAPER.body, category="returns", slug="b")
    (tmp_path / "return-a-lamp.md").unlink()
    found = taken(written(tmp_path, "md", same_title, same_text), mara)
    assert len(found.duplicates) == 2
    assert Article.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.md", "no front matter", "front matter"),
        ("a.md", "---\ntitle: [\n---\nx", "not YAML"),
        ("a.md", "---\n- 1\n---\nx", "no fields"),
        ("a.md", "---\ntitle: T\ncategory: returns\n---\n", "body"),
        ("a.md", "---\ntitle: T\ncategory: returns\nstate: published\n---\nx", "state"),
        ("a.md", "---\ntitle: yes\ncategory: returns\n---\nx", "title"),
        ("a.md", "---\ntitle: T\ncategory: returns\nslug: Ä b\n---\nx", "slug"),
        ("a.md", "---\ntitle: T\ncategory: returns\naudience: all\n---\nx", "audience"),
        ("a.md", "---\ntitle: T\ncategory: returns\nreview_every_days: 0\n---\nx", "review_every_days"),
        ("a.md", "---\ntitle: T\ncategory: returns\n---\n\x00", "cannot be kept"),
        ("a.md", f"---\ntitle: T\ncategory: returns\ntags: [{'x' * 41}]\n---\nx", "tags"),
        ("a.md", "---\ntitle: T\ncategory: Ä b\n---\nx", "category"),
        ("a.json", '[{"title": "T", "body": "x", "category": "returns", "owner": "a\\u0000"}]', "owner"),
        ("a.json", '[{"title": "T", "body": "x", "category": "returns", "reviewers": ["\\ud800"]}]', "reviewers"),
        (
            "a.json",
            '[{"title": "T", "body": "x", "category": "returns", "review_every_days": 1' + "0" * 5000 + "}]",
            "digits",
        ),
        ("a.md", b"\xff\xfe", "UTF-8"),
        ("a.json", "{", "Expecting"),
        ("a.json", "[" * 100_000, "nested"),
        ("a.json", '{"articles": 1}', "list"),
        ("a.json", "[1]", "article 1"),
        ("a.json", '[{"title": "\\ud800", "body": "x", "category": "returns"}]', "article 1"),
        ("a.csv", "title,body\nT\n", "category"),
        ("a.csv", "title,body\nT,b,c\n", "more cells"),
        ("a.csv", 'title,body\n"T,b', "a.csv"),
        ("a.txt", "x", "Only a folder"),
    ],
)
def test_bad_files_are_refused_with_what_is_wrong(tmp_path: Path, name: str, text: str | bytes, words: str) -> None:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadArticles) as refused:
        read_papers(file)
    assert words in str(refused.value.fields)


def test_what_stands_twice_in_the_files_is_refused(tmp_path: Path) -> None:
    twin = PAPER.model_copy(update={"slug": "twin", "body": "other"})
    with pytest.raises(BadArticles, match="The same title as in"):
        read_papers(written(tmp_path, "md", PAPER, twin))


@pytest.mark.parametrize(
    "change", [{"category": "nowhere"}, {"owner": "nobody"}, {"reviewers": ["nobody"]}, {"owner": "abel"}]
)
def test_one_bad_article_stops_all(tmp_path: Path, mara: User, change: dict[str, Any]) -> None:
    person(Role.SUPPORT_AGENT, username="abel")
    bad = OTHER.model_copy(update=change)
    with pytest.raises(BadArticles):
        taken(written(tmp_path, "json", PAPER, bad), mara, make_categories=change == {"owner": "abel"})
    assert not Article.objects.exists()


def test_categories_are_made_if_wanted(tmp_path: Path, mara: User) -> None:
    paper = PAPER.model_copy(update={"category": "gift-cards"})
    taken(written(tmp_path, "csv", paper), mara, make_categories=True)
    assert Category.objects.get(slug="gift-cards").title == "Gift cards"


def test_who_may_import(tmp_path: Path) -> None:
    path = written(tmp_path, "md", PAPER)
    for role in (Role.SUPPORT_AGENT, Role.AUDITOR, Role.OPERATOR):
        with pytest.raises(NotAllowed):
            taken(path, person(role))
    olga = person(Role.CONTENT_OWNER)
    assert len(taken(path, olga).created) == 1
    published(ArticleVersion.objects.get())
    changed = written(tmp_path, "md", PAPER.model_copy(update={"body": "new"}))
    with pytest.raises(NotAllowed):  # it is olga's
        taken(changed, person(Role.CONTENT_OWNER))


def test_the_commands_write_what_they_read(tmp_path: Path, mara: User, capsys: pytest.CaptureFixture[str]) -> None:
    drafts.create_article(category=Category.objects.get(), title="Not live", body="b", actor=mara, now=NOW)
    live = drafts.create_article(category=Category.objects.get(), title="Live: yes?", body="# b", actor=mara, now=NOW)
    published(live)
    for name in ("out", "out.csv", "out.json"):
        call_command("export_articles", tmp_path / name)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["live-yes.md"]
    assert len(json.loads((tmp_path / "out.json").read_text())["articles"]) == 1
    for name in ("out", "out.csv", "out.json"):
        call_command("import_articles", tmp_path / name, "--actor", "mara")
        assert "0 created, 0 changed, 1 unchanged" in capsys.readouterr().out
    call_command("import_articles", tmp_path / "out.csv", "--actor", "mara", "--dry-run")
    with pytest.raises(CommandError, match="unknown_actor"):
        call_command("import_articles", tmp_path / "out.csv", "--actor", "x")
    (tmp_path / "out.json").write_text("[]]")
    with pytest.raises(CommandError, match="bad_articles"):
        call_command("import_articles", tmp_path / "out.json", "--actor", "mara")
    with pytest.raises(CommandError, match="cannot_write"):
        call_command("export_articles", tmp_path / "out.csv" / "below.json")


def test_an_archived_article_is_left_as_it_is(tmp_path: Path, mara: User) -> None:
    path = written(tmp_path, "md", PAPER)
    taken(path, mara)
    reviewing.archive(article_id=Article.objects.get().pk, reason="r", actor=mara, now=NOW)
    assert len(taken(path, mara).in_the_way) == 1


def pixels(colour: str = "navy") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (9, 7), colour).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("name", ["out", "out.csv", "out.json"])
def test_pictures_go_along_and_come_in_again(tmp_path: Path, settings: Any, mara: User, name: str) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    version = drafts.create_article(category=Category.objects.get(), title="A lamp?", body="-", actor=mara, now=NOW)
    kept = address(add_image(article_id=version.article_id, data=pixels(), actor=mara, now=NOW))
    lost = add_image(article_id=version.article_id, data=pixels("red"), actor=mara, now=NOW)
    lost.file.storage.delete(lost.file.name)
    body = f"![It]({kept})\n\n![Lost]({address(lost)})\n\nText that says {kept} is no link.\n\n[it]: {kept}"
    version = drafts.edit_draft(
        version_id=version.pk, seen_digest=version.digest, title="A lamp?", body=body, changes="-", actor=mara, now=NOW
    )
    published(version)
    call_command("export_articles", tmp_path / "files" if name == "out" else _made(tmp_path / "files") / name)
    path = tmp_path / "files" if name == "out" else tmp_path / "files" / name
    assert len(list((tmp_path / "files" / "pictures").iterdir())) == 1
    assert taken(path, mara).unchanged == ["a-lamp"]
    # In another system the article and its picture have other ids.
    Article.objects.update(slug="former")
    ArticleVersion.objects.filter(pk=version.pk).update(state="archived")
    again = taken(path, mara, submit=True)
    assert again.created == ["a-lamp"]
    came = ArticleVersion.objects.get(article__slug="a-lamp")
    image = came.article.images.get()
    assert came.body == body.replace(f"![It]({kept}", f"![It]({address(image)}").replace(
        f": {kept}", f": {address(image)}"
    )
    assert address(image) != kept
    assert taken(path, mara).unchanged == ["a-lamp"]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("pictures/none.png", "There is no picture"),
        ("pictures/bad.png", "pictures/bad.png"),
        ("pictures/up.png", "no picture"),
    ],
)
def test_pictures_that_are_none_stop_all(tmp_path: Path, mara: User, link: str, words: str) -> None:
    path = written(tmp_path, "md", PAPER.model_copy(update={"body": f"![x]({link})"}))
    (_made(tmp_path / "pictures") / "bad.png").write_bytes(b"<svg onload=alert(1)>")
    (tmp_path / "pictures" / "up.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadArticles) as refused:
        taken(path, mara)
    assert words in str(refused.value.fields)
    assert not Article.objects.exists()


def test_an_import_that_fails_leaves_no_files(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    papers = [PAPER.model_copy(update={"body": "![x](pictures/a.png)"}), OTHER.model_copy(update={"slug": "zz-last"})]
    path = written(_made(tmp_path / "files"), "md", *papers)
    (_made(path / "pictures") / "a.png").write_bytes(pixels())
    create = drafts.create_article

    def fails(**facts: Any) -> ArticleVersion:
        if facts["slug"] == PAPER.slug:
            return create(**facts)
        raise NotAllowed

    monkeypatch.setattr(drafts, "create_article", fails)
    with pytest.raises(NotAllowed):
        taken(path, person(Role.CONTENT_OWNER))
    assert not [one for one in (tmp_path / "media").rglob("*") if one.is_file()]
