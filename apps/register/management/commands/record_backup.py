"""Record that a backup was taken."""

from __future__ import annotations

import hashlib
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.register.reported import report

MAGIC = b"PGDMP"
"""What archives of ``pg_dump --format=custom`` begin with."""
SMALLEST = 10_000
"""Bytes; a dump of the empty product is larger."""


class Command(BaseCommand):
    help = (
        "Record a backup in the decision log, where the check backup-age reads it. FILE is an archive made by "
        "pg_dump --format=custom; its time is when it was last written. The file itself is not changed or moved."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the archive")
        parser.add_argument("--kept-at", default="", metavar="PLACE", help="where it is kept, such as a bucket's name")

    def handle(self, *args: Any, file: Path, kept_at: str, **options: Any) -> None:
        now = timezone.now()
        size, digest = _read(file)
        taken = min(datetime.fromtimestamp(file.stat().st_mtime, UTC), now)
        facts = {"bytes": size, "sha256": digest, "file": file.name, "kept_at": kept_at}
        found = report("backup", happened_at=taken, facts=facts, now=now)
        self.stdout.write(
            f"Recorded as decision {found.seq}: {size:,} bytes of {taken:%Y-%m-%d %H:%M} UTC, {digest[:12]}…."
        )


def _read(file: Path) -> tuple[int, str]:
    """Size and SHA-256 of an archive.

    Raises:
        CommandError: if it cannot be read, or is no archive of pg_dump.
    """
    try:
        with file.open("rb") as stream:
            head = stream.read(len(MAGIC))
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = file.stat().st_size
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from None
    if head != MAGIC:
        raise CommandError(f"{file} is no archive of pg_dump --format=custom.")
    if size < SMALLEST:
        raise CommandError(f"{file} has only {size} bytes; it was cut off, or the database was empty.")
    return size, digest
