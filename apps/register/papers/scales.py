"""Scores in a document's words, put on a matrix of the register."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from apps.register.builtin_matrices import BUILTIN
from apps.register.matrices import THREE, MatrixData, data_of, in_force, score_in
from apps.register.models import MatrixVersion, RiskAssessment
from apps.register.papers.register import matrix_name
from apps.register.papers.shapes import Paper, PaperScore
from apps.register.papers.vocabulary import plain


@dataclass(frozen=True, slots=True)
class Scored:
    """A score as the register keeps it.

    Attributes:
        paper: the same in the matrix's own words.
        severity: 0 to 100.
        remark: what of the document's score could not be kept; empty if nothing.
    """

    paper: PaperScore
    version: MatrixVersion
    probability: int | None
    impact: int | None
    severity: int
    remark: str = ""


@dataclass
class Scales:
    """The matrix that a paper's scores are put on, and others that single scores name."""

    own: MatrixVersion
    versions: dict[str, MatrixVersion]
    _data: dict[int, MatrixData] = field(default_factory=dict)
    _known: dict[tuple[str, str, str, str], Scored] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return matrix_name(self.own)

    @classmethod
    def of(cls, paper: Paper, assessment: RiskAssessment | None) -> Scales:
        """The matrix that the paper names; else the first that knows all of its words, the assessment's own before others."""
        for slug in BUILTIN:
            in_force(slug)
        rows = list(MatrixVersion.objects.select_related("matrix").order_by("matrix_id", "-number"))
        versions = {matrix_name(row): row for row in rows}
        found = cls(in_force(THREE), versions)
        if paper.matrix in versions:
            found.own = versions[paper.matrix]
            return found
        newest = {row.matrix_id: row for row in reversed(rows)}
        first = [assessment.matrix] if assessment else []
        candidates = [*first, *(in_force(slug) for slug in BUILTIN), *newest.values()]
        words = _words(paper)
        # The first of the best: max() keeps the earliest of equals.
        found.own = max(candidates, key=lambda row: found._fit(row, words))
        return found

    def data(self, version: MatrixVersion) -> MatrixData:
        """The version's scales, checked once."""
        if version.pk not in self._data:
            self._data[version.pk] = data_of(version)
        return self._data[version.pk]

    def _fit(self, version: MatrixVersion, words: set[tuple[str, str]]) -> int:
        data = self.data(version)
        names = {"probability": data.probability, "impact": data.impact, "level": data.levels}
        return sum(step_of(names[part], word) is not None for part, word in words)

    def score(self, score: PaperScore) -> Scored | None:
        """Put a score on its matrix; None if it says nothing.

        Raises:
            ValueError: if the matrix has no such steps, or one of the two is missing.
        """
        if not (score.probability or score.impact or score.level):
            return None
        key = (score.matrix, score.probability, score.impact, score.level)
        if key not in self._known:
            self._known[key] = self._judge(score)
        known = self._known[key]
        return replace(known, paper=replace(known.paper, kind=score.kind, reason=score.reason))

    def _judge(self, score: PaperScore) -> Scored:
        version = self.versions.get(score.matrix, self.own)
        data = self.data(version)
        if bool(score.probability) != bool(score.impact) and not score.level:
            raise ValueError("only one of probability and impact is stated")
        if not (score.probability and score.impact):
            return self._level_only(score, version, data)
        probability = _step(data.probability, score.probability, "probability", version)
        impact = _step(data.impact, score.impact, "impact", version)
        made = score_in(data, probability, impact)
        remark = ""
        if score.level and plain(score.level) != plain(made.level):
            remark = f"the matrix {version} makes {made.level} of it"
        words = replace(
            score, probability=data.probability[probability - 1], impact=data.impact[impact - 1], level=made.level,
            matrix=matrix_name(version),
        )  # fmt: skip
        return Scored(words, version, probability, impact, made.severity, remark)

    def _level_only(self, score: PaperScore, version: MatrixVersion, data: MatrixData) -> Scored:
        rank = _step(data.levels, score.level, "level", version)
        half = score.probability or score.impact
        remark = f"{half} stands alone and is left out" if half else ""
        words = replace(score, probability="", impact="", level=data.levels[rank - 1], matrix=matrix_name(version))
        return Scored(words, version, None, None, round(100 * rank / len(data.levels)), remark)


def step_of(names: list[str], word: str) -> int | None:
    """The step that a word or a number names, from 1."""
    wanted = plain(word)
    for place, name in enumerate(names, start=1):
        if wanted in (plain(name), str(place)):
            return place
    return None


def _step(names: list[str], word: str, part: str, version: MatrixVersion) -> int:
    step = step_of(names, word)
    if step is None:
        raise ValueError(f"the matrix {version} has no {part} {word!r}, only {', '.join(names)}")
    return step


def _words(paper: Paper) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for risk in paper.risks:
        for score in risk.scores:
            found.update(_parts(score))
    for name, steps in paper.scales:
        part = plain(name)
        if part in ("probability", "impact"):
            found.update((part, step) for step in steps)
    return found


def _parts(score: PaperScore) -> Iterable[tuple[str, str]]:
    parts = (("probability", score.probability), ("impact", score.impact), ("level", score.level))
    return ((part, word) for part, word in parts if word)
