"""Print every rule with its thresholds in force."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.actions.models import RuleVersion
from apps.actions.rules import Rule, rules
from apps.actions.versions import parsed_settings
from apps.core.rules import Registry, described


class Command(BaseCommand):
    help = "List all rules: slug, title, what starts them, and their thresholds in force. Writes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", nargs="*", help="only these rules")
        parser.add_argument("--brief", action="store_true", help="one line for each rule, without thresholds")

    def handle(self, *args: Any, **options: Any) -> None:
        known = [rule.slug for registry in (rules, *described.values()) for rule in registry]
        unknown = [slug for slug in options["slug"] if slug not in known]
        if unknown:
            raise CommandError(f"There is no rule {unknown[0]!r}. There are: {', '.join(known)}")
        newest = RuleVersion.objects.order_by("rule", "-number").distinct("rule")
        versions = {version.rule: version for version in newest}
        for rule in rules:
            if not options["slug"] or rule.slug in options["slug"]:
                self._show(rule, versions.get(rule.slug), brief=options["brief"])
        for registry in described.values():
            self._describe(registry, options["slug"], brief=options["brief"])

    def _describe(self, registry: Registry[Any], slugs: list[str], *, brief: bool) -> None:
        """Rules of another kind, such as evaluators of subscriptions."""
        for rule in registry:
            if slugs and rule.slug not in slugs:
                continue
            self.stdout.write(f"{rule.slug:<24} {rule.title} ({registry.kind})")
            for line in [] if brief or registry.describe is None else registry.describe(rule):
                self.stdout.write(f"    {line}")

    def _show(self, rule: Rule, version: RuleVersion | None, *, brief: bool) -> None:
        state = "" if version is None or version.enabled else " (off)"
        self.stdout.write(f"{rule.slug:<24} {rule.title}{state}")
        if brief:
            return
        number = f"version {version.number}" if version else "defaults"
        self.stdout.write(f"    runs: {occasions(rule)}")
        self.stdout.write(f"    thresholds ({number}):")
        settings = parsed_settings(rule, version) if version else rule.settings()
        for name, field in rule.settings.model_fields.items():
            value = getattr(settings, name)
            self.stdout.write(f"      {name:<22} {value!s:<10} {field.description}")


def occasions(rule: Rule) -> str:
    """What starts a rule, in words."""
    if rule.watch:
        return "by the watch over monitoring"
    regular = "once a day" if rule.once_a_day else "every sweep"
    if rule.once_a_day or not rule.events:
        return regular
    return f"{regular}; after {', '.join(sorted(rule.events))}"
