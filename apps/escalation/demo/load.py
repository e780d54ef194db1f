"""Loads what the demonstration shows of the escalation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from apps.escalation.demo.desk import load_desk


def load(*, now: datetime, report: Callable[[str, int], object]) -> bool:
    """Load the ticket desk.

    Returns:
        False if it is there already.
    """
    report("Tickets", 0)
    return load_desk(now=now)
