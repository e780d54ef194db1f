"""Add the delivered phrases that are missing."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from apps.escalation import phrases


class Command(BaseCommand):
    help = "Add the phrases that come with the product and are not there yet. Changes none that is there."

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        added = phrases.load(phrases.delivered())
        self.stdout.write(f"{added} phrases added.")
