"""Learn from labelled questions how sure answers must be."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from apps.core.errors import DomainError
from apps.knowledge.calibration import calibrate, read_labelled
from apps.knowledge.search.embedding import EmbeddingFailed


class Command(BaseCommand):
    help = (
        "Learn from labelled questions how sure answers must be, and make that the settings in force. "
        "The file is CSV with the columns question and article (its slug; empty when no article answers it)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--max-wrong", type=float, default=0.05, help="Share of wrong answers that is borne (0.05)."
        )
        parser.add_argument("--reason", default="Calibrated from labelled questions")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 < options["max_wrong"] < 1:
            raise CommandError("--max-wrong is a share between 0 and 1, such as 0.05.")
        try:
            questions = read_labelled(options["file"])
            with tqdm(total=2 * len(questions), unit="question", disable=None) as bar:
                made = calibrate(
                    questions,
                    max_wrong=options["max_wrong"],
                    now=timezone.now(),
                    reason=options["reason"],
                    told=lambda: bar.update() and None,
                )
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options['file']} cannot be read: {error}") from None
        except EmbeddingFailed as error:
            raise CommandError(f"The embedding model failed: {error}") from None
        except DomainError as error:
            raise CommandError(f"{error.code}: {error.message} {error.fields or ''}".strip()) from None
        self.stdout.write(
            f"Settings {made.number}: answer from {made.answer_at}, offer a choice from {made.choose_at}."
        )
        for name, value in made.metrics.items():
            self.stdout.write(f"  {name}: {value}")
