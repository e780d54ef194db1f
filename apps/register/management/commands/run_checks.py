"""Run checks now."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.register.checking import checks
from apps.register.models import CheckResult
from apps.register.runs import due_checks, run_checks


class Command(BaseCommand):
    help = "Look at the system by all checks, or by those named, and keep what they find. Ends with 1 if one fails."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", nargs="*", help="only these checks")
        parser.add_argument("--due", action="store_true", help="only those whose turn it is")

    def handle(self, *args: Any, **options: Any) -> None:
        unknown = [slug for slug in options["slug"] if slug not in checks]
        if unknown:
            known = ", ".join(one.slug for one in checks)
            raise CommandError(f"There is no check {unknown[0]!r}. There are: {known}")
        now = timezone.now()
        chosen = options["slug"] or (due_checks(now) if options["due"] else None)
        results = run_checks(now=now, slugs=chosen)
        for result in results:
            line = f"{result.outcome:<5} {result.check_slug:<24} {result.seconds:6.2f} s  {result.summary}"
            self.stdout.write(self._style(result.outcome)(line))
        bad = [one for one in results if one.outcome in {CheckResult.Outcome.FAIL, CheckResult.Outcome.ERROR}]
        if bad:
            raise CommandError(f"{len(bad)} of {len(results)} checks do not pass.")

    def _style(self, outcome: str) -> Any:
        styles = {"pass": self.style.SUCCESS, "warn": self.style.WARNING}
        return styles.get(outcome, self.style.ERROR)
