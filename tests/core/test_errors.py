"""Error pages and API errors: stable codes, request ids, and no need of the database."""

from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.decorators import api_view, authentication_classes, parser_classes, permission_classes
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.errors import DomainError
from apps.core.ratelimit import TooManyRequests
from config import urls as site


class Changed(DomainError):
    code = "card_changed"
    message = "The card changed."
    status = 409


ERRORS = {
    "forbidden": PermissionDenied("secret reason"),
    "missing": Http404("secret reason"),
    "broken": RuntimeError("secret reason"),
    "changed": Changed(fields={"version": ["is 3"]}),
    "many": TooManyRequests(7),
}


@csrf_exempt
def view(request: HttpRequest, kind: str) -> HttpResponse:
    if kind == "read":
        return HttpResponse(f"{len(request.body)}")
    raise ERRORS[kind]


def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse("taken")


@api_view(["GET", "POST"])
@authentication_classes([])
@permission_classes([])
@parser_classes([JSONParser])
def api(request: Request, kind: str) -> Response:
    if kind == "read":
        return Response(request.data)
    if kind == "invalid":
        raise ValidationError({"amount": ["must be positive"]})
    raise ERRORS[kind]


urlpatterns = [
    path("pages/<str:kind>", view),
    path("webhooks/<str:kind>", view),
    path("form", form),
    path("api/test/<str:kind>", api),
    *site.urlpatterns,
]
handler400, handler403, handler404, handler500 = site.handler400, site.handler403, site.handler404, site.handler500


@pytest.fixture(autouse=True)
def _own_addresses(settings) -> None:
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False, enforce_csrf_checks=True)


CASES = [
    ("forbidden", 403, "permission_denied"),
    ("missing", 404, "not_found"),
    ("broken", 500, "server_error"),
    ("changed", 409, "card_changed"),
    ("many", 429, "rate_limited"),
]


@pytest.mark.parametrize(("kind", "status", "code"), CASES)
def test_pages_show_code_and_request_id_without_the_database(client, kind, status, code) -> None:
    answer = client.get(f"/pages/{kind}")  # this test has no access to the database
    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/html")
    text = answer.content.decode()
    assert code in text
    assert answer["X-Request-ID"] in text
    assert "secret reason" not in text
    assert "style=" not in text
    assert "<script" not in text


def test_missing_static_files_still_leave_words(client, settings, tmp_path) -> None:
    manifest = {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
    settings.STATIC_ROOT, settings.DEBUG = tmp_path, False
    settings.STORAGES = settings.STORAGES | {"staticfiles": manifest}
    answer = client.get("/pages/broken")
    assert answer.status_code == 500
    assert answer["Content-Type"].startswith("text/plain")
    assert answer["X-Request-ID"].encode() in answer.content


@pytest.mark.parametrize("prefix", ["/api/test", "/webhooks"])
@pytest.mark.parametrize(("kind", "status", "code"), CASES)
def test_programs_get_json(client, prefix, kind, status, code) -> None:
    answer = client.get(f"{prefix}/{kind}")
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["request_id"] == answer["X-Request-ID"]
    assert "secret" not in error["message"]


@pytest.mark.parametrize("prefix", ["/api/test", "/webhooks", "/pages"])
def test_a_pause_is_told_in_the_header(client, prefix) -> None:
    assert client.get(f"{prefix}/many")["Retry-After"] == "7"


def test_fields_are_told(client) -> None:
    assert client.get("/api/test/changed").json()["error"]["fields"] == {"version": ["is 3"]}
    invalid = client.get("/api/test/invalid")
    assert invalid.status_code == 400
    assert invalid.json()["error"] | {"request_id": ""} == {
        "code": "invalid",
        "message": "Some values are not valid.",
        "fields": {"amount": ["must be positive"]},
        "request_id": "",
    }


def test_unknown_addresses(client) -> None:
    assert b"not_found" in client.get("/nowhere").content
    assert client.get("/api/nowhere").json()["error"]["code"] == "not_found"


def test_a_wrong_host_is_a_bad_request(client) -> None:
    page = client.get("/nowhere", headers={"Host": "evil.example"})
    assert page.status_code == 400
    assert b"bad_request" in page.content
    assert page["X-Request-ID"].encode() in page.content


def test_a_form_without_token(client) -> None:
    answer = client.post("/form", {"a": 1})
    assert answer.status_code == 403
    assert b"csrf_failed" in answer.content


def test_malformed_json_is_named(client) -> None:
    answer = client.post("/api/test/read", "{", content_type="application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "parse_error")


@pytest.mark.parametrize("address", ["/api/test/read", "/webhooks/read", "/pages/read"])
def test_a_body_that_is_too_large(client, settings, address) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    small = client.post(address, '{"a": 1}', content_type="application/json")
    large = client.post(address, '{"a": "' + "x" * 1000 + '"}', content_type="application/json")
    assert small.status_code == 200
    assert large.status_code == 413
    assert b"too_large" in large.content
    assert large["X-Request-ID"].encode() in large.content
