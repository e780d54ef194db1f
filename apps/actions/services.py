"""The writes of the actions, under one name."""

from apps.actions.binding import (
    CannotExecute,
    CardChanged,
    CardNotFound,
    Change,
    InvalidDecision,
    NotAllowed,
    NotDecidable,
)
from apps.actions.decide import add_note, approve, bulk_dismiss, dismiss, escalate, retry, roll_back
from apps.actions.executors import offered_actions
from apps.actions.freshness import freshness, last_good_runs
from apps.actions.reconcile import Reconciled, reconcile
from apps.actions.runs import run_rules
from apps.actions.versions import InvalidSettings, current_version, new_version

__all__ = [
    "CannotExecute",
    "CardChanged",
    "CardNotFound",
    "Change",
    "InvalidDecision",
    "InvalidSettings",
    "NotAllowed",
    "NotDecidable",
    "Reconciled",
    "add_note",
    "approve",
    "bulk_dismiss",
    "current_version",
    "dismiss",
    "escalate",
    "freshness",
    "last_good_runs",
    "new_version",
    "offered_actions",
    "reconcile",
    "retry",
    "roll_back",
    "run_rules",
]
