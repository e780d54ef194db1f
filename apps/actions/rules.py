"""What a detector is: one pure function in one file, with its metadata.

A detector reads rows and yields :class:`Hit` objects; ``apps.actions.services.reconcile`` turns hits into cards. Adding
one is a new file in an app's ``detectors`` package and its test::

    class Settings(RuleSettings):
        days: int = Field(3, ge=1, le=90, title="Days", description="Unfulfilled for longer than this.")

    @detector(slug="order-ageing", title="Order ageing", kind="order-aging-alert", settings=Settings, ...)
    def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
        ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from apps.core.rules import Registry

Kind = Literal[
    "order-aging-alert",
    "carrier-delay-alert",
    "refund-anomaly-alert",
    "fraud-pattern-alert",
    "subscription-risk-alert",
    "content-alert",
    "monitoring-alert",
]
Tier = Literal["low", "safety", "policy"]
Source = Literal["shopify", "import", "riskdesk"]
TIERS: tuple[Tier, ...] = ("low", "safety", "policy")


class RuleSettings(BaseModel):
    """Base of every rule's settings. Each field has a default, bounds, a title and a description with its unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    remind_after_days: int = Field(
        7,
        ge=1,
        le=365,
        title="Remind after",
        description="Days after which a decided finding that persists opens a new card.",
    )


@dataclass(frozen=True, slots=True)
class Subjects:
    """What an event touched; a run with subjects judges only these, a sweep judges all.

    Args:
        keys: subjects in the form ``kind:id``, such as ``order:17`` or ``customer:4``.
    """

    keys: frozenset[str]

    def ids(self, kind: str) -> list[int]:
        """The numeric ids of one kind, in order."""
        prefix = f"{kind}:"
        return sorted(int(key.removeprefix(prefix)) for key in self.keys if key.startswith(prefix))

    def uuids(self, kind: str) -> list[UUID]:
        """The same for kinds whose ids are UUIDs."""
        prefix = f"{kind}:"
        return sorted(UUID(key.removeprefix(prefix)) for key in self.keys if key.startswith(prefix))


@dataclass(frozen=True, slots=True)
class Hit:
    """One finding of a detector: that a rule holds for a subject now.

    Args:
        subject: what it is about, ``kind:id``; with the rule's slug it identifies the card.
        scope_id: key of the :class:`apps.core.models.Scope` it belongs to, or None for the whole company.
        target: the subject in the operator's words, such as ``Order #1234``.
        draft: one-paragraph summary for the queue.
        message: what approving would send to the customer; empty if nothing is sent.
        rationale: why this is a risk, with the figures.
        data: the facts, as JSON; shown as evidence and part of the fingerprint.
        source, operation, query: where the facts came from, as in the request id ``{source}-{operation}-...``.
        observed_at: when the youngest fact was known to us; freshness is computed from it.
        expected_impact: money at risk, in ``currency``.
        expected_loss: what is likely to be lost, for sorting; the impact if None.
        confidence: 0 to 1.
        ease: 1 (hard) to 5 (easy to resolve).
        tier: severity.
        can_execute: whether approving can do something; False needs a person's own work.
        mitigation: what to do about this very finding; the rule's own words if empty.
    """

    subject: str
    scope_id: int | None
    target: str
    draft: str
    rationale: str
    data: Mapping[str, Any]
    source: Source
    operation: str
    query: str
    observed_at: datetime
    expected_impact: Decimal
    currency: str
    confidence: Decimal
    ease: int
    tier: Tier
    can_execute: bool
    message: str = ""
    expected_loss: Decimal | None = None
    mitigation: str = ""


S_contra = TypeVar("S_contra", bound=RuleSettings, contravariant=True)


class Detect(Protocol[S_contra]):
    """The signature of every detector. Pure: it reads rows, takes ``now`` as an argument and never writes."""

    def __call__(self, *, now: datetime, settings: S_contra, subjects: Subjects | None) -> Iterator[Hit]: ...


@dataclass(frozen=True, slots=True)
class Rule:
    """A detector with its metadata.

    Args:
        slug: stable name, stored on cards.
        kind: the type of the cards it opens.
        settings: schema of its thresholds; the admin's form is made from it.
        events: names of events after which it judges what they touched, such as ``refund.created``.
        once_a_day: judged by the first sweep of a day only (UTC); later sweeps of the day leave its cards alone.
        mitigation, escalation, rollback: the card's words.
        actions: slugs of executors that approving may use; the first is the default.
        watch: judged by the watch over monitoring (every five minutes), not by the sweep that it watches.
    """

    slug: str
    title: str
    kind: Kind
    settings: type[RuleSettings]
    detect: Detect[Any]
    mitigation: str
    escalation: str
    rollback: str
    events: frozenset[str] = frozenset()
    once_a_day: bool = False
    actions: tuple[str, ...] = ()
    watch: bool = False

    @property
    def description(self) -> str:
        """The first paragraph of the detector's docstring: what it looks for."""
        return (self.detect.__doc__ or "").strip().split("\n\n")[0]


rules: Registry[Rule] = Registry("detector")

D = TypeVar("D", bound=Callable[..., Iterator[Hit]])


def detector(**metadata: Any) -> Callable[[D], D]:
    """Register the decorated function as a detector; the arguments are those of :class:`Rule` without ``detect``."""

    def register(function: D) -> D:
        rules.add(Rule(detect=function, **metadata))
        return function

    return register
