"""Versions of rules' settings: the first is made from the defaults, each edit makes another, none is changed."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone
from pydantic import ValidationError

from apps.actions.models import RuleVersion
from apps.actions.rules import Rule, RuleSettings
from apps.core.decisions import Entry, record
from apps.core.errors import DomainError
from apps.core.models import User


class InvalidSettings(DomainError):
    """The thresholds do not fit the rule's schema; ``fields`` says which and why."""

    code = "invalid_settings"
    message = "Some thresholds are not valid."


def current_version(rule: Rule) -> RuleVersion:
    """The newest version of a rule; the first one is made from its defaults."""
    newest = RuleVersion.objects.filter(rule=rule.slug).order_by("-number").first()
    if newest is not None:
        return newest
    # Two workers may start at once; the unique constraint lets one of them make the row.
    first, _ = RuleVersion.objects.get_or_create(
        rule=rule.slug,
        number=1,
        defaults={
            "settings": rule.settings().model_dump(mode="json"),
            "reason": "Defaults",
            "created_at": timezone.now(),
        },
    )
    return first


def parsed_settings(rule: Rule, version: RuleVersion) -> RuleSettings:
    """A version's thresholds as the rule's typed settings; fields newer than the version have their defaults.

    Raises:
        InvalidSettings: if the schema changed so that the version does not fit any more.
    """
    try:
        return rule.settings.model_validate(version.settings)
    except ValidationError as error:
        raise InvalidSettings(
            f"Version {version.number} does not fit the rule's schema.", fields=_by_field(error)
        ) from None


@transaction.atomic
def new_version(*, rule: Rule, settings: dict[str, Any], enabled: bool, reason: str, actor: User) -> RuleVersion:
    """Make a rule judge by other thresholds from its next run on.

    Args:
        rule: whose thresholds they are.
        settings: every threshold by name, in the units of the rule's schema.
        enabled: whether the rule runs at all; a disabled rule resolves nothing.
        reason: why, kept with the version.
        actor: who changes it.

    Raises:
        InvalidSettings: if the schema refuses a value, or no reason is given.
    """
    if not reason.strip():
        raise InvalidSettings(fields={"reason": ["Say why the thresholds change."]})
    try:
        valid = rule.settings.model_validate(settings).model_dump(mode="json")
    except ValidationError as error:
        raise InvalidSettings(fields=_by_field(error)) from None
    current_version(rule)  # there is a first one from here on
    # Its row is locked, so that two people who save at once get two numbers, one after the other.
    RuleVersion.objects.select_for_update(no_key=True).get(rule=rule.slug, number=1)
    former = current_version(rule)
    version = RuleVersion.objects.create(
        rule=rule.slug,
        number=former.number + 1,
        enabled=enabled,
        settings=valid,
        reason=reason.strip()[:300],
        created_by=actor,
        created_at=timezone.now(),
    )
    record(
        Entry(
            scope="risk-monitoring",
            actor=actor,
            action="rule_version_made",
            subject=f"rule:{rule.slug}",
            rationale=version.reason,
            evidence_url=f"/admin/actions/ruleversion/{version.pk}/change/",
            payload={"number": version.number, "enabled": enabled, "settings": valid, "former": former.settings},
        )
    )
    return version


def _by_field(error: ValidationError) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for item in error.errors():
        name = str(item["loc"][0]) if item["loc"] else "__all__"
        fields.setdefault(name, []).append(item["msg"].removeprefix("Value error, "))
    return fields
