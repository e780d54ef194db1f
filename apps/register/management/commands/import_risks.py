"""``manage.py import_risks``: risk documents into the register."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from apps.core.decisions import system
from apps.core.errors import DomainError
from apps.core.models import User
from apps.register.models import RiskImport
from apps.register.papers.foreign import MappingNeeded
from apps.register.papers.guards import MAX_BYTES
from apps.register.papers.importing import apply, preview
from apps.register.rights import Actor

_SHOWN = 50


class Command(BaseCommand):
    help = "Import risk documents (Markdown, CSV, XLSX) into the register. Repeating an import changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="+", type=Path)
        parser.add_argument("--assessment", default="", help="its short name, if not the one of the document or file")
        parser.add_argument("--mapping", type=Path, help="a JSON file with columns and scales, for foreign tables")
        parser.add_argument("--as", dest="user", default="", help="user name of who imports; the system if not given")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")

    def handle(self, *, file: list[Path], **options: Any) -> None:
        actor = self._actor(options["user"])
        mapping = json.loads(options["mapping"].read_text()) if options["mapping"] else None
        failed = 0
        for path in file:
            try:
                self._one(path, actor, mapping, options)
            except MappingNeeded as needed:
                failed += 1
                guess = json.dumps(needed.suggestion.mapping.as_json(), ensure_ascii=False, indent=1)
                words = "needs a mapping. This is what its words suggest; correct it and give it with --mapping:"
                self.stderr.write(f"{path.name} {words}\n{guess}")
            except (DomainError, OSError) as error:
                failed += 1
                self.stderr.write(self.style.ERROR(f"{path.name}: {error}"))
        if failed:
            raise CommandError(f"{failed} of {len(file)} files could not be imported; of these nothing was written.")

    def _actor(self, name: str) -> Actor:
        if not name:
            return system("import_risks")
        user = User.objects.filter(username=name, is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user {name!r}.")
        return user

    def _one(self, path: Path, actor: Actor, mapping: dict[str, Any] | None, options: dict[str, Any]) -> None:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise OSError(f"{size / 2**20:,.0f} MB; at most {MAX_BYTES // 2**20} MB are read.")
        row = preview(
            name=path.name, data=path.read_bytes(), actor=actor, now=timezone.now(), mapping=mapping,
            slug=options["assessment"],
        )  # fmt: skip
        self._tell(row)
        if options["dry_run"]:
            row.delete()
            self.stdout.write("  Nothing was written.")
            return
        with tqdm(unit="risk", mininterval=0.5, file=self.stderr, leave=False) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            apply(
                import_id=row.pk, seen=row.register_version, actor=actor, now=timezone.now(),
                progress=progress,
            )  # fmt: skip
        self.stdout.write(f"  Applied as import {row.pk}.")

    def _tell(self, row: RiskImport) -> None:
        counts = ", ".join(f"{count:,} {label}" for label, count in row.plan["counts"].items())
        self.stdout.write(f"{row.file_name} ({row.shape}): {row.document['title']}: {counts}")
        for item in row.not_understood[:_SHOWN]:
            why = f" ({item['why']})" if item["why"] else ""
            self.stdout.write(f"  line {item['line']} is not understood{why}: {item['text']}")
        if len(row.not_understood) > _SHOWN:
            self.stdout.write(f"  and {len(row.not_understood) - _SHOWN:,} more lines")
