"""Make the search index anew."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from apps.knowledge.models import IndexBuild
from apps.knowledge.rebuilding import BuildRunning, begin_change, begin_rebuild, proceed


class Command(BaseCommand):
    help = (
        "Make all passages of the search index anew, or go on with a rebuild that was interrupted; questions go on being "
        "answered meanwhile. With --model, change to the embedding model that the settings name, instead of waiting for the "
        "worker to do it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--model", action="store_true", help="Make the vectors of a new embedding model, and use it."
        )
        parser.add_argument("--background", action="store_true", help="Leave the work to the worker.")

    def handle(self, *args: Any, **options: Any) -> None:
        build = begin_change(timezone.now()) if options["model"] else begin_rebuild(timezone.now())
        if build is None:
            self.stdout.write("The embedding model that the settings name is the one that answers.")
            return
        if options["background"]:
            self.stdout.write(f"{build}. The worker goes on with it within five minutes.")
            return
        try:
            with tqdm(total=build.total, initial=build.done, disable=None) as bar:
                proceed(build, told=_shown(bar))
        except BuildRunning:
            build.refresh_from_db()
            raise CommandError(f"Another process is at it. {build}.") from None
        if build.state != IndexBuild.State.DONE:
            raise CommandError(f"It is not done, and goes on where it is. {build}. {build.last_error}")
        self.stdout.write(f"{build}. {build.skipped} skipped. {build.last_error}".strip())


def _shown(bar: tqdm[Any]) -> Callable[[IndexBuild], None]:
    def show(build: IndexBuild) -> None:
        bar.total = build.total
        bar.update(build.done - bar.n)

    return show
