"""One connection pool per process to Valkey (or Redis), for counters and flags that processes share.

Nothing that must not be lost lives there: callers treat a server that does not answer as "no limit, no breaker" and
count it, so the timeouts are short and nothing is tried twice.
"""

from __future__ import annotations

from functools import cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_SECONDS = 0.5

Unavailable = (redis.RedisError, OSError)


@cache
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


def client() -> redis.Redis:
    """The client for ``REDIS_URL``; safe to share between threads and to use after a fork.

    Its calls raise one of :data:`Unavailable` within :data:`TIMEOUT_SECONDS` if the server does not answer.
    """
    return _client(settings.REDIS_URL)
