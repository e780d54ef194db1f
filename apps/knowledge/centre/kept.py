"""Pages of the help centre, kept until something that readers can see changes.

What changes counts :class:`~apps.knowledge.models.SearchIndex` on in the transaction that changes it. The generation is
read before the articles are, and stands with the page: one made from older articles never counts as of a newer one. Each page
has one place, so former ones take no room.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, cast

import structlog
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.utils import timezone
from django.utils.cache import get_conditional_response, patch_cache_control, patch_vary_headers
from django.utils.http import http_date
from django.views.decorators.http import require_safe
from redis import RedisError

from apps.knowledge.centre.readers import EVERYBODY, reader_of
from apps.knowledge.models import SearchIndex
from apps.knowledge.search.retrieve import Reader

logger = structlog.get_logger(__name__)
P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, Reader, P], HttpResponse]

KEPT = 24 * 3600
"""Seconds; names of people and what is often needed may change without a new generation."""
MATTERS = ("lang", "page")
"""What of the query makes another page; whatever else somebody puts there does not make us keep more."""


@dataclass(frozen=True, slots=True)
class Page:
    """An answer as it was made."""

    body: bytes
    content_type: str
    tag: str
    made_at: datetime
    generation: int


def kept(view: View[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Give a view its reader, and keep its page if it is everybody's. Answers 304 to who has the page already."""

    @wraps(view)
    def inner(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        reader = reader_of(request)
        if reader != EVERYBODY:
            response = view(request, reader, *args, **kwargs)
            patch_cache_control(response, private=True, no_store=True)
            return response
        generation = SearchIndex.objects.values_list("generation", flat=True).first()
        key = _key(request)
        page = _held(key)
        if page is None or page.generation != generation:
            response = view(request, reader, *args, **kwargs)
            if response.status_code != 200:
                return _for_all(response)
            made = response.content
            page = Page(made, response["Content-Type"], _tag(made), timezone.now(), generation or 0)
            if generation is not None:
                with suppress(RedisError):
                    cache.set(key, page, KEPT)
        return _answer(request, page)

    return cast(Callable[Concatenate[HttpRequest, P], HttpResponse], require_safe(inner))


def _answer(request: HttpRequest, page: Page) -> HttpResponse:
    response = HttpResponse(page.body, content_type=page.content_type)
    made = int(page.made_at.timestamp())
    response["ETag"], response["Last-Modified"] = page.tag, http_date(made)
    return _for_all(get_conditional_response(request, page.tag, made, response) or response)


def _for_all(response: HttpResponse) -> HttpResponse:
    """Others may keep it too, but must ask each time whether it is still the page."""
    patch_cache_control(response, public=True, no_cache=True)
    patch_vary_headers(response, ["Cookie"])
    return response


def _held(key: str) -> Page | None:
    try:
        page: Page | None = cache.get(key)
    except RedisError as error:  # pages go on without Valkey
        logger.warning("pages_not_kept", error=type(error).__name__)
        return None
    return page


def _key(request: HttpRequest) -> str:
    asked: list[Any] = [request.path, *(request.GET.get(name, "") for name in MATTERS)]
    facts = (asked, look_of_today() if settings.DEBUG else look())
    return f"help:{hashlib.sha256(repr(facts).encode()).hexdigest()}"


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def look_of_today() -> str:
    """What tells one release's look from another's: its templates and translations, and the names of its static files."""
    found = hashlib.sha256(f"{static('help/help.css')} {static('help/help.js')} {settings.SITE_URL}".encode())
    base = Path(settings.BASE_DIR)
    for file in [*sorted((base / "templates" / "help").glob("*.html")), *sorted((base / "locale").rglob("*.mo"))]:
        found.update(file.read_bytes())
    return found.hexdigest()


look = lru_cache(maxsize=1)(look_of_today)
