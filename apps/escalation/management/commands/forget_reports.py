"""Show which reports are too old to be kept, or delete them."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.escalation import retention


class Command(BaseCommand):
    help = (
        "Say how many customers' messages are older than REPORT_RETENTION_DAYS. Writes nothing unless --delete is given; "
        "a daily task does the same."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--delete", action="store_true", help="delete them")
        parser.add_argument("--days", type=int, help="preview for another number of days")

    def handle(self, *args: Any, **options: Any) -> None:
        days = options["days"] if options["days"] is not None else settings.REPORT_RETENTION_DAYS
        if days < 1:
            raise CommandError("At least one day is kept.")
        if options["delete"] and options["days"] is not None:
            raise CommandError("What is deleted is decided by REPORT_RETENTION_DAYS; --days is for a preview.")
        run = retention.forget if options["delete"] else retention.preview
        now = timezone.now()
        found = run(now=now, days=days)
        verb = "Deleted" if options["delete"] else "Would delete"
        self.stdout.write(
            f"{verb} {found.reports} reports of before {retention.cutoff(now, days):%Y-%m-%d %H:%M} UTC ({days} days); "
            f"quotations taken out of {found.clusters} clusters and {found.proposals} proposals."
        )
