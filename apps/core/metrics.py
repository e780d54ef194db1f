"""Prometheus metrics of web and worker processes.

With ``PROMETHEUS_MULTIPROC_DIR`` all processes of one host write their samples to files there, and any of them answers
for all. Apps declare their metrics in their own ``metrics.py``; what several processes can only know together (the
length of the queue, the state of the breakers) is asked of Valkey when the metrics are read.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from inspect import iscoroutinefunction
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.utils.decorators import sync_and_async_middleware
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from apps.core import breaker, valkey
from apps.core.addresses import is_this_machine

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
QUEUES = tuple(settings.CELERY_TASK_QUEUES)
PROBE = "riskdesk.probe"
"""In the WSGI variables of requests that the product makes to itself; nobody waits for their answers."""

http_seconds = Histogram(
    "riskdesk_http_request_seconds",
    "Duration of HTTP requests by view and status",
    ["method", "view", "status"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 10),
)
task_runs = Counter("riskdesk_task_runs_total", "Task runs by name and how they ended", ["task", "state"])
task_seconds = Histogram(
    "riskdesk_task_seconds", "Duration of tasks", ["task"], buckets=(0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 120, 600)
)


class ValkeyCollector(Collector):
    """What is asked of Valkey at each reading: depth of the queues, states of the circuit breakers, and whether it is up."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        up = GaugeMetricFamily("riskdesk_valkey_up", "Whether Valkey answers")
        try:
            families = [_queue_depths(), _breaker_states()]
        except valkey.Unavailable:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield from [up, *families]


def _queue_depths() -> GaugeMetricFamily:
    server = valkey.client()
    family = GaugeMetricFamily(
        "riskdesk_queue_tasks",
        "Tasks in the queue: waiting, or taken by a worker and not yet acknowledged",
        labels=["queue", "state"],
    )
    for queue in QUEUES:
        family.add_metric([queue, "waiting"], server.llen(queue))
    family.add_metric(["all", "taken"], server.hlen("unacked"))
    return family


def _breaker_states() -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "riskdesk_breaker_state", "1 for the state that the integration's breaker is in", labels=["name", "state"]
    )
    for name, state in breaker.states().items():
        for each in (breaker.CLOSED, breaker.HALF_OPEN, breaker.OPEN):
            family.add_metric([name, each], float(each == state))
    return family


def exposition() -> bytes:
    """All metrics of this host in Prometheus' text format."""
    shared = CollectorRegistry()
    shared.register(ValkeyCollector())
    processes = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        processes = CollectorRegistry()
        MultiProcessCollector(processes)  # type: ignore[no-untyped-call]
    return generate_latest(processes) + generate_latest(shared)


def may_read(meta: Mapping[str, str]) -> bool:
    """Whether a request may see the metrics: it has the token or, where none is set, it comes from this machine.

    Args:
        meta: the request's WSGI variables.
    """
    token = settings.METRICS_TOKEN
    if not token:
        return is_this_machine(meta)
    given = meta.get("HTTP_AUTHORIZATION", "")
    return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The metrics for Prometheus."""
    if not may_read(request.META):
        return HttpResponseForbidden("The metrics need a token.\n", content_type="text/plain")
    return HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST)


Answering = Callable[[HttpRequest], HttpResponse]


@sync_and_async_middleware
def metrics_middleware(get_response: Answering | Callable[[HttpRequest], Awaitable[HttpResponse]]) -> Any:
    """Measures each request, static files excepted."""
    if iscoroutinefunction(get_response):

        async def measure_async(request: HttpRequest) -> HttpResponse:
            began = time.perf_counter()
            response = await get_response(request)
            _observe(request, response, time.perf_counter() - began)
            return cast(HttpResponse, response)

        return measure_async

    def measure(request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = cast(Answering, get_response)(request)
        _observe(request, response, time.perf_counter() - began)
        return response

    return measure


def _observe(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
    if request.path.startswith(settings.STATIC_URL) or PROBE in request.META:
        return
    match = request.resolver_match
    view = (match.view_name or match._func_path) if match else "unmatched"  # never the path: its values have no end
    method = request.method if request.method in METHODS else "other"
    http_seconds.labels(method, view, str(response.status_code)).observe(seconds)


def forget_process(pid: int) -> None:
    """Take the live gauges of a process that has ended out of the shared folder."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
