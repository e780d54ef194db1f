"""Health probes: is the process alive, and can it do its work."""

from __future__ import annotations

from collections.abc import Callable

import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

logger = structlog.get_logger(__name__)
PROBE_SECONDS = 2.0


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """The process answers; nothing else is asked, so that an outage of a server does not restart every process."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Each part that work needs, by name; 503 if one is missing. Details go to the log, not to the answer."""
    parts = {name: _passes(name, probe) for name, probe in _PROBES.items()}
    status = 200 if all(parts.values()) else 503
    words = {name: "ok" if passed else "unavailable" for name, passed in parts.items()}
    return JsonResponse({"status": "ok" if status == 200 else "unavailable", "parts": words}, status=status)


def _passes(name: str, probe: Callable[[], bool]) -> bool:
    try:
        return probe()
    except (DatabaseError, redis.RedisError, OSError) as error:
        logger.warning("health_probe_failed", part=name, error=type(error).__name__)
        return False


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


def _valkey() -> bool:
    limits = {"socket_timeout": PROBE_SECONDS, "socket_connect_timeout": PROBE_SECONDS}
    with redis.Redis.from_url(settings.REDIS_URL, **limits) as client:
        return bool(client.ping())


def _migrations() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


_PROBES: dict[str, Callable[[], bool]] = {"database": _database, "valkey": _valkey, "migrations": _migrations}
