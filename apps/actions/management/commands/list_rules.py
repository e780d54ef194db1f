"""Print every rule."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from apps.actions.models import RuleVersion
from apps.actions.rules import Rule, rules


class Command(BaseCommand):
    help = "List all detectors: what they look for, when they are judged, and their thresholds in force."

    def handle(self, *args: Any, **options: Any) -> None:
        newest = {version.rule: version for version in RuleVersion.objects.order_by("number")}
        for rule in rules:
            version = newest.get(rule.slug)
            state = "" if version is None or version.enabled else " (switched off)"
            number = f"v{version.number}" if version else "defaults"
            self.stdout.write(f"{rule.slug}: {rule.title}{state}")
            self.stdout.write(f"    {' '.join(rule.description.split())}")
            self.stdout.write(f"    judged {_when(rule)}; opens {rule.kind}")
            values = version.settings if version else rule.settings().model_dump(mode="json")
            shown = ", ".join(f"{name}={value}" for name, value in values.items())
            self.stdout.write(f"    {number}: {shown}")


def _when(rule: Rule) -> str:
    often = "once a day" if rule.once_a_day else "every 5 minutes" if rule.watch else "every 15 minutes"
    return f"{often} and after {', '.join(sorted(rule.events))}" if rule.events else often
