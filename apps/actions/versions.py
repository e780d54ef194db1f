"""Versions of rules' settings, see :mod:`apps.core.versions`."""

from __future__ import annotations

from typing import Any, cast

from apps.actions.models import RuleVersion
from apps.actions.rules import Rule, RuleSettings
from apps.core import versions
from apps.core.models import User
from apps.core.versions import InvalidSettings

__all__ = ["InvalidSettings", "current_version", "new_version", "parsed_settings"]
TRAIL = versions.Trail("risk-monitoring", "rule_version_made", "rule", "/admin/actions/ruleversion/{}/change/")


def current_version(rule: Rule) -> RuleVersion:
    """The newest version of a rule; the first one is made from its defaults."""
    return versions.current(RuleVersion, rule)


def parsed_settings(rule: Rule, version: RuleVersion) -> RuleSettings:
    """A version's thresholds as the rule's typed settings; fields newer than the version have their defaults.

    Raises:
        InvalidSettings: if the schema changed so that the version does not fit any more.
    """
    return cast("RuleSettings", versions.parsed(rule.settings, version))


def new_version(*, rule: Rule, settings: dict[str, Any], enabled: bool, reason: str, actor: User) -> RuleVersion:
    """Make a rule judge by other thresholds from its next run on; a disabled rule resolves nothing.

    Raises:
        InvalidSettings: if the schema refuses a value, or no reason is given.
    """
    return versions.make(RuleVersion, rule, settings=settings, enabled=enabled, reason=reason, actor=actor, trail=TRAIL)
