"""Importing in the browser: upload, mapping, preview, apply; and assessments as files."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from openpyxl import load_workbook

from apps.core.decisions import system
from apps.core.models import Decision, User
from apps.core.roles import Role
from apps.register.models import Mitigation, Risk, RiskAssessment, RiskImport
from apps.register.papers import guards
from apps.register.papers.importing import apply, preview
from tests.core.factories import ScopeFactory, person

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
UPLOAD = "/admin/register/riskimport/upload/"
FOLDER = Path("apps/register/data/assessments")
TABLE = "Risk,Vraisemblance,Gravité,Biens\nFuite,certain,mineur,serveur\n".encode()
SMALL = b"## A\n\n1. **One**\n   - Probability: Low\n   - Impact: High\n   - Mitigation: x\n\nSomething else.\n"


@pytest.fixture
def manager(client: Client) -> User:
    user = person(Role.RISK_MANAGER)
    client.force_login(user)
    return user


def send(client: Client, data: bytes, name: str, **more: Any) -> Any:
    return client.post(UPLOAD, {"file": SimpleUploadedFile(name, data), **more}, follow=True)


def page_of(row: RiskImport, name: str = "change") -> str:
    return reverse(f"admin:register_riskimport_{name}", args=[row.pk])


def test_a_document_is_looked_at_and_applied(client: Client, manager: User) -> None:
    answer = send(client, (FOLDER / "payment_api.md").read_bytes(), "payment_api.md")
    row = RiskImport.objects.get()
    assert answer.redirect_chain[-1][0] == page_of(row)
    words = answer.content.decode()
    assert "Token Exposure" in words
    assert "Secure token storage" in words
    assert not Risk.objects.exists()
    done = client.post(page_of(row, "apply"), {"seen": row.register_version}, follow=True)
    assert done.redirect_chain[-1][0] == reverse(
        "admin:register_riskassessment_change", args=[RiskAssessment.objects.get().pk]
    )
    assert Risk.objects.count() == 20
    assert Decision.objects.get(action="imported").actor == manager


def test_lines_that_are_not_understood_are_shown(client: Client, manager: User) -> None:
    words = send(client, SMALL, "small.md").content.decode()
    assert "Something else." in words
    assert '<td class="num">8</td>' in words


def test_both_values_of_a_change_are_shown(client: Client, manager: User) -> None:
    row = preview(name="small.md", data=SMALL, actor=manager, now=NOW)
    apply(import_id=row.pk, seen=row.register_version, actor=manager, now=NOW)
    words = send(client, SMALL.replace(b"Impact: High", b"Impact: Low"), "small.md").content.decode()
    assert "<del>Low x High: Medium (low-medium-high v1)</del>" in words
    assert "<ins>Low x Low: Low (low-medium-high v1)</ins>" in words


def test_the_second_click_does_nothing_more(client: Client, manager: User) -> None:
    send(client, SMALL, "small.md")
    row = RiskImport.objects.get()
    for _ in range(2):
        assert client.post(page_of(row, "apply"), {"seen": row.register_version}).status_code == 302
    assert Risk.objects.count() == 1
    assert Decision.objects.filter(action="imported").count() == 1


def test_a_register_that_changed_is_shown_again_and_nothing_is_done(client: Client, manager: User) -> None:
    first = preview(name="small.md", data=SMALL, actor=manager, now=NOW)
    apply(import_id=first.pk, seen=first.register_version, actor=manager, now=NOW)
    send(client, SMALL.replace(b"Mitigation: x", b"Mitigation: y"), "small.md")
    row = RiskImport.objects.first()
    assert row is not None
    Risk.objects.update(title="One!", version=2)
    answer = client.post(page_of(row, "apply"), {"seen": row.register_version})
    assert answer.status_code == 409
    assert "<del>One!</del>" in answer.content.decode()
    assert not Mitigation.objects.filter(title="y").exists()
    row.refresh_from_db()
    client.post(page_of(row, "apply"), {"seen": row.register_version})
    assert Mitigation.objects.filter(title="y").exists()


def test_a_bad_file_is_told_beside_the_field(client: Client, manager: User) -> None:
    answer = send(client, b"# T\n1. caf\xe9\n", "bad.md")
    assert answer.status_code == 400
    assert "Line 2: byte 0xe9 is not UTF-8" in answer.content.decode()
    assert not RiskImport.objects.exists()


def test_a_large_file_is_told_beside_the_field(client: Client, manager: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.register.admin.imports.MAX_BYTES", 10)
    assert "at most" in send(client, SMALL, "small.md").content.decode()
    assert guards.MAX_BYTES == 32 * 2**20


def test_a_foreign_table_asks_for_its_columns(client: Client, manager: User) -> None:
    answer = send(client, TABLE, "registre.csv")
    row = RiskImport.objects.get()
    assert answer.redirect_chain[-1][0] == page_of(row, "mapping")
    form = answer.context["form"]
    values = {name: form[name].initial or "" for name in form.fields}
    assert values == {
        "column_0": "title", "column_1": "current.probability", "column_2": "current.impact", "column_3": "note",
        "probability_0": "Almost certain", "impact_0": "Minor",
    }  # fmt: skip
    answer = client.post(page_of(row, "mapping"), values | {"column_3": "cause"}, follow=True)
    assert answer.redirect_chain[-1][0] == page_of(row)
    row.refresh_from_db()
    client.post(page_of(row, "apply"), {"seen": row.register_version})
    risk = Risk.objects.get()
    assert (risk.title, risk.cause, risk.ratings.get().level) == ("Fuite", "serveur", "Medium")
    assert "table" not in RiskImport.objects.get().document


def test_a_mapping_is_changed_after_the_preview_was_seen(client: Client, manager: User) -> None:
    send(client, TABLE, "registre.csv")
    row = RiskImport.objects.get()
    values = {"column_0": "title", "column_1": "", "column_2": "", "column_3": ""}
    shown = client.post(page_of(row, "mapping"), values, follow=True).content.decode()
    assert "left out by the mapping" in shown
    assert "Change the mapping" in shown
    form = client.get(page_of(row, "mapping")).context["form"]
    assert form["column_1"].initial == ""
    form = client.get(page_of(row, "mapping"), {"matrix": "protocol-levels v1"}).context["form"]
    assert form.guess.mapping.matrix == "protocol-levels v1"
    answer = client.post(page_of(row, "mapping"), values | {"column_0": ""})
    assert answer.status_code == 400
    assert "which column is the title" in answer.content.decode()


def test_a_preview_is_laid_aside(client: Client, manager: User) -> None:
    send(client, SMALL, "small.md")
    row = RiskImport.objects.get()
    assert client.get(page_of(row, "discard")).status_code == 405
    client.post(page_of(row, "discard"))
    assert client.post(page_of(row, "apply"), {"seen": row.register_version}).status_code == 409
    assert not Risk.objects.exists()


def test_a_document_is_compared_with_a_chosen_assessment(client: Client, manager: User) -> None:
    row = preview(name="small.md", data=SMALL, actor=manager, now=NOW)
    chosen = apply(import_id=row.pk, seen=row.register_version, actor=manager, now=NOW).assessment
    assert chosen is not None
    send(client, SMALL, "renamed.md", assessment=chosen.pk)
    assert RiskImport.objects.first().plan["counts"]["unchanged"] == 1


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.SUPPORT_DIRECTOR, Role.TEAM_LEAD, Role.OPERATOR])
def test_others_import_nothing(client: Client, role: Role) -> None:
    row = preview(name="small.md", data=SMALL, actor=system("test"), now=NOW)
    client.force_login(person(role))
    assert client.get(UPLOAD).status_code == 403
    assert client.post(page_of(row, "apply"), {"seen": row.register_version}).status_code == 403
    assert client.post(page_of(row, "discard")).status_code == 403
    assert not Risk.objects.exists()


def test_the_list_takes_few_queries(client: Client, manager: User, django_assert_max_num_queries: Any) -> None:
    for number in range(12):
        preview(name=f"small-{number}.md", data=SMALL, actor=manager, now=NOW)
    with django_assert_max_num_queries(14):
        words = client.get("/admin/register/riskimport/").content.decode()
    assert "1 new" in words


def given_assessment(scope: Any = None) -> RiskAssessment:
    row = preview(name="payment_api.md", data=(FOLDER / "payment_api.md").read_bytes(), actor=system("test"), now=NOW)
    made = apply(import_id=row.pk, seen=row.register_version, actor=system("test"), now=NOW).assessment
    assert made is not None
    if scope:
        RiskAssessment.objects.filter(pk=made.pk).update(scope=scope)
    return made


@pytest.mark.parametrize(
    ("kind", "starts"), [("md", b"---"), ("csv", b"\xef\xbb\xbfrecord"), ("xlsx", b"PK"), ("pdf", b"%PDF")]
)
def test_assessments_are_had_as_files(client: Client, manager: User, kind: str, starts: bytes) -> None:
    made = given_assessment()
    answer = client.get(reverse("admin:register_riskassessment_export", args=[made.pk, kind]))
    data = answer.content
    assert answer["Content-Disposition"] == f'attachment; filename="payment-api.{kind}"'
    assert data.startswith(starts)
    if kind == "xlsx":
        assert load_workbook(io.BytesIO(data))["Risk"].max_row == 21


def test_no_other_kind_and_nothing_out_of_sight(client: Client) -> None:
    made = given_assessment(ScopeFactory())
    client.force_login(person(Role.TEAM_LEAD))
    assert client.get(reverse("admin:register_riskassessment_export", args=[made.pk, "md"])).status_code == 404
    client.force_login(person(Role.AUDITOR))
    assert client.get(reverse("admin:register_riskassessment_export", args=[made.pk, "exe"])).status_code == 404
    assert client.get(reverse("admin:register_riskassessment_export", args=[made.pk, "md"])).status_code == 200
