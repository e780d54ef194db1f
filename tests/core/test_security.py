"""Headers, cookies and what production refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, RequestFactory

from apps.core.models import Notification
from apps.core.notifications import notify
from apps.core.tasks import clear_sessions
from config import env as environment
from config.env import Environment
from tests.core.factories import PASSWORD, UserFactory

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["/admin/login/", "/nowhere", "/health/live", "/api/nowhere"]
EXPECTED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@pytest.mark.django_db
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(("header", "value"), EXPECTED.items())
def test_every_answer_has_the_header(client: Client, page, header, value) -> None:
    assert client.get(page)[header] == value


@pytest.mark.django_db
@pytest.mark.parametrize("page", PAGES)
def test_every_answer_has_a_strict_content_policy(client: Client, page) -> None:
    policy = dict(part.strip().split(" ", 1) for part in client.get(page)["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert "unsafe" not in str(policy)


@pytest.mark.django_db
@pytest.mark.parametrize("feature", ["camera", "microphone", "geolocation", "payment", "usb"])
def test_the_permissions_policy_switches_features_off(client: Client, feature) -> None:
    assert f"{feature}=()" in client.get("/admin/login/")["Permissions-Policy"]


@pytest.mark.django_db
def test_static_files_are_protected_too(client: Client) -> None:
    answer = client.get("/static/core/favicon.svg")
    assert answer.status_code == 200
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'self'" in answer["Content-Security-Policy"]
    answer.close()


def test_the_icon_is_where_browsers_look_first(client: Client) -> None:
    answer = client.get("/favicon.ico")
    assert answer.status_code == 302
    assert answer["Location"].endswith(".svg")


@pytest.mark.django_db
def test_a_refused_host_has_the_headers_too(client: Client) -> None:
    answer = client.get("/admin/login/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert answer["X-Frame-Options"] == "DENY"
    assert "default-src 'self'" in answer["Content-Security-Policy"]


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["/health/live", "/health/ready", "/metrics"])
def test_probes_may_call_a_container_by_its_address(client: Client, page) -> None:
    assert client.get(page, headers={"Host": "10.0.0.7:8000"}).status_code == 200
    assert client.get(f"{page}/x", headers={"Host": "10.0.0.7:8000"}).status_code == 400


@pytest.mark.django_db
def test_cookies_are_closed_to_scripts_and_other_sites(client: Client) -> None:
    user = UserFactory(is_staff=True)
    answer = client.post("/admin/login/", {"username": user.username, "password": PASSWORD})
    session = answer.cookies["sessionid"]
    assert session["httponly"]
    assert session["samesite"] == "Lax"
    assert answer.cookies["csrftoken"]["httponly"]
    assert answer.cookies["csrftoken"]["samesite"] == "Lax"


@pytest.mark.parametrize("method", ["get", "options"])
def test_other_origins_may_not_call_the_api(client: Client, method) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    answer = getattr(client, method)("/api/nowhere", headers=headers)
    assert "Access-Control-Allow-Origin" not in answer


def test_a_listed_origin_may_call_the_api_and_nothing_else(client: Client, settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://shop.example"]
    headers = {"Origin": "https://shop.example"}
    assert client.get("/api/nowhere", headers=headers)["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "Access-Control-Allow-Origin" not in client.get("/nowhere", headers=headers)
    assert "Access-Control-Allow-Credentials" not in client.get("/api/nowhere", headers=headers)


@pytest.mark.django_db
def test_the_root_leads_to_the_home_page(client: Client) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "/\\\\evil.example",
    "https:///evil.example",
    "javascript:alert(1)",
    "\thttps://evil.example",
]


@pytest.mark.django_db
@pytest.mark.parametrize("target", ELSEWHERE)
def test_a_login_leads_to_no_other_site(client: Client, target) -> None:
    user = UserFactory(is_staff=True)
    form = {"username": user.username, "password": PASSWORD, "next": target}
    assert client.post("/admin/login/", form)["Location"] == "/admin/"
    assert client.get("/admin/login/", {"next": target}).get("Location", "/admin/") == "/admin/"


@pytest.mark.django_db
@pytest.mark.parametrize("target", ELSEWHERE)
def test_news_leads_to_no_other_site(client: Client, target) -> None:
    user = UserFactory()
    notify(kind="actions", recipients=[user], title="t", body="b", url=target, dedupe_key="k")
    client.force_login(user)
    answer = client.post(f"/inbox/{Notification.objects.get().pk}/read/", {"open": "1"})
    assert answer["Location"] == "/inbox/"


@pytest.mark.django_db
def test_a_login_gets_a_new_session(client: Client) -> None:
    user = UserFactory(is_staff=True)
    client.cookies["sessionid"] = planted = "a" * 32
    form = {"username": user.username, "password": PASSWORD}
    assert client.post("/admin/login/", form).status_code == 302
    first = client.cookies["sessionid"].value
    assert first != planted
    assert client.get("/admin/").status_code == 200
    client.post("/admin/logout/")
    client.cookies["sessionid"] = first
    assert client.get("/admin/").status_code == 302, "a session that was ended stays ended"


@pytest.mark.django_db
def test_a_new_password_ends_the_other_sessions(client: Client) -> None:
    user, other = UserFactory(is_staff=True), Client()
    client.force_login(user)
    other.force_login(user)
    new = "a longer set of words"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert client.post("/admin/password_change/", form).status_code == 302
    assert client.get("/admin/").status_code == 200
    assert other.get("/admin/").status_code == 302


@pytest.mark.django_db
def test_a_link_does_not_sign_out(client: Client) -> None:
    client.force_login(UserFactory(is_staff=True))
    assert client.get("/admin/logout/").status_code == 405
    assert client.get("/admin/").status_code == 200


@pytest.mark.django_db
def test_pages_behind_the_login_are_not_framed_or_kept(client: Client) -> None:
    client.force_login(UserFactory(is_staff=True))
    answer = client.get("/admin/")
    assert answer["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    assert {"no-store", "private"} <= set(answer["Cache-Control"].split(", "))


def test_forwarding_headers_are_believed_of_our_own_proxy_only() -> None:
    forged = {"HTTP_X_FORWARDED_HOST": "evil.example", "HTTP_X_FORWARDED_PROTO": "https"}
    request = RequestFactory().get("/", **forged)
    assert request.build_absolute_uri() == "http://testserver/"


PRODUCTION = {
    "RISKDESK_ENV": "production",
    "DEBUG": "false",
    "SECRET_KEY": "0123456789abcdefghij" * 4,
    "FIELD_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "ALLOWED_HOSTS": "desk.example.com",
    "CSRF_TRUSTED_ORIGINS": "https://desk.example.com",
    "SITE_URL": "https://desk.example.com",
    "DATABASE_URL": "postgres://riskdesk@database/riskdesk",
    "REDIS_URL": "redis://queue:6379/0",
    "EMAIL_URL": "smtp://mail.example.com:587?tls=1",
    "LOG_FORMAT": "json",
}


def production(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "config.settings", **PRODUCTION, **changes}
    return subprocess.run([sys.executable, *arguments], env=env, cwd=ROOT, capture_output=True, text=True, timeout=90)


def test_the_deployment_check_is_clean() -> None:
    done = production("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr


ASK = """
import json, django
django.setup()
from django.conf import settings as s
from django.test import Client
plain = Client().get("/admin/login/", headers={"Host": "desk.example.com"})
live = Client().get("/health/live", headers={"Host": "desk.example.com"})
secure = Client().get("/health/live", headers={"Host": "desk.example.com"}, secure=True)
print(json.dumps({
    "redirect": [plain.status_code, plain.get("Location")], "live": live.status_code,
    "hsts": secure["Strict-Transport-Security"], "cookies": [s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE],
}))
"""


def test_production_insists_on_https() -> None:
    done = production("-c", ASK)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["redirect"] == [301, "https://desk.example.com/admin/login/"]
    assert found["live"] == 200
    assert found["hsts"] == "max-age=31536000; includeSubDomains; preload"
    assert found["cookies"] == [True, True]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "true"),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "dev-insecure-" + "0123456789abcdefghij" * 4),
        ("SECRET_KEY", "k9" * 40),
        ("FIELD_KEYS", ""),
        ("FIELD_KEYS", "not-a-fernet-key"),
        ("SITE_URL", "http://desk.example.com"),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "*.example.com"),
        ("CORS_ALLOWED_ORIGINS", "https://*.example.com"),
        ("CSRF_TRUSTED_ORIGINS", "https://*.example.com"),
        ("WORKER_METRICS_PORT", "9100"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_unsafe_or_broken_settings_are_refused_without_showing_them(name, value, monkeypatch) -> None:
    for variable in os.environ.keys() & {field.upper() for field in Environment.model_fields}:
        monkeypatch.delenv(variable)
    for variable, text in {**PRODUCTION, name: value}.items():
        monkeypatch.setenv(variable, text)
    with pytest.raises(ImproperlyConfigured) as refused:
        environment.load()
    said = "".join(traceback.format_exception(refused.value))
    assert name in said
    assert value not in said or len(value) < 8


def test_refused_settings_stop_the_start() -> None:
    done = production("-c", "import django; django.setup()", SECRET_KEY="short-and-weak")
    assert done.returncode != 0
    assert "SECRET_KEY" in done.stderr
    assert "short-and-weak" not in done.stderr


@pytest.mark.django_db
def test_sessions_that_have_ended_are_deleted() -> None:
    ended, running = SessionStore(), SessionStore()
    for session, seconds in ((ended, -1), (running, 60)):
        session.set_expiry(seconds)
        session.create()
    clear_sessions()
    assert not ended.exists(ended.session_key)
    assert running.exists(running.session_key)
