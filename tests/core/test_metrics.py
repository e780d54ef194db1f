"""Metrics: who may read them, what they hold, and that processes add up."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from uuid import uuid4

import pytest
from celery import Celery
from django.test import Client
from prometheus_client import REGISTRY

from apps.core import valkey, worker
from apps.core.breaker import Breaker

ROOT = Path(__file__).resolve().parents[2]


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_only_this_machine_reads_without_a_token(client: Client, settings) -> None:
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="192.0.2.1").status_code == 403
    assert client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 403


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "right", "Basic right", "Bearer right ", "Bearer ré"])
def test_a_token_is_needed_where_one_is_set(client: Client, settings, given) -> None:
    settings.METRICS_TOKEN = "right"
    assert client.get("/metrics", headers={"Authorization": given}).status_code == 403
    assert client.get("/metrics", headers={"Authorization": "Bearer right"}, REMOTE_ADDR="192.0.2.1").status_code == 200


def test_requests_are_counted_by_view_and_never_by_path(client: Client) -> None:
    live = {"method": "GET", "view": "health_live", "status": "200"}
    lost = {"method": "GET", "view": "unmatched", "status": "404"}
    odd = {"method": "other", "view": "health_live", "status": "405"}
    before = [sample("riskdesk_http_request_seconds_count", **labels) for labels in (live, lost, odd)]
    client.get("/health/live")
    client.get(f"/{uuid4()}")
    client.generic("BREW", "/health/live")
    after = [sample("riskdesk_http_request_seconds_count", **labels) for labels in (live, lost, odd)]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 1]


def test_the_queue_and_the_breakers_are_shown(client: Client) -> None:
    breaker = Breaker(f"test-{uuid4().hex[:8]}", threshold=1, cool_down=5)
    breaker.fail("token")
    waiting = valkey.client().llen("celery")
    text = client.get("/metrics").content.decode()
    assert f'riskdesk_breaker_state{{name="{breaker.name}",state="open"}} 1.0' in text
    assert f'riskdesk_breaker_state{{name="{breaker.name}",state="closed"}} 0.0' in text
    assert f'riskdesk_queue_tasks{{queue="celery",state="waiting"}} {float(waiting)}' in text
    assert "riskdesk_valkey_up 1.0" in text
    breaker.reset()


def test_metrics_are_readable_while_valkey_is_down(client: Client, settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert b"riskdesk_valkey_up 0.0" in answer.content


def test_tasks_are_counted_with_their_end_and_duration() -> None:
    app = Celery("test", set_as_current=False)

    @app.task(name="tests.measured")
    def measured(fail: bool) -> None:
        if fail:
            raise ValueError

    measured.apply(args=[False])
    measured.apply(args=[True])
    assert sample("riskdesk_task_runs_total", task="tests.measured", state="success") == 1
    assert sample("riskdesk_task_runs_total", task="tests.measured", state="failure") == 1
    assert sample("riskdesk_task_seconds_count", task="tests.measured") == 2


def test_the_worker_answers_on_its_own_port(settings) -> None:
    settings.METRICS_TOKEN = "right"
    server = worker.serve_metrics(0)
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        request = urllib.request.Request(f"{address}/metrics", headers={"Authorization": "Bearer right"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert b"riskdesk_task_seconds" in answer.read()
        for path, status in (("/metrics", 403), ("/", 404)):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(address + path, timeout=5)
            assert caught.value.code == status
            caught.value.close()
    finally:
        server.shutdown()
        server.server_close()


def test_without_a_token_the_worker_listens_to_this_machine_alone(settings) -> None:
    settings.METRICS_TOKEN = ""
    server = worker.serve_metrics(0)
    assert server.server_address[0] == "127.0.0.1"
    server.shutdown()
    server.server_close()


def test_the_port_of_another_program_is_refused(settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            worker.serve_metrics(other.getsockname()[1])


SCRIPT = """
import django, os, sys
django.setup()
from apps.core import metrics
pid = os.fork()
metrics.task_runs.labels("tests.many", "success").inc()
if pid == 0:
    metrics.task_runs.labels("tests.many", "success").inc()
    os._exit(0)
os.waitpid(pid, 0)
sys.stdout.write(metrics.exposition().decode())
"""


def _python(tmp_path: Path, script: str) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "shared metrics"),
    }
    return subprocess.run([sys.executable, "-c", script], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_processes_add_up_also_over_restarts(tmp_path) -> None:
    first = _python(tmp_path, SCRIPT)
    assert 'riskdesk_task_runs_total{state="success",task="tests.many"} 3.0' in first.stdout, first.stderr
    second = _python(tmp_path, SCRIPT)
    assert 'riskdesk_task_runs_total{state="success",task="tests.many"} 6.0' in second.stdout, second.stderr


GAUGE = """
import django, os, sys
django.setup()
from prometheus_client import Gauge
from apps.core import metrics, worker
alive = Gauge("tests_alive", "Living processes", multiprocess_mode="livesum")
pid = os.fork()
alive.set(1)
if pid == 0:
    alive.set(1)
    os._exit(0)
os.waitpid(pid, 0)
print(metrics.exposition().decode().count("tests_alive 2.0"))
worker._child_ends(pid=pid)
print(metrics.exposition().decode().count("tests_alive 1.0"))
"""


def test_a_dead_process_is_no_longer_counted_among_the_living(tmp_path) -> None:
    done = _python(tmp_path, GAUGE)
    assert done.stdout.split() == ["1", "1"], done.stderr
