"""Record an audit of the dependencies."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.register.checks.dependency_audit import lock_digest
from apps.register.reported import report


class Command(BaseCommand):
    help = (
        "Record what pip-audit found in the decision log, where the check dependency-audit reads it. FILE is made by "
        "pip-audit --require-hashes --disable-pip -r requirements.txt --format=json --output=FILE."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the output of pip-audit as JSON")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        now = timezone.now()
        try:
            packages = json.loads(file.read_text())["dependencies"]
            skipped = [one["name"] for one in packages if "skip_reason" in one]
            known = sorted({f"{one['name']} {flaw['id']}" for one in packages for flaw in one.get("vulns", [])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{file} is no output of pip-audit as JSON: {type(error).__name__}") from None
        if not packages:
            raise CommandError(f"{file} names no package.")
        made = min(datetime.fromtimestamp(file.stat().st_mtime, UTC), now)
        facts = {"packages": len(packages), "vulnerabilities": known, "skipped": skipped, "lock_sha256": lock_digest()}
        found = report("dependency_audit", happened_at=made, facts=facts, now=now)
        self.stdout.write(f"Recorded as decision {found.seq}: {len(packages)} packages, {len(known)} vulnerabilities.")
