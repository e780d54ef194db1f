"""What the five indicators that judge the wording of a message have in common."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from apps.escalation.models import Indicator, Report
from apps.escalation.phrases import judge
from apps.escalation.signs import Finding, SignSettings


class WordingSettings(SignSettings):
    """Scores are sums of the weights of the phrases that a message holds."""

    propose_from: float = Field(
        2.0, gt=0, le=100, title="Propose from", description="Score from which a flag is proposed."
    )
    medium_from: float = Field(
        4.0, gt=0, le=100, title="Level 3 from", description="Score from which level 3 is proposed."
    )
    high_from: float = Field(
        7.0, gt=0, le=100, title="Level 4 from", description="Score from which level 4 is proposed."
    )

    def level(self, score: float) -> int:
        """The level to propose for a score. Level 5 is for people to see."""
        return 2 + (score >= self.medium_from) + (score >= self.high_from)


def find_wording(indicator: Indicator, settings: WordingSettings, report: Report | None) -> Iterator[Finding]:
    """A finding if the phrases of an indicator weigh enough in a message."""
    if report is None:
        return
    judgement = judge(report.text, indicator)
    if judgement.score < settings.propose_from:
        return
    yield Finding(
        subject=report.subject or report.source,
        scope_id=report.scope_id,
        title=f"{indicator.label}: {report.text}",
        reasons=judgement.reasons,
        score=judgement.score,
        level=settings.level(judgement.score),
        evidence={
            "report": report.pk,
            "source": report.source,
            "phrases": [{"text": one.text, "weight": one.weight} for one in judgement.matches],
        },
        affected_count=1,
    )
