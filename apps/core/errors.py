"""Errors with a stable code and the request id, as pages and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from rest_framework.exceptions import APIException, Throttled
from rest_framework.response import Response

logger = structlog.get_logger(__name__)
Answer = TypeVar("Answer", bound=HttpResponse)
JSON_PATHS = ("/api/", "/webhooks/")


class DomainError(Exception):
    """A refusal with a reason: bad input, or a rule of the domain that forbids it.

    Subclasses set ``code`` (stable, for programs), ``message`` (for people) and ``status`` (of the HTTP answer).

    Args:
        message: replaces the class's message.
        fields: what is wrong by field, for forms and the API.
    """

    code = "refused"
    message = "This cannot be done."
    status = 400

    def __init__(self, message: str = "", *, fields: dict[str, list[str]] | None = None) -> None:
        self.message = message or self.message
        self.fields = fields or {}
        super().__init__(self.message)


@dataclass(frozen=True, slots=True)
class Problem:
    """What an error page says. ``title`` and ``detail`` are for people, ``code`` is for programs and support."""

    status: int
    code: str
    title: str
    detail: str


BAD_REQUEST = Problem(400, "bad_request", "This request could not be read", "Go back and try again.")
TOO_LARGE = Problem(413, "too_large", "That is too large", "Send less at once.")
FORBIDDEN = Problem(403, "permission_denied", "Not yours to open", "Your role does not include this.")
CSRF = Problem(
    403,
    "csrf_failed",
    "This form is no longer valid",
    "Perhaps you signed in again in another tab, or cookies are off. Go back, reload the page and send the form again.",
)
NOT_FOUND = Problem(404, "not_found", "Nothing here", "The address may be wrong, or the item is not in your scope.")
BROKEN = Problem(500, "server_error", "Something broke", "It has been logged. Please try again in a moment.")
_TITLES = {
    403: FORBIDDEN.title,
    404: NOT_FOUND.title,
    409: "It changed in the meantime",
    429: "Too much at once",
    502: "Another system did not answer",
    503: "Another system did not answer",
}


def request_id(request: HttpRequest | None = None) -> str:
    """The id of the current request; empty outside one."""
    bound = structlog.contextvars.get_contextvars().get("request_id", "")
    return str(bound or getattr(request, "request_id", ""))


def _answer(request: HttpRequest, problem: Problem) -> HttpResponse:
    if request.path.startswith(JSON_PATHS):
        body = {"code": problem.code, "message": problem.detail, "request_id": request_id(request)}
        return JsonResponse({"error": body}, status=problem.status)
    # Rendered without the request: context processors would ask the database who is looking, and it may be the
    # database that is down.
    context = {"problem": problem, "request_id": request_id(request)}
    try:
        return HttpResponse(render_to_string("core/error.html", context), status=problem.status)
    except ValueError:  # production without collected static files: no page can be drawn, this one says so in words
        logger.error("static_files_missing")
        words = f"{problem.title}. {problem.detail}\n\nCode: {problem.code}\nRequest: {request_id(request)}\n"
        return HttpResponse(words, status=problem.status, content_type="text/plain; charset=utf-8")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answers what Django finds malformed or suspicious, a wrong host among it, and bodies that are too large."""
    large = isinstance(exception, (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent))
    return _answer(request, TOO_LARGE if large else BAD_REQUEST)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answers ``PermissionDenied``."""
    return _answer(request, FORBIDDEN)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answers a form without a valid token; the reason is logged by Django."""
    return _answer(request, CSRF)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answers unknown addresses and rows that this person may not see."""
    return _answer(request, NOT_FOUND)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answers any other exception."""
    return _answer(request, BROKEN)


def refuse(request: HttpRequest, error: DomainError) -> HttpResponse:
    """Answers a refusal of the domain that the view did not turn into something better."""
    if request.path.startswith(JSON_PATHS):
        response: HttpResponse = JsonResponse({"error": _body(error)}, status=error.status)
    else:
        title = _TITLES.get(error.status, "This cannot be done")
        response = _answer(request, Problem(error.status, error.code, title, error.message))
    return _with_pause(response, error)


def api_exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Put DRF's errors into one shape: ``{"error": {"code", "message", "fields"?, "request_id"}}``."""
    from rest_framework.views import exception_handler  # not at the top: DRF imports this module while it loads views

    if isinstance(error, DomainError):
        return _with_pause(Response({"error": _body(error)}, status=error.status), error)
    response = exception_handler(error, context)
    if response is None:
        return None
    body: dict[str, Any] = {"request_id": request_id()}
    if isinstance(error, Throttled):
        body |= {"code": "rate_limited", "message": "Too many requests. Please wait a moment."}
    elif isinstance(error, APIException):
        codes = error.get_codes()
        body["code"] = codes if isinstance(codes, str) else "invalid"
        body["message"] = str(error.detail) if isinstance(codes, str) else "Some values are not valid."
        if not isinstance(codes, str):
            body["fields"] = response.data
    else:
        problem = NOT_FOUND if response.status_code == 404 else FORBIDDEN
        body |= {"code": problem.code, "message": problem.detail}
    response.data = {"error": body}
    return response


def _body(error: DomainError) -> dict[str, Any]:
    body: dict[str, Any] = {"code": error.code, "message": error.message, "request_id": request_id()}
    if error.fields:
        body["fields"] = error.fields
    return body


def _with_pause(response: Answer, error: DomainError) -> Answer:
    """Tell a refusal's ``retry_after`` (whole seconds) in the header made for it."""
    pause = getattr(error, "retry_after", None)
    if pause is not None:
        response["Retry-After"] = str(pause)
    return response
