"""Check the chain of the decision log."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core import decisions


def _head(value: str) -> tuple[int, str]:
    seq, _, digest = value.partition(":")
    return int(seq), digest.lower()


class Command(BaseCommand):
    help = (
        "Read the decision log from its first entry and check every hash. Writes nothing. Ends with 1 and the number "
        "of the first bad entry if the chain is broken."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--expect", type=_head, metavar="SEQ:HASH", help="An entry noted outside this database.")

    def handle(self, *, expect: tuple[int, str] | None = None, **options: Any) -> None:
        show_progress = self.stderr.isatty()
        for state in decisions.verify(expect=expect):
            if show_progress:
                self.stderr.write(f"\r{state.checked:,} entries", ending="")
        if show_progress:
            self.stderr.write("")
        if not state.whole:
            raise CommandError(f"Entry {state.broken_at} is bad: {state.reason}.", returncode=1)
        self.stdout.write(f"{state.checked:,} entries, the chain is whole. Head {state.head[0]}:{state.head[1]}")
