"""What of a paper the register can take over: names are looked up, scores are put on a matrix, the rest is noted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from apps.core.models import Scope, User
from apps.register.models import Control, RiskAssessment
from apps.register.papers.scales import Scales
from apps.register.papers.shapes import Paper, PaperMitigation, PaperRisk, PaperScore, Unread

_PATH = 500


@dataclass
class Known:
    """Rows that a paper may name."""

    users: set[str]
    controls: set[str]
    scopes: set[str]
    scales: Scales
    notes: list[Unread] = field(default_factory=list)

    def note(self, line: int, text: str, why: str) -> None:
        self.notes.append(Unread(line, text[:500], why))


@dataclass(frozen=True, slots=True)
class Resolved:
    """A paper of which everything can be taken over.

    Attributes:
        notes: what cannot, and why.
    """

    paper: Paper
    scales: Scales
    notes: tuple[Unread, ...]


def resolve(paper: Paper, assessment: RiskAssessment | None) -> Resolved:
    """Look up what a paper names; what does not exist here is left out and noted."""
    known = Known(
        users=set(User.objects.filter(username__in=_names(paper), is_active=True).values_list("username", flat=True)),
        controls=set(Control.objects.values_list("slug", flat=True)),
        scopes=set(Scope.objects.filter(slug=paper.scope or "").values_list("slug", flat=True)),
        scales=Scales.of(paper, assessment),
    )
    if paper.owner and paper.owner not in known.users:
        known.note(0, f"owner: {paper.owner}", "nobody here has this name")
        paper = replace(paper, owner=None)
    if paper.scope and paper.scope not in known.scopes:
        known.note(0, f"scope: {paper.scope}", "there is no such scope here")
        paper = replace(paper, scope=None)
    clean = replace(
        paper,
        matrix=known.scales.name,
        actions=tuple(_mitigation(known, action, 0) for action in paper.actions),
        risks=tuple(_risk(known, risk) for risk in paper.risks),
    )
    return Resolved(clean, known.scales, tuple(known.notes))


def _names(paper: Paper) -> set[str]:
    people: list[Any] = [paper, *paper.actions, *paper.risks]
    people += [mitigation for risk in paper.risks for mitigation in risk.mitigations]
    return {one.owner for one in people if one.owner}


def _risk(known: Known, risk: PaperRisk) -> PaperRisk:
    values: dict[str, Any] = {}
    if risk.owner and risk.owner not in known.users:
        known.note(risk.line, f"{risk.title}: owner {risk.owner}", "nobody here has this name")
        values["owner"] = None
    path = risk.path
    while len(" > ".join(path)) > _PATH:
        path = path[:-1]
    if path != risk.path:
        known.note(risk.line, f"{risk.title}: {' > '.join(risk.path)}", "too deep a category; it is cut")
    scores = [_score(known, risk, score) for score in risk.scores]
    return replace(
        risk,
        path=path,
        scores=tuple(score for score in scores if score),
        mitigations=tuple(_mitigation(known, one, risk.line) for one in risk.mitigations),
        **values,
    )


def _score(known: Known, risk: PaperRisk, score: PaperScore) -> PaperScore | None:
    words = f"{risk.title}: {score.kind} " + " x ".join(filter(None, [score.probability, score.impact, score.level]))
    try:
        scored = known.scales.score(score)
    except ValueError as problem:
        known.note(risk.line, words, str(problem))
        return None
    if scored is None:
        return None
    if scored.remark:
        known.note(risk.line, words, scored.remark)
    return scored.paper


def _mitigation(known: Known, mitigation: PaperMitigation, line: int) -> PaperMitigation:
    if mitigation.owner and mitigation.owner not in known.users:
        known.note(line, f"{mitigation.title}: owner {mitigation.owner}", "nobody here has this name")
        mitigation = replace(mitigation, owner=None)
    missing = [slug for slug in mitigation.controls or () if slug not in known.controls]
    if missing:
        known.note(line, f"{mitigation.title}: {', '.join(missing)}", "there are no such controls here")
        there = tuple(slug for slug in mitigation.controls or () if slug in known.controls)
        mitigation = replace(mitigation, controls=tuple(sorted(there)))
    elif mitigation.controls:
        mitigation = replace(mitigation, controls=tuple(sorted(set(mitigation.controls))))
    return mitigation
