"""Loads what the demonstration shows of the escalation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from apps.escalation.demo.desk import load_desk
from apps.escalation.demo.ladder import load_ladder


def load(*, now: datetime, report: Callable[[str, int], object]) -> bool:
    """Load the ticket desk, and flags on every rung of the ladder.

    Returns:
        False if both are there already.
    """
    report("Tickets and risk flags", 0)
    desk = load_desk(now=now)
    return load_ladder(now=now) or desk
