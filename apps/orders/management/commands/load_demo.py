"""``manage.py load_demo``: something to look at."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from apps.actions.models import ActionCard
from apps.orders.demo.load import expected_orders, load
from apps.orders.demo.people import logins


class Command(BaseCommand):
    help = "Load demo people, stores and orders, and fill the queue. A second run changes nothing. Not in production."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--show-logins", action="store_true", help="only print who can log in")

    def handle(self, *, show_logins: bool, **_: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("Demo people have a known password; they are not made in production.")
        if show_logins:
            self.stdout.write(logins())
            return
        with tqdm(total=expected_orders(), unit=" orders", mininterval=0.5, file=self.stderr) as bar:
            now = timezone.now()
            loaded = load(now=now, report=lambda words, count: _tell(bar, words, count))
            for part in _parts_of_other_apps():
                loaded |= part(now=now, report=lambda words, count: _tell(bar, words, count))
        cards = ActionCard.objects.filter(status="open").count()
        self.stdout.write(f"The demo is loaded; {cards} cards wait." if loaded else "The demo was loaded before.")


def _parts_of_other_apps() -> Iterator[Callable[..., bool]]:
    """``load`` of each other app's ``demo.load``; apps on one line do not import each other, so they are found by name."""
    for config in apps.get_app_configs():
        name = f"{config.name}.demo"
        if config.label != "orders" and config.name.startswith("apps.") and find_spec(name) is not None:
            yield import_module(f"{name}.load").load


def _tell(bar: tqdm, words: str, count: int) -> None:
    if words:
        bar.set_description_str(words)
    bar.update(count)
