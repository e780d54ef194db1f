"""Thresholds of the indicators: versions that nobody changes, each with who made it and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from apps.core import versions
from apps.core.models import User
from apps.core.versions import InvalidSettings
from apps.escalation.binding import SCOPE, NotAllowed
from apps.escalation.models import IndicatorVersion
from apps.escalation.signs import Sign, SignSettings, indicators

__all__ = ["InForce", "InvalidSettings", "current_version", "in_force", "new_version", "newest_versions"]
EDIT = "escalation.add_indicatorversion"
TRAIL = versions.Trail(SCOPE, "indicator_version_made", "indicator", "/admin/escalation/indicatorversion/{}/change/")


@dataclass(frozen=True, slots=True)
class InForce:
    """An indicator with the version that it judges by."""

    sign: Sign
    version: IndicatorVersion

    @property
    def settings(self) -> SignSettings:
        """Its thresholds.

        Raises:
            InvalidSettings: the schema changed so that the version does not fit any more.
        """
        return cast("SignSettings", versions.parsed(self.sign.settings, self.version))


def current_version(one: Sign) -> IndicatorVersion:
    """The newest version of an indicator; the first one is made from its defaults."""
    return versions.current(IndicatorVersion, one)


def newest_versions() -> dict[str, IndicatorVersion]:
    """The newest version of each indicator that has one, by its slug."""
    rows = IndicatorVersion.objects.order_by("rule", "-number").distinct("rule")
    return {version.rule: version for version in rows}


def in_force(occasion: str) -> list[InForce]:
    """The indicators of an occasion that are switched on, in one query once each has a version."""
    newest = newest_versions()
    wanted = [one for one in indicators if one.occasion == occasion]
    found = [InForce(one, newest.get(one.slug) or current_version(one)) for one in wanted]
    return [each for each in found if each.version.enabled]


def new_version(*, slug: str, settings: dict[str, Any], enabled: bool, reason: str, actor: User) -> IndicatorVersion:
    """Make an indicator judge by other thresholds from the next message on; proposals keep the version they were made with.

    Args:
        slug: of an indicator.
        settings: every threshold by name, in the units of the indicator's schema.
        enabled: whether it looks at all.

    Raises:
        NotAllowed: the person's role does not include it.
        InvalidSettings: if the schema refuses a value, or no reason is given.
        KeyError: there is no such indicator.
    """
    if not actor.is_active or not actor.has_perm(EDIT):
        raise NotAllowed
    return versions.make(
        IndicatorVersion, indicators[slug], settings=settings, enabled=enabled, reason=reason, actor=actor, trail=TRAIL
    )
