"""Synchronise the groups with the table of roles."""

from __future__ import annotations

from django.core.management.base import BaseCommand

from apps.core.roles import sync_roles


class Command(BaseCommand):
    help = "Give each role's group exactly the permissions of apps.core.roles."

    def handle(self, **options: object) -> None:
        for role, count in sync_roles().items():
            self.stdout.write(f"{role:<18} {count:>4} permissions")
