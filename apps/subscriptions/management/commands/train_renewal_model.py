"""``manage.py train_renewal_model``: learn the chance that a renewal fails."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.core.decisions import system
from apps.subscriptions.prediction.learn import TooLittleData
from apps.subscriptions.prediction.train import MOST, train


class Command(BaseCommand):
    help = (
        "Train a model of the chance that a renewal fails on the attempts in the database, and keep it as a new version. "
        "Without --activate or --keep it is used if it beats the plain rule on the latest renewals. Keeps nothing if there is "
        "too little history."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--threshold", type=float, default=0.5, help="chance from which people are alerted (0.5)")
        parser.add_argument("--most", type=int, default=MOST, help=f"renewals to learn from at most ({MOST})")
        group = parser.add_mutually_exclusive_group()
        group.add_argument("--activate", action="store_true", default=None, help="use it in any case")
        group.add_argument("--keep", action="store_false", dest="activate", help="go on using the version in use")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 < options["threshold"] < 1:
            raise CommandError("The threshold lies between 0 and 1.")
        try:
            trained = train(
                now=timezone.now(), actor=system("train-renewal-model"), threshold=options["threshold"],
                activate=options["activate"], most=options["most"],
            )  # fmt: skip
        except TooLittleData as error:
            raise CommandError(error.message) from None
        version, metrics = trained.version, trained.version.metrics
        self.stdout.write(f"{version}: {version.rows} renewals, observed until {version.observed_until:%Y-%m-%d}")
        for name, title in (("model", "Model"), ("rules", "Plain rule")):
            found = metrics[name]
            self.stdout.write(
                f"{title:>11}  ROC AUC {found['roc_auc']:.3f}  calibration error {found['calibration_error']:.3f}  "
                f"Brier {found['brier']:.3f}"
            )
        self.stdout.write(f"It is {'in use' if trained.activated else 'not in use'}: {trained.why}.")
