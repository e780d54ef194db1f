"""What every write about a risk has in common: what was seen, checked values, one more version, and the record."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from apps.core.audit import said_by
from apps.core.decisions import Entry
from apps.register.differences import differences_since
from apps.register.models import Risk
from apps.register.refusals import MissingInformation, RiskChanged
from apps.register.rights import LOG, Actor, kept, within

MAX_FIELD = 50_000
"""Characters of a field that has no limit of its own; an assessment's overview is the longest."""


def bind(risk: Risk, seen_version: int) -> None:
    """Refuse if a risk, which the caller has locked, is not what was seen.

    Raises:
        RiskChanged: there is a newer version; it tells what differs.
    """
    if risk.version != seen_version:
        raise RiskChanged(risk.version, differences_since(risk, seen_version))


def apply_changes(thing: models.Model, changes: Mapping[str, Any], editable: Collection[str]) -> list[str]:
    """Set fields that differ, and check them. Returns their names; nothing is saved.

    Raises:
        MissingInformation: a field that nobody edits this way, or a value that does not fit it.
    """
    strange = sorted(set(changes) - set(editable))
    if strange:
        raise MissingInformation(fields={name: ["This is not edited here."] for name in strange})
    changed = []
    for name, value in changes.items():
        value = within({name: value}, MAX_FIELD)[name] if isinstance(value, str) else value
        if getattr(thing, name) != value:
            _set(thing, name, value)
            changed.append(name)
    check_fields(thing, changed)
    return changed


def _set(thing: models.Model, name: str, value: object) -> None:
    try:
        setattr(thing, name, value)
    except ValueError as error:  # another kind of thing than the relation holds
        raise MissingInformation(fields={name: [str(error)]}) from None


def check_fields(thing: models.Model, names: Collection[str]) -> None:
    """Check some fields of a thing as the model defines them.

    Raises:
        MissingInformation: with what is wrong, by field.
    """
    others = {field.name for field in thing._meta.fields} - set(names)
    try:
        thing.clean_fields(exclude=others)
    except ValidationError as error:
        raise MissingInformation(fields={name: list(said) for name, said in error.message_dict.items()}) from None


def save_risk(risk: Risk, fields: Collection[str], actor: Actor, reason: str, **facts: Any) -> None:
    """Save some fields of a locked risk as its next version; the trail says who, why, and further facts."""
    risk.version += 1
    with said_by(actor, kept(reason), **facts):
        risk.save(update_fields=[*fields, "version"])


def entry(risk: Risk, actor: Actor, action: str, rationale: str, **payload: Any) -> Entry:
    """What stands in the decision log about a risk."""
    return Entry(
        scope=LOG,
        actor=actor,
        action=action,
        subject=f"risk:{risk.pk}",
        rationale=rationale,
        evidence_url=f"/admin/register/risk/{risk.pk}/change/",
        payload={"reference": risk.reference, "version": risk.version, **payload},
    )
