"""A circuit breaker that all processes share through Valkey.

*Closed*: calls pass, consecutive failures are counted. After ``threshold`` of them within ``window`` seconds it is
*open*: calls are refused for ``cool_down`` seconds. Then it is *half-open*: exactly one call, the probe, may pass; its
success closes the breaker, its failure opens it again. If the probing process dies, its claim expires after
``probe_seconds`` and another call becomes the probe.

Each decision is one script on the server, so that processes cannot interleave; the claim on the probe is a
``SET NX PX``. If Valkey does not answer, every call passes (and is counted): a broken helper must not stop the
integrations. (M. Nygard, Release It!, 2nd ed., chapter 5, describes the pattern.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import uuid4

from prometheus_client import Counter

from apps.core import valkey

PREFIX = "riskdesk:breaker"
NAMES_KEY = f"{PREFIX}:names"
CLOSED, OPEN, HALF_OPEN = "closed", "open", "half_open"

unavailable = Counter(
    "riskdesk_breaker_unavailable_total", "Breaker decisions taken without Valkey, which let calls pass", ["operation"]
)

# KEYS: tripped, cooling, probe. ARGV: token, probe milliseconds.
# The answer: -1 a normal call, -2 the probe, otherwise milliseconds to wait.
_ADMIT = """
if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
local cooling = redis.call('PTTL', KEYS[2])
if cooling > 0 then return cooling end
if redis.call('SET', KEYS[3], ARGV[1], 'NX', 'PX', ARGV[2]) then return -2 end
return math.max(redis.call('PTTL', KEYS[3]), 1)
"""

# KEYS: tripped, cooling, probe, failures. ARGV: token.
# A call that began before the breaker opened may succeed late; only the probe closes it.
_SUCCEED = """
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('DEL', KEYS[4]) return 0 end
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
return 1
"""

# KEYS: tripped, cooling, probe, failures, names. ARGV: token, threshold, window ms, cool-down ms, name.
_FAIL = """
redis.call('SADD', KEYS[5], ARGV[5])
if redis.call('EXISTS', KEYS[1]) == 1 then
  if redis.call('GET', KEYS[3]) ~= ARGV[1] then return 0 end
else
  local failures = redis.call('INCR', KEYS[4])
  if failures == 1 then redis.call('PEXPIRE', KEYS[4], ARGV[3]) end
  if failures < tonumber(ARGV[2]) then return 0 end
end
redis.call('SET', KEYS[1], '1')
redis.call('SET', KEYS[2], '1', 'PX', ARGV[4])
redis.call('DEL', KEYS[3], KEYS[4])
return 1
"""

# KEYS: probe. ARGV: token.
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether one call may pass.

    Attributes:
        allowed: it may.
        token: to be handed back with the outcome; names the probe.
        wait: seconds until it is worth asking again, if it may not.
        probe: it is the one call of a half-open breaker.
    """

    allowed: bool
    token: str
    wait: float = 0.0
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker of one integration; processes that use the same name share it. Times are in seconds."""

    name: str
    threshold: int = 5
    window: float = 60.0
    cool_down: float = 30.0
    probe_seconds: float = 60.0

    def admit(self) -> Admission:
        """Ask for one call. Each allowed call must be answered by succeed, fail or release with the same token."""
        token = uuid4().hex
        try:
            answer = int(self._run(_ADMIT, self._keys[:3], token, _ms(self.probe_seconds)))
        except valkey.Unavailable:
            unavailable.labels("admit").inc()
            return Admission(True, token)
        if answer < 0:
            return Admission(True, token, probe=answer == -2)
        return Admission(False, token, wait=answer / 1000)

    def succeed(self, token: str) -> None:
        """The call worked; the probe's success closes the breaker."""
        self._report("succeed", _SUCCEED, self._keys, token)

    def fail(self, token: str) -> None:
        """The call failed in a way that says the other side is ill."""
        arguments = (token, self.threshold, _ms(self.window), _ms(self.cool_down), self.name)
        self._report("fail", _FAIL, (*self._keys, NAMES_KEY), *arguments)

    def release(self, token: str) -> None:
        """The call ended without saying anything about the other side; the next one may be the probe."""
        self._report("release", _RELEASE, self._keys[2:3], token)

    def reset(self) -> None:
        """Close the breaker by hand (after the other side is known to be back)."""
        valkey.client().delete(*self._keys)

    @property
    def _keys(self) -> tuple[str, ...]:
        # The braces keep the keys of one breaker on one node of a cluster.
        return tuple(f"{PREFIX}:{{{self.name}}}:{part}" for part in ("tripped", "cooling", "probe", "failures"))

    def _run(self, script: str, keys: Iterable[str], *arguments: object) -> int:
        keys = tuple(keys)
        return valkey.client().eval(script, len(keys), *keys, *map(str, arguments))

    def _report(self, operation: str, script: str, keys: Iterable[str], *arguments: object) -> None:
        try:
            self._run(script, keys, *arguments)
        except valkey.Unavailable:
            unavailable.labels(operation).inc()


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def states() -> dict[str, str]:
    """The state of every breaker that ever counted a failure.

    Raises:
        redis.RedisError: if Valkey does not answer.
    """
    server = valkey.client()
    found = {}
    for name in sorted(server.smembers(NAMES_KEY)):
        tripped, cooling, *_ = Breaker(str(name))._keys
        there = [server.exists(tripped), server.exists(cooling)]
        found[str(name)] = CLOSED if not there[0] else OPEN if there[1] else HALF_OPEN
    return found
