"""Messages that speak of fraud, theft or unauthorised access."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from apps.escalation.models import Indicator, Report
from apps.escalation.signs import Finding, indicator
from apps.escalation.wordings import WordingSettings, find_wording


@indicator(slug="security", title="Security issues", occasion="report", settings=WordingSettings)
def find(*, now: datetime, settings: WordingSettings, report: Report | None) -> Iterator[Finding]:
    """A message whose wording points to unauthorised access, fraud or a vulnerability."""
    yield from find_wording(Indicator.SECURITY, settings, report)
