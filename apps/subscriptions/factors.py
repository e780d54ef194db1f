"""What an evaluator is, and how much each of its findings weighs.

An evaluator judges one aspect of a subscription. Adding one is a new file in ``apps/subscriptions/evaluators`` and its
test::

    @evaluator(
        slug="balance_projection",
        title="Balance projection",
        weights={"NONE": 0, "MEDIUM": 5, "HIGH": 10},
        variables={"NONE": "RISK_WEIGHT_BALANCE_SUFFICIENT", ...},
        mitigation={"HIGH": "Remind the owner to top up the account."},
    )
    def evaluate(*, now: datetime, facts: Facts) -> Finding:
        ...

What a finding weighs comes from the newest :class:`FactorVersion` of the subscription's organisation, else from the
newest one for everybody, else from the environment variables (``RISK_WEIGHT_...``), else from the evaluator.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Protocol, TypeVar

from django.conf import settings
from django.db import connection, transaction
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, field_validator

from apps.core.decisions import Entry, record
from apps.core.errors import DomainError
from apps.core.models import Scope, User
from apps.core.rules import Registry
from apps.subscriptions.facts import Facts
from apps.subscriptions.models import FactorVersion

Weight = Literal["NONE", "MEDIUM", "HIGH"]
_NUMBERING = 7_221_503  # first key of an advisory lock, any constant


@dataclass(frozen=True, slots=True)
class Finding:
    """What an evaluator found.

    Args:
        weight: the name of its weight.
        details: the figures behind it, as JSON; shown to people.
    """

    weight: Weight
    details: Mapping[str, Any] = field(default_factory=dict)


class Evaluate(Protocol):
    """The signature of every evaluator. Pure: it neither reads rows nor the clock, and never writes."""

    def __call__(self, *, now: datetime, facts: Facts) -> Finding: ...


@dataclass(frozen=True, slots=True)
class Evaluator:
    """An evaluator with its metadata.

    Args:
        slug: stable name, stored in scores as ``factor_type``.
        weights: what each finding weighs by default.
        variables: environment variables that set the weights.
        mitigation: what to do about a finding, by its weight's name; ``HIGH/hard`` goes before ``HIGH`` where the
            details name ``hard`` as the last decline's kind.
    """

    slug: str
    title: str
    evaluate: Evaluate
    weights: Mapping[str, Decimal | int]
    mitigation: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def description(self) -> str:
        """The first paragraph of the evaluator's docstring: what it looks at."""
        return (self.evaluate.__doc__ or "").strip().split("\n\n")[0]

    def default_weights(self) -> dict[str, Decimal]:
        """The weights by name: of the environment, else the evaluator's own."""
        given: Mapping[str, Decimal] = settings.RISK_WEIGHTS
        return {name: given.get(self.variables.get(name, ""), Decimal(weight)) for name, weight in self.weights.items()}


def described(one: Evaluator) -> list[str]:
    """Lines about an evaluator: what it looks at, and its weights by default."""
    weights = one.default_weights()
    return [
        one.description,
        "weights (defaults):",
        *(f"  {name:<22} {weight!s:<10} {one.variables.get(name, '')}".rstrip() for name, weight in weights.items()),
    ]


evaluators: Registry[Evaluator] = Registry("evaluator", describe=described)

E = TypeVar("E", bound=Callable[..., Finding])


def evaluator(**metadata: Any) -> Callable[[E], E]:
    """Register the decorated function; the arguments are those of :class:`Evaluator` without ``evaluate``."""

    def register(function: E) -> E:
        evaluators.add(Evaluator(evaluate=function, **metadata))
        return function

    return register


def advice(factors: Collection[Mapping[str, Any]]) -> list[str]:
    """What to do about a score, from its factors as they are stored; the heaviest first."""
    found: list[str] = []
    for factor in sorted(factors, key=lambda one: -one["weight_value"]):
        if factor["factor_type"] not in evaluators:
            continue  # an evaluator of a former version
        words = evaluators[factor["factor_type"]].mitigation
        kind = factor["details"].get("last_decline_kind", "")
        text = words.get(f"{factor['weight']}/{kind}") or words.get(factor["weight"])
        if text:
            found.append(text)
    return found


@dataclass(frozen=True, slots=True)
class FactorSet:
    """The evaluators that count for a subscription, and their weights.

    Attributes:
        weights: by evaluator and weight name; evaluators that are switched off are absent.
        label: names the version; stored with each score.
    """

    weights: Mapping[str, Mapping[str, Decimal]]
    label: str


def factor_set(scope_id: int | None) -> FactorSet:
    """The factors in force for an organisation."""
    return factor_sets([scope_id])[scope_id]


# Of each organisation, and of everybody, the newest version.
_NEWEST = """
    SELECT DISTINCT ON (scope_id) scope_id, number, factors::text FROM subscriptions_factorversion
    WHERE scope_id IS NULL OR scope_id = ANY(%s::bigint[]) ORDER BY scope_id, number DESC
"""


def factor_sets(scope_ids: Collection[int | None]) -> dict[int | None, FactorSet]:
    """The factors in force for several organisations, by one query."""
    wanted = set(scope_ids)
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST, [[one for one in wanted if one is not None]])
        said = {scope_id: (number, text) for scope_id, number, text in cursor.fetchall()}
    everybody = _set_of(None, said.get(None))
    return {one: _set_of(one, said[one]) if one in said else everybody for one in wanted}


def _set_of(scope_id: int | None, said: tuple[int, str] | None) -> FactorSet:
    """The factors of a version, as it is stored; None for the defaults alone."""
    if said is None:
        return made_from(None)
    number, text = said
    return made_from(FactorVersion(scope_id=scope_id, number=number, factors=json.loads(text)))


def made_from(version: FactorVersion | None) -> FactorSet:
    """The factors of a version, with defaults for what it does not say; None for the defaults alone.

    What a version says about evaluators that do not exist any more is ignored.
    """
    said: Mapping[str, Any] = version.factors if version else {}
    weights: dict[str, dict[str, Decimal]] = {}
    for one in evaluators:
        own = said.get(one.slug, {})
        if own.get("enabled", True):
            changed = {name: Decimal(str(value)) for name, value in own.get("weights", {}).items()}
            weights[one.slug] = {name: changed.get(name, value) for name, value in one.default_weights().items()}
    return FactorSet(weights, f"{_name(version)} {_digest(weights)}")


class InvalidFactors(DomainError):
    """The factors do not fit the evaluators there are; ``fields`` says which and why."""

    code = "invalid_factors"
    message = "Some factors are not valid."


class FactorSettings(BaseModel):
    """What a version says about one factor."""

    model_config = ConfigDict(extra="forbid")

    enabled: StrictBool = True
    weights: dict[str, Annotated[Decimal, Field(ge=0, le=1000, decimal_places=2, allow_inf_nan=False)]] = {}

    @field_validator("weights", mode="before")
    @classmethod
    def _weights_are_numbers(cls, value: Any) -> Any:
        if isinstance(value, dict) and any(isinstance(one, bool) for one in value.values()):
            raise ValueError("a weight is a number")
        return value


@transaction.atomic
def new_factor_version(
    *, scope: Scope | None, factors: Mapping[str, Any], reason: str, actor: User, now: datetime
) -> FactorVersion:
    """Make factors count otherwise from the next calculation on.

    Args:
        scope: the organisation whose subscriptions they judge; None for all that have no version of their own.
        factors: by evaluator, ``{"enabled": false}`` or ``{"weights": {"HIGH": 8}}``; what is absent is default.
        reason: why, kept with the version.

    Raises:
        InvalidFactors: if there is no such evaluator or weight, a weight is not within 0 and 1000 with two decimal
            places, no factor is left, or no reason is given.
    """
    valid = _valid(factors, reason)
    with connection.cursor() as cursor:  # two people who save at once get two numbers, one after the other
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_NUMBERING, scope.pk if scope else 0])
    former = FactorVersion.objects.filter(scope=scope).order_by("-number").first()
    version = FactorVersion.objects.create(
        scope=scope,
        number=former.number + 1 if former else 1,
        factors=valid,
        reason=reason.strip()[:300],
        created_by=actor,
        created_at=now,
    )
    record(
        Entry(
            scope="subscription-risk",
            actor=actor,
            action="factor_version_made",
            subject=f"factors:{scope.slug if scope else 'everybody'}",
            rationale=version.reason,
            evidence_url=f"/admin/subscriptions/factorversion/{version.pk}/change/",
            payload={"number": version.number, "factors": valid, "former": former.factors if former else {}},
        )
    )
    return version


def _valid(factors: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """The factors as they are stored."""
    problems: dict[str, list[str]] = {} if reason.strip() else {"reason": ["Say why the factors change."]}
    valid: dict[str, Any] = {}
    for slug, said in factors.items():
        if slug not in evaluators:
            problems[slug] = ["There is no such factor."]
            continue
        try:
            parsed = FactorSettings.model_validate(said)
        except ValidationError as error:
            problems[slug] = [item["msg"].removeprefix("Value error, ") for item in error.errors()]
            continue
        unknown = sorted(parsed.weights.keys() - evaluators[slug].weights.keys())
        if unknown:
            problems[slug] = [f"It has no weight {', '.join(unknown)}."]
        weights = {name: number(weight) for name, weight in parsed.weights.items()}
        valid[slug] = {"enabled": parsed.enabled, "weights": weights}
    if not problems and not any(valid.get(one.slug, {}).get("enabled", True) for one in evaluators):
        problems["__all__"] = ["At least one factor must count."]
    if problems:
        raise InvalidFactors(fields=problems)
    return valid


def number(weight: Decimal) -> int | float:
    """A weight as JSON has it."""
    return int(weight) if weight == int(weight) else float(weight)


def _name(version: FactorVersion | None) -> str:
    if version is None:
        return "defaults"
    return f"organisation {version.scope_id} v{version.number}" if version.scope_id else f"everybody v{version.number}"


def _digest(weights: Mapping[str, Mapping[str, Decimal]]) -> str:
    """Tells the environment's weights apart, which have no version number."""
    plain = {slug: {name: str(value.normalize()) for name, value in each.items()} for slug, each in weights.items()}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:8]
