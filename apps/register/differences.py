"""What changed on a thing of the register since somebody looked at it, read from the audit trail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from auditlog.models import LogEntry
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models
from django.utils import timezone
from django.utils.formats import date_format

from apps.core.models import User
from apps.core.names import called
from apps.register.models import Control, Rating
from apps.register.refusals import Difference

_LONGEST = 200
DAY, MOMENT = "j M Y", "j M Y, H:i"
_HIDDEN = frozenset({"version", "severity"})


def differences_since(thing: models.Model, seen_version: int) -> list[Difference]:
    """How a thing with a ``version`` differs from that version: each field once, from then to now.

    Changes that bypass ``save()`` are not in the trail, so this may tell less than changed, never more.
    """
    found: dict[str, Difference] = {}
    entries = [entry for entry in _entries(thing) if _version(entry) > seen_version]
    for entry in entries:
        for one in _told(thing, entry):
            first = found.get(one.field)
            found[one.field] = Difference(one.field, first.before if first else one.before, one.now)
    return [one for one in found.values() if one.before != one.now]


def _entries(thing: models.Model) -> Iterable[LogEntry]:
    return LogEntry.objects.get_for_object(thing).filter(action=LogEntry.Action.UPDATE).order_by("pk")


def _version(entry: LogEntry) -> int:
    """The version that a change made; 0 if it made none."""
    made = (entry.changes or {}).get("version")
    return int(made[1]) if isinstance(made, list) and str(made[1]).isdigit() else 0


def _told(thing: models.Model, entry: LogEntry) -> Iterator[Difference]:
    for name, change in (entry.changes or {}).items():
        if name not in _HIDDEN and isinstance(change, list):
            yield Difference(label(thing, name), shown(thing, name, change[0]), shown(thing, name, change[1]))
    scored = (entry.additional_data or {}).get("rating")
    rating = Rating.objects.filter(pk=scored).first() if scored else None
    if rating is not None:
        former = Rating.objects.filter(risk=rating.risk_id, kind=rating.kind, pk__lt=rating.pk).order_by("-pk").first()
        yield Difference(f"{rating.get_kind_display()}", former.level if former else "", rating.level)


def label(thing: models.Model, name: str) -> str:
    """A field's name for people."""
    try:
        field = thing._meta.get_field(name)
    except FieldDoesNotExist:
        return name
    words = str(getattr(field, "verbose_name", name))
    return words[:1].upper() + words[1:]


def shown(thing: models.Model, name: str, value: Any) -> str:
    """A value of the trail as words: names of people instead of their ids, labels instead of codes."""
    text = "" if value in (None, "None") else str(value)
    try:
        field = thing._meta.get_field(name)
    except FieldDoesNotExist:
        return text[:_LONGEST]
    if text and isinstance(field, models.DateField):
        return _dated(field, text)
    related = field.related_model
    if related is not None and not isinstance(related, str) and text.isdigit():
        row = related._default_manager.filter(pk=text).first()
        return named(row)[:_LONGEST] if row is not None else text
    choices = dict(getattr(field, "flatchoices", ()) or ())
    return str(choices.get(text, text))[:_LONGEST]


def _dated(field: models.DateField, text: str) -> str:
    """A day or a moment of the trail as pages show it; what cannot be read stays as it is."""
    try:
        value = field.to_python(text)
    except ValidationError:
        return text[:_LONGEST]
    if isinstance(value, datetime):  # the trail keeps moments in UTC and does not say so
        aware = value if timezone.is_aware(value) else timezone.make_aware(value, UTC)
        return date_format(timezone.localtime(aware), MOMENT)
    return date_format(value, DAY)


def named(row: object) -> str:
    """How a row is called in a sentence."""
    if isinstance(row, User):
        return called(row)
    return row.title if isinstance(row, Control) else str(row)
