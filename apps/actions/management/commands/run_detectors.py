"""Run detectors by hand."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from apps.actions.models import RuleRun
from apps.actions.rules import rules
from apps.actions.runs import run_rules
from apps.core.models import Scope


def moment(text: str) -> datetime:
    """A moment from ``2018-02-01`` or ``2018-02-01T12:00``; without a zone it is UTC.

    Raises:
        CommandError: if it is neither.
    """
    try:
        found = parse_datetime(text) if len(text) > 10 else None
        day = parse_date(text) if found is None else None
    except ValueError as error:
        raise CommandError(f"--as-of: {error}") from None
    if found is None and day is None:
        raise CommandError("--as-of must look like 2018-02-01 or 2018-02-01T12:00")
    found = found or datetime(day.year, day.month, day.day)  # type: ignore[union-attr]  # one of the two is set
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _scope(slug: str | None) -> Scope | None:
    if slug is None:
        return None
    found = Scope.objects.filter(slug=slug).first()
    if found is None:
        raise CommandError(
            f"There is no scope {slug!r}. There are: {', '.join(Scope.objects.values_list('slug', flat=True))}"
        )
    return found


class Command(BaseCommand):
    help = "Judge everything by all rules, or by those named, and reconcile their cards."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--as-of", metavar="TIME", help="judge as of this moment (UTC), such as 2018-02-01T12:00")
        parser.add_argument(
            "--scope", metavar="SLUG", help="judge only this scope; a copy of a past state as of its own moment"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would happen and write nothing")
        parser.add_argument("--rule", action="append", metavar="SLUG", help="only this rule; may be repeated")

    def handle(self, *args: Any, **options: Any) -> None:
        scope = _scope(options["scope"])
        now = moment(options["as_of"]) if options["as_of"] else (scope and scope.judged_as_of) or timezone.now()
        unknown = [slug for slug in options["rule"] or [] if slug not in rules]
        if unknown:
            raise CommandError(f"There is no rule {unknown[0]!r}. There are: {', '.join(rule.slug for rule in rules)}")
        # A run over one scope is no sign that monitoring as a whole is alive.
        trigger = RuleRun.Trigger.COMMAND if scope is None else RuleRun.Trigger.EVENT
        runs = run_rules(now=now, trigger=trigger, rules=options["rule"], scope=scope, dry_run=options["dry_run"])
        self.stdout.write(f"As of {now:%Y-%m-%d %H:%M} UTC{', nothing was written' if options['dry_run'] else ''}:")
        for run in runs:
            self.stdout.write(
                f"  {run.rule:<24} {run.hits:>7} hits {run.opened:>7} opened {run.updated:>7} updated {run.resolved:>7} resolved"
            )
            if run.status == RuleRun.Status.FAILED:
                self.stderr.write(self.style.ERROR(f"  {run.rule}: {run.error}"))
        if any(run.status == RuleRun.Status.FAILED for run in runs):
            raise CommandError("Some rules failed; the others are done.")
