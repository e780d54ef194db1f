"""The decision log: append-only, chained, whole under concurrency, and honest about tampering."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.db.transaction import TransactionManagementError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core import decisions
from apps.core.decisions import Entry, erase_text, record, record_many, system
from apps.core.models import Decision, DecisionText, Notification
from apps.core.roles import Role
from apps.core.tasks import verify_decision_log
from tests.core.factories import UserFactory, person

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def entry(number: int = 1, **changes: object) -> Entry:
    facts = {
        "scope": "risk-monitoring",
        "actor": system("tests"),
        "action": "order_aging_detected",
        "subject": f"action_card:{number}",
        "rationale": f"Order #{number} waits",
        "payload": {"days": 5},
    }
    return Entry(**(facts | changes))


def verified() -> decisions.Verification:
    *_, last = decisions.verify()
    return last


@pytest.fixture
def five() -> None:
    assert record_many(entry(number) for number in range(1, 6)) == 5


@pytest.fixture
def unprotected() -> Iterator[None]:
    """What somebody with the rights of the tables' owner could do."""
    with connection.cursor() as cursor:
        for table in ("core_decision", "core_decisiontext"):
            cursor.execute(f"SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE {table} DISABLE TRIGGER USER")
    yield
    with connection.cursor() as cursor:
        for table in ("core_decision", "core_decisiontext"):
            cursor.execute(f"SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE {table} ENABLE TRIGGER USER")


def test_entries_are_numbered_and_chained(five: None) -> None:
    rows = list(Decision.objects.order_by("seq"))
    assert [row.seq for row in rows] == [1, 2, 3, 4, 5]
    assert all(later.prev_hash == earlier.hash for earlier, later in itertools.pairwise(rows))
    assert verified() == decisions.Verification(5, (5, rows[-1].hash))


def test_an_empty_log_is_whole() -> None:
    assert verified().whole


@pytest.mark.django_db(transaction=True)
def test_recording_needs_the_transaction_of_what_is_decided() -> None:
    with pytest.raises(TransactionManagementError):
        record(entry())
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record(entry())
        _ = 1 / 0
    assert not Decision.objects.exists()
    with transaction.atomic():
        assert record(entry()).seq == 1


def test_the_actor_is_a_person_or_a_named_job() -> None:
    user = UserFactory()
    decision = record(entry(actor=user))
    assert (decision.actor, decision.actor_label) == (user, f"user:{user.pk}")
    with pytest.raises(ValueError, match="neither a person"):
        record(entry(actor="somebody"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE core_decision SET action = 'other'",
        "DELETE FROM core_decision",
        "SET LOCAL riskdesk.protect = 'on'; TRUNCATE core_decision CASCADE",
        "DELETE FROM core_decisiontext",
        "UPDATE core_decisiontext SET rationale = 'nicer'",
        "SET LOCAL riskdesk.protect = 'on'; TRUNCATE core_decisiontext CASCADE",
    ],
)
def test_the_database_refuses_changes(five: None, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(DatabaseError, match=r"append-only|only be erased"), transaction.atomic():
        connection.cursor().execute(statement)
    assert Decision.objects.count() == 5


@pytest.mark.parametrize(
    ("statement", "broken_at", "reason"),
    [
        ("UPDATE core_decision SET action = 'other' WHERE seq = 3", 3, "content"),
        ("UPDATE core_decision SET payload = '{\"days\": 1}' WHERE seq = 2", 2, "content"),
        ("DELETE FROM core_decisiontext WHERE decision_id = 2; DELETE FROM core_decision WHERE seq = 2", 2, "missing"),
        ("DELETE FROM core_decisiontext WHERE decision_id = 5; DELETE FROM core_decision WHERE seq = 5", 5, "end"),
        ("UPDATE core_decisiontext SET rationale = 'nicer' WHERE decision_id = 4", 4, "text was changed"),
        ("DELETE FROM core_decisiontext WHERE decision_id = 4", 4, "without a record"),
        (
            "UPDATE core_decision SET prev_hash = repeat('0', 64) WHERE seq = 3",
            3,
            "does not follow",
        ),
        (
            "UPDATE core_decision a SET subject = b.subject FROM core_decision b WHERE a.seq + b.seq = 7 AND a.seq IN (3, 4)",
            3,
            "content",
        ),
        (
            "INSERT INTO core_decision SELECT 6, at, scope, actor_label, action, subject, evidence_url, payload, '',"
            " hash, repeat('a', 64), actor_id FROM core_decision WHERE seq = 5",
            6,
            "content",
        ),
    ],
)
def test_tampering_is_found(five: None, unprotected: None, statement: str, broken_at: int, reason: str) -> None:
    with connection.cursor() as cursor:
        if statement.startswith("INSERT"):
            columns = "seq, at, scope, actor_label, action, subject, evidence_url, payload, text_digest, prev_hash, hash, actor_id"
            statement = statement.replace("core_decision SELECT", f"core_decision ({columns}) SELECT")
        cursor.execute(statement)
    result = verified()
    assert result.broken_at == broken_at
    assert reason in result.reason
    with pytest.raises(CommandError, match=f"Entry {broken_at} is bad"):
        call_command("verify_decision_log", stdout=StringIO())


def test_a_rewritten_chain_is_found_by_a_head_noted_elsewhere(five: None) -> None:
    good = Decision.objects.get(seq=4)
    call_command("verify_decision_log", expect=(4, good.hash), stdout=StringIO())
    for expected in [(4, "f" * 64), (9, good.hash)]:
        with pytest.raises(CommandError, match=f"Entry {min(expected[0], 6)} is bad"):
            call_command("verify_decision_log", expect=expected, stdout=StringIO())


def test_verifying_writes_nothing(five: None, django_assert_max_num_queries: object) -> None:
    before = list(Decision.objects.values())
    out = StringIO()
    call_command("verify_decision_log", stdout=out)
    assert list(Decision.objects.values()) == before
    assert "5 entries, the chain is whole" in out.getvalue()


def test_personal_data_stays_outside_the_chain() -> None:
    payload = {
        "days": 5,
        "email": "ann@example.com",
        "evidence": [{"orderId": 7, "contact": "write to ann@example.com", "customer": {"name": "Ann", "id": 3}}],
    }
    decision = record(entry(payload=payload))
    decision.refresh_from_db()
    assert decision.payload == {"days": 5, "evidence": [{"orderId": 7, "contact": None, "customer": {"id": 3}}]}
    assert decision.text.details == {
        "email": "ann@example.com",
        "evidence.0.contact": "write to ann@example.com",
        "evidence.0.customer.name": "Ann",
    }
    assert "ann" not in json.dumps(decision.payload).lower()
    assert verified().whole


def test_erasing_a_text_leaves_the_chain_whole() -> None:
    decision = record(entry(rationale="Ann complained"))
    proof = erase_text(decision, actor=system("privacy"), reason="Request 12", now=NOON)
    text = DecisionText.objects.get(decision=decision)
    assert (text.rationale, text.details, text.salt, text.erased_at) == ("", {}, "", NOON)
    assert proof.subject == f"decision:{decision.seq}"
    assert verified().whole
    assert Decision.objects.get(pk=decision.pk).rationale == ""


def test_a_decision_reads_as_specified() -> None:
    user = UserFactory(username="olga")
    decision = record(entry(actor=user, evidence_url="/admin/orders/order/7/", payload={"evidence": []}))
    shape = decision.as_specified()
    wanted = {
        "scope": "risk-monitoring",
        "actor": "olga",
        "action": "order_aging_detected",
        "rationale": "Order #1 waits",
        "evidenceUrl": "/admin/orders/order/7/",
        "payload": {"evidence": []},
    }
    assert {key: shape[key] for key in wanted} == wanted


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=st.dictionaries(st.text(max_size=8), json_values, max_size=4), rationale=st.text(max_size=40))
def test_whatever_is_recorded_verifies_after_the_database_had_it(db: None, payload: dict, rationale: str) -> None:
    record(entry(payload=payload, rationale=rationale))
    assert verified().whole


@pytest.mark.django_db(transaction=True)
def test_eight_threads_make_one_unbroken_chain() -> None:
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            for number in range(10):
                with transaction.atomic():
                    record(entry(worker * 100 + number))
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[worker]) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert Decision.objects.count() == 80
    assert verified().whole


def test_many_entries_take_few_queries(django_assert_max_num_queries: object) -> None:
    with django_assert_max_num_queries(40):  # type: ignore[operator]
        assert record_many(entry(number) for number in range(5_000)) == 5_000
    assert verified().whole


def test_the_daily_task_tells_administrators_and_auditors_once_a_day(five: None, unprotected: None) -> None:
    told = {person(Role.ADMINISTRATOR), person(Role.AUDITOR)}
    person(Role.OPERATOR)
    assert verify_decision_log() is True
    assert not Notification.objects.exists()
    connection.cursor().execute("UPDATE core_decision SET action = 'other' WHERE seq = 3")
    assert verify_decision_log() is False
    assert verify_decision_log() is False
    assert {news.recipient for news in Notification.objects.all()} == told
    assert Notification.objects.count() == 2
