"""Show which of the chat's data are past their window, or clear and delete them."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from apps.chat import retention


class Command(BaseCommand):
    help = (
        "Say how many transcripts, files, people, sessions and proofs are past the windows of the retention policy in "
        "force. Writes nothing unless --delete is given; a daily task does the same."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--delete", action="store_true", help="clear and delete them")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        run = retention.forget if options["delete"] else retention.preview
        found = run(now=now)
        verb = "Forgotten" if options["delete"] else "Would be forgotten"
        self.stdout.write(f"{verb}: " + ", ".join(f"{count} {name}" for name, count in asdict(found).items()) + ".")
