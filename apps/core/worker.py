"""What a Celery process does besides its tasks: it measures them and shows the metrics on a port of its own.

The receivers hang on Celery's own signals, which are its documented way to watch a worker.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from celery import signals
from django.conf import settings
from django.db import connections
from prometheus_client import CONTENT_TYPE_LATEST

from apps.core import metrics, valkey

logger = structlog.get_logger(__name__)
_STARTED = "riskdesk_started_at"
HEARTBEATS = "riskdesk:heartbeats"


def connect() -> None:
    """Watch the tasks and processes of this worker. Called once, at start-up."""
    signals.task_prerun.connect(_task_starts, dispatch_uid="core.task_starts")
    signals.task_postrun.connect(_task_ends, dispatch_uid="core.task_ends")
    signals.worker_ready.connect(_worker_is_ready, dispatch_uid="core.worker_is_ready")
    signals.worker_process_init.connect(_child_starts, dispatch_uid="core.child_starts")
    signals.worker_process_shutdown.connect(_child_ends, dispatch_uid="core.child_ends")
    atexit.register(_process_ends, os.getpid())


def _task_starts(*, task: Any, **_: Any) -> None:
    setattr(task.request, _STARTED, time.perf_counter())
    if not task.request.is_eager:
        close_broken_connections()


def close_broken_connections() -> None:
    """Let the next statement open a connection anew where the one that is kept broke, as by a restart of the database."""
    for kept in connections.all(initialized_only=True):
        if kept.connection is not None and not kept.is_usable():
            logger.warning("connection_renewed", database=kept.alias)
            kept.close()


def _task_ends(*, task: Any, state: str | None, **_: Any) -> None:
    began = getattr(task.request, _STARTED, None)
    metrics.task_runs.labels(task.name, (state or "unknown").lower()).inc()
    if began is not None:
        metrics.task_seconds.labels(task.name).observe(time.perf_counter() - began)
    if state == "SUCCESS":
        _note_heartbeat(task.name)


def _note_heartbeat(task: str) -> None:
    """Write down that a task ended well. Valkey may be away; the next task writes again."""
    try:
        valkey.client().hset(HEARTBEATS, task, f"{time.time():.0f}")
    except valkey.Unavailable:
        logger.warning("heartbeat_not_noted", task=task)


def heartbeats() -> dict[str, str]:
    """When each task last ended well, in seconds since 1970, by its name.

    Raises:
        redis.RedisError: if Valkey does not answer.
    """
    return {str(task): str(at) for task, at in valkey.client().hgetall(HEARTBEATS).items()}


def _worker_is_ready(**_: Any) -> None:
    if settings.WORKER_METRICS_PORT:
        serve_metrics(settings.WORKER_METRICS_PORT)


def _child_starts(**_: Any) -> None:
    connections.close_all()  # the pool's children must not share the parent's connection


def _child_ends(*, pid: int | None = None, **_: Any) -> None:
    metrics.forget_process(pid or os.getpid())


def _process_ends(pid: int) -> None:
    if os.getpid() == pid:  # not in a forked child, which inherits the registration
        metrics.forget_process(pid)


def metrics_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A WSGI application with the metrics alone, under the same conditions as /metrics of the site."""
    if environ["PATH_INFO"] != "/metrics":
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Only /metrics is here.\n"]
    if not metrics.may_read(environ):
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"The metrics need a token.\n"]
    start_response("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
    return [metrics.exposition()]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Readings are not events."""


def serve_metrics(port: int) -> WSGIServer:
    """Answer on a port, in a thread. Without a token only this machine is listened to.

    Raises:
        OSError: if the port is taken.
    """
    host = "0.0.0.0" if settings.METRICS_TOKEN else "127.0.0.1"  # noqa: S104 - the token guards it
    server = make_server(host, port, metrics_app, server_class=_Server, handler_class=_SilentHandler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    logger.info("worker_metrics_served", port=server.server_port)
    return server
