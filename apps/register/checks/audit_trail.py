"""The audit trail: what people edit leaves a trace that nobody can edit."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

from auditlog.models import LogEntry
from auditlog.registry import auditlog
from django.contrib import admin
from django.db import DatabaseError, transaction

from apps.core.admin import ReadOnlyAdmin
from apps.core.models import Scope
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site


@check(
    slug="audit-trail",
    title="What people edit leaves a trail that cannot be edited",
    every=timedelta(hours=6),
    mitigation="Register the model with apps.core.audit.audit, and see that the trail's triggers are on.",
)
def look(*, now: datetime, settings: CheckSettings, site: Site) -> Finding:
    """Changes a row and reads its trace, tries to change the trace, and looks for editable models without a trail."""
    silent = _editable_without_trail()
    failures = [f"Edited without a trail: {', '.join(silent)}."] if silent else []
    traced = _traces_of_a_change()
    if not traced:
        failures.append("A change left no trace.")
    elif _can_be_changed(traced[-1]):
        failures.append("An entry of the trail could be changed.")
    day = LogEntry.objects.filter(timestamp__gte=now - timedelta(days=1), timestamp__lte=now).count()
    audited = len(auditlog.get_models())
    return concluded(
        f"{audited} models leave a trail, which cannot be changed; {day} entries in a day.",
        failures=failures,
        facts={"models": audited, "entriesInADay": day, "withoutTrail": silent},
        query="a change of a row of its own, and its trace",
    )


def _editable_without_trail() -> list[str]:
    """Models of the product whose admin pages edit rows themselves, and that are not audited."""
    found = []
    for model, page in admin.site._registry.items():
        if isinstance(page, ReadOnlyAdmin) or not model.__module__.startswith("apps."):
            continue
        if not auditlog.contains(model):
            found.append(model._meta.label)
    return sorted(found)


def _traces_of_a_change() -> list[LogEntry]:
    """Traces of a row that is made and renamed; both are taken back with all else that the check writes."""
    scope = Scope.objects.create(slug=f"check-{uuid4().hex[:12]}", name="Before")
    scope.name = "After"
    scope.save()
    entries = list(LogEntry.objects.get_for_object(scope).order_by("id"))
    renamed = [entry for entry in entries if (entry.changes or {}).get("name") == ["Before", "After"]]
    return entries if renamed else []


def _can_be_changed(entry: LogEntry) -> bool:
    try:
        with transaction.atomic():
            return LogEntry.objects.filter(pk=entry.pk).update(object_repr="tampered") > 0
    except DatabaseError:
        return False
