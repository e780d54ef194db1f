"""``manage.py import_orders``: orders from files."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.text import slugify
from tqdm import tqdm

from apps.core.models import Scope
from apps.orders.intake.files import Outcome, Refused, import_files, paths_of
from apps.orders.intake.mapping import Mapping, UnknownMapping, load, names
from apps.orders.intake.staging import refresh_statistics
from apps.orders.judge import judge_import
from apps.orders.models import Store


class Command(BaseCommand):
    help = "Import orders from CSV or JSON files by a declared mapping. Repeating an import changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path, help="a file or a folder, as the mapping says")
        parser.add_argument("--mapping", required=True, help=f"one of {', '.join(names())}, or a TOML file")
        parser.add_argument("--store", default="", help="name of the store; made if there is none of files so called")
        parser.add_argument("--as-of", type=_moment, help="leave out everything later, such as 2018-02-01")
        parser.add_argument("--on-error", choices=["skip", "refuse"], default="skip", help="what to do with bad lines")

    def handle(self, *, path: Path, **options: Any) -> None:
        begun = timezone.now()
        try:
            mapping = load(options["mapping"])
            files = paths_of(mapping, path)
            store = _store(options["store"] or mapping.store, mapping)
            total = sum(one.stat().st_size for _, one in files)
            with tqdm(total=total, unit="B", unit_scale=True, mininterval=0.5, file=self.stderr) as bar:
                outcome = import_files(
                    store=store, name=options["mapping"], mapping=mapping, path=path, now=begun, as_of=options["as_of"],
                    refuse=options["on_error"] == "refuse", report=lambda words, size: _tell(bar, words, size),
                )  # fmt: skip
        except (UnknownMapping, Refused) as error:
            raise CommandError(str(error)) from error
        seconds = (timezone.now() - begun).total_seconds()
        refresh_statistics()
        self._say(outcome, store, seconds)
        self._judge(store, options["as_of"], begun)

    def _say(self, outcome: Outcome, store: Store, seconds: float) -> None:
        for problem in outcome.problems:
            self.stdout.write(f"  {problem}")
        if outcome.refused > len(outcome.problems):
            self.stdout.write(f"  and {outcome.refused - len(outcome.problems)} more")
        self.stdout.write(
            f"{store.name}: {outcome.read:,} lines read, {outcome.refused:,} refused, {outcome.later:,} later than asked; "
            f"{outcome.orders:,} orders in {seconds:.1f} s ({outcome.orders / max(seconds, 0.001):,.0f} a second). "
            f"Rows new or changed: {outcome.written:,}, unchanged: {outcome.unchanged:,}."
        )

    def _judge(self, store: Store, as_of: datetime | None, begun: datetime) -> None:
        runs = judge_import(store=store, as_of=as_of, now=begun)
        opened, updated, resolved = (
            sum(getattr(run, name) for run in runs) for name in ("opened", "updated", "resolved")
        )
        moment = f"as of {as_of:%Y-%m-%d %H:%M}" if as_of else "as of now"
        self.stdout.write(f"Judged {moment}: {opened:,} cards opened, {updated:,} updated, {resolved:,} resolved.")
        for run in runs:
            if run.error:
                self.stderr.write(self.style.ERROR(f"  {run.rule}: {run.error}"))


def _tell(bar: tqdm, words: str, size: int) -> None:
    if words:
        bar.set_description_str(words)
    bar.update(size)


def _moment(value: str) -> datetime:
    read = datetime.fromisoformat(value)
    return timezone.make_aware(read) if timezone.is_naive(read) else read


def _store(name: str, mapping: Mapping) -> Store:
    """The store of files with this name.

    Raises:
        Refused: if another store has the name's address already, such as one that sends webhooks.
    """
    slug = slugify(name)[:50] or "files"
    domain = f"{slug}.files.invalid"
    found = Store.objects.filter(platform=Store.Platform.FILE, name=name).first()
    if found:
        return found
    if Store.objects.filter(domain=domain).exists():
        raise Refused(f"Another store is called much like {name!r} already; give another name.")
    scope, _ = Scope.objects.get_or_create(slug=slug, defaults={"name": name})
    return Store.objects.create(
        scope=scope, platform=Store.Platform.FILE, domain=domain, name=name, currency=mapping.currency,
        time_zone=mapping.time_zone,
    )  # fmt: skip
