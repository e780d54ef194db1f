"""What every answer of the desk has in common: staff only, JSON, refusals with a code, nothing kept by browsers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache

from apps.chat.binding import VIEW, authorise
from apps.chat.refusals import BadRequest, NotSignedIn
from apps.core.errors import DomainError
from apps.core.models import User
from apps.core.ratelimit import TooManyRequests, spend

Answers = Callable[..., Mapping[str, Any]]
LIMIT = "desk_user"
MOST_BYTES = 32_000


def answers(*methods: str) -> Callable[[Answers], Callable[..., HttpResponse]]:
    """Make a view of a function that is given the person, the request and the route's parts, and answers with facts."""

    def made(function: Answers) -> Callable[..., HttpResponse]:
        @never_cache
        @wraps(function)
        def view(request: HttpRequest, **parts: Any) -> HttpResponse:
            if request.method not in methods:
                return JsonResponse(_refusal("method_not_allowed", "Not this way."), status=405)
            try:
                user = _person(request)
                spend(LIMIT, str(user.pk))
                return JsonResponse(function(user, request, **parts))
            except DomainError as error:
                answer = JsonResponse(
                    _refusal(error.code, error.message, version=getattr(error, "version", None)), status=error.status
                )
                if isinstance(error, TooManyRequests):
                    answer["Retry-After"] = str(error.retry_after)
                return answer

        return view

    return made


def _person(request: HttpRequest) -> User:
    """Who asks.

    Raises:
        NotSignedIn, NotAllowed: a stranger, or a person whose role reads no conversations.
    """
    user = request.user
    if not (isinstance(user, User) and user.is_active and user.is_staff):
        raise NotSignedIn
    authorise(user, VIEW)
    return user


def _refusal(code: str, message: str, version: int | None = None) -> dict[str, Any]:
    facts: dict[str, Any] = {"code": code, "message": message}
    return {"error": facts | ({"version": version} if version is not None else {})}


def body_of(request: HttpRequest) -> dict[str, Any]:
    """The JSON object that was sent.

    Raises:
        BadRequest: it is none, or too large.
    """
    if len(request.body) > MOST_BYTES:
        raise BadRequest("This is too large.")
    try:
        found = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        raise BadRequest from None
    if not isinstance(found, dict):
        raise BadRequest
    return found
