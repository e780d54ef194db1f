"""The words around articles: in the language of the articles where we have them so, and complete."""

from __future__ import annotations

import gettext
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.template import engines
from django.test import Client
from django.utils.translation.template import templatize

from apps.knowledge.models import ArticleVersion
from apps.knowledge.search import passages
from tests.knowledge.factories import ArticleFactory, VersionFactory, published

TEMPLATES = sorted(Path(settings.BASE_DIR, "templates", "help").glob("*.html"))
LANGUAGES = [code for code, _name in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
PLACES = re.compile(r"%\(\w+\)s")


def live(title: str, body: str, language: str) -> ArticleVersion:
    article = ArticleFactory.create(language=language)
    version = published(VersionFactory.create(article=article, title=title, body=body))
    passages.index([article.pk])
    return version


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_every_word_is_translated_with_its_places(language: str, template: Path) -> None:
    catalogue = gettext.translation("django", settings.BASE_DIR / "locale", [language])
    said = re.findall(r"gettext\(u?('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")\)", templatize(template.read_text()))
    for words in {one[1:-1].replace("\\'", "'") for one in said}:
        assert catalogue.gettext(words) != words, f"not translated, or not compiled: {words}"
        assert set(PLACES.findall(catalogue.gettext(words))) == set(PLACES.findall(words)), words


def test_no_word_stands_in_a_template_untranslated() -> None:
    for template in TEMPLATES:
        bare = re.sub(
            r"{%\s*blocktranslate.*?endblocktranslate\s*%}|{[%{].*?[}%]}|{#.*?#}", " ", template.read_text(), flags=re.S
        )
        bare = re.sub(r'lang="en">[^<]*', "", re.sub(r"<!DOCTYPE html>", "", bare))
        texts = re.sub(r"<[^>]*>", "\n", bare)
        words = [word for word in re.findall(r"[A-Za-z]{2,}", texts)]
        allowed = (
            {"Version", "owned", "by", "next", "review", "Open", "in", "the", "desk"}
            if template.name == "article.html"
            else set()
        )
        assert set(words) <= allowed, template.name  # what staff alone see is in English
    assert engines["django"].get_template("help/base.html")


@pytest.mark.django_db
def test_a_german_article_has_german_words_around_it(client: Client) -> None:
    version = live("Wo ist mein Paket?", "## Eins\n\n## Zwei\n\n## Drei\n\nIm Link der Mail.", "de")
    english = live("Where is my parcel?", "In the mail.", "en")
    page = client.get(f"/help/articles/{version.article.slug}/").content.decode()
    assert '<html lang="de">' in page
    for words in (
        "War das hilfreich?",
        "Auf dieser Seite",
        "2. März 2026",
        "Zum Inhalt springen",
        'name="lang" value="de"',
    ):
        assert words in page
    assert "Was this helpful" not in page
    address = f"/help/articles/{version.article.slug}/feedback/?helpful=no&part=1"
    form = client.get(address).content.decode()
    assert "Woran lag es?" in form
    assert "Es ist falsch oder veraltet" in form
    refused = client.post(address, {"version": version.pk, "helpful": "no", "reason": "odd"})
    assert "Wählen Sie eines davon." in refused.content.decode()
    found = client.get("/help/search/", {"q": "Wo ist mein Paket?", "lang": "de"}).content.decode()
    assert "Ergebnisse für „Wo ist mein Paket?“" in found
    other = client.get(f"/help/articles/{english.article.slug}/").content.decode()
    assert '<html lang="en">' in other
    assert "Was this helpful?" in other
    assert "2 March 2026" in other


@pytest.mark.django_db
def test_words_that_we_have_not_in_a_language_are_english(client: Client) -> None:
    version = live("Onde está?", "Aqui.", "pt-BR")
    page = client.get(f"/help/articles/{version.article.slug}/").content.decode()
    assert '<html lang="en">' in page
    assert "Was this helpful?" in page
    assert "Nothing here" in client.get("/help/", {"lang": "de"}).content.decode()
