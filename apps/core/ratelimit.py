"""Rate limits, counted in Valkey by all processes together. The rates are in ``settings.RATE_LIMITS``.

Refused requests get 429 with ``Retry-After`` and the code ``rate_limited``. If Valkey does not answer, requests pass
and are counted: a limit protects the service, so it must not be what stops it.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from functools import cache, wraps
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin
from limits import RateLimitItem, parse
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from prometheus_client import Counter
from rest_framework.throttling import BaseThrottle

from apps.core import valkey
from apps.core.addresses import client_address, network_of
from apps.core.errors import DomainError, refuse

if TYPE_CHECKING:  # DRF's views import this module while they load
    from rest_framework.request import Request
    from rest_framework.views import APIView

refused_total = Counter("riskdesk_rate_limited_total", "Requests refused because there were too many", ["limit"])
unavailable = Counter(
    "riskdesk_rate_limit_unavailable_total", "Requests let through because Valkey did not answer", ["limit"]
)

LOGIN_VIEW = "admin:login"


class TooManyRequests(DomainError):
    """Refused for now.

    Args:
        retry_after: whole seconds until it is worth trying again.
        message: replaces the class's message.
    """

    code = "rate_limited"
    message = "Too many requests. Please wait a moment."
    status = 429

    def __init__(self, retry_after: int, message: str = "") -> None:
        super().__init__(message)
        self.retry_after = retry_after


def spend(limit: str, who: str) -> None:
    """Count one request of somebody against a limit.

    Args:
        limit: a name in ``settings.RATE_LIMITS``.
        who: the one who is limited; kept only as a digest, because account names and addresses are personal.

    Raises:
        TooManyRequests: if the limit is used up; the refused request is not counted.
    """
    wait = seconds_to_wait(limit, who)
    if wait is not None:
        raise TooManyRequests(wait)


def seconds_to_wait(limit: str, who: str) -> int | None:
    """Count one request; None if it may pass, otherwise whole seconds until the next may."""
    item, limiter = _item(settings.RATE_LIMITS[limit]), _limiter(settings.REDIS_URL, settings.RATE_LIMIT_PREFIX)
    try:
        if limiter.hit(item, limit, _digest(who)):
            return None
        ends = limiter.get_window_stats(item, limit, _digest(who)).reset_time
    except valkey.Unavailable:
        unavailable.labels(limit).inc()
        return None
    refused_total.labels(limit).inc()
    return max(1, math.ceil(ends - time.time()))


def forget(limit: str, who: str) -> None:
    """Start somebody's count again."""
    try:
        _limiter(settings.REDIS_URL, settings.RATE_LIMIT_PREFIX).clear(
            _item(settings.RATE_LIMITS[limit]), limit, _digest(who)
        )
    except valkey.Unavailable:
        unavailable.labels(limit).inc()


View = Callable[..., HttpResponseBase]


def limited(limit: str, key: Callable[[HttpRequest], str]) -> Callable[[View], View]:
    """Limit a view: ``@limited("webhooks", by_store)``. The refusal is a :class:`TooManyRequests`."""

    def decorate(view: View) -> View:
        @wraps(view)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            spend(limit, key(request))
            return view(request, *args, **kwargs)

        return inner

    return decorate


def by_address(request: HttpRequest) -> str:
    """The client's address (an IPv6 client's network)."""
    return network_of(client_address(request))


def by_store(request: HttpRequest) -> str:
    """The store that a webhook names, together with its sender.

    The name is not yet proven when the limit is asked. Were it counted alone, a stranger could use up the limit of a
    store and keep its real webhooks out.
    """
    return f"{request.headers.get('X-Shopify-Shop-Domain', '')[:255].lower()}|{by_address(request)}"


class LoginLimitMiddleware(MiddlewareMixin):
    """Limits attempts to log in, for each address and for each account; a successful one clears the account's count."""

    def process_view(self, request: HttpRequest, view: object, args: object, kwargs: object) -> HttpResponse | None:
        if not self._is_attempt(request):
            return None
        try:
            spend("login_address", by_address(request))
            spend("login_account", _account(request))
        except TooManyRequests as error:  # Django asks nobody to handle what a middleware raises here
            return refuse(request, TooManyRequests(error.retry_after, _locked_out(error.retry_after)))
        return None

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if self._is_attempt(request) and response.status_code == 302:
            forget("login_account", _account(request))
        return response

    @staticmethod
    def _is_attempt(request: HttpRequest) -> bool:
        match = request.resolver_match
        return request.method == "POST" and match is not None and match.view_name == LOGIN_VIEW


class ApiThrottle(BaseThrottle):
    """The API's limit: for each person who is logged in, otherwise for each address."""

    _wait: int | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        user = request.user
        if user and user.is_authenticated:
            self._wait = seconds_to_wait("api_user", str(user.pk))
        else:
            self._wait = seconds_to_wait("api_address", by_address(request._request))
        return self._wait is None

    def wait(self) -> float | None:
        return self._wait


def _locked_out(seconds: int) -> str:
    """The same words whether or not the account exists, so that nobody learns which names are real."""
    minutes = math.ceil(seconds / 60)
    wait = f"{minutes} minutes" if minutes > 1 else "a minute"
    return f"Too many attempts to sign in. Wait {wait}, then try again, or ask an administrator for a new password."


def _account(request: HttpRequest) -> str:
    return request.POST.get("username", "").strip().casefold()[:255]


def _digest(who: str) -> str:
    return hashlib.sha256(who.encode()).hexdigest()[:32]


@cache
def _item(rate: str) -> RateLimitItem:
    return parse(rate)


@cache
def _limiter(url: str, prefix: str) -> SlidingWindowCounterRateLimiter:
    # `url` is what the pool below was made for; as an argument it makes the cache notice a change.
    pool = valkey.client().connection_pool
    return SlidingWindowCounterRateLimiter(RedisStorage(url, connection_pool=pool, key_prefix=prefix))
