"""Second factor: nobody signs in by a password alone."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.apps import apps
from django.db.models import Model, Q

from apps.core.models import User
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site


@check(
    slug="second-factor",
    title="Staff sign in with a second factor",
    every=timedelta(days=1),
    mitigation="Add a second factor to the sign-in, or put the site behind a sign-on that asks for one.",
)
def look(*, now: datetime, settings: CheckSettings, site: Site) -> Finding:
    """Counts active people who may enter the desk with a password, and who of them confirmed a device of a second factor."""
    people = User.objects.filter(is_active=True).exclude(Q(password="") | Q(password__startswith="!"))  # noqa: S106 - unusable ones
    staff = set(people.filter(is_staff=True).values_list("pk", flat=True))
    administrators = set(people.filter(is_superuser=True).values_list("pk", flat=True))
    devices = _device_models()
    protected: set[int] = set()
    for model in devices:
        protected |= set(model._default_manager.filter(confirmed=True).values_list("user_id", flat=True))
    bare = (staff | administrators) - protected
    failures = []
    if bare:
        offered = "" if devices else " No second factor is offered."
        failures.append(
            f"Of those who may enter the desk, {len(bare)} of {len(staff | administrators)} sign in by a password alone; "
            f"{len(administrators & bare)} as administrator.{offered}"
        )
    return concluded(
        f"Everybody who may enter the desk has a second factor; {len(staff | administrators)} in all.",
        failures=failures,
        facts={
            "staff": len(staff | administrators),
            "without": len(bare),
            "kinds": [one._meta.label for one in devices],
        },
        query="active people with a password, and confirmed devices",
    )


def _device_models() -> list[type[Model]]:
    """Models of devices, as the libraries for second factors declare them: of a user, and confirmed."""
    found = []
    for model in apps.get_models():
        names = {field.name for field in model._meta.get_fields()}
        if {"user", "confirmed"} <= names and not model.__module__.startswith("apps."):
            found.append(model)
    return found
