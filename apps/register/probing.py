"""Asking the site what a stranger could ask it.

Over HTTP at ``PROBE_URL`` (by default ``SITE_URL``), so that the answer is that of the running web server with all that
stands before it. Where nobody answers there, the same request is given to this process' own copy of the site, and the
reply says so: what it shows is then the configuration, not that the site is up.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import structlog
from django.conf import settings
from django.db import connection, transaction

from apps.core.metrics import PROBE
from apps.core.models import ApiToken, User

if TYPE_CHECKING:
    from django.test.client import ClientHandler

TIMEOUT_SECONDS = 5.0
Via = Literal["http", "process"]


class SiteSilent(Exception):
    """Nobody answers at the site's address."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the site.

    Attributes:
        headers: by lower-case name; cookies are in ``cookies``.
        via: ``http`` if the web server gave it, ``process`` if this process' copy of the site did.
    """

    status: int
    headers: Mapping[str, str]
    text: str
    via: Via
    cookies: SimpleCookie = field(default_factory=SimpleCookie)

    def header(self, name: str) -> str:
        """A header's value; empty if there is none."""
        return self.headers.get(name.lower(), "")


class Site(Protocol):
    """Whom checks ask."""

    def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, secure: bool | None = None
    ) -> Reply:
        """The site's answer; redirects are not followed.

        Args:
            secure: whether it is asked as by TLS; None for the scheme of ``SITE_URL``.
        """

    def over_http(self, path: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        """The web server's answer to a GET.

        Raises:
            SiteSilent: if there is none.
        """


class RunningSite:
    """The site at ``PROBE_URL``, or this process' copy of it where nobody answers there."""

    def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, secure: bool | None = None
    ) -> Reply:
        try:
            return self._http(method, path, headers or {}, secure)
        except SiteSilent:
            return in_process(method, path, headers=headers, secure=secure)

    def over_http(self, path: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        return self._http("GET", path, headers or {}, None)

    def _http(self, method: str, path: str, headers: Mapping[str, str], secure: bool | None) -> Reply:
        scheme = "https" if _is_secure(secure) else "http"
        base = settings.PROBE_URL or urlsplit(settings.SITE_URL)._replace(scheme=scheme).geturl()
        # Behind the proxy's back it is we who say by which scheme the client came.
        known = {
            "Host": urlsplit(settings.SITE_URL).netloc,
            "X-Forwarded-Proto": scheme,
            "User-Agent": "riskdesk-check",
        }
        try:
            with httpx.Client(base_url=base, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
                answer = client.request(method, path, headers={**known, **headers})
        except httpx.HTTPError as error:
            raise SiteSilent(f"{base} does not answer: {type(error).__name__}") from None
        cookies: SimpleCookie = SimpleCookie()
        for line in answer.headers.get_list("set-cookie"):
            cookies.load(line)
        return Reply(
            answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.text, "http", cookies
        )


def in_process(
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    secure: bool | None = None,
    form: Mapping[str, Any] | None = None,
    body: bytes | None = None,
    person: User | None = None,
    address: str = "127.0.0.1",
    logged: bool = False,
) -> Reply:
    """The answer of this process' copy of the site.

    Args:
        form: fields of a form that is posted, without a token against forged requests.
        body: JSON that is sent.
        person: who is signed in to the desk.
        address: whom the request comes from.
        logged: whether it is written to the log as other requests are.
    """
    from django.test import Client  # heavy, and only wanted here

    known = {"host": urlsplit(settings.SITE_URL).netloc, **(headers or {})}
    variables: dict[str, Any] = {"REMOTE_ADDR": address, PROBE: "1"}
    client = Client(raise_request_exception=False, **variables)
    client.handler = site_of_this_process(tuple(settings.MIDDLEWARE))
    if person is not None:
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    # In a context of its own: the site binds the request's id to the log and forgets what was bound before.
    with nullcontext() if logged else _unlogged():
        answer = contextvars.copy_context().run(
            _asked, client, method, path, known, _is_secure(secure), form if body is None else body
        )
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return Reply(
        answer.status_code,
        {name.lower(): value for name, value in answer.items()},
        body.decode(errors="replace"),
        "process",
        answer.cookies,
    )


@cache
def site_of_this_process(middleware: tuple[str, ...]) -> ClientHandler:
    """The site, as these layers make it. Putting it together reads all static files, which is not for each of many questions."""
    from django.test.client import ClientHandler

    return ClientHandler(enforce_csrf_checks=False)


def _asked(
    client: Any, method: str, path: str, headers: Any, secure: bool, sent: Mapping[str, Any] | bytes | None
) -> Any:
    structlog.contextvars.clear_contextvars()
    if isinstance(sent, Mapping):
        return client.post(path, data=sent, headers=headers, secure=secure)
    return client.generic(method, path, sent or b"", content_type="application/json", headers=headers, secure=secure)


@dataclass(frozen=True, slots=True)
class Visitor:
    """An account that a check made for its questions; it is taken back with all else that the check writes.

    Attributes:
        token: of the API.
    """

    person: User
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """Headers that act as this person in the API."""
        return {"Authorization": f"Bearer {self.token}"}


def visitor(*, superuser: bool = True) -> Visitor:
    """Make an account for the questions of a check.

    Raises:
        TransactionManagementError: outside a check, where it would stay.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("Accounts of checks are made in a transaction that is taken back.")
    name = f"check-{uuid4().hex[:12]}"
    person = User(username=name, email=f"{name}@check.invalid", is_staff=True, is_superuser=superuser)
    person.set_unusable_password()
    person.save()
    _, token = ApiToken.objects.create(user=person, name="check", expiry=timedelta(minutes=5))
    return Visitor(person, token)


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keeps refusals that a check provokes, by the hundred, out of the log; failures are written all the same."""
    logger = logging.getLogger("django_structlog.middlewares.request")
    former = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(former)


def _is_secure(secure: bool | None) -> bool:
    return settings.USE_HTTPS if secure is None else secure
