"""Errors with a stable code and the request id, as pages and as JSON."""

from __future__ import annotations

from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from rest_framework.exceptions import APIException
from rest_framework.response import Response


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


def request_id() -> str:
    """The id of the current request, as bound by django-structlog; empty outside a request."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def _answer(request: HttpRequest, status: int, code: str, title: str, detail: str) -> HttpResponse:
    if request.path.startswith(("/api/", "/webhooks/")):
        return JsonResponse({"error": {"code": code, "message": detail, "request_id": request_id()}}, status=status)
    context = {"status": status, "code": code, "title": title, "detail": detail, "request_id": request_id()}
    return render(request, "core/error.html", context, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 400, "bad_request", "This request could not be read", "Go back and try again.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 403, "permission_denied", "Not yours to open", "Your role does not include this.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 404, "not_found", "Nothing here", "The address may be wrong, or the item is not in your scope.")


def server_error(request: HttpRequest) -> HttpResponse:
    return _answer(request, 500, "server_error", "Something broke", "It has been logged. Nothing was half-saved.")


def api_exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Put DRF's errors into one shape: ``{"error": {"code", "message", "fields"?, "request_id"}}``."""
    from rest_framework.views import exception_handler  # not at the top: DRF imports this module while it loads views

    if isinstance(error, DomainError):
        return _refusal(error)
    response = exception_handler(error, context)
    if response is None:
        return None
    body: dict[str, Any] = {"request_id": request_id()}
    if isinstance(error, APIException):
        codes = error.get_codes()
        body["code"] = codes if isinstance(codes, str) else "invalid"
        body["message"] = str(error.detail) if isinstance(codes, str) else "Some values are not valid."
        if not isinstance(codes, str):
            body["fields"] = response.data
    else:
        body |= {"code": "not_found" if response.status_code == 404 else "permission_denied", "message": str(error) or "Not found."}
    response.data = {"error": body}
    return response


def _refusal(error: DomainError) -> Response:
    body: dict[str, Any] = {"code": error.code, "message": error.message, "request_id": request_id()}
    if error.fields:
        body["fields"] = error.fields
    return Response({"error": body}, status=error.status)
