"""What an executor is: one effect in the world outside that approving a card may have, and how it is undone.

An executor is a class in one file of an app's ``executors`` package::

    @executor(slug="tag-order", title="Tag the order", describe="The order gets the tag “risk”.")
    class TagOrder:
        def available(self, card: ActionCard) -> bool: ...
        def execute(self, job: Job) -> dict[str, Any]: ...
        def roll_back(self, job: Job) -> dict[str, Any]: ...

Failures are told by exceptions: :class:`~apps.core.http.TransientFailure` may pass by itself and is tried again, all
others need a person. What ``execute`` returns is kept on the execution and handed to ``roll_back``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from uuid import UUID

from apps.actions.models import ActionCard
from apps.actions.rules import rules
from apps.core.rules import Registry


class EffectFailed(Exception):
    """The effect is impossible as things are; trying again changes nothing. The text is shown on the card."""


@dataclass(frozen=True, slots=True)
class Job:
    """What an executor is given.

    Attributes:
        card: the card as it is now.
        key: idempotency key; the same for every attempt of one effect.
        payload: what was approved; for a rollback also the reason.
        result: for a rollback, what the execution returned.
        begin: call it right before an effect that cannot be repeated harmlessly. A worker that dies after it leaves
            the execution failed with an unknown outcome instead of repeating the effect.
    """

    card: ActionCard
    key: UUID
    payload: Mapping[str, Any]
    result: Mapping[str, Any]
    begin: Callable[[], None]


class Effect(Protocol):
    """The methods of an executor."""

    def available(self, card: ActionCard) -> bool:
        """Whether it can be done for this card at all, such as an order whose store has an API. Reads only."""

    def execute(self, job: Job) -> dict[str, Any]:
        """Do it; returns what is to be recorded, as JSON without personal data."""

    def roll_back(self, job: Job) -> dict[str, Any]:
        """Undo it as far as it can be undone."""


@dataclass(frozen=True, slots=True)
class Executor:
    """An effect with its metadata.

    Args:
        slug: stable name, stored on executions.
        title: what the operator chooses, such as "Tag the order".
        describe: what will happen, in one sentence.
        describe_rollback: what rolling back will do, in one sentence.
        sends_message: whether the operator's edited draft goes to the customer.
    """

    slug: str
    title: str
    describe: str
    describe_rollback: str
    effect: Effect
    sends_message: bool = False


executors: Registry[Executor] = Registry("executor")

C = TypeVar("C", bound=Callable[[], Effect])


def executor(**metadata: Any) -> Callable[[C], C]:
    """Register the decorated class; the arguments are those of :class:`Executor` without ``effect``."""

    def register(cls: C) -> C:
        executors.add(Executor(effect=cls(), **metadata))
        return cls

    return register


def offered_actions(card: ActionCard) -> list[Executor]:
    """What approving this card can do, the default first; nothing for a card that needs a person's own work."""
    if not card.can_execute or card.rule not in rules:
        return []
    found = [executors[slug] for slug in rules[card.rule].actions if slug in executors]
    return [one for one in found if one.effect.available(card)]
