"""Checks of keys, people, schedule, packages and records: each passes and fails."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import structlog
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from apps.core import redaction, valkey, worker
from apps.core.breaker import Breaker
from apps.core.decisions import Entry, record, system
from apps.core.models import ApiToken, Decision
from apps.core.roles import Role, sync_roles
from apps.register import reported
from apps.register.checks import dependencies_pinned, redaction_active
from apps.register.management.commands import record_restore_test
from tests.core.factories import UserFactory, person
from tests.orders.factories import StoreFactory
from tests.register.looking import NOON, look

remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def _keys(settings: Any) -> None:
    settings.SECRET_KEY = "k3" * 20 + "Xy9-Lm_pQ8" * 2
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]


@pytest.mark.usefixtures("_keys")
def test_encryption_keys_pass_over_what_is_stored() -> None:
    StoreFactory(webhook_secret="of the shop", api_token="shpat_1")
    found = look("encryption-keys")
    assert found.outcome == "pass"
    assert found.facts["columns"]["orders.Store.webhook_secret"] == {"read": 1, "closed": 0}


@pytest.mark.usefixtures("_keys")
def test_encryption_keys_fail_where_a_value_lies_open_or_its_key_is_gone(settings: Any) -> None:
    store = StoreFactory(webhook_secret="of the shop")
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    assert "1 of 1 values of orders.Store.webhook_secret" in look("encryption-keys").summary
    with connection.cursor() as cursor:
        cursor.execute("UPDATE orders_store SET webhook_secret = 'plain' WHERE id = %s", [store.pk])
    assert look("encryption-keys").outcome == "fail"


@pytest.mark.usefixtures("_keys")
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("FIELD_KEYS", [], "FIELD_KEYS is empty"),
        ("FIELD_KEYS", ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="], "not drawn at random"),
        ("SECRET_KEY", "dev-insecure-" + "x" * 60, "SECRET_KEY is a default"),
        ("SECRET_KEY", "short", "shorter than 50"),
    ],
)
def test_encryption_keys_fail_by_default_keys(settings: Any, name: str, value: Any, words: str) -> None:
    setattr(settings, name, value)
    assert words in look("encryption-keys").summary


def test_circuit_breakers() -> None:
    valkey.client().delete("riskdesk:breaker:names")
    assert look("circuit-breakers").outcome == "pass"
    breaker = Breaker(f"check-{uuid4().hex}", threshold=1, cool_down=0.2)
    try:
        breaker.fail(breaker.admit().token)
        found = look("circuit-breakers")
        assert (found.outcome, found.facts["open"]) == ("fail", [breaker.name])
    finally:
        breaker.reset()
        valkey.client().srem("riskdesk:breaker:names", breaker.name)


def test_redaction_active_passes() -> None:
    found = look("redaction-active")
    assert (found.outcome, found.facts["notMasked"]) == ("pass", [])


def test_redaction_active_fails_when_a_finder_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    finders = tuple(one for one in redaction.POLICIES["message"] if one.__name__ != "find_cards")
    monkeypatch.setattr(redaction, "POLICIES", {**redaction.POLICIES, "message": finders})
    found = look("redaction-active")
    assert found.outcome == "fail"
    assert "card" in found.facts["notMasked"]


def test_redaction_active_fails_when_the_log_tells_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction_active, "formatting", lambda _: [remove_meta, structlog.processors.JSONRenderer()])
    assert "password" in look("redaction-active").facts["inTheLog"]


def decided() -> Decision:
    return record(Entry(scope="tests", actor=system("test"), action="tried", subject="test:1", payload={"a": 1}))


def test_decision_log_passes_over_a_whole_chain() -> None:
    decided()
    decided()
    found = look("decision-log")
    assert (found.outcome, found.facts["checked"]) == ("pass", Decision.objects.count())


def test_decision_log_fails_where_an_entry_was_changed_or_the_trigger_is_off() -> None:
    decided()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what is still to be checked would bar the next statement
        cursor.execute("ALTER TABLE core_decision DISABLE TRIGGER USER")
        found = look("decision-log")
        assert "No trigger keeps core_decision" in found.summary
        assert "An entry could be changed" in found.summary
        cursor.execute("UPDATE core_decision SET payload = '{}'")
        cursor.execute("ALTER TABLE core_decision ENABLE TRIGGER USER")
    assert "its content was changed" in look("decision-log").summary


def test_second_factor_fails_by_who_signs_in_by_a_password_alone() -> None:
    assert look("second-factor").outcome == "pass"
    person(Role.AUDITOR)
    UserFactory(is_staff=False)
    found = look("second-factor")
    assert found.outcome == "fail"
    assert found.summary.startswith(
        "Of those who may enter the desk, 1 of 1 sign in by a password alone; 0 as administrator."
    )
    assert "No second factor is offered" in found.summary


def token(days: int, *, used_days: int | None = 1, active: bool = True) -> ApiToken:
    user = UserFactory(is_active=active)
    made, _ = ApiToken.objects.create(user=user, name="of a program", expiry=timedelta(days=3650))
    used = None if used_days is None else NOON - timedelta(days=used_days)
    ApiToken.objects.filter(pk=made.pk).update(created=NOON - timedelta(days=days), last_used_at=used)
    return made


def test_token_rotation_passes_with_young_tokens_in_use() -> None:
    token(80)
    assert look("token-rotation").outcome == "pass"


def test_token_rotation_fails_by_age_and_warns_of_the_unused() -> None:
    old = token(91)
    found = look("token-rotation")
    assert (found.outcome, found.facts["oldest"]) == ("fail", [old.token_key])
    assert look("token-rotation", rotate_days=100).outcome == "pass"
    token(70, used_days=None)
    assert look("token-rotation", rotate_days=100).outcome == "warn"


def test_roles_in_force_pass_and_fail() -> None:
    sync_roles()
    assert look("roles-in-force").outcome == "pass"
    agent = person(Role.SUPPORT_AGENT)
    group = agent.groups.get()
    permission = group.permissions.first()
    assert permission is not None
    agent.user_permissions.add(permission)
    assert look("roles-in-force").outcome == "warn"
    group.permissions.remove(permission)
    assert "Support Agent has 0 rights too many and 1 too few" in look("roles-in-force").summary
    for _ in range(2):
        UserFactory(is_superuser=True)
    assert "2 people are superusers" in look("roles-in-force", superusers=1).summary


@pytest.fixture
def _heartbeats(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(worker, "HEARTBEATS", f"test:{uuid4().hex}")
    yield
    valkey.client().delete(worker.HEARTBEATS)


def job(name: str, *, ran: datetime | None, ended: datetime | None, daily: bool = False) -> PeriodicTask:
    if daily:
        schedule: dict[str, Any] = {"crontab": CrontabSchedule.objects.create(hour="3", minute="0", timezone="UTC")}
    else:
        schedule = {"interval": IntervalSchedule.objects.create(every=60, period="seconds")}
    made = PeriodicTask.objects.create(name=name, task=f"tests.{name}", last_run_at=ran, expire_seconds=55, **schedule)
    PeriodicTask.objects.filter(pk=made.pk).update(date_changed=NOON - DAY)
    if ended:
        valkey.client().hset(worker.HEARTBEATS, made.task, f"{ended.timestamp():.0f}")
    return made


@pytest.mark.usefixtures("_heartbeats")
def test_job_heartbeats_pass_for_short_and_for_daily_jobs() -> None:
    assert look("job-heartbeats").outcome == "fail"  # nothing is scheduled at all
    job("often", ran=NOON - timedelta(minutes=2), ended=NOON - timedelta(minutes=1))
    job("daily", ran=NOON - 9 * HOUR, ended=NOON - 9 * HOUR, daily=True)
    found = look("job-heartbeats")
    assert (found.outcome, found.summary) == ("pass", "All 2 scheduled jobs ran on time.")


@pytest.mark.usefixtures("_heartbeats")
@pytest.mark.parametrize(
    ("ran", "ended", "daily", "outcome", "words"),
    [
        (20 * timedelta(minutes=1), timedelta(minutes=1), False, "fail", "Not started on time: j"),
        (34 * HOUR, 9 * HOUR, True, "fail", "Not started on time: j"),
        (timedelta(minutes=2), HOUR, False, "fail", "not ended well since their last turn: j"),
        (9 * HOUR, 34 * HOUR, True, "fail", "not ended well since their last turn: j"),
        (HOUR * 9, None, True, "warn", "No worker ever said"),
        (None, None, False, "fail", "Not started on time: j"),
    ],
)
def test_job_heartbeats_fail(ran: Any, ended: Any, daily: bool, outcome: str, words: str) -> None:
    job("j", ran=ran and NOON - ran, ended=ended and NOON - ended, daily=daily)
    found = look("job-heartbeats")
    assert found.outcome == outcome
    assert words in found.summary


@pytest.mark.usefixtures("_heartbeats")
def test_a_task_that_ends_well_leaves_a_heartbeat() -> None:
    from types import SimpleNamespace

    task = SimpleNamespace(name="tests.task", request=SimpleNamespace())
    worker._task_ends(task=task, state="FAILURE")
    assert worker.heartbeats() == {}
    worker._task_ends(task=task, state="SUCCESS")
    assert list(worker.heartbeats()) == ["tests.task"]


def test_integration_timeouts_pass() -> None:
    found = look("integration-timeouts")
    assert (found.outcome, found.facts["code"]) == ("pass", "timeout")
    assert 0.2 < found.facts["seconds"] < 1.5


def test_integration_timeouts_fail_by_a_module_past_the_client_and_by_patient_mail(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sys
    from types import ModuleType

    module = ModuleType("apps.orders.hasty")
    module.__file__ = str(tmp_path / "hasty.py")
    Path(module.__file__).write_text("import httpx\nhttpx.get('http://example.com')\n")
    monkeypatch.setitem(sys.modules, "apps.orders.hasty", module)
    settings.EMAIL_BACKEND, settings.EMAIL_TIMEOUT = "django.core.mail.backends.smtp.EmailBackend", None
    found = look("integration-timeouts")
    assert found.facts["pastTheClient"] == ["apps.orders.hasty (httpx)"]
    assert "The mail server may take any number of seconds" in found.summary


def test_dependencies_pinned_pass_as_installed() -> None:
    found = look("dependencies-pinned")
    assert found.outcome == "pass"
    assert found.facts["packages"] > 50


@pytest.mark.parametrize(
    ("lock", "words"),
    [
        ("django>=5 --hash=sha256:a\n", "Not pinned to one version: django>=5"),
        ("django==0.1 --hash=sha256:a\n", "Installed otherwise: django"),
        ("no-such-package==1 --hash=sha256:a\n", "no-such-package missing"),
        ("", "names no package"),
    ],
)
def test_dependencies_pinned_fail(settings: Any, tmp_path: Path, lock: str, words: str) -> None:
    (tmp_path / "requirements.txt").write_text(lock)
    settings.BASE_DIR = tmp_path
    assert words in look("dependencies-pinned").summary


def test_dependencies_pinned_fail_without_hashes_or_file(settings: Any, tmp_path: Path) -> None:
    settings.BASE_DIR = tmp_path
    assert "cannot be read" in look("dependencies-pinned").summary
    (tmp_path / "requirements.txt").write_text(f"packaging=={dependencies_pinned._installed('packaging')}\n")
    assert look("dependencies-pinned").summary == "Without hashes: packaging."


def audited(tmp_path: Path, *vulnerable: str) -> str:
    found = [{"name": "sound", "version": "1", "vulns": []}]
    found += [{"name": name, "version": "1", "vulns": [{"id": "PYSEC-1"}]} for name in vulnerable]
    file = tmp_path / "audit.json"
    file.write_text(json.dumps({"dependencies": found, "fixes": []}))
    out = StringIO()
    call_command("record_audit", str(file), stdout=out)
    return out.getvalue()


def test_dependency_audit(tmp_path: Path, settings: Any) -> None:
    now = timezone.now() + timedelta(seconds=5)
    assert look("dependency-audit", now=now).summary == "The packages were never looked up."
    assert "1 packages, 0 vulnerabilities" in audited(tmp_path)
    assert look("dependency-audit", now=now).outcome == "pass"
    assert look("dependency-audit", now=now + 9 * DAY).outcome == "fail"
    audited(tmp_path, "hollow")
    assert "hollow PYSEC-1" in look("dependency-audit", now=now).summary
    audited(tmp_path)
    settings.BASE_DIR = tmp_path
    assert look("dependency-audit", now=timezone.now() + timedelta(seconds=5)).outcome == "warn"


def test_what_is_no_audit_is_not_recorded(tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_text('{"dependencies": []}')
    with pytest.raises(CommandError, match="names no package"):
        call_command("record_audit", str(tmp_path / "audit.json"))
    (tmp_path / "audit.json").write_text("nothing")
    with pytest.raises(CommandError, match="no output of pip-audit"):
        call_command("record_audit", str(tmp_path / "audit.json"))


def archive(tmp_path: Path, content: bytes = b"PGDMP" + bytes(20_000)) -> Path:
    file = tmp_path / "riskdesk.dump"
    file.write_bytes(content)
    return file


def test_backup_age(tmp_path: Path) -> None:
    now = timezone.now() + timedelta(seconds=5)
    assert look("backup-age", now=now).summary == "No backup was ever recorded."
    call_command("record_backup", str(archive(tmp_path)), stdout=StringIO())
    found = look("backup-age", now=now)
    assert (found.outcome, found.facts["backup"]["bytes"]) == ("pass", 20_005)
    assert look("backup-age", now=now + 30 * HOUR).outcome == "fail"
    assert look("backup-age", now=now + 30 * HOUR, hours=48).outcome == "pass"


def test_a_backup_is_as_old_as_its_file(tmp_path: Path) -> None:
    file = archive(tmp_path)
    long_ago = (timezone.now() - 3 * DAY).timestamp()
    os.utime(file, (long_ago, long_ago))
    call_command("record_backup", str(file), stdout=StringIO())
    found = look("backup-age", now=timezone.now() + timedelta(seconds=5))
    assert (found.outcome, round(found.facts["hours"])) == ("fail", 72)


@pytest.mark.parametrize(
    ("content", "words"), [(b"hello" * 9000, "no archive"), (b"PGDMP", "only 5 bytes"), (b"", "no archive")]
)
def test_what_is_no_backup_is_not_recorded(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("record_backup", str(archive(tmp_path, content)))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("record_backup", str(tmp_path / "absent"))
    assert reported.last("backup", now=timezone.now()) is None


def test_restore_test() -> None:
    assert look("restore-test").summary == "No backup was ever restored and compared."
    now = datetime.now(UTC)
    reported.report("restore_test", happened_at=now, facts={"whole": True, "tables": 90, "decisions": 7}, now=now)
    assert look("restore-test", now=now + DAY).outcome == "pass"
    assert look("restore-test", now=now + 93 * DAY).outcome == "fail"
    later = now + HOUR
    reported.report("restore_test", happened_at=later, facts={"whole": False}, now=later)
    assert "was not whole" in look("restore-test", now=now + DAY).summary


@pytest.mark.django_db(transaction=True)
def test_a_whole_restore_is_seen_as_such_and_one_of_another_history_is_not() -> None:
    """The restored database stands beside ours; here ours is read over a second connection, as a perfect copy would be."""
    UserFactory()
    with transaction.atomic():
        decided()
    options = connection.get_connection_params()
    given = {key: options[key] for key in ("dbname", "user", "host") if options.get(key)}
    with psycopg.connect(**given) as there:
        problems, facts = record_restore_test._compared(there)
        assert problems == []
        assert facts["decisions"] == Decision.objects.count()
        there.execute("ALTER TABLE core_decision DISABLE TRIGGER USER")
        there.execute("UPDATE core_decision SET hash = repeat('0', 64)")
        there.execute("DROP TABLE core_delivery CASCADE")
        problems, _ = record_restore_test._compared(there)
        there.rollback()
    assert problems[0] == "1 tables are missing, such as core_delivery"
    assert "is no entry of ours" in problems[1]


def test_a_restore_test_is_of_another_database() -> None:
    ours = connection.settings_dict
    with pytest.raises(CommandError, match="in use"):
        call_command("record_restore_test", f"postgres://postgres@/{ours['NAME']}?host={ours['HOST']}")
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("record_restore_test", f"postgres://postgres@/no_such_database?host={ours['HOST']}")
    with pytest.raises(CommandError, match="tables are missing"):
        call_command("record_restore_test", f"postgres://postgres@/postgres?host={ours['HOST']}")
    assert look("restore-test", now=timezone.now() + HOUR).outcome == "fail"


def test_nothing_is_reported_that_has_not_happened() -> None:
    with pytest.raises(ValueError, match="happened already"):
        reported.report("backup", happened_at=NOON + HOUR, facts={}, now=NOON)
