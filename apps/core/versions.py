"""Versions of rules' settings: the first is made from the defaults, each edit makes another, none is changed.

A model that inherits :class:`SettingsVersion` holds them, with a trigger in its migration that refuses changes. Detectors and
indicators keep theirs in this way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from django.db import models, transaction
from django.utils import timezone
from pydantic import BaseModel, ValidationError

from apps.core.decisions import Entry, record
from apps.core.errors import DomainError
from apps.core.facts import label
from apps.core.models import User


class SettingsVersion(models.Model):
    """Settings of a rule as they were from one moment on. Rows are never changed (a database trigger refuses it)."""

    rule = models.SlugField(max_length=60)
    number = models.PositiveIntegerField()
    enabled = models.BooleanField(default=True)
    settings = models.JSONField(default=dict, help_text="Thresholds, validated by the rule's schema.")
    reason = models.CharField(max_length=300, help_text="Why this version was made.")
    created_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        abstract = True
        ordering = ["rule", "-number"]
        constraints = [models.UniqueConstraint(fields=["rule", "number"], name="%(class)s_number")]

    def __str__(self) -> str:
        return f"{self.rule} v{self.number}"


V = TypeVar("V", bound=SettingsVersion)


class Adjustable(Protocol):
    """What a rule with settings has."""

    @property
    def slug(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def settings(self) -> type[BaseModel]: ...


class InvalidSettings(DomainError):
    """The thresholds do not fit the rule's schema; ``fields`` says which and why."""

    code = "invalid_settings"
    message = "Some thresholds are not valid."


@dataclass(frozen=True, slots=True)
class Trail:
    """How a new version stands in the decision log.

    Attributes:
        action: such as ``rule_version_made``.
        subject: kind before the slug, such as ``rule``.
        page: address of a version, with ``{}`` for its key.
    """

    scope: str
    action: str
    subject: str
    page: str


def current(model: type[V], rule: Adjustable) -> V:
    """The newest version of a rule; the first one is made from its defaults."""
    newest = model._default_manager.filter(rule=rule.slug).order_by("-number").first()
    if newest is not None:
        return newest
    # Two workers may start at once; the unique constraint lets one of them make the row.
    first, _ = model._default_manager.get_or_create(
        rule=rule.slug,
        number=1,
        defaults={
            "settings": rule.settings().model_dump(mode="json"),
            "reason": "Defaults",
            "created_at": timezone.now(),
        },
    )
    return first


def parsed(schema: type[BaseModel], version: SettingsVersion) -> Any:
    """A version's thresholds as typed settings; fields newer than the version have their defaults.

    Raises:
        InvalidSettings: if the schema changed so that the version does not fit any more.
    """
    try:
        return schema.model_validate(version.settings)
    except ValidationError as error:
        words = f"Version {version.number} does not fit the rule's schema."
        raise InvalidSettings(words, fields=by_field(error)) from None


@transaction.atomic
def make(
    model: type[V], rule: Adjustable, *, settings: dict[str, Any], enabled: bool, reason: str, actor: User, trail: Trail
) -> V:
    """Make a rule judge by other thresholds from now on.

    Args:
        settings: every threshold by name, in the units of the rule's schema.
        enabled: whether the rule judges at all.
        reason: why, kept with the version.
        actor: who changes it; whether they may was decided before.

    Raises:
        InvalidSettings: if the schema refuses a value, or no reason is given.
    """
    if not reason.strip():
        raise InvalidSettings(fields={"reason": ["Say why the thresholds change."]})
    try:
        valid = rule.settings.model_validate(settings).model_dump(mode="json")
    except ValidationError as error:
        raise InvalidSettings(fields=by_field(error)) from None
    current(model, rule)  # there is a first one from here on
    # Its row is locked, so that two people who save at once get two numbers, one after the other.
    model._default_manager.select_for_update(no_key=True).get(rule=rule.slug, number=1)
    former = current(model, rule)
    version = model._default_manager.create(
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
            scope=trail.scope,
            actor=actor,
            action=trail.action,
            subject=f"{trail.subject}:{rule.slug}",
            rationale=version.reason,
            evidence_url=trail.page.format(version.pk),
            payload={"number": version.number, "enabled": enabled, "settings": valid, "former": former.settings},
        )
    )
    return version


def by_field(error: ValidationError) -> dict[str, list[str]]:
    """What a schema refused, by field."""
    fields: dict[str, list[str]] = {}
    for item in error.errors():
        name = str(item["loc"][0]) if item["loc"] else "__all__"
        fields.setdefault(name, []).append(item["msg"].removeprefix("Value error, "))
    return fields


@dataclass(frozen=True, slots=True)
class Edition:
    """A version with what it changed against the one before."""

    version: SettingsVersion
    changes: tuple[tuple[str, Any, Any], ...]


def editions(
    versions: Sequence[SettingsVersion], schema: type[BaseModel], runs: str = "The rule runs"
) -> list[Edition]:
    """Versions, newest first, each with its difference from the one before.

    Args:
        runs: how the switch is called.
    """
    found = []
    for n, version in enumerate(versions):
        before = versions[n + 1] if n + 1 < len(versions) else None
        found.append(Edition(version, tuple(_changes(before, version, schema, runs)) if before else ()))
    return found


def _changes(
    before: SettingsVersion, after: SettingsVersion, schema: type[BaseModel], runs: str
) -> list[tuple[str, Any, Any]]:
    changes: list[tuple[str, Any, Any]] = []
    if before.enabled != after.enabled:
        changes.append((runs, "yes" if before.enabled else "no", "yes" if after.enabled else "no"))
    for name in {**after.settings, **before.settings}:
        old, new = before.settings.get(name, "not set"), after.settings.get(name, "not set")
        if old != new:
            field = schema.model_fields.get(name)
            changes.append(((field and field.title) or label(name), old, new))
    return changes
