"""How well the pipeline of the renewal prediction tells real payers from real defaulters.

    python -m benchmarks.renewal_prediction FILE.csv [--judge OTHER.csv]

The file is the "default of credit card clients" table (I.-C. Yeh and C.-H. Lien, Expert Systems with Applications 36, 2009;
UCI Machine Learning Repository): six monthly statements of each client and whether the next payment failed. Each statement
is a renewal: months late are failures, the statement's balance is the amount. Sex, education, marriage and age are not
read. The table has no dates, so the order of its rows stands for time: fit on the first 60 %, calibrate on the next 20 %,
judge by the last 20 %. With --judge everything of the first file is used to fit and calibrate, and the other one judges.
Neither reads nor writes a database.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import time
from itertools import pairwise
from pathlib import Path

import django
import numpy as np

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from apps.subscriptions.prediction import learn  # noqa: E402
from apps.subscriptions.prediction.features import FEATURES, Renewal, values  # noqa: E402

LABEL = "default.payment.next.month"
LATE = ("PAY_6", "PAY_5", "PAY_4", "PAY_3", "PAY_2", "PAY_0")  # oldest first
MONTHS = ("6", "5", "4", "3", "2", "1")
READ = {*LATE, *(f"BILL_AMT{m}" for m in MONTHS), *(f"PAY_AMT{m}" for m in MONTHS), "LIMIT_BAL", LABEL}
ACCOUNT = ("used_share", "used_share_mean", "paid_share", "paid_share_mean", "limit")
"""What a shop does not know of its payers but this table does; shown apart."""


def renewals(row: dict[str, float]) -> list[Renewal]:
    """The six statements as renewals. A month late or more is a failure; each month late was another reminder."""
    return [
        Renewal(
            row[late] >= 1, 1 + max(0, int(row[late])), max(0.0, row[late]), False, max(0.0, row[f"BILL_AMT{month}"])
        )
        for late, month in zip(LATE, MONTHS, strict=True)
    ]


def account(row: dict[str, float]) -> list[float]:
    """How much of the limit is used and how much of each statement was paid."""
    used = [row[f"BILL_AMT{m}"] / max(1.0, row["LIMIT_BAL"]) for m in MONTHS]
    # A payment pays the statement of the month before.
    paid = [
        min(2.0, row[f"PAY_AMT{m}"] / row[f"BILL_AMT{before}"]) if row[f"BILL_AMT{before}"] > 0 else 1.0
        for before, m in pairwise(MONTHS)
    ]
    return [used[-1], sum(used) / len(used), paid[-1], sum(paid) / len(paid), math.log(max(1.0, row["LIMIT_BAL"]))]


def read(path: Path, *, start: float = 0, with_account: bool) -> learn.Data:
    """The table as observations in the order of its rows."""
    rows, failed = [], []
    with path.open(newline="", encoding="utf-8-sig") as file:
        for line in csv.DictReader(file):
            row = {name: float(line[name]) for name in READ}
            found = values(renewals(row), amount=max(1.0, row["BILL_AMT1"]), interval_days=30)
            rows.append(found + (account(row) if with_account else []))
            failed.append(row[LABEL] == 1)
    at = start + np.arange(len(rows), dtype=float)
    names = (*FEATURES, *(ACCOUNT if with_account else ()))
    return learn.Data(np.array(rows, dtype=float), np.array(failed, dtype=bool), at, names, 0)


def learned(path: Path, judge: Path | None, *, with_account: bool) -> dict[str, object]:
    """The pipeline's own figures, of the last part or of the other file."""
    data = read(path, with_account=with_account)
    if judge is None:
        return learn.learn(data, threshold=0.5).metrics
    model = learn.learn(data, threshold=0.5).model
    other = read(judge, with_account=with_account)
    chance, _ = model.predict(other.rows)
    return {
        "model": learn.figures(chance, other.failed),
        "rules": learn.figures(learn.rule_chance(data, other.rows), other.failed),
        "rows": {"judge": len(other.failed)},
        "alerts": learn._alerts(chance, other.failed, 0.5),
        "failed_share": float(other.failed.mean()),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("file", type=Path)
    parser.add_argument("--judge", type=Path, help="another file of the same columns to judge by")
    options = parser.parse_args()
    print(f"{'':34}{'ROC AUC':>9}{'cal. error':>12}{'Brier':>8}")
    for title, with_account in (("payment history", False), ("with the account's use", True)):
        began = time.perf_counter()
        metrics = learned(options.file, options.judge, with_account=with_account)
        seconds = time.perf_counter() - began
        for name in ("rules", "model") if not with_account else ("model",):
            row = metrics[name]
            words = "plain rule" if name == "rules" else f"model, {title}"
            print(f"{words:34}{row['roc_auc']:>9.3f}{row['calibration_error']:>12.3f}{row['brier']:>8.3f}")  # type: ignore[index]
        print(f"  {metrics['rows']}, failed {metrics['failed_share']:.3f}, alerts {metrics['alerts']}, {seconds:.1f} s")


if __name__ == "__main__":
    main()
