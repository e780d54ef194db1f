"""What every request of a widget passes: site, origin, session, limits, and errors in one shape.

Requests carry ``Authorization: Chat TOKEN`` and no cookie, so pages of other sites cannot borrow anybody's session.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt

from apps.chat.models import ChatSession, ChatSite
from apps.chat.origins import may_speak
from apps.chat.refusals import BadRequest, NoSuchSite, NotStored, OriginRefused, SessionOver, TooLarge
from apps.chat.sessions import session_of, site_of
from apps.core.errors import DomainError
from apps.core.ratelimit import by_address, spend
from apps.core.redaction import redact

SCHEME = "Chat "
LARGEST_BODY = 32 * 1024
PREFLIGHT_SECONDS = 600

logger = structlog.get_logger(__name__)
Body = dict[str, Any]
SiteView = Callable[[HttpRequest, ChatSite], HttpResponseBase]
SessionView = Callable[..., HttpResponseBase]


def for_site(*, methods: str, limit: str, tells: bool = False) -> Callable[[SiteView], Callable[..., HttpResponseBase]]:
    """A view that needs no session; limited by address.

    Args:
        methods: such as ``GET POST``.
        limit: a name in ``settings.RATE_LIMITS``.
        tells: pages of foreign origins may read that they are refused, and nothing else.
    """

    def decorate(view: SiteView) -> Callable[..., HttpResponseBase]:
        @csrf_exempt
        @wraps(view)
        def inner(request: HttpRequest, key: str) -> HttpResponseBase:
            def answer(site: ChatSite) -> HttpResponseBase:
                spend(limit, by_address(request))
                return view(request, site)

            response = _guarded(request, key, methods, answer)
            if tells and response.status_code in (403, 404):
                response["Access-Control-Allow-Origin"] = "*"
            return response

        return inner

    return decorate


def for_session(*, methods: str, limit: str) -> Callable[[SessionView], Callable[..., HttpResponseBase]]:
    """A view of who has a session; limited by session, and by address where the token opens nothing."""

    def decorate(view: SessionView) -> Callable[..., HttpResponseBase]:
        @csrf_exempt
        @wraps(view)
        def inner(request: HttpRequest, key: str, **kwargs: Any) -> HttpResponseBase:
            def answer(site: ChatSite) -> HttpResponseBase:
                session = _session(request, site)
                spend(limit, f"session:{session.pk}")
                return view(request, session, **kwargs)

            return _guarded(request, key, methods, answer)

        return inner

    return decorate


def _session(request: HttpRequest, site: ChatSite) -> ChatSession:
    given = request.headers.get("Authorization", "")
    token = given[len(SCHEME) :].strip() if given.startswith(SCHEME) else ""
    try:
        return session_of(token, timezone.now(), site_key=site.key)
    except SessionOver:
        spend("chat_address", by_address(request))  # nobody tries tokens by the thousand
        raise


def _guarded(
    request: HttpRequest, key: str, methods: str, answer: Callable[[ChatSite], HttpResponseBase]
) -> HttpResponseBase:
    """The answer, or the refusal; with the headers that let the page read either."""
    origin, site = request.headers.get("Origin", ""), None
    try:
        site = site_of(key)
        _check_origin(request, site, origin)
        if request.method == "OPTIONS":
            response: HttpResponseBase = _preflight(methods)
        elif request.method not in methods.split():
            response = _error("method_not_allowed", "This is not done here.", 405)
            response["Allow"] = f"{methods.replace(' ', ', ')}, OPTIONS"
        else:
            response = answer(site)
    except DomainError as error:
        response = refusal(error)
        if isinstance(error, OriginRefused | NoSuchSite):
            site = None
    except (InterfaceError, DatabaseError):
        logger.exception("chat_request_failed")
        response = refusal(NotStored())
    patch_vary_headers(response, ["Origin"])
    response.headers.setdefault("Cache-Control", "no-store")
    if origin and site is not None:
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Expose-Headers"] = "Retry-After, X-Request-ID"
        response["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


def _check_origin(request: HttpRequest, site: ChatSite, origin: str) -> None:
    """Browsers name the origin of each request that another page makes, and of all that write something.

    Raises:
        OriginRefused: the page may not show this chat.
    """
    if origin:
        if not may_speak(site, origin, request.headers.get("Host", "")):
            raise OriginRefused
    elif request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise OriginRefused


def _preflight(methods: str) -> HttpResponse:
    response = HttpResponse(status=204)
    response["Access-Control-Allow-Methods"] = f"{methods.replace(' ', ', ')}, OPTIONS"
    response["Access-Control-Allow-Headers"] = "Authorization, Content-Type, X-Request-ID"
    response["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
    return response


def refusal(error: DomainError) -> HttpResponse:
    """A refusal for programs: ``{"error": {"code", "message"}}``, with Retry-After where waiting helps."""
    pause = getattr(error, "retry_after", None)
    response = _error(error.code, error.message, error.status, retry_after=pause)
    if pause is not None:
        response["Retry-After"] = str(pause)
    return response


def _error(code: str, message: str, status: int, *, retry_after: int | None = None) -> HttpResponse:
    body: dict[str, Any] = {"code": code, "message": message}
    if retry_after is not None:
        body["retry_after"] = retry_after
    return JsonResponse({"error": body}, status=status)


def body_of(request: HttpRequest) -> Body:
    """The JSON object that a request carries; ``{}`` for an empty body.

    Raises:
        TooLarge: it has more than :data:`LARGEST_BODY` bytes.
        BadRequest: it is no JSON object.
    """
    length = request.META.get("CONTENT_LENGTH") or "0"
    if (length.isdecimal() and int(length) > LARGEST_BODY) or len(request.body) > LARGEST_BODY:
        raise TooLarge
    return parsed(request.body or b"{}")


def parsed(raw: bytes | str) -> Body:
    """A JSON object.

    Raises:
        BadRequest: it is something else.
    """
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadRequest from None
    if not isinstance(found, dict):
        raise BadRequest
    return found


def text_in(body: Body, name: str, *, longest: int = 100_000) -> str:
    """A text of a body; empty if it is not there.

    Raises:
        BadRequest: it is no text, or too long.
    """
    found = body.get(name, "")
    if not isinstance(found, str) or len(found) > longest:
        raise BadRequest
    return found


def whole_in(body: Body, name: str, *, least: int = 0, most: int = 2**31 - 1) -> int:
    """A whole number of a body.

    Raises:
        BadRequest: it is missing, something else, or out of bounds.
    """
    found = body.get(name)
    if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
        raise BadRequest
    return found


def uuid_in(body: Body, name: str) -> UUID:
    """An id of a body, as its browser chose it.

    Raises:
        BadRequest: it is missing or no UUID in its usual form, with small letters.
    """
    given = text_in(body, name, longest=36)
    try:
        found = UUID(given)
    except ValueError:
        raise BadRequest from None
    if str(found) != given:  # it comes back as it is stored, and must be recognised
        raise BadRequest
    return found


def data_in(body: Body) -> dict[str, Any]:
    """What a customer may send beside the words: a choice, details of a form, the event that is answered.

    Raises:
        BadRequest: something else, or too much of it.
    """
    data = body.get("data") or {}
    if not isinstance(data, dict) or set(data) - {"choice", "form"}:
        raise BadRequest
    found: dict[str, Any] = {}
    if "choice" in data:
        found["choice"] = redact(text_in(data, "choice", longest=200)).text
    if "form" in data:
        form = data["form"]
        if not isinstance(form, dict) or len(form) > 20 or not all(len(name) <= 40 for name in form):
            raise BadRequest
        found["form"] = {redact(name).text: redact(text_in(form, name, longest=500), "contact").text for name in form}
    if body.get("reply_to") is not None:
        found["reply_to"] = whole_in(body, "reply_to", least=1)
    return found
