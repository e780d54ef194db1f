"""What is exported comes back: the same paper from each lossless format, and the same register from an import of it."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core.decisions import system
from apps.register.models import Control, Risk, RiskAssessment, RiskImport
from apps.register.papers.cells import escaped, harmless, meant, unescaped
from apps.register.papers.export import FORMATS, export, file_name
from apps.register.papers.importing import apply, preview
from apps.register.papers.plan import compare
from apps.register.papers.reading import read
from apps.register.papers.register import head_of, held
from apps.register.papers.shapes import Paper, PaperGate, PaperMitigation, PaperProvision, PaperRisk, PaperScore
from tests.core.factories import ScopeFactory, UserFactory

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
LOSSLESS = [kind for kind, one in FORMATS.items() if one.lossless]
FOLDER = Path("apps/register/data/assessments")

# All that PostgreSQL stores, with what parsers stumble over more often than chance would have it.
AWKWARD = ["```", "---", "- a: b", "# x", "'=1+1", "=1+1", "_x0041_", "\r\n", "\r", "\t", "null", "~", "no", "|", "\ufeff",
           "{}", "[1]", "&a", "*a", "!!python/object", '"', "'", " ", "\n\n", "\u2028", "\x85", "\x0b", "é", "漢字", "🙂", ": ", " #",
           "#N/A", "<b>", "\\", "%", "@"]  # fmt: skip
texts = st.lists(
    st.one_of(
        st.sampled_from(AWKWARD),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12),
    ),
    max_size=5,
).map("".join)
lines = texts.map(lambda text: text.strip() or "x")
names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12)
options = st.one_of(st.just(""), names)
dates = st.one_of(st.just(""), st.dates().map(lambda day: day.isoformat()))
tasks = st.builds(
    PaperMitigation,
    title=lines,
    description=texts,
    horizon=st.sampled_from(["immediate", "long_term"]),
    priority=options,
    owner_role=options,
    owner=options,
    due_on=dates,
    status=st.sampled_from(["planned", "in_progress", "done", "dropped"]),
    progress=st.integers(0, 100).map(str),
    effect=texts,
    controls=st.lists(st.sampled_from(["one", "three", "two"]), unique=True).map(lambda slugs: tuple(sorted(slugs))),
)
scores = st.one_of(
    st.builds(PaperScore, probability=st.sampled_from(["Low", "High"]), impact=st.sampled_from(["Low", "Medium"]), reason=texts),
    st.builds(PaperScore, level=st.sampled_from(["Low", "Medium", "High"]), matrix=st.just("low-medium-high v1")),
)  # fmt: skip
scored = st.fixed_dictionaries({}, optional={kind: scores for kind in ("inherent", "current", "residual")}).map(
    lambda found: tuple(
        replace(found[kind], kind=kind) for kind in ("inherent", "current", "residual") if kind in found
    )
)
risks = st.builds(
    PaperRisk,
    key=names,
    path=st.lists(lines.map(lambda name: " ".join(name.replace(">", "").split()) or "x"), max_size=3).map(tuple),
    title=lines,
    description=texts,
    cause=texts,
    consequence=texts,
    status=st.sampled_from(["open", "treated", "closed"]),
    treatment=st.sampled_from(["mitigate", "accept", "avoid", "transfer"]),
    proximity=st.sampled_from(["", "now", "quarter", "year", "later"]),
    owner_role=names,
    owner=options,
    next_review_on=dates,
    links=st.lists(st.integers(1, 99).map("risk_flag:{}".format), unique=True, max_size=2).map(tuple),
    scores=scored,
    mitigations=st.lists(tasks, max_size=3).map(tuple),
)
provisions = st.lists(st.builds(PaperProvision, group=names, text=lines), max_size=3, unique=True).map(
    lambda found: tuple(sorted(found, key=lambda one: one.group))
)
papers = st.builds(
    Paper,
    shape=st.just("register"),
    title=lines,
    slug=st.just("round-trip"),
    project=options,
    status=st.sampled_from(["draft", "in_progress", "approved", "closed"]),
    phase=st.sampled_from(["build", "pilot", "live"]),
    created=st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)).map(datetime.isoformat),
    references=st.lists(lines, max_size=3).map(tuple),
    overview=texts,
    scope=options,
    owner=options,
    matrix=st.just("low-medium-high v1"),
    cadence=texts,
    next_review_on=dates,
    every_days=st.dictionaries(st.sampled_from(["build", "pilot", "live"]), st.integers(1, 400).map(str)).map(
        lambda found: tuple(sorted(found.items()))
    ),
    gates=st.lists(st.builds(PaperGate, name=names, due_on=dates), max_size=2, unique_by=lambda gate: gate.name).map(
        tuple
    ),
    detection=provisions,
    procedures=provisions,
    ownership=provisions,
    actions=st.lists(tasks, max_size=3).map(
        lambda found: tuple(sorted(found, key=lambda one: (one.horizon, one.priority)))
    ),
    risks=st.lists(risks, max_size=4, unique_by=lambda risk: risk.key).map(
        lambda found: tuple(replace(risk, number=str(place)) for place, risk in enumerate(found, start=1))
    ),
)


def written(paper: Paper, kind: str) -> bytes:
    out = io.BytesIO()
    FORMATS[kind].write(paper, iter(paper.risks), out)
    return out.getvalue()


def bare(paper: Paper) -> Paper:
    """A paper without what tells files apart."""
    return replace(paper, shape="", scales=(), risks=tuple(replace(risk, line=0) for risk in paper.risks))


@pytest.mark.parametrize("kind", LOSSLESS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(paper=papers)
def test_a_paper_comes_back_as_it_went(kind: str, paper: Paper) -> None:
    found = read(f"round-trip.{kind}", written(paper, kind))
    assert found.not_understood == ()
    assert bare(found) == bare(paper)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_long_texts_come_back(kind: str) -> None:
    long = "0123456789\x0b_x0041_\r\n" * 5_000
    task = PaperMitigation(title="Task", description=long)
    risk = PaperRisk(key="one", path=("A",), title="One", description=long, cause="=" + long, mitigations=(task, task))
    found = read(
        f"long.{kind}",
        written(Paper(shape="register", title="Long", slug="long", risks=(risk, replace(risk, key="two"))), kind),
    )
    assert [one.description for one in found.risks] == [long, long]
    assert [one.cause for one in found.risks] == ["=" + long] * 2
    assert [task.description for one in found.risks for task in one.mitigations] == [long] * 4


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_text_that_ends_in_empty_lines_comes_back(kind: str) -> None:
    task = PaperMitigation(title="Task", description="Two lines.\n\n", controls=())
    paper = Paper(shape="register", title="Ends", slug="ends", actions=(replace(task, horizon="immediate"),))
    found = read(f"ends.{kind}", written(paper, kind))
    assert found.not_understood == ()
    assert [one.description for one in found.actions] == ["Two lines.\n\n"]


@given(texts)
def test_cells_give_back_what_they_got(text: str) -> None:
    assert meant(harmless(text)) == text
    assert unescaped(escaped(text)) == text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    risk = PaperRisk(key="one", path=(), title=text, description=text)
    paper = Paper(shape="register", title=text, slug="x", risks=(risk,))
    assert text not in [cell for line in written(paper, "csv").decode().splitlines() for cell in line.split(",")]
    from openpyxl import load_workbook

    book = load_workbook(io.BytesIO(written(paper, "xlsx")))
    assert all(cell.data_type != "f" for sheet in book for row in sheet.iter_rows() for cell in row)


def taken_over(data: bytes, name: str, **facts: Any) -> RiskImport:
    row = preview(name=name, data=data, actor=system("test"), now=NOW, **facts)
    return apply(import_id=row.pk, seen=row.register_version, actor=system("test"), now=NOW)


def exported(assessment: RiskAssessment, kind: str) -> bytes:
    out = io.BytesIO()
    export(assessment, kind, out)
    return out.getvalue()


def of_register(slug: str) -> Paper:
    """An assessment of the register without what belongs to one installation's numbering."""
    assessment = RiskAssessment.objects.get(slug=slug)
    risks = tuple(replace(one.paper, reference="") for one in held(assessment))
    return replace(head_of(assessment), slug="", risks=risks)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", LOSSLESS)
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(paper=papers)
def test_export_and_import_give_the_same_register(kind: str, paper: Paper) -> None:
    _clear()
    _people(paper)
    taken_over(written(paper, "md"), "round-trip.md")
    origin = RiskAssessment.objects.get()
    data = exported(origin, kind)
    before = of_register("round-trip")
    again = compare(read(f"round-trip.{kind}", data), origin).plan
    assert again.idle, again
    assert again.notes == ()
    taken_over(data, f"copy.{kind}", slug="copy")
    assert of_register("copy") == before


def _clear() -> None:
    """Hypothesis repeats a test within one transaction."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for model in (
            "rating",
            "risklink",
            "mitigation_controls",
            "mitigation",
            "provision",
            "reviewgate",
            "riskimport",
            "risk",
            "riskassessment",
        ):
            cursor.execute(f"DELETE FROM register_{model}")
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


def _people(paper: Paper) -> None:
    for slug in ("one", "two", "three"):
        Control.objects.get_or_create(slug=slug, defaults={"title": slug, "kind": "attested"})
    owners: list[Any] = [paper, *paper.actions, *paper.risks]
    owners += [task for risk in paper.risks for task in risk.mitigations]
    from apps.core.models import Scope, User

    for name in {one.owner for one in owners if one.owner}:
        if not User.objects.filter(username=name).exists():
            UserFactory(username=name)
    if paper.scope and not Scope.objects.filter(slug=paper.scope).exists():
        ScopeFactory(slug=paper.scope)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("name", ["chat_service", "payment_api"])
def test_the_shipped_documents_survive_export_and_import(kind: str, name: str) -> None:
    row = taken_over((FOLDER / f"{name}.md").read_bytes(), f"{name}.md")
    assert row.assessment is not None
    before = of_register(row.assessment.slug)
    again = taken_over(exported(row.assessment, kind), file_name(row.assessment, kind))
    assert again.plan["counts"] | {"unchanged": 0} == {"new": 0, "changed": 0, "unchanged": 0, "missing": 0}
    assert again.not_understood == []
    taken_over(exported(row.assessment, kind), f"copy.{kind}", slug="copy")
    assert of_register("copy") == before


@pytest.mark.django_db
def test_a_pdf_is_written_with_any_text(tmp_path: Path) -> None:
    taken_over((FOLDER / "payment_api.md").read_bytes(), "payment_api.md")
    Risk.objects.update(description="<b> & “quoted” 漢字 \x0b " + "long" * 5_000)
    call_command("export_risks", "payment-api", format="pdf", folder=tmp_path)
    assert (tmp_path / "payment-api.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.django_db
def test_the_command_writes_each_assessment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("chat_service", "payment_api"):
        taken_over((FOLDER / f"{name}.md").read_bytes(), f"{name}.md")
    call_command("export_risks", format="xlsx", folder=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chat-service.xlsx", "payment-api.xlsx"]
    assert "chat-service.xlsx: 23 risks" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no assessment nothing"):
        call_command("export_risks", "nothing", folder=tmp_path)
