"""Messages that name laws, regulators and rights."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from apps.escalation.models import Indicator, Report
from apps.escalation.signs import Finding, indicator
from apps.escalation.wordings import WordingSettings, find_wording


@indicator(slug="compliance", title="Compliance questions", occasion="report", settings=WordingSettings)
def find(*, now: datetime, settings: WordingSettings, report: Report | None) -> Iterator[Finding]:
    """A message whose wording names a law, a regulator or a legal duty."""
    yield from find_wording(Indicator.COMPLIANCE, settings, report)
