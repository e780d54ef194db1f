"""What search engines read: the addresses of all public pages, and where not to look."""

from __future__ import annotations

from xml.sax.xmlreader import AttributesImpl

from django.conf import settings
from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.xmlutils import SimplerXMLGenerator
from django.views.decorators.http import require_safe

from apps.knowledge.centre import contents
from apps.knowledge.centre.kept import kept
from apps.knowledge.centre.readers import EVERYBODY
from apps.knowledge.centre.views import missing
from apps.knowledge.search.retrieve import Reader

MOST = 10_000
"""Addresses in one file; the protocol allows 50,000."""
_NAMESPACE = AttributesImpl({"xmlns": "http://www.sitemaps.org/schemas/sitemap/0.9"})
_NONE: AttributesImpl[str] = AttributesImpl({})
_XML = "application/xml; charset=utf-8"


@kept
def sitemap(request: HttpRequest, reader: Reader) -> HttpResponse:
    """Home, categories and articles; where there are too many for one file, the files that have them."""
    count = contents.live(EVERYBODY).count()
    if count <= MOST:
        return _addresses(0)
    response, xml = _document("sitemapindex")
    for number in range(1, -(-count // MOST) + 1):
        _entry(xml, "sitemap", reverse("help_sitemap_part", args=[number]), None)
    return _ended(response, xml, "sitemapindex")


@kept
def sitemap_part(request: HttpRequest, reader: Reader, number: int) -> HttpResponse:
    """One of several files."""
    parts = -(-contents.live(EVERYBODY).count() // MOST)
    return _addresses(number - 1) if 1 <= number <= parts else missing(request, reader)


def _addresses(part: int) -> HttpResponse:
    response, xml = _document("urlset")
    public = contents.live(EVERYBODY)
    if part == 0:
        _entry(xml, "url", reverse("help_home"), public.aggregate(last=Max("published_at"))["last"])
        for slug, last in (
            public.values_list("article__category__slug")
            .annotate(Max("published_at"))
            .order_by("article__category__slug")
        ):
            _entry(xml, "url", reverse("help_category", args=[slug]), last)
    rows = public.order_by("article_id").values_list("article__slug", "published_at")
    for slug, last in rows[part * MOST : (part + 1) * MOST]:
        _entry(xml, "url", reverse("help_article", args=[slug]), last)
    return _ended(response, xml, "urlset")


def _document(name: str) -> tuple[HttpResponse, SimplerXMLGenerator]:
    response = HttpResponse(content_type=_XML)
    xml = SimplerXMLGenerator(response, "utf-8")
    xml.startDocument()
    xml.startElement(name, _NAMESPACE)
    return response, xml


def _entry(xml: SimplerXMLGenerator, name: str, path: str, last: object) -> None:
    xml.startElement(name, _NONE)
    xml.addQuickElement("loc", f"{settings.SITE_URL}{path}")
    if last is not None:
        xml.addQuickElement("lastmod", f"{last:%Y-%m-%dT%H:%M:%SZ}")
    xml.endElement(name)


def _ended(response: HttpResponse, xml: SimplerXMLGenerator, name: str) -> HttpResponse:
    xml.endElement(name)
    xml.endDocument()
    return response


@require_safe
def robots(request: HttpRequest) -> HttpResponse:
    """The help centre is for search engines too, the rest of the site is not."""
    lines = ["User-agent: *", "Disallow: /", "Allow: /help/", "Allow: /static/", "Disallow: /help/search/"]
    words = "\n".join([*lines, "", f"Sitemap: {settings.SITE_URL}{reverse('help_sitemap')}", ""])
    return HttpResponse(words, content_type="text/plain; charset=utf-8")
