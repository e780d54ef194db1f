"""What every HTTP request passes."""

from __future__ import annotations

import re

import structlog
from auditlog.middleware import AuditlogMiddleware
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.core.exceptions import BadRequest, RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin
from django_structlog.middlewares import RequestMiddleware

from apps.core.addresses import client_address
from apps.core.errors import DomainError, refuse

REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
# A null byte in an address, also one that is quoted again in a link back; PostgreSQL has no text with it.
NULL_BYTE = re.compile(r"%(?:25)*00")
QUIET_PATHS = ("/static/", "/health/", "/metrics")
HOSTLESS_PATHS = frozenset({"/health/live", "/health/ready", "/metrics"})
PERMISSIONS_POLICY = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer",
        "browsing-topics",
        "camera",
        "display-capture",
        "geolocation",
        "gyroscope",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "usb",
    )
)


class RequestIdMiddleware(RequestMiddleware):
    """Gives each request an id, which logs, errors, tasks and the answer's X-Request-ID carry.

    A well-formed incoming X-Request-ID is kept, so that a proxy's log and ours agree; anything else is replaced, as it
    would be written into logs. Probes, metrics and static files are not logged while they work. Paths are logged
    without their query, which holds what people search for.
    """

    def prepare(self, request: HttpRequest) -> None:
        if not REQUEST_ID.fullmatch(request.META.get("HTTP_X_REQUEST_ID", "")):
            request.META.pop("HTTP_X_REQUEST_ID", None)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(ip=client_address(request))
        super().prepare(request)
        request.request_id = structlog.contextvars.get_contextvars()["request_id"]  # type: ignore[attr-defined]

    def handle_response(self, request: HttpRequest, response: HttpResponse) -> None:
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        if request.path.startswith(QUIET_PATHS) and response.status_code < 400:
            structlog.contextvars.clear_contextvars()
            return
        super().handle_response(request, response)

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        return f"{request.method} {request.path}"

    @staticmethod
    def bind_user_id(request: HttpRequest) -> None:
        """Who asked, if the request looked at its session.

        The original loads session and person from the database, which it must not do for the sake of a log line: it
        may be the database that failed, and then neither the failure would be logged nor its page shown.
        """
        loaded = getattr(getattr(request, "session", None), "_session_cache", {})
        if SESSION_KEY in loaded:
            structlog.contextvars.bind_contextvars(user_id=loaded[SESSION_KEY])


class GuardMiddleware(MiddlewareMixin):
    """Refuses bodies that are too large before anybody reads them, and completes the security headers.

    Django checks the size only where a form or ``request.body`` is read; parsers of streams go past that. Uploaded
    files have limits of their own.

    Orchestrators and Prometheus call a container by its address, which is in no list of hosts. Their pages make no use
    of the name, so there it is not looked at.
    """

    def process_request(self, request: HttpRequest) -> None:
        if request.path in HOSTLESS_PATHS:
            request.META["HTTP_HOST"] = settings.ALLOWED_HOSTS[0].lstrip(".")
        if NULL_BYTE.search(request.META.get("QUERY_STRING", "")):
            raise BadRequest("The address has a null byte.")
        length = request.META.get("CONTENT_LENGTH") or "0"
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        is_upload = request.content_type == "multipart/form-data" and not request.path.startswith("/api/")
        if not is_upload and length.isdecimal() and int(length) > limit:
            raise RequestDataTooBig(f"The body is larger than {limit} bytes.")

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response


class DomainErrorMiddleware(MiddlewareMixin):
    """Shows a refusal that a view did not handle as a page, or as JSON under /api/ and /webhooks/."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return refuse(request, exception) if isinstance(exception, DomainError) else None


class AuditMiddleware(AuditlogMiddleware):
    """Audit entries carry the client's real address; the original believes any X-Forwarded-For."""

    @staticmethod
    def _get_remote_addr(request: HttpRequest) -> str | None:
        return client_address(request) or None
