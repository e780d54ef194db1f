"""How fast one browser and one address may send, counted in this process without asking anybody.

What crosses HTTP is counted by all processes together (``core.ratelimit``). A socket stays with one process, and asking
Valkey about each of its frames would cost more than the frames; so a browser that opens sockets to several processes
gets its share from each of them.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and so many per second after that."""

    burst: float
    per_second: float


class Bucket:
    """Tokens of one who sends: they come back with time, up to the burst."""

    __slots__ = ("at", "left")

    def __init__(self, rate: Rate, now: float) -> None:
        self.left, self.at = rate.burst, now

    def take(self, rate: Rate, now: float, cost: float = 1.0) -> float:
        """Take tokens; 0 if there were enough, otherwise the seconds until there will be.

        Args:
            now: seconds of a clock that never goes back.
        """
        self.left = min(rate.burst, self.left + (now - self.at) * rate.per_second)
        self.at = now
        if self.left >= cost:
            self.left -= cost
            return 0.0
        return (cost - self.left) / rate.per_second

    def full(self, rate: Rate, now: float) -> bool:
        """Whether forgetting it would change nothing."""
        return self.left + (now - self.at) * rate.per_second >= rate.burst


class Buckets:
    """Buckets by who sends; at most ``most`` are kept, and those that are full again go first."""

    def __init__(self, rate: Rate, most: int = 50_000) -> None:
        self.rate, self.most, self._kept = rate, most, dict[str, Bucket]()

    def wait(self, who: str, now: float, cost: float = 1.0) -> int:
        """Count one; 0 if it may pass, otherwise whole seconds until the next may."""
        bucket = self._kept.get(who)
        if bucket is None:
            if len(self._kept) >= self.most:
                self._forget(now)
            bucket = self._kept[who] = Bucket(self.rate, now)
        return math.ceil(bucket.take(self.rate, now, cost))

    def _forget(self, now: float) -> None:
        self._kept = {who: each for who, each in self._kept.items() if not each.full(self.rate, now)}
        if len(self._kept) >= self.most:  # everybody is busy: the fullest half is let off, so that memory has a bound
            ranked = sorted(self._kept.items(), key=lambda pair: pair[1].left)
            self._kept = dict(ranked[: self.most // 2])


class SocketLimits:
    """What this process takes from one session and from one network; the rates are in ``settings.CHAT_SOCKET_LIMITS``."""

    def __init__(self) -> None:
        rates = settings.CHAT_SOCKET_LIMITS
        self.messages, self.frames = Buckets(Rate(*rates["messages"])), Buckets(Rate(*rates["frames"]))
        self.network_messages = Buckets(Rate(*rates["network_messages"]))
        self.network_sockets = Buckets(Rate(*rates["network_sockets"]))
        self.most_of_network, self.most_of_session = rates["open_of_network"], rates["open_of_session"]
        self._open: Counter[str] = Counter()

    def enter(self, network: str, now: float) -> int:
        """Count a socket that opens; 0 if it may, otherwise the seconds until another may."""
        if self._open[network] >= self.most_of_network:
            return 60
        if wait := self.network_sockets.wait(network, now):
            return wait
        self._open[network] += 1
        return 0

    def leave(self, network: str) -> None:
        """A socket that entered is gone."""
        self._open[network] -= 1
        if self._open[network] <= 0:
            del self._open[network]

    def message(self, session: str, network: str, now: float) -> int:
        """Count a message; 0 if it may pass, otherwise the seconds until the next may."""
        return self.messages.wait(session, now) or self.network_messages.wait(network, now)
