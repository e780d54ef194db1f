"""A document becomes a preview and, once looked at, rows; a second time it changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.core.decisions import system
from apps.core.models import Decision, User
from apps.core.roles import Role
from apps.register.models import Control, Mitigation, Rating, Risk, RiskAssessment, RiskImport
from apps.register.papers.importing import apply, discard, preview, refresh
from apps.register.papers.refusals import BadPaper, ImportClosed, RegisterChanged
from apps.register.risks import give_score
from tests.core.factories import UserFactory, person

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
FOLDER = Path("apps/register/data/assessments")
SMALL = """# Small

## Technical Risks
1. **First thing**
   - Probability: Medium
   - Impact: High
   - Mitigation: One; two
2. **Second thing**
   - Probability: Low
   - Impact: Low
   - Mitigation: Three
"""


def looked_at(text: str | bytes = SMALL, name: str = "small.md", **options: Any) -> RiskImport:
    data = text.encode() if isinstance(text, str) else text
    return preview(**({"name": name, "data": data, "actor": system("test"), "now": NOW} | options))


def imported(text: str | bytes = SMALL, name: str = "small.md", actor: User | None = None) -> RiskImport:
    row = looked_at(text, name)
    return apply(import_id=row.pk, seen=row.register_version, actor=actor or system("test"), now=NOW)


def labels(row: RiskImport) -> dict[str, str]:
    return {one["title"]: one["label"] for one in row.plan["risks"]}


def test_a_preview_writes_nothing_but_itself() -> None:
    row = looked_at()
    assert labels(row) == {"First thing": "new", "Second thing": "new"}
    assert not Risk.objects.exists()
    assert not RiskAssessment.objects.exists()
    assert not Decision.objects.exists()


def test_both_shipped_documents_become_rows() -> None:
    for name in ("chat_service", "payment_api"):
        imported((FOLDER / f"{name}.md").read_bytes(), f"{name}.md")
    chat, payment = RiskAssessment.objects.get(slug="chat-service"), RiskAssessment.objects.get(slug="payment-api")
    assert (chat.risks.count(), payment.risks.count()) == (23, 20)
    assert Mitigation.objects.filter(risk__assessment=chat).count() == 64
    assert Mitigation.objects.filter(risk__assessment=payment).count() == 60
    assert (
        payment.provisions.filter(kind="detection").count(),
        payment.provisions.filter(kind="procedure").count(),
    ) == (9, 6)
    assert payment.mitigations.filter(horizon="immediate").count() == 6
    assert payment.mitigations.filter(horizon="long_term").count() == 6
    assert chat.provisions.filter(kind="ownership").count() == 10
    assert [gate.name for gate in chat.gates.all()] == ["Pilot", "General availability"]
    assert (chat.review_every_days, chat.matrix.matrix.slug) == ({"build": 7}, "low-medium-high")
    assert payment.created_on == datetime.fromisoformat("2025-01-02T21:05:18-07:00")
    assert (payment.project, payment.status, len(payment.references)) == ("cbp.api", "in_progress", 7)


def test_scores_are_put_on_the_matrix_with_its_version() -> None:
    imported((FOLDER / "chat_service.md").read_bytes(), "chat_service.md")
    risk = Risk.objects.get(title="Knowledge base drift / stale answers")
    rating = risk.ratings.get()
    assert (rating.kind, rating.probability, rating.impact, rating.level) == ("current", 3, 3, "High")
    assert (rating.matrix.matrix.slug, rating.matrix.number, rating.severity) == ("low-medium-high", 1, 100)
    assert (risk.severity, risk.category.path, risk.position) == (100, "Technical", 5)


def test_a_document_that_states_a_level_alone_keeps_it_alone() -> None:
    imported((FOLDER / "payment_api.md").read_bytes(), "payment_api.md")
    rating = Rating.objects.get(risk__title="Data Synchronization")
    assert (rating.probability, rating.impact, rating.level, rating.severity) == (None, None, "Medium", 67)
    assert rating.risk.category.path == "Operational > Integration Failures"
    assert rating.risk.category.parent.name == "Operational"


def test_the_second_time_changes_nothing() -> None:
    imported()
    before = list(Risk.objects.values()), list(Mitigation.objects.values()), list(Rating.objects.values())
    again = imported()
    assert set(labels(again).values()) == {"unchanged"}
    assert before == (list(Risk.objects.values()), list(Mitigation.objects.values()), list(Rating.objects.values()))


def test_applying_twice_is_applying_once() -> None:
    row = looked_at()
    for _ in range(2):
        apply(import_id=row.pk, seen=row.register_version, actor=system("test"), now=NOW)
    assert Risk.objects.count() == 2
    assert Decision.objects.filter(action="imported").count() == 1


def test_changed_and_missing_risks_are_labelled_with_both_values() -> None:
    imported()
    text = SMALL.replace("Medium", "High", 1).replace("One; two", "One; four")
    text = text[: text.index("2. **")] + "2. **Third thing**\n   - Probability: Low\n   - Impact: High\n"
    row = looked_at(text)
    assert labels(row) == {"First thing": "changed", "Third thing": "new", "Second thing": "missing"}
    first = row.plan["risks"][0]
    old, new = "Medium x High: High (low-medium-high v1)", "High x High: High (low-medium-high v1)"
    assert [(one["field"], one["old"], one["new"]) for one in first["changes"]] == [("current", old, new)]
    assert {one["title"]: one["label"] for one in first["mitigations"]} == {
        "One": "unchanged", "four": "new", "two": "missing",
    }  # fmt: skip


def test_a_changed_risk_is_changed_and_a_missing_one_is_left() -> None:
    imported()
    imported(SMALL[: SMALL.index("2. **")].replace("Medium", "High"))
    risk = Risk.objects.get(title="First thing")
    assert [(one.probability, one.latest) for one in risk.ratings.order_by("pk")] == [(2, False), (3, True)]
    assert (risk.version, risk.severity) == (2, 100)
    left = Risk.objects.get(title="Second thing")
    assert (left.status, left.version) == ("open", 1)


def test_what_a_document_does_not_state_is_left() -> None:
    imported()
    owner = UserFactory()
    Risk.objects.update(owner=owner, treatment="avoid", description="Written here.")
    Mitigation.objects.update(status="done", progress=100)
    assert set(labels(imported()).values()) == {"unchanged"}
    assert set(Risk.objects.values_list("owner", "treatment", "description")) == {(owner.pk, "avoid", "Written here.")}


def test_a_reworded_title_is_the_same_risk() -> None:
    imported()
    row = imported(SMALL.replace("First thing", "First things"))
    assert labels(row) == {"First things": "changed", "Second thing": "unchanged"}
    assert Risk.objects.get(title="First things").reference == Risk.objects.order_by("pk").first().reference


def test_two_risks_of_one_name_stay_two() -> None:
    text = SMALL.replace("Second thing", "First thing")
    imported(text)
    assert Risk.objects.filter(title="First thing").count() == 2
    assert [one["label"] for one in imported(text).plan["risks"]] == ["unchanged", "unchanged"]


def test_a_register_that_changed_meanwhile_refuses_and_a_new_look_goes_through() -> None:
    imported()
    row = looked_at(SMALL.replace("One; two", "One; five"))
    Risk.objects.filter(title="First thing").update(title="First thing!", version=2)
    with pytest.raises(RegisterChanged):
        apply(import_id=row.pk, seen=row.register_version, actor=system("test"), now=NOW)
    assert not Mitigation.objects.filter(title="five").exists()
    row.refresh_from_db()
    fresh = refresh(row, system("test"))
    assert fresh.plan["risks"][0]["changes"][0]["old"] == "First thing!"
    apply(import_id=row.pk, seen=fresh.register_version, actor=system("test"), now=NOW)
    assert Mitigation.objects.filter(title="five").exists()


def test_a_discarded_preview_is_not_applied() -> None:
    row = looked_at()
    discard(import_id=row.pk, actor=system("test"))
    with pytest.raises(ImportClosed):
        apply(import_id=row.pk, seen=row.register_version, actor=system("test"), now=NOW)


def test_who_imported_stands_in_the_decision_log_and_on_the_rows() -> None:
    manager = person(Role.RISK_MANAGER)
    row = imported(actor=manager)
    decision = Decision.objects.get(action="imported")
    assert (decision.actor, decision.payload["new"]) == (manager, 2)
    assert Decision.objects.filter(action="risk_imported", actor=manager).count() == 2
    assert set(Rating.objects.values_list("rated_by", "reason")) == {(manager.pk, "As in small.md.")}
    assert (row.state, row.applied_at, row.assessment.slug) == ("applied", NOW, "small")


def test_changed_fields_stand_in_the_audit_log_with_their_person() -> None:
    imported()
    manager = person(Role.RISK_MANAGER)
    imported(SMALL.replace("First thing", "First things"), actor=manager)
    risk = Risk.objects.get(title="First things")
    entries = [one for one in LogEntry.objects.get_for_object(risk) if "title" in (one.changes or {})]
    assert [(one.actor, one.changes["title"]) for one in entries] == [(manager, ["First thing", "First things"])]


FULL = """---
slug: full
owner: nobody
scope: nowhere
---
```yaml
category: [Security]
risks:
  - name: Everything
    status: accepted
    owner: nobody
    probability: Medium
    scores:
      residual: {probability: Low, impact: Enormous}
    mitigations:
      - {title: Do it, owner: nobody, controls: [there, gone], due_on: 2026-05-01, progress: 40%, status: in progress}
  - name: Contradiction
    scores:
      current: {probability: Low, impact: Low, level: High}
```
"""


def test_what_the_register_cannot_take_over_is_listed() -> None:
    Control.objects.create(slug="there", title="There", kind="attested")
    row = imported(FULL, "full.md")
    assert {item["text"]: item["why"] for item in row.not_understood} == {
        "owner: nobody": "nobody here has this name",
        "scope: nowhere": "there is no such scope here",
        "Everything: owner nobody": "nobody here has this name",
        "Everything: current Medium": "only one of probability and impact is stated",
        "Everything: residual Low x Enormous": (
            "the matrix Low, Medium, High v1 has no impact 'Enormous', only Low, Medium, High"
        ),
        "Do it: owner nobody": "nobody here has this name",
        "Do it: gone": "there are no such controls here",
        "Everything: status accepted": "a risk is accepted here by request and decision; the status is left",
        "Contradiction: current Low x Low x High": "the matrix Low, Medium, High v1 makes Low of it",
    }
    task = Mitigation.objects.get()
    assert (task.progress, task.status, str(task.due_on)) == (40, "in_progress", "2026-05-01")
    assert [control.slug for control in task.controls.all()] == ["there"]
    assert Risk.objects.get(title="Everything").status == "open"
    assert not Rating.objects.filter(risk__title="Everything").exists()


def test_an_import_never_ends_an_acceptance() -> None:
    text = "```yaml\nrisks:\n  - {name: One, status: open}\n```\n"
    imported(text)
    Risk.objects.update(status="accepted", version=2)
    row = imported(text)
    assert labels(row) == {"One": "unchanged"}
    assert [item["why"] for item in row.not_understood] == ["its acceptance holds; the status is left"]
    assert Risk.objects.get().status == "accepted"


def test_a_risk_is_reviewed_next_as_its_level_says() -> None:
    imported()
    assert Risk.objects.get(title="First thing").next_review_on == NOW.date() + timedelta(days=30)


def test_the_command_says_what_it_did(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "small.md"
    path.write_text(SMALL + "\nSomething else.\n")
    call_command("import_risks", str(path))
    said = capsys.readouterr().out
    assert "2 new, 0 changed, 0 unchanged, 0 missing" in said
    assert "line 13 is not understood: Something else." in said
    assert Risk.objects.count() == 2


def test_the_command_without_effect_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "small.md"
    path.write_text(SMALL)
    call_command("import_risks", str(path), "--dry-run")
    assert not Risk.objects.exists()
    assert not RiskImport.objects.exists()


def test_a_bad_file_is_an_error_and_the_others_are_imported(tmp_path: Path) -> None:
    good, bad = tmp_path / "small.md", tmp_path / "bad.md"
    good.write_text(SMALL)
    bad.write_bytes(b"# T\n1. caf\xe9\n")
    with pytest.raises(CommandError, match="1 of 2"):
        call_command("import_risks", str(bad), str(good))
    assert list(RiskAssessment.objects.values_list("slug", flat=True)) == ["small"]


def test_a_file_without_a_risk_is_refused() -> None:
    with pytest.raises(BadPaper, match="No risk was found"):
        looked_at("# Title\n\nWords.\n")
    assert not RiskImport.objects.exists()


def many(number: int) -> str:
    risks = "".join(f"{place}. **Thing {place}**\n   - Impact: High\n   - Probability: Low\n   - Mitigation: a; b\n" for place in range(1, number + 1))  # fmt: skip
    return f"## Technical Risks\n\n{risks}"


def test_many_risks_take_hardly_more_queries_than_few_and_tell_how_far_they_are() -> None:
    counts, heard = [], []
    for number in (20, 400):
        row = looked_at(many(number), f"many-{number}.md")
        with CaptureQueriesContext(connection) as queries:
            apply(
                import_id=row.pk, seen=row.register_version, actor=system("test"), now=NOW,
                progress=lambda done, total: heard.append((done, total)),
            )  # fmt: skip
        counts.append(len(queries))
    assert Risk.objects.count() == 420
    assert counts[1] <= counts[0] + 5
    assert heard == [(20, 20), (400, 400)]


def test_a_preview_warns_of_scores_that_people_gave_after_the_last_import() -> None:
    imported()
    risk = Risk.objects.get(title="First thing")
    later = NOW + timedelta(days=3)
    held = risk.ratings.get(kind="current", latest=True)
    give_score(
        risk, kind="current", steps=(1, 1), matrix=held.matrix, actor=person(Role.RISK_MANAGER),
        now=later, reason="Fewer than we thought.",
    )  # fmt: skip
    (note,) = looked_at().not_understood
    assert note["text"] == "First thing: current score"
    assert "5 Mar 2026" in note["why"]
    imported()
    assert looked_at().not_understood == []
