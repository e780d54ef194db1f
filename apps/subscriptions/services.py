"""The writes of risk scores, under one name."""

from apps.subscriptions.factors import InvalidFactors, factor_set, new_factor_version
from apps.subscriptions.recalculation import AlreadyRunning, request_run, unfinished, work
from apps.subscriptions.scores import Batch, Transition, recalculate, recalculate_after_commit

__all__ = [
    "AlreadyRunning",
    "Batch",
    "InvalidFactors",
    "Transition",
    "factor_set",
    "new_factor_version",
    "recalculate",
    "recalculate_after_commit",
    "request_run",
    "unfinished",
    "work",
]
