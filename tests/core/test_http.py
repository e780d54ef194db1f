"""The integrations' HTTP client against a server that misbehaves."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from apps.core.breaker import Breaker
from apps.core.http import CircuitOpen, Client, PermanentFailure, Policy, TransientFailure, decoded, retry_after
from tests.support.faulty_server import (
    FaultyServer,
    answer,
    drip,
    drop,
    endless,
    faulty_server,
    half_answer,
    late,
    malformed,
    silence,
)

SECRET = "shpat_4f5e6d7c8b9a"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with faulty_server() as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def make(server: FaultyServer, waits: list[float]) -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def build(*, timeout: float = 2.0, threshold: int = 100, **policy: float) -> Client:
        name = f"test-{uuid4().hex[:8]}"
        client = Client(
            name,
            server.url,
            headers={"X-Access-Token": SECRET},
            timeout=timeout,
            policy=Policy(**policy),  # type: ignore[arg-type]
            breaker=Breaker(name, threshold=threshold, cool_down=0.2),
            sleep=waits.append,
        )
        made.append(client)
        return client

    yield build
    for client in made:
        client.breaker.reset()
        client.close()


def outcome(client: Client, name: str) -> float:
    return REGISTRY.get_sample_value("riskdesk_integration_requests_total", {"name": client.name, "outcome": name}) or 0


def test_a_good_answer_is_returned_and_counted(make, server) -> None:
    server.plan = [answer(body=b'{"ok": true}')]
    client = make()
    response = client.request("get", "/things", params={"page": "2"})
    assert decoded(response, "test") == {"ok": True}
    assert (server.seen[0].method, server.seen[0].path) == ("GET", "/things?page=2")
    assert server.seen[0].headers["x-access-token"] == SECRET
    assert outcome(client, "ok") == 1


def test_compressed_answers_are_readable(make, server) -> None:
    server.plan = [answer(body=gzip.compress(b'{"ok": 1}'), headers={"Content-Encoding": "gzip"})]
    assert make().request("GET", "/").json() == {"ok": 1}


@pytest.mark.parametrize(
    "fault", [answer(500), answer(503), drop, half_answer, malformed], ids=["500", "503", "drop", "half", "malformed"]
)
def test_a_passing_fault_is_retried(make, server, waits, fault) -> None:
    server.plan = [fault, fault, answer(body=b"1")]
    client = make()
    assert client.request("GET", "/").content == b"1"
    assert len(server.seen) == 3
    assert len(waits) == 2
    assert outcome(client, "transient") == 2


def test_a_lasting_fault_is_given_up(make, server) -> None:
    server.plan = [answer(502)]
    with pytest.raises(TransientFailure) as caught:
        make(attempts=3).request("GET", "/")
    assert caught.value.code == "http_502"
    assert len(server.seen) == 3


def test_waits_grow_and_are_random_up_to_the_limit(make, server, waits) -> None:
    server.plan = [answer(500)]
    for _ in range(6):
        with pytest.raises(TransientFailure):
            make(attempts=6, base_delay=1, max_delay=4).request("GET", "/")
    limits = [1, 2, 4, 4, 4] * 6
    assert all(0 <= wait <= limit for wait, limit in zip(waits, limits, strict=True))
    assert len(set(waits)) > 20


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_write_without_key_is_sent_once(make, server, method) -> None:
    server.plan = [answer(500)]
    with pytest.raises(TransientFailure) as caught:
        make().request(method, "/", json={"a": 1})
    assert len(server.seen) == 1
    assert caught.value.maybe_done


def test_a_write_with_key_is_repeated_with_the_same_key_and_body(make, server) -> None:
    server.plan = [drop, answer(201)]
    make().request("POST", "/", json={"a": 1}, idempotency_key="k-1")
    assert [seen.headers["idempotency-key"] for seen in server.seen] == ["k-1", "k-1"]
    assert server.seen[0].body == server.seen[1].body == b'{"a":1}'


def test_retrying_can_be_switched_off(make, server) -> None:
    server.plan = [answer(500)]
    with pytest.raises(TransientFailure):
        make().request("GET", "/", retry=False)
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 422, 501])
def test_a_refusal_is_permanent(make, server, status) -> None:
    server.plan = [answer(status, b'{"error": "no"}')]
    with pytest.raises(PermanentFailure) as caught:
        make().request("GET", "/")
    assert caught.value.code == f"http_{status}"
    assert caught.value.response.json() == {"error": "no"}
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_the_pause_asked_for_is_kept(make, server, waits, status) -> None:
    server.plan = [answer(status, headers={"Retry-After": "7"}), answer()]
    make(base_delay=0.01, max_delay=0.01).request("GET", "/")
    assert waits == [7.0]


def test_a_long_pause_is_left_to_the_caller(make, server, waits) -> None:
    server.plan = [answer(429, headers={"Retry-After": "600"})]
    with pytest.raises(TransientFailure) as caught:
        make().request("GET", "/")
    assert caught.value.retry_after == 600
    assert (len(server.seen), waits) == (1, [])


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        (" 1.5 ", 1.5),
        ("-4", 0.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2026 12:00:30 -0000", None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds) -> None:
    assert retry_after(value, now=NOW) == seconds


@pytest.mark.parametrize(
    "fault",
    [
        silence(3),
        drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 100, 0.05),
        late(3, answer()),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"a" * 100, 0.02),
    ],
    ids=["silence", "drip-header", "late", "drip-body"],
)
def test_the_whole_exchange_has_a_deadline(make, server, fault) -> None:
    server.plan = [fault]
    began = time.monotonic()
    with pytest.raises(TransientFailure) as caught:
        make(timeout=0.4).request("GET", "/", retry=False)
    assert caught.value.code == "timeout"
    assert caught.value.maybe_done
    assert time.monotonic() - began < 1.0


def test_an_unreachable_server_is_transient() -> None:
    name = f"test-{uuid4().hex[:8]}"
    with Client(name, "http://127.0.0.1:1", sleep=lambda _: None) as client:
        with pytest.raises(TransientFailure) as caught:
            client.request("POST", "/")
        client.breaker.reset()
    assert caught.value.code == "unreachable"
    assert not caught.value.maybe_done


def test_a_huge_answer_is_cut_off(make, server) -> None:
    server.plan = [endless]
    with pytest.raises(PermanentFailure) as caught:
        make(max_bytes=100_000).request("GET", "/")
    assert caught.value.code == "answer_too_large"


def test_a_huge_answer_is_measured_after_decompression(make, server) -> None:
    server.plan = [answer(body=gzip.compress(b"0" * 1_000_000), headers={"Content-Encoding": "gzip"})]
    with pytest.raises(PermanentFailure):
        make(max_bytes=100_000).request("GET", "/")


def test_damaged_compression_is_transient(make, server) -> None:
    server.plan = [answer(body=b"not gzip", headers={"Content-Encoding": "gzip"})]
    with pytest.raises(TransientFailure):
        make().request("GET", "/", retry=False)


def test_what_is_not_json_is_transient(make, server) -> None:
    server.plan = [answer(body=b"<html>maintenance</html>")]
    response = make().request("GET", "/")
    with pytest.raises(TransientFailure) as caught:
        decoded(response, "test")
    assert caught.value.code == "not_json"


def test_redirects_on_the_same_origin_are_followed(make, server) -> None:
    server.plan = [answer(302, headers={"Location": "/other"}), answer(body=b"7")]
    assert make().request("GET", "/").content == b"7"
    assert server.seen[1].path == "/other"


def test_redirects_to_another_host_are_refused_and_the_token_stays_here(make, server) -> None:
    with faulty_server(answer()) as other:
        server.plan = [answer(302, headers={"Location": f"{other.url}/steal"})]
        with pytest.raises(PermanentFailure) as caught:
            make().request("GET", "/")
        assert other.seen == []
    assert caught.value.code == "redirect_refused"


def test_a_write_is_not_redirected(make, server) -> None:
    server.plan = [answer(307, headers={"Location": "/other"})]
    with pytest.raises(PermanentFailure):
        make().request("POST", "/", json={})
    assert len(server.seen) == 1


def test_a_redirect_loop_ends(make, server) -> None:
    server.plan = [answer(302, headers={"Location": "/again"})]
    with pytest.raises(PermanentFailure):
        make().request("GET", "/")
    assert len(server.seen) == 4


def test_a_path_to_another_host_is_refused(make, server) -> None:
    for path in ("http://192.0.2.1/x", server.url.replace("http", "https") + "/x"):
        with pytest.raises(ValueError, match="another origin"):
            make().request("GET", path)
    assert server.seen == []


def test_a_path_with_two_slashes_stays_here(make, server) -> None:
    make().request("GET", "//192.0.2.1/x")
    assert len(server.seen) == 1


def test_neither_errors_nor_logs_hold_secrets(make, server) -> None:
    client = make(attempts=2)
    server.plan = [answer(500, b"shpat_in_body"), drop, answer(403, b"shpat_in_body")]
    with capture_logs() as logs:
        texts = []
        for _ in range(2):
            with pytest.raises((TransientFailure, PermanentFailure)) as caught:
                client.request("GET", "/secret-path", params={"token": SECRET})
            error = caught.value
            texts += [str(error), repr(error), repr(error.args), repr(client)]
            assert error.__cause__ is None
    everything = " ".join(texts) + repr(logs)
    assert "shpat" not in everything
    assert "secret-path" not in everything
    assert logs[0]["event"] == "integration_retry"


def test_the_breaker_opens_and_stops_the_retries(make, server) -> None:
    server.plan = [answer(500)]
    client = make(threshold=2, attempts=5)
    with pytest.raises(CircuitOpen) as caught:
        client.request("GET", "/")
    assert len(server.seen) == 2
    assert 0 < caught.value.retry_after <= 0.2
    with pytest.raises(CircuitOpen):
        client.request("POST", "/")
    assert len(server.seen) == 2
    assert outcome(client, "circuit_open") == 2


def test_the_breaker_closes_after_a_good_probe(make, server) -> None:
    server.plan = [drop, answer()]
    client = make(threshold=1)
    with pytest.raises(TransientFailure):
        client.request("POST", "/")
    with pytest.raises(CircuitOpen):
        client.request("POST", "/")
    time.sleep(0.25)
    client.request("POST", "/")
    client.request("POST", "/")


@pytest.mark.parametrize("status", [429, 404])
def test_refusals_and_throttling_do_not_open_the_breaker(make, server, status) -> None:
    server.plan = [answer(status)]
    client = make(threshold=1, attempts=3)
    for _ in range(3):
        with pytest.raises((TransientFailure, PermanentFailure)) as caught:
            client.request("GET", "/")
        assert caught.value.code == f"http_{status}"


def test_an_interrupted_probe_gives_the_claim_back(make, server, monkeypatch) -> None:
    server.plan = [drop, answer()]
    client = make(threshold=1)
    with pytest.raises(TransientFailure):
        client.request("POST", "/")
    time.sleep(0.25)

    def interrupted(request: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(client, "_exchange", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.request("POST", "/")
    client.request("POST", "/")
