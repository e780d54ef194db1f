"""Encrypt every secret in the database with the newest key."""

from __future__ import annotations

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import Model

from apps.core.fields import EncryptedTextField


def encrypted_fields() -> dict[type[Model], list[str]]:
    """Every model with encrypted fields, and the fields' names."""
    found = {
        model: [field.name for field in model._meta.concrete_fields if isinstance(field, EncryptedTextField)]
        for model in apps.get_models()
    }
    return {model: names for model, names in found.items() if names}


def rotate(model: type[Model], names: list[str]) -> int:
    """Write a model's secrets again. Returns how many rows it has.

    Row by row and under its lock, so that a secret that is edited meanwhile is not put back. ``update`` keeps it out of
    the audit trail: nothing changed that a person could see.

    Raises:
        ValidationError: if a value can be read with none of the keys.
    """
    count = 0
    for pk in model._base_manager.order_by("pk").values_list("pk", flat=True).iterator():
        with transaction.atomic():
            row = model._base_manager.select_for_update().only("pk", *names).filter(pk=pk).first()
            if row is not None:
                model._base_manager.filter(pk=pk).update(**{name: getattr(row, name) for name in names})
                count += 1
    return count


class Command(BaseCommand):
    help = (
        "Encrypt every secret kept in the database with the first of FIELD_KEYS. Afterwards the other keys can be "
        "removed. May be run while the site works, and again."
    )

    def handle(self, **options: object) -> None:
        for model, names in encrypted_fields().items():
            label = f"{model._meta.label}: {', '.join(names)}"
            try:
                count = rotate(model, names)
            except ValidationError as error:
                raise CommandError(f"{label}: {' '.join(error.messages)} Nothing was lost; put its key back.") from None
            self.stdout.write(f"{label}: {count:,} rows")
