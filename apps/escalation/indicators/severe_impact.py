"""Messages that speak of great losses and danger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from apps.escalation.models import Indicator, Report
from apps.escalation.signs import Finding, indicator
from apps.escalation.wordings import WordingSettings, find_wording


@indicator(slug="severe_impact", title="Severe impact", occasion="report", settings=WordingSettings)
def find(*, now: datetime, settings: WordingSettings, report: Report | None) -> Iterator[Finding]:
    """A message whose wording points to a great loss, a standstill or danger for the customer."""
    yield from find_wording(Indicator.SEVERE_IMPACT, settings, report)
