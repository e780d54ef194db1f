"""Checks that ask the site: each passes and fails."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import path
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from apps.register.checking import Finding
from apps.register.checks.error_rate_and_latency import quantile
from apps.register.models import CheckResult
from apps.register.probing import Reply
from config import urls as site_urls
from tests.register.looking import NOON, Answering, SameProcess, look

pytestmark = pytest.mark.django_db


def answer(status: int = 200, text: str = "", **headers: str) -> Reply:
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, text, "http")


def leaking(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse("Everybody's secrets")


class Urls:
    """The site's addresses and one that shows itself to strangers."""

    urlpatterns = [*site_urls.urlpatterns, path("leak/<int:number>/", leaking)]
    handler400, handler403 = site_urls.handler400, site_urls.handler403
    handler404, handler500 = site_urls.handler404, site_urls.handler500


def test_allowed_origins_pass_where_none_is_allowed() -> None:
    found = look("allowed-origins")
    assert found.outcome == "pass"
    assert found.facts["answers"]["GET /api/schema/"]["allowOrigin"] == "none"


def test_allowed_origins_fail_by_wildcard_pattern_and_answer(settings: Any) -> None:
    settings.CORS_ALLOW_ALL_ORIGINS = True
    found = look("allowed-origins")
    assert found.outcome == "fail"
    assert "allows the foreign origin" in found.summary
    settings.CORS_ALLOW_ALL_ORIGINS = False
    settings.CSRF_TRUSTED_ORIGINS = ["https://*.example.com"]
    assert "CSRF_TRUSTED_ORIGINS holds a wildcard" in look("allowed-origins").summary


def test_allowed_origins_fail_where_the_live_site_says_otherwise_than_the_settings() -> None:
    site = Answering({"/api/schema/": answer(401, access_control_allow_origin="*")})
    assert look("allowed-origins", site=site).outcome == "fail"


def test_rate_limits_pass_by_a_429_and_leave_no_count() -> None:
    found = look("rate-limits")
    assert found.outcome == "pass"
    assert found.facts["answers"] == [200] * 10 + [429]
    assert look("rate-limits").outcome == "pass"


def test_rate_limits_fail_without_the_middleware_and_with_a_lavish_limit(settings: Any) -> None:
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if not one.endswith("LoginLimitMiddleware")]
    assert "was answered 200, not 429" in look("rate-limits").summary
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"login_account": "12/second"}
    assert look("rate-limits").outcome == "fail"
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"login_account": "1000000/minute"}
    assert "1,000,000 attempts" in look("rate-limits").summary  # it does not try a million times
    settings.RATE_LIMITS = {}
    assert "There is no limit" in look("rate-limits").summary


def test_request_ids_pass() -> None:
    found = look("request-ids")
    assert (found.outcome, found.facts["withId"] > 0) == ("pass", True)


def test_request_ids_fail_without_the_middleware(settings: Any) -> None:
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if not one.endswith("RequestIdMiddleware")]
    found = look("request-ids")
    assert found.outcome == "fail"
    assert "does not carry the id" in found.summary
    assert "log lines" in found.summary


@pytest.fixture
def _tls(settings: Any) -> None:
    settings.SITE_URL, settings.USE_HTTPS, settings.SECURE_SSL_REDIRECT = "https://localhost", True, True
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    settings.SECURE_HSTS_SECONDS = 365 * 86_400


@pytest.mark.usefixtures("_tls")
def test_tls_and_cookies_pass() -> None:
    found = look("tls-and-cookies")
    assert (found.outcome, found.summary[:8]) == ("pass", "The site")
    assert found.facts["cookies"]["csrftoken"]["secure"]


@pytest.mark.usefixtures("_tls")
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SECURE_SSL_REDIRECT", False, "Without TLS the site answers 200"),
        ("SECURE_HSTS_SECONDS", 60, "Browsers are not told"),
        ("CSRF_COOKIE_SECURE", False, "csrftoken may be sent without TLS"),
        ("CSRF_COOKIE_HTTPONLY", False, "Scripts can read"),
        ("CSRF_COOKIE_SAMESITE", "None", "from other sites"),
        ("SESSION_COOKIE_AGE", 30 * 86_400, "A session lasts 720 hours"),
        ("SITE_URL", "http://localhost", "without TLS"),
    ],
)
def test_tls_and_cookies_fail(settings: Any, name: str, value: Any, words: str) -> None:
    setattr(settings, name, value)
    found = look("tls-and-cookies")
    assert found.outcome == "fail"
    assert words in found.summary


def test_security_headers_pass() -> None:
    assert look("security-headers").outcome == "pass"


def test_security_headers_fail_where_scripts_may_come_from_anywhere(settings: Any) -> None:
    directives = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"] | {"script-src": ["'self'", "'unsafe-inline'"]}
    settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": directives}
    settings.X_FRAME_OPTIONS = "SAMEORIGIN"
    found = look("security-headers")
    assert found.outcome == "fail"
    assert "script-src allows 'unsafe-inline'" in found.summary
    assert "x-frame-options is SAMEORIGIN" in found.summary


def test_security_headers_fail_where_a_proxy_removes_them() -> None:
    found = look("security-headers", site=Answering({"/admin/login/": answer()}))
    assert "there is no content policy" in found.summary


def test_strangers_refused_passes_over_many_addresses() -> None:
    found = look("strangers-refused")
    assert (found.outcome, found.facts["shown"]) == ("pass", [])
    assert found.facts["asked"] > 200


def test_strangers_refused_fails_for_one_open_address(settings: Any) -> None:
    settings.ROOT_URLCONF = Urls
    found = look("strangers-refused")
    assert found.outcome == "fail"
    assert found.facts["shown"] == ["/leak/1/ 200"]


HEALTHY = json.dumps({"status": "ok", "parts": {"database": "ok", "valkey": "ok"}})


def test_site_answers_passes_over_http_alone() -> None:
    good = Answering({"/health/live": answer(), "/health/ready": answer(text=HEALTHY)})
    assert look("site-answers", site=good).outcome == "pass"
    silent = look("site-answers", site=SameProcess())
    assert (silent.outcome, silent.summary) == ("fail", "nobody answers.")


def test_site_answers_fails_with_the_missing_part() -> None:
    ill = HEALTHY.replace('"valkey": "ok"', '"valkey": "unavailable"')
    site = Answering({"/health/live": answer(), "/health/ready": answer(503, ill)})
    assert look("site-answers", site=site).summary == "Not ready: valkey."


def measured(*seconds: float, failed: int = 0) -> Answering:
    """A site whose metrics say that so many requests came, each with its duration, some of them failed."""
    registry = CollectorRegistry()
    histogram = Histogram(
        "riskdesk_http_request_seconds", "-", ["method", "view", "status"], buckets=(0.1, 0.5, 1), registry=registry
    )
    for number, value in enumerate(seconds):
        histogram.labels("GET", "admin:index", "500" if number < failed else "200").observe(value)
    for _ in range(1000):
        histogram.labels("GET", "apps.core.health.ready", "503").observe(9)
    return Answering({"/metrics": answer(text=generate_latest(registry).decode())})


def test_error_rate_and_latency_passes() -> None:
    found = look("error-rate-and-latency", site=measured(*[0.05] * 100))
    assert (found.outcome, found.facts["requests"], found.facts["p95Ms"]) == ("pass", 100, 95)


@pytest.mark.parametrize(
    ("seconds", "failed", "words"),
    [
        ([0.05] * 100, 2, "2.0% of the answers failed"),
        ([0.05] * 90 + [0.9] * 10, 0, "95 % were answered within 750 ms"),
    ],
)
def test_error_rate_and_latency_fails(seconds: list[float], failed: int, words: str) -> None:
    found = look("error-rate-and-latency", site=measured(*seconds, failed=failed))
    assert found.outcome == "fail"
    assert words in found.summary


def test_error_rate_and_latency_judges_what_came_since_the_last_readings() -> None:
    before = look("error-rate-and-latency", site=measured(*[0.05] * 100, failed=50))
    keep(before)
    found = look("error-rate-and-latency", site=measured(*[0.05] * 200, failed=50))
    assert (found.outcome, found.facts["requests"], found.facts["failedShare"]) == ("pass", 100, 0)
    restarted = look("error-rate-and-latency", site=measured(*[0.05] * 40))
    assert (restarted.facts["requests"], restarted.facts["since"]) == (40, "since the server started")


def keep(found: Finding) -> None:
    CheckResult.objects.create(
        check_slug="error-rate-and-latency", outcome=found.outcome, summary="-", evidence=[{"data": dict(found.facts)}],
        checked_at=NOON - timedelta(minutes=30), since=NOON, seconds=0,
    )  # fmt: skip


def test_error_rate_and_latency_says_when_it_knows_too_little() -> None:
    assert look("error-rate-and-latency", site=measured(0.05)).outcome == "warn"
    assert "refused with 403" in look("error-rate-and-latency", site=Answering({"/metrics": answer(403)})).summary
    assert look("error-rate-and-latency").outcome == "fail"


def test_the_quantile_is_that_of_prometheus() -> None:
    within = {0.1: 50.0, 0.5: 90.0, 1.0: 100.0, float("inf"): 100.0}
    assert quantile(0.5, within) == pytest.approx(0.1)
    assert quantile(0.95, within) == pytest.approx(0.75)
    assert quantile(0.95, {0.1: 10.0, float("inf"): 100.0}) == 0.1
