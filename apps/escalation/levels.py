"""The protocol's table as the system reads it: levels, deadlines, rungs, and what is told at a handover.

It is data of a controlled document. The approved version of the document ``risk-protocol`` holds; as long as there is none,
the table that is delivered with the product does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
    field_validator,
    model_validator,
)

from apps.core.business_time import Calendar
from apps.core.errors import DomainError
from apps.core.roles import Role
from apps.escalation.models import DocumentVersion, RiskFlag

SLUG = "risk-protocol"
DELIVERED = "delivered"  # number of the version that is not a row
YEAR = 366 * 24 * 60  # minutes
_FILE = Path(__file__).resolve().parent / "protocol" / f"{SLUG}.json"

Step = RiskFlag.Step
_LATER = (Step.RISK_MANAGEMENT, Step.ASSESSMENT, Step.RESPONSE_PLAN, Step.RESOLUTION, Step.VERIFICATION)
# The steps that a level passes, each of which needs a deadline.
PATHS: Mapping[int, tuple[RiskFlag.Step, ...]] = {
    1: (Step.DOCUMENTED,),
    2: (Step.DOCUMENTED,),
    3: (Step.LEAD_REVIEW, Step.MANAGER_REVIEW, *_LATER),
    4: (Step.ESCALATED, *_LATER),
    5: (Step.ESCALATED, *_LATER),
}


class InvalidProtocol(DomainError):
    """The data of a protocol version cannot be read."""

    code = "invalid_protocol"
    message = "The protocol's table is not complete."


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Allowance(_Part):
    """How much time there is: minutes of business time, minutes around the clock, or until the business day ends."""

    minutes: StrictInt | None = Field(default=None, ge=1, le=YEAR)
    always: StrictBool = False
    same_business_day: StrictBool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.minutes is None) is not self.same_business_day or (self.always and self.same_business_day):
            raise ValueError("Give minutes, around the clock or not, or the same business day.")
        return self

    def working(self, calendar: Calendar, now: datetime) -> timedelta:
        """The working time that it means from now on, by the calendar that it counts by.

        Raises:
            BusinessTimeError: the calendar never opens any more.
        """
        if self.minutes is not None:
            return timedelta(minutes=self.minutes)
        return calendar.working_between(now, calendar.end_of_business_day(now).due_at)

    def __str__(self) -> str:
        if self.minutes is None:
            return "the same business day"
        hours, rest = divmod(self.minutes, 60)
        words = f"{hours} h" if hours and not rest else f"{self.minutes} min"
        return f"{words} around the clock" if self.always else f"{words} of business time"


class Level(_Part):
    """One row of the table."""

    level: StrictInt = Field(ge=1, le=5)
    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    examples: str
    threshold: str = Field(min_length=1)
    timeframe: str = Field(min_length=1)
    path: tuple[Role, ...]
    deadlines: dict[RiskFlag.Step, Allowance]
    acknowledge: Allowance | None

    @model_validator(mode="after")
    def _each_step_has_a_deadline(self) -> Self:
        missing = [step.value for step in PATHS[self.level] if step not in self.deadlines]
        if self.acknowledge and self.acknowledge.same_business_day:
            raise ValueError("The time to acknowledge is given in minutes.")
        if missing:
            raise ValueError(f"Level {self.level} has no deadline for {', '.join(missing)}.")
        return self


class Information(_Part):
    """One thing that has to be told at a handover."""

    name: str = Field(pattern=r"^[a-z_]{1,40}$")
    label: str = Field(min_length=1)


class Protocol(_Part):
    """The whole table, checked: five levels, rungs with somebody on each, lists for both directions of a handover."""

    levels: tuple[Level, ...]
    rungs: tuple[tuple[Role, ...], ...] = Field(min_length=1)
    to_risk: tuple[Information, ...] = Field(min_length=1)
    to_support: tuple[Information, ...] = Field(min_length=1)
    ticket_overdue: Allowance
    number: str = DELIVERED

    @field_validator("levels")
    @classmethod
    def _five(cls, levels: tuple[Level, ...]) -> tuple[Level, ...]:
        if sorted(each.level for each in levels) != [1, 2, 3, 4, 5]:
            raise ValueError("There must be one row for each of the levels 1 to 5.")
        return levels

    @field_validator("ticket_overdue")
    @classmethod
    def _in_minutes(cls, time: Allowance) -> Allowance:
        if time.minutes is None:
            raise ValueError("The time between two rungs is given in minutes.")
        return time

    @field_validator("rungs")
    @classmethod
    def _somebody(cls, rungs: tuple[tuple[Role, ...], ...]) -> tuple[tuple[Role, ...], ...]:
        if not all(rungs):
            raise ValueError("Each rung needs a role.")
        return rungs

    @cached_property
    def _by_level(self) -> dict[int, Level]:
        return {each.level: each for each in self.levels}

    def level(self, number: int) -> Level:
        """One row."""
        return self._by_level[number]

    def allowance(self, level: int, step: str) -> Allowance | None:
        """The time for a step. A flag whose level fell below 3 on its way keeps level 3's times for what is left."""
        step = RiskFlag.Step(step)
        own = self.level(level).deadlines.get(step)
        return own or (self.level(RiskFlag.Level.MEDIUM).deadlines.get(step) if step in _LATER else None)

    def interval(self, level: int, step: str) -> Allowance | None:
        """How long each rung has to acknowledge; None: nobody is asked to."""
        level = max(level, RiskFlag.Level.MEDIUM) if step in _LATER else level
        return self.level(level).acknowledge


def validate(data: Mapping[str, Any], number: str = DELIVERED) -> Protocol:
    """The data of a protocol version, checked.

    Raises:
        InvalidProtocol: with what is wrong by place.
    """
    try:
        return Protocol.model_validate({**data, "number": number})
    except ValidationError as error:
        fields: dict[str, list[str]] = {}
        for each in error.errors():
            fields.setdefault(".".join(map(str, each["loc"])) or "table", []).append(each["msg"])
        raise InvalidProtocol(fields=fields) from None


def delivered_data() -> dict[str, Any]:
    """The table that is delivered with the product, as it stands in a document version."""
    data: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return data


def delivered_text() -> str:
    """The text that is delivered with the product, as Markdown."""
    return _FILE.with_suffix(".md").read_text(encoding="utf-8")


@cache
def delivered() -> Protocol:
    """The table that is delivered with the product."""
    return validate(delivered_data())


@cache
def _of(version: int, number: str) -> Protocol:
    """Approved versions never change, so each is read once per process."""
    return validate(DocumentVersion.objects.values_list("data", flat=True).get(pk=version), number)


def in_force() -> Protocol:
    """The table that holds now.

    Raises:
        InvalidProtocol: if a version was approved that cannot be read; documents are checked before approval.
    """
    versions = DocumentVersion.objects.filter(document__slug=SLUG, state=DocumentVersion.State.APPROVED)
    found = versions.values_list("pk", "number").first()
    return _of(*found) if found else delivered()
