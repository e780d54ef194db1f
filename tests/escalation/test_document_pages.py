"""The protocol as people read it: rendered, with version and approval, and what differs between two versions."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.core.roles import Role
from apps.escalation import documents, levels
from apps.escalation.models import Document, DocumentVersion
from tests.core.factories import person
from tests.escalation.factories import NOON

pytestmark = pytest.mark.django_db

EVIL = "# Purpose\n\n<script>alert(1)</script> [x](javascript:alert(1)) ![p](https://example.com/p.png)\n\n| a |\n|--:|\n| b |"


@pytest.fixture
def document() -> Document:
    return documents.protocol(now=NOON)


def url(document: Document, version: DocumentVersion | None = None, name: str = "") -> str:
    start = f"/admin/escalation/document/{document.pk}/"
    return f"{start}versions/{version.pk}/{name}" if version else f"{start}change/"


def drafted(document: Document, number: str = "1.1", body: str = "# Purpose\n\nAnother text.") -> DocumentVersion:
    data = levels.delivered_data()
    data["levels"][0]["acknowledge"] = {"minutes": 3, "always": True}
    return documents.draft(
        document=document, number=number, body=body, changes="Faster at level 5.", data=data,
        actor=person(Role.SUPPORT_MANAGER), now=NOON,
    )  # fmt: skip


def test_the_delivered_protocol_waits_for_approval_with_its_text(document: Document, client: Client) -> None:
    first = document.versions.get()
    assert (first.number, first.state, first.author) == ("1.0", "draft", None)
    assert documents.protocol(now=NOON) == document
    assert document.versions.count() == 1
    client.force_login(person(Role.RISK_MANAGER))
    page = client.get(url(document, first)).content.decode()
    for part in (
        "<h3>Purpose</h3>",
        "<h4>Indicators</h4>",
        "Multiple similar reports",
        "Delivered with Riskdesk",
        "Approve",
    ):
        assert part in page
    client.post(url(document, first, "approve/"), {})
    first.refresh_from_db()
    assert first.state == "approved"
    page = client.get(url(document)).content.decode()
    assert "<h3>Purpose</h3>" in page
    assert str(first.approved_by) in page


def test_the_text_names_each_of_the_protocols_lists() -> None:
    text = levels.delivered_text()
    for level in levels.delivered().levels:
        assert f"{level.name} ({level.level})" in text
        assert level.description in text
        assert level.examples in text


def test_what_is_typed_cannot_run(document: Document, client: Client) -> None:
    version = drafted(document, body=EVIL)
    client.force_login(person(Role.RISK_MANAGER))
    for page in (url(document, version), url(document, version, "approve/")):
        answer = client.get(page)
        text = answer.content.decode()
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
        assert "<script>alert" not in text
        assert 'href="javascript:' not in text
        assert "<img" not in text
        assert "style=" not in text
        assert "unsafe-inline" not in answer["Content-Security-Policy"]


def test_two_versions_are_compared_in_text_and_table(document: Document, client: Client) -> None:
    first, second = document.versions.get(), drafted(document)
    client.force_login(person(Role.AUDITOR))
    answer = client.get(url(document, second))
    assert answer.context["other"] == first
    assert [one.where for one in answer.context["changed"]] == ["levels › 5 › acknowledge › minutes"]
    page = answer.content.decode()
    assert "<del>5</del>" in page
    assert "<ins>3</ins>" in page
    assert "Another text." in page
    assert "/approve/" not in page
    back = client.get(url(document, first), {"than": second.pk})
    assert (back.context["changed"][0].before, back.context["changed"][0].after) == ("3", "5")
    assert client.get(url(document, first)).context["other"] is None
    for wrong in ("x", first.pk, "999999", "1" * 40):
        assert client.get(url(document, first), {"than": wrong}).context["other"] is None


def test_who_approves_sees_what_changes_against_what_holds(document: Document, client: Client) -> None:
    documents.approve(version_id=document.versions.get().pk, actor=person(Role.SUPPORT_DIRECTOR), now=NOON)
    second = drafted(document)
    client.force_login(person(Role.RISK_MANAGER))
    page = client.get(url(document, second, "approve/")).content.decode()
    assert "Changed since version 1.0" in page
    assert "<ins>3</ins>" in page


def test_a_version_of_another_document_is_not_there(document: Document, client: Client) -> None:
    other = Document.objects.create(slug="other", title="Other", owner="Nobody")
    client.force_login(person(Role.RISK_MANAGER))
    assert client.get(url(other, document.versions.get())).status_code == 404
    assert client.post(url(document, document.versions.get())).status_code == 405
    client.force_login(person(Role.CONTENT_OWNER))
    assert client.get(url(document, document.versions.get())).status_code == 403
