"""Messages that threaten publicity or the courts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from apps.escalation.models import Indicator, Report
from apps.escalation.signs import Finding, indicator
from apps.escalation.wordings import WordingSettings, find_wording


@indicator(slug="reputation", title="Reputation threats", occasion="report", settings=WordingSettings)
def find(*, now: datetime, settings: WordingSettings, report: Report | None) -> Iterator[Finding]:
    """A message whose wording threatens publicity, a bad review or the courts."""
    yield from find_wording(Indicator.REPUTATION, settings, report)
