"""``manage.py export_risks``: an assessment of the register as a file."""

from __future__ import annotations

from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from apps.register.models import RiskAssessment
from apps.register.papers.export import FORMATS, export, file_name


class Command(BaseCommand):
    help = "Write assessments as Markdown, CSV or XLSX, which import_risks reads back without loss, or as PDF."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("assessment", nargs="*", help="short names; all if none is given")
        parser.add_argument("--format", choices=[*FORMATS], default="md")
        parser.add_argument("--folder", type=Path, default=Path(), help="where the files go")

    def handle(self, *, assessment: list[str], folder: Path, **options: Any) -> None:
        found = RiskAssessment.objects.filter(slug__in=assessment) if assessment else RiskAssessment.objects.all()
        missing = sorted(set(assessment) - {row.slug for row in found})
        if missing:
            raise CommandError(f"There is no assessment {', '.join(missing)}.")
        for row in found.select_related("matrix__matrix", "scope", "owner").order_by("slug"):
            path = folder / file_name(row, options["format"])
            total = row.risks.count()
            with (
                path.open("wb") as out,
                tqdm(total=total, unit="risk", mininterval=0.5, file=self.stderr, leave=False) as bar,
            ):
                count = export(row, options["format"], out, progress=partial(_move, bar))
            self.stdout.write(f"{path}: {count:,} risks")


def _move(bar: Any, done: int) -> None:
    bar.update(done - bar.n)
