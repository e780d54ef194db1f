"""Messages that speak of exposed data or violated privacy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from apps.escalation.models import Indicator, Report
from apps.escalation.signs import Finding, indicator
from apps.escalation.wordings import WordingSettings, find_wording


@indicator(slug="data", title="Data concerns", occasion="report", settings=WordingSettings)
def find(*, now: datetime, settings: WordingSettings, report: Report | None) -> Iterator[Finding]:
    """A message whose wording points to exposed data, a privacy concern or a stolen identity."""
    yield from find_wording(Indicator.DATA, settings, report)
