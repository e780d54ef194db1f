"""What the register refuses, each with its stable code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.core.errors import DomainError


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was seen: its name for people, and both values as words."""

    field: str
    before: str
    now: str

    def __str__(self) -> str:
        return f"{self.field}: {self.before or 'empty'} became {self.now or 'empty'}"


class NotFound(DomainError):
    """There is no such thing, or it is outside the person's scope; which of the two is not told."""

    code = "not_found"
    message = "There is no such entry in the register."
    status = 404


class NotAllowed(DomainError):
    """The person's role does not include this, or the risk is somebody else's."""

    code = "not_allowed"
    message = "Your role does not include this, or it is not yours to change."
    status = 403


class OwnRequest(DomainError):
    """Whoever asked, or wrote, may not decide."""

    code = "own_request"
    message = "Somebody else has to decide this."
    status = 403


class MissingInformation(DomainError):
    """Something that this needs was not said, or does not fit; ``fields`` tells what."""

    code = "missing_information"
    message = "Something is missing or does not fit."
    status = 422


class InvalidScore(DomainError):
    """The matrix has no such step or level."""

    code = "invalid_score"
    message = "The matrix has no such step or level."
    status = 422


class InvalidMatrix(DomainError):
    """The data do not make a matrix; ``fields`` tells where."""

    code = "invalid_matrix"
    message = "This is not a complete matrix."
    status = 422


class EvidenceRefused(DomainError):
    """The file is not one that is kept as evidence."""

    code = "evidence_refused"
    message = "This file cannot be kept as evidence."
    status = 422


class WrongState(DomainError):
    """What was asked does not fit the state that the thing is in."""

    code = "wrong_state"
    message = "This cannot be done in the present state."
    status = 409


class NotDecided(DomainError):
    """Points of the agenda have no decision yet."""

    code = "not_decided"
    status = 409

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} point{'' if count == 1 else 's'} of the agenda still need a decision.")


class _Changed(DomainError):
    """Something is not what the person looked at.

    Attributes:
        version: the version that is there now.
        differences: what changed since the one that was seen, as far as the trail knows.
    """

    status = 409

    def __init__(self, version: int, differences: Sequence[Difference] = ()) -> None:
        self.version = version
        self.differences = tuple(differences)
        words = "; ".join(str(one) for one in self.differences)
        super().__init__(f"{type(self).message}{' ' + words + '.' if words else ''}")


class RiskChanged(_Changed):
    """The risk is not what the person looked at."""

    code = "risk_changed"
    message = "The risk changed since you looked at it."


class MitigationChanged(_Changed):
    """The mitigation is not what the person looked at."""

    code = "mitigation_changed"
    message = "The mitigation changed since you looked at it."


class AssessmentChanged(_Changed):
    """The assessment is not what the person looked at."""

    code = "assessment_changed"
    message = "The assessment changed since you looked at it."


class ControlChanged(_Changed):
    """The control is not what the person looked at."""

    code = "control_changed"
    message = "The control changed since you looked at it."


class AcceptanceOutdated(_Changed):
    """The risk is not any more what was asked to be accepted."""

    code = "acceptance_outdated"
    message = "The risk changed since its acceptance was asked for; ask again."


class VersionOutdated(_Changed):
    """The register says something else than the version that was submitted."""

    code = "version_outdated"
    message = "The register changed since this version was submitted; submit a new one."
