"""Pages of the help centre that everybody gets alike; see :mod:`apps.knowledge.centre.kept`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import get_language_info, override

from apps.core.numbers import whole
from apps.knowledge.centre import contents
from apps.knowledge.centre.kept import kept
from apps.knowledge.models import Category
from apps.knowledge.search.retrieve import Reader

PAGE = 60
"""Articles on one page of a category."""


def page(
    request: HttpRequest, template: str, reader: Reader, *, status: int = 200, language: str = "", **context: Any
) -> HttpResponse:
    """A page in the frame of the help centre.

    Args:
        language: of what the page shows, the reader's if empty; the words around it are in it if we have them so.
    """
    language = language or reader.language
    words = spoken(language)
    there = "canonical" in context and language not in ("", settings.LANGUAGE_CODE)  # there are articles in it
    home = format_html("?lang={}", language) if there else ""
    context |= {"reader": reader, "site_url": settings.SITE_URL, "words": words, "home_query": home}
    with override(words):
        return render(request, f"help/{template}.html", context, status=status)


def spoken(language: str) -> str:
    """The language of the words around what is in a language: the same if we have them in it."""
    return language if language in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE


def missing(request: HttpRequest, reader: Reader) -> HttpResponse:
    """There is nothing here for this reader; whether there is for another is not told."""
    response = page(request, "missing", reader, status=404)
    response["X-Robots-Tag"] = "noindex"
    return response


def in_language(request: HttpRequest, reader: Reader) -> tuple[Reader, list[dict[str, Any]]] | None:
    """The reader with the language of the page, and the other languages to choose from.

    Returns:
        None if there is nothing in the language that the address names.
    """
    there = contents.languages(reader)
    asked = request.GET.get("lang", "")
    if asked and asked not in there:
        return None
    chosen = asked or (settings.LANGUAGE_CODE if settings.LANGUAGE_CODE in there or not there else there[0])
    choices = [{"code": code, "name": name_of(code), "chosen": code == chosen} for code in there]
    return replace(reader, language=chosen), choices if len(choices) > 1 else []


def name_of(code: str) -> str:
    """A language's name in itself."""
    try:
        return str(get_language_info(code)["name_local"]).capitalize()
    except KeyError:
        return code


@kept
def home(request: HttpRequest, reader: Reader) -> HttpResponse:
    """Categories with their first articles, and what is often needed."""
    chosen = in_language(request, reader)
    if chosen is None:
        return missing(request, reader)
    reader, choices = chosen
    return page(
        request, "home", reader, shelves=contents.shelves(reader), often=contents.often(reader), languages=choices,
        canonical=_address(reverse("help_home"), reader),
    )  # fmt: skip


@kept
def category(request: HttpRequest, reader: Reader, slug: str) -> HttpResponse:
    """All articles of a category that the reader has."""
    chosen = in_language(request, reader)
    shelf = Category.objects.filter(slug=slug).first()
    if chosen is None or shelf is None:
        return missing(request, reader)
    reader, choices = chosen
    found = contents.live(reader).filter(article__category=shelf).defer("body").order_by("title", "pk")
    pages = Paginator(found, PAGE)
    number = whole(request.GET.get("page") or "1")
    if not pages.count or number is None or not 1 <= number <= pages.num_pages:
        return missing(request, reader)
    shown = pages.page(number)
    address = _address(reverse("help_category", args=[slug]), reader, number)
    return page(
        request, "category", reader, shelf=shelf, shown=shown, links=[contents.link(one) for one in shown],
        languages=choices, canonical=address,
    )  # fmt: skip


@kept
def article(request: HttpRequest, reader: Reader, slug: str) -> HttpResponse:
    """An article, or the way to where it is now."""
    found = contents.article_page(slug, reader)
    if found is not None:
        address = reverse("help_article", args=[slug])
        owner = contents.owner_of(found.version.article) if reader.internal else ""
        reader = replace(reader, language=found.version.article.language)  # the box searches in it
        return page(request, "article", reader, shown=found, canonical=address, owner=owner)
    if moved := contents.moved_to(slug, reader):
        return HttpResponsePermanentRedirect(reverse("help_article", args=[moved]))
    return missing(request, reader)


def _address(path: str, reader: Reader, number: int = 1) -> str:
    """The one address of a page, whatever else was asked for."""
    language = f"lang={reader.language}" if reader.language != settings.LANGUAGE_CODE else ""
    query = "&".join(part for part in (language, f"page={number}" if number > 1 else "") if part)
    return f"{path}?{query}" if query else path
