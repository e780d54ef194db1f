"""The HTTP client of every integration.

It always has timeouts (connect, each read, and the whole exchange), limits the size of answers, follows no redirect
to another origin, retries only what may be repeated, honours ``Retry-After``, asks the shared circuit breaker before
each attempt, counts what happens, and says whether a failure is worth another try. Neither its exceptions nor its
log lines hold addresses with their query, headers or bodies, because those carry secrets and personal data.
"""

from __future__ import annotations

import json as jsonlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx
import structlog
import tenacity
from prometheus_client import Counter, Histogram

from apps.core.breaker import Breaker
from apps.core.deadline import DeadlineTransport, deadline
from apps.core.networks import PrivateAddress, UnknownHost, public_address

logger = structlog.get_logger(__name__)

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110, section 9.2.2
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
MAX_REDIRECTS = 3

requests_total = Counter(
    "riskdesk_integration_requests_total", "Attempts by integration and outcome", ["name", "outcome"]
)
retries_total = Counter("riskdesk_integration_retries_total", "Attempts that were repeated", ["name"])
request_seconds = Histogram(
    "riskdesk_integration_request_seconds",
    "Duration of one attempt",
    ["name"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


class IntegrationError(Exception):
    """A call to another system failed; the text is safe to store and to show.

    Attributes:
        code: stable name of what happened, such as ``timeout`` or ``http_404``.
        retry_after: seconds to wait as the other side asked, or None.
        response: its answer, if there was one. May hold personal data: never log it.
        maybe_done: whether the other side may have acted on the request all the same.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        retry_after: float | None = None,
        response: httpx.Response | None = None,
        maybe_done: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after
        self.response = response
        self.maybe_done = maybe_done


class TransientFailure(IntegrationError):
    """Worth trying again later."""


class PermanentFailure(IntegrationError):
    """The same request would fail again; somebody must change something."""


class CircuitOpen(TransientFailure):
    """Not even tried: the integration failed too often lately."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How a client retries and what it accepts. Times are in seconds.

    Attributes:
        attempts: at most so many, the first included.
        base_delay, max_delay: the wait before attempt n is drawn from 0 to min(max_delay, base_delay * 2^(n-1)), "full
            jitter" (M. Brooker, Exponential Backoff and Jitter, AWS Architecture Blog, 2015), but never less than the
            other side asked for.
        patience: if it asks for more than this, the failure is handed to the caller, who can wait without a thread.
        max_bytes: largest answer, after decompression.
    """

    attempts: int = 4
    base_delay: float = 0.5
    max_delay: float = 8.0
    patience: float = 30.0
    max_bytes: int = 10 * 1024 * 1024


class Client:
    """Talks to one other system. Make one per process or per task; it may be shared by threads, not across a fork.

    Args:
        name: of the integration in metrics, logs and the breaker; not personal, not secret, of few values.
        base_url: scheme, host and leading path; all requests stay on this origin.
        headers: sent with each request.
        timeout: seconds for one attempt, from connecting to the last byte.
        breaker: one of its own where one name serves many hosts (one shop down is not all shops).
        public_only: refuse addresses of this machine and of private networks, for places that people type in.
        sleep: replaced in tests.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        policy: Policy | None = None,
        breaker: Breaker | None = None,
        public_only: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self.timeout = timeout
        self.policy = policy or Policy()
        self.breaker = breaker or Breaker(name, probe_seconds=timeout + 5)
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=base_url,
            headers={"User-Agent": "riskdesk", "Accept": "application/json", **(headers or {})},
            timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)),
            transport=DeadlineTransport(choose=public_address if public_only else None),
            trust_env=False,
        )

    def __repr__(self) -> str:
        return f"<Client {self.name}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        retry: bool = True,
    ) -> httpx.Response:
        """Send one request and return its successful (2xx) answer, completely read.

        Args:
            path: below the base address; an address of another origin is refused.
            content: a body that is sent as it is, such as one that is signed; instead of ``json``.
            idempotency_key: sent as ``Idempotency-Key``; a promise that repeating the request is harmless, so that
                a POST is retried too. Without it a POST or PATCH is sent once.
            retry: False hands every failure to the caller at once.

        Raises:
            TransientFailure: after the last attempt, or if the other side asks for a longer pause than is sensible.
            PermanentFailure: at once.
            CircuitOpen: without an attempt.
            ValueError: if the path leads to another origin.
        """
        method = method.upper()
        key = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        request = self._http.build_request(
            method, path, json=json, content=content, params=params, headers={**(headers or {}), **key}
        )
        if _origin(request.url) != _origin(self._http.base_url):
            raise ValueError(f"{self.name}: the path leads to another origin")
        if not retry or not (method in IDEMPOTENT or idempotency_key):
            return self._attempt(request)
        return self._retrying()(self._attempt, request)

    def _retrying(self) -> tenacity.Retrying:
        policy = self.policy
        jitter = tenacity.wait_random_exponential(multiplier=policy.base_delay, max=policy.max_delay)

        def wait(state: tenacity.RetryCallState) -> float:
            return max(jitter(state), _failure(state).retry_after or 0.0)

        def worth_waiting(error: BaseException) -> bool:
            if not isinstance(error, TransientFailure) or isinstance(error, CircuitOpen):
                return False
            return (error.retry_after or 0.0) <= policy.patience

        def before_sleep(state: tenacity.RetryCallState) -> None:
            retries_total.labels(self.name).inc()
            code, number = _failure(state).code, state.attempt_number
            logger.warning(
                "integration_retry", integration=self.name, code=code, attempt=number, wait=state.upcoming_sleep
            )

        return tenacity.Retrying(
            stop=tenacity.stop_after_attempt(policy.attempts),
            wait=wait,
            retry=tenacity.retry_if_exception(worth_waiting),
            sleep=self._sleep,
            before_sleep=before_sleep,
            reraise=True,
        )

    def _attempt(self, request: httpx.Request) -> httpx.Response:
        """One attempt, seen by the breaker and the metrics."""
        admission = self.breaker.admit()
        if not admission.allowed:
            requests_total.labels(self.name, "circuit_open").inc()
            words = f"{self.name} failed too often lately; not tried"
            raise CircuitOpen(words, code="circuit_open", retry_after=admission.wait)
        settled = False
        try:
            with request_seconds.labels(self.name).time():
                response = self._exchange(request)
            settled = self._settle(admission.token, healthy=True, outcome="ok")
            return response
        except PermanentFailure:
            # The other side is well enough to refuse us.
            settled = self._settle(admission.token, healthy=True, outcome="permanent")
            raise
        except TransientFailure as error:
            # Asking for a pause is a sign of health: opening the breaker would stop those whom it still serves.
            settled = self._settle(admission.token, healthy=error.code == "http_429", outcome="transient")
            raise
        finally:
            if not settled:  # an interrupt or a bug: says nothing about the other side, and must not keep the probe
                self.breaker.release(admission.token)

    def _settle(self, token: str, *, healthy: bool, outcome: str) -> bool:
        (self.breaker.succeed if healthy else self.breaker.fail)(token)
        requests_total.labels(self.name, outcome).inc()
        return True

    def _exchange(self, request: httpx.Request) -> httpx.Response:
        # `from None`: the texts of httpx may quote headers and addresses.
        try:
            with deadline(self.timeout):
                return self._check(self._follow(request))
        except PrivateAddress:
            words = f"{self.name} is at an address that is not public; nothing was sent"
            raise PermanentFailure(words, code="private_address") from None
        except UnknownHost:
            raise TransientFailure(f"{self.name} has no address", code="unknown_host") from None
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise TransientFailure(f"{self.name} cannot be reached", code="unreachable") from None
        except httpx.TimeoutException:
            words = f"{self.name} did not answer in {self.timeout:g} s"
            raise TransientFailure(words, code="timeout", maybe_done=True) from None
        except (httpx.TransportError, httpx.DecodingError):
            words = f"{self.name} broke off or sent a damaged answer"
            raise TransientFailure(words, code="broken_answer", maybe_done=True) from None

    def _follow(self, request: httpx.Request) -> httpx.Response:
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._http.send(request, stream=True)
            onward = answer.next_request if answer.is_redirect else None
            if onward is None:
                return self._read(answer)
            answer.close()
            if _origin(onward.url) != _origin(self._http.base_url) or request.method not in {"GET", "HEAD"}:
                break
            request = onward
        raise PermanentFailure(f"{self.name} redirects where we do not follow", code="redirect_refused")

    def _read(self, answer: httpx.Response) -> httpx.Response:
        """The same answer with its body in memory, within the limit."""
        body = bytearray()
        try:
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > self.policy.max_bytes:
                    words = f"{self.name} sent more than {self.policy.max_bytes} bytes"
                    raise PermanentFailure(words, code="answer_too_large", maybe_done=True)
        finally:
            answer.close()
        dropped = {"content-encoding", "content-length", "transfer-encoding"}  # they described the bytes on the wire
        headers = [(key, value) for key, value in answer.headers.multi_items() if key.lower() not in dropped]
        return httpx.Response(answer.status_code, headers=headers, content=bytes(body), request=answer.request)

    def _check(self, answer: httpx.Response) -> httpx.Response:
        if answer.is_success:
            return answer
        status = answer.status_code
        words, code = f"{self.name} answered {status}", f"http_{status}"
        if status in TRANSIENT_STATUS:
            pause = retry_after(answer.headers.get("retry-after", ""), now=datetime.now(UTC))
            maybe = status not in {425, 429, 503}
            raise TransientFailure(words, code=code, retry_after=pause, response=answer, maybe_done=maybe)
        raise PermanentFailure(words, code=code, response=answer)


def decoded(response: httpx.Response, name: str) -> Any:
    """The JSON of an answer.

    Raises:
        TransientFailure: if it is none; a gateway's page in front of a healthy system goes away.
    """
    try:
        return jsonlib.loads(response.content)
    except ValueError:
        words = f"{name} sent something that is not JSON"
        raise TransientFailure(words, code="not_json", response=response, maybe_done=True) from None


def retry_after(value: str, *, now: datetime) -> float | None:
    """Seconds from a ``Retry-After`` header, which holds a number of seconds or a date; None if it holds neither."""
    value = value.strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - now).total_seconds()
        except (ValueError, TypeError):
            return None
    return max(0.0, seconds) if seconds < 1e9 else None


def _failure(state: tenacity.RetryCallState) -> IntegrationError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, IntegrationError):
        raise TypeError("only failures of integrations are retried") from error
    return error


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, port
