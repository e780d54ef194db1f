"""Calculate risk scores by hand."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from apps.subscriptions.models import RecalculationRun, Subscription
from apps.subscriptions.recalculation import AlreadyRunning, request_run, work
from apps.subscriptions.scores import Batch, recalculate


def subscription_id(text: str) -> UUID:
    """An id from the command line."""
    try:
        return UUID(text)
    except ValueError as error:
        raise CommandError(f"{text!r} is not the id of a subscription.") from error


class Command(BaseCommand):
    help = (
        "Calculate the risk scores of some subscriptions, or with --all of all active ones. A recalculation of all that "
        "was cut off goes on where it was."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", nargs="*", help="subscriptions, by their ids, whatever their status")
        parser.add_argument("--all", action="store_true", help="all active subscriptions")
        parser.add_argument("--batch-size", type=int, help="subscriptions in one transaction (RISK_BATCH_SIZE)")
        parser.add_argument("--no-progress", action="store_true", help="without a progress bar")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["all"] == bool(options["id"]):
            raise CommandError("Name subscriptions, or give --all.")
        size = options["batch_size"] if options["batch_size"] is not None else settings.RISK_BATCH_SIZE
        if size < 1:
            raise CommandError("A batch has at least one subscription.")
        if options["all"]:
            self._all(size, quiet=options["no_progress"])
        else:
            self._some([subscription_id(text) for text in options["id"]], size, quiet=options["no_progress"])

    def _all(self, size: int, *, quiet: bool) -> None:
        asked = request_run(trigger=RecalculationRun.Trigger.COMMAND, now=timezone.now(), batch_size=size)
        with tqdm(unit=" subscriptions", file=sys.stderr, disable=quiet) as bar:

            def show(run: RecalculationRun) -> None:
                bar.total = run.total
                bar.update(run.succeeded + run.failed - bar.n)

            try:
                run = work(asked, on_batch=show)
            except AlreadyRunning as error:
                raise CommandError(error.message) from error
        if run.status != RecalculationRun.Status.FINISHED:
            raise CommandError(f"The recalculation ended as {run.status}: {run.error}")
        self.stdout.write(
            f"{run.succeeded:,} calculated, {run.failed:,} failed, {run.degraded:,} degraded, "
            f"{run.changed:,} changed level, {run.seconds:.1f} s"
        )

    def _some(self, ids: list[UUID], size: int, *, quiet: bool) -> None:
        known = set(Subscription.objects.filter(pk__in=ids).values_list("pk", flat=True))
        missing = [str(one) for one in ids if one not in known]
        if missing:
            raise CommandError(f"There is no subscription {missing[0]}.")
        done, now = Batch(), timezone.now()
        with tqdm(total=len(ids), unit=" subscriptions", file=sys.stderr, disable=quiet) as bar:
            for start in range(0, len(ids), size):
                chunk = ids[start : start + size]
                done.add(recalculate(chunk, now=now, occasion="request"))
                bar.update(len(chunk))
        self.stdout.write(
            f"{done.succeeded:,} calculated, {done.failed:,} failed, {done.degraded:,} degraded, "
            f"{done.changed:,} changed level"
        )
