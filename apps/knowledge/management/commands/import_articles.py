"""``manage.py import_articles``: articles from files, as drafts."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.core.errors import DomainError
from apps.core.models import User
from apps.knowledge.exchange import read_papers
from apps.knowledge.taking_in import take_in


class Command(BaseCommand):
    help = (
        "Take articles in from a folder of Markdown files with front matter, or from one .md, .csv or .json file. They come in "
        "as drafts; articles with the same address get a draft with the change. The same files again change nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument("--actor", required=True, help="Username of whoever imports: the author of the drafts.")
        parser.add_argument("--make-categories", action="store_true", help="Make categories that are not there.")
        parser.add_argument("--submit", action="store_true", help="Ask for a review of each draft.")
        parser.add_argument("--dry-run", action="store_true", help="Only read and judge the files.")

    def handle(self, *, path: Path, actor: str, make_categories: bool, submit: bool, dry_run: bool, **_: Any) -> None:
        user = User.objects.filter(username=actor, is_active=True).first()
        if user is None:
            raise CommandError(f"unknown_actor: There is nobody called {actor!r}.")
        try:
            found = read_papers(path)
            if dry_run:
                self.stdout.write(f"{len(found)} articles can be read; nothing was written.")
                return
            taken = take_in(found, actor=user, now=timezone.now(), make_categories=make_categories, submit=submit)
        except DomainError as error:
            lines = [f"  {place}: {words}" for place, problems in error.fields.items() for words in problems]
            raise CommandError("\n".join([f"{error.code}: {error.message}", *lines[:50]])) from None
        self.stdout.write(
            f"{len(taken.created)} created, {len(taken.changed)} changed, {len(taken.unchanged)} unchanged, "
            f"{len(taken.duplicates)} duplicates, {len(taken.in_the_way)} left as they are."
        )
        for words in [*taken.duplicates, *taken.in_the_way]:
            self.stdout.write(f"  {words}")
