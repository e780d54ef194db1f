"""The circuit breaker, shared by threads and processes through a real Valkey."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from apps.core import breaker as module
from apps.core import valkey
from apps.core.breaker import CLOSED, HALF_OPEN, OPEN, Breaker, states


@pytest.fixture
def breaker() -> Iterator[Breaker]:
    made = Breaker(f"test-{uuid4().hex[:8]}", threshold=3, window=5, cool_down=0.15, probe_seconds=2)
    yield made
    made.reset()
    valkey.client().srem(module.NAMES_KEY, made.name)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.fail(breaker.admit().token)


def half_open(breaker: Breaker) -> None:
    fail(breaker, breaker.threshold)
    time.sleep(breaker.cool_down + 0.05)


def test_it_opens_after_the_threshold_and_says_how_long(breaker) -> None:
    fail(breaker, 2)
    assert breaker.admit().allowed
    fail(breaker)
    refused = breaker.admit()
    assert not refused.allowed
    assert 0 < refused.wait <= breaker.cool_down


def test_a_success_between_failures_starts_the_count_again(breaker) -> None:
    fail(breaker, 2)
    breaker.succeed(breaker.admit().token)
    fail(breaker, 2)
    assert breaker.admit().allowed


def test_old_failures_are_forgotten() -> None:
    breaker = Breaker(f"test-{uuid4().hex[:8]}", threshold=2, window=0.1)
    fail(breaker)
    time.sleep(0.15)
    fail(breaker)
    assert breaker.admit().allowed
    breaker.reset()


def test_eight_threads_one_probe(breaker) -> None:
    half_open(breaker)
    barrier = threading.Barrier(8)

    def ask(_: int) -> bool:
        barrier.wait()
        return breaker.admit().allowed

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 1


def _ask_in_a_process(name: str, barrier, answers) -> None:
    breaker = Breaker(name, threshold=3, cool_down=0.15)
    barrier.wait(20)
    answers.put([breaker.admit().allowed for _ in range(20)].count(True))


def test_eight_processes_one_probe(breaker) -> None:
    half_open(breaker)
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(8), context.Queue()
    children = [context.Process(target=_ask_in_a_process, args=(breaker.name, barrier, answers)) for _ in range(8)]
    for child in children:
        child.start()
    passed = [answers.get(timeout=20) for _ in children]
    for child in children:
        child.join(20)
    assert sum(passed) == 1


def test_a_good_probe_closes_it(breaker) -> None:
    half_open(breaker)
    probe = breaker.admit()
    assert probe.probe
    assert not breaker.admit().allowed
    breaker.succeed(probe.token)
    assert breaker.admit().allowed
    assert not breaker.admit().probe


def test_a_bad_probe_opens_it_again_at_once(breaker) -> None:
    half_open(breaker)
    breaker.fail(breaker.admit().token)
    assert not breaker.admit().allowed
    time.sleep(breaker.cool_down + 0.05)
    assert breaker.admit().probe


def test_late_outcomes_of_calls_before_the_opening_change_nothing(breaker) -> None:
    early, other = breaker.admit(), breaker.admit()
    half_open(breaker)
    probe = breaker.admit()
    breaker.succeed(early.token)
    breaker.fail(other.token)
    assert states()[breaker.name] == HALF_OPEN
    assert not breaker.admit().allowed
    breaker.succeed(probe.token)
    assert states()[breaker.name] == CLOSED


def test_a_probe_that_died_is_replaced() -> None:
    breaker = Breaker(f"test-{uuid4().hex[:8]}", threshold=1, cool_down=0.05, probe_seconds=0.1)
    half_open(breaker)
    assert breaker.admit().probe
    assert not breaker.admit().allowed
    time.sleep(0.15)
    assert breaker.admit().probe
    breaker.reset()


def test_states_are_told(breaker) -> None:
    fail(breaker)
    assert states()[breaker.name] == CLOSED
    fail(breaker, 2)
    assert states()[breaker.name] == OPEN
    time.sleep(breaker.cool_down + 0.05)
    assert states()[breaker.name] == HALF_OPEN


def test_without_valkey_calls_pass_quickly_and_are_counted(settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    counted = lambda: REGISTRY.get_sample_value("riskdesk_breaker_unavailable_total", {"operation": "admit"}) or 0  # noqa: E731
    before, began = counted(), time.monotonic()
    breaker = Breaker("test-nowhere", threshold=1)
    fail(breaker, 3)
    assert breaker.admit().allowed
    breaker.succeed("token")
    breaker.release("token")
    assert counted() == before + 4
    assert time.monotonic() - began < 3
