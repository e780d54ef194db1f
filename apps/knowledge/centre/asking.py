"""Searching, suggestions, and what readers say: what each reader gets for themselves."""

from __future__ import annotations

from dataclasses import replace
from secrets import token_urlsafe
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext, override
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.core.numbers import whole
from apps.core.ratelimit import by_address, spend
from apps.knowledge import answers, feedback
from apps.knowledge.answers import Outcome, answer, find
from apps.knowledge.calibration import current_settings
from apps.knowledge.centre import contents
from apps.knowledge.centre.readers import reader_of
from apps.knowledge.centre.suggest import suggestions
from apps.knowledge.centre.views import missing, page, spoken
from apps.knowledge.models import ArticleFeedback
from apps.knowledge.refusals import InvalidArticle
from apps.knowledge.search.retrieve import Reader

VISITOR = "help_visitor"
"""The cookie that tells visitors apart, given to who says something about an article."""
VISITOR_AGE = 180 * 24 * 3600
ASKED = "knowledge.asked"
ASKED_AGE = 24 * 3600
SOURCE = "help_centre"


def _for_one(response: HttpResponse) -> HttpResponse:
    patch_cache_control(response, private=True, no_store=True)
    response["X-Robots-Tag"] = "noindex"
    return response


def _reader(request: HttpRequest) -> Reader:
    """The reader, in the language that the page names; a language that nobody writes in finds nothing, which is right."""
    return replace(reader_of(request), language=request.GET.get("lang", "")[:10].replace("\x00", ""))


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """The answer to a question if there is one that is sure enough, and articles that may answer it."""
    reader = _reader(request)
    question = " ".join(request.GET.get("q", "").split())[: answers.LONGEST]
    if not question:
        return _for_one(page(request, "search", reader, question="", said=None, links=()))
    spend("help_search", by_address(request))
    now, who = timezone.now(), request.COOKIES.get(VISITOR) or f"address:{by_address(request)}"
    said = answer(question, reader=reader, source=SOURCE, now=now, customer=who, keep=request.method == "GET")
    best = said.hits[0].article if said.outcome == Outcome.ANSWER else None
    ranked = [(one, score) for one, score in find(question, reader, current_settings()).ranked if one.article != best]
    token = signing.dumps(said.asked, salt=ASKED) if said.asked and best else ""
    links = contents.results(ranked, reader)
    return _for_one(page(request, "search", reader, question=question, said=said, links=links, asked=token))


@require_safe
def suggest(request: HttpRequest) -> JsonResponse:
    """Articles for what is being typed."""
    spend("help_suggest", by_address(request))
    found = suggestions(request.GET.get("q", ""), _reader(request))
    response = JsonResponse({"suggestions": [{"title": one.title, "url": one.url} for one in found]})
    _for_one(response)
    return response


@require_POST
@csrf_protect
def answered(request: HttpRequest, token: str) -> HttpResponse:
    """Whether an answer was the answer: the reader says yes or no."""
    spend("help_feedback", by_address(request))
    try:
        asked = signing.loads(token, salt=ASKED, max_age=ASKED_AGE)
    except signing.BadSignature:
        return _for_one(missing(request, reader_of(request)))
    helped = request.POST.get("helpful") == "yes"
    if not helped:
        answers.unhelpful(asked)
    return _for_one(page(request, "thanks", _reader(request), helped=helped, fragment=_is_part(request)))


@require_http_methods(["GET", "HEAD", "POST"])
@csrf_protect
def helpful(request: HttpRequest, slug: str) -> HttpResponse:
    """Was this article helpful? A page with the question, or the part of it that a script puts into the article's page."""
    reader = reader_of(request)
    version = contents.live(reader).filter(article__slug=slug).defer("body").first()
    if version is None:
        return _for_one(missing(request, reader))
    context: dict[str, Any] = {
        "version": version,
        "reasons": ArticleFeedback.Reason.choices,
        "fragment": _is_part(request),
        "language": version.article.language,
    }
    given = request.POST if request.method == "POST" else request.GET
    context["said"] = given.get("helpful", "") if given.get("helpful") in ("yes", "no") else ""
    if request.method != "POST":
        return _for_one(page(request, "feedback", reader, **context))
    try:
        with override(spoken(version.article.language)):
            visitor = _give(request, reader)
    except InvalidArticle as refusal:
        return _for_one(page(request, "feedback", reader, status=422, errors=refusal.fields, **context))
    response = page(request, "thanks", reader, helped=context["said"] == "yes", **context)
    response.set_cookie(
        VISITOR, visitor, max_age=VISITOR_AGE, path="/help/", httponly=True, samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )  # fmt: skip
    return _for_one(response)


def _give(request: HttpRequest, reader: Reader) -> str:
    """Keep what was said; returns the visitor's mark.

    Raises:
        InvalidArticle, ArticleNotFound
    """
    spend("help_feedback", by_address(request))
    said, version = request.POST.get("helpful"), whole(request.POST.get("version", ""))
    if said not in ("yes", "no") or version is None:
        raise InvalidArticle(fields={"helpful": [gettext("Choose yes or no.")]})
    visitor = request.COOKIES.get(VISITOR, "")[:64] or token_urlsafe(18)
    feedback.give(
        version_id=version, reader=reader, helpful=said == "yes", reason=request.POST.get("reason", ""),
        comment=request.POST.get("comment", ""), visitor=visitor, now=timezone.now(),
    )  # fmt: skip
    return visitor


def _is_part(request: HttpRequest) -> bool:
    return request.GET.get("part") == "1"
