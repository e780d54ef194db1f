"""Doing what was approved: once, again where it is safe, and never silently failed."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine

from apps.actions import execute, services, tasks
from apps.actions.executors import EffectFailed
from apps.actions.models import ActionCard, Execution
from apps.core.http import CircuitOpen, PermanentFailure, TransientFailure
from apps.core.models import Decision, Notification, User
from apps.core.roles import Role
from tests.actions.factories import NOW, CardFactory, Ledger, example_executor, example_rule
from tests.core.factories import person

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """Ends a worker between two statements, as a kill does: no handler of the product runs."""


@pytest.fixture(autouse=True)
def ledger() -> Iterator[Ledger]:
    with example_rule(), example_executor() as ledger:
        yield ledger


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def operator() -> User:
    return person(Role.OPERATOR)


@pytest.fixture
def execution(operator: User) -> Execution:
    card = CardFactory()
    return services.approve(card_id=card.pk, seen_version=1, actor=operator, action="note-down", key=uuid4())


def fresh(execution: Execution) -> tuple[ActionCard, Execution]:
    execution = Execution.objects.select_related("card").get(pk=execution.pk)
    return execution.card, execution


def last_decision() -> Decision:
    return Decision.objects.latest("seq")


def test_what_was_approved_is_done_once_with_its_key_and_recorded(execution: Execution, ledger: Ledger) -> None:
    execute.execute(execution.pk)
    assert execute.execute(execution.pk) is None  # a task that is delivered twice

    card, done = fresh(execution)
    assert ledger.done == [("execute", str(execution.key))]
    assert (done.status, done.attempts, done.result) == ("succeeded", 1, {"noted": str(execution.key)})
    assert (card.status, card.closed_at, card.version) == ("executed", NOW, 3)
    assert [event.kind for event in card.events.all()] == ["approved", "executed"]
    assert (last_decision().action, last_decision().actor_label) == ("card_executed", "system:executions")


def test_approving_hands_the_effect_to_a_worker_only_after_commit(
    operator: User, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(tasks.execute_one, "apply_async", lambda **options: sent.append(options["args"]))
    with django_capture_on_commit_callbacks(execute=True):
        made = services.approve(
            card_id=CardFactory().pk, seen_version=1, actor=operator, action="note-down", key=uuid4()
        )
        assert sent == []
    assert sent == [[made.pk]]


def test_an_approval_survives_a_broker_that_is_away(
    operator: User, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch, ledger: Ledger
) -> None:
    def away(**_: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(tasks.execute_one, "apply_async", away)
    with django_capture_on_commit_callbacks(execute=True):
        services.approve(card_id=CardFactory().pk, seen_version=1, actor=operator, action="note-down", key=uuid4())

    monkeypatch.setattr(tasks.execute_one, "delay", execute.execute)
    assert tasks.resume_executions() == 1
    assert len(ledger.done) == 1


# Failures


TRANSIENT = [
    TransientFailure("The store did not answer.", code="timeout"),
    CircuitOpen("The store is resting.", code="circuit_open"),
    smtplib.SMTPServerDisconnected("gone"),
    ConnectionRefusedError("refused"),
]
PERMANENT = [
    PermanentFailure("The store refused: no such order.", code="http_404"),
    EffectFailed("The customer has no e-mail address."),
    smtplib.SMTPRecipientsRefused({"a@example.com": (550, b"no such user")}),
    ZeroDivisionError("a mistake in the executor"),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: type(error).__name__)
def test_what_may_pass_is_tried_again_later_with_the_same_key(
    execution: Execution, ledger: Ledger, error: Exception, clock: Any
) -> None:
    ledger.fail = error
    execute.execute(execution.pk)

    card, waiting = fresh(execution)
    assert (waiting.status, waiting.failure_kind, card.status) == ("pending", "transient", "executing")
    assert waiting.last_error
    assert waiting.next_attempt_at == NOW + timedelta(seconds=30)
    assert execute.due(NOW + timedelta(seconds=29)) == []
    assert execute.execute(execution.pk) is None  # not due yet

    ledger.fail = None
    clock.shift(timedelta(seconds=30))
    assert execute.due(NOW + timedelta(seconds=30)) == [execution.pk]
    execute.execute(execution.pk)
    card, done = fresh(execution)
    assert (done.status, done.attempts, card.status, done.last_error) == ("succeeded", 2, "executed", "")
    assert ledger.done == [("execute", str(execution.key))]


def test_waits_grow_and_have_an_end() -> None:
    waits = [execute.backoff(attempts).total_seconds() for attempts in range(1, 8)]
    assert waits == [30, 120, 480, 1920, 3600, 3600, 3600]


def test_what_the_other_side_asks_to_wait_is_waited(execution: Execution, ledger: Ledger) -> None:
    ledger.fail = TransientFailure("Slow down.", code="http_429", retry_after=300)
    execute.execute(execution.pk)
    assert fresh(execution)[1].next_attempt_at == NOW + timedelta(seconds=300)


def test_after_the_last_attempt_the_card_says_that_it_failed(execution: Execution, ledger: Ledger, clock: Any) -> None:
    ledger.fail = TRANSIENT[0]
    for _ in range(execute.MAX_ATTEMPTS):
        execute.execute(execution.pk)
        clock.shift(timedelta(hours=1))
    card, failed = fresh(execution)
    assert (failed.status, failed.attempts, card.status) == ("failed", execute.MAX_ATTEMPTS, "failed")


@pytest.mark.parametrize("error", PERMANENT, ids=lambda error: type(error).__name__)
def test_what_cannot_pass_is_shown_on_the_card_at_once(
    execution: Execution, ledger: Ledger, operator: User, error: Exception
) -> None:
    ledger.fail = error
    execute.execute(execution.pk)

    card, failed = fresh(execution)
    assert (failed.status, failed.failure_kind, failed.attempts) == ("failed", "permanent", 1)
    assert (card.status, card.version) == ("failed", 3)
    assert card.events.latest("id").text == failed.last_error != ""
    assert card in ActionCard.objects.queue()
    news = Notification.objects.get()
    assert (news.recipient, news.body) == (operator, failed.last_error)
    assert last_decision().action == "execution_failed"


def test_a_failed_card_is_tried_again_by_a_person_with_the_same_key(
    execution: Execution, ledger: Ledger, operator: User
) -> None:
    ledger.fail = PERMANENT[0]
    execute.execute(execution.pk)
    ledger.fail = None
    card, _ = fresh(execution)
    services.retry(card_id=card.pk, seen_version=card.version, actor=operator)
    execute.execute(execution.pk)
    assert fresh(execution)[0].status == "executed"
    assert ledger.done == [("execute", str(execution.key))]


def test_an_action_that_is_gone_fails_plainly(execution: Execution) -> None:
    Execution.objects.filter(pk=execution.pk).update(action="gone")
    execute.execute(execution.pk)
    assert fresh(execution)[1].last_error == "There is no action 'gone' any more."


# Killed workers


def killed(execution: Execution, ledger: Ledger) -> None:
    ledger.fail = Killed()
    with pytest.raises(Killed):
        execute.execute(execution.pk)
    ledger.fail = None


def test_a_worker_killed_mid_effect_is_followed_by_another_with_the_same_key(
    execution: Execution, ledger: Ledger, clock: Any
) -> None:
    killed(execution, ledger)
    card, running = fresh(execution)
    assert (running.status, card.status) == ("running", "executing")
    assert execute.due(NOW + timedelta(minutes=9)) == []  # it may still live

    clock.shift(execute.LEASE)
    assert execute.due(NOW + execute.LEASE) == [execution.pk]
    execute.execute(execution.pk)
    card, done = fresh(execution)
    assert (done.status, done.attempts, card.status) == ("succeeded", 2, "executed")
    assert ledger.done == [("execute", str(execution.key))]


def test_an_effect_that_cannot_be_repeated_is_not(execution: Execution, ledger: Ledger, clock: Any) -> None:
    ledger.begins = True
    killed(execution, ledger)
    clock.shift(execute.LEASE)
    execute.execute(execution.pk)

    card, failed = fresh(execution)
    assert (failed.status, card.status, ledger.done) == ("failed", "failed", [])
    assert "not known" in failed.last_error


def test_a_connection_that_breaks_after_sending_began_is_not_tried_again(execution: Execution, ledger: Ledger) -> None:
    ledger.begins, ledger.fail = True, smtplib.SMTPServerDisconnected("in the middle")
    execute.execute(execution.pk)
    card, failed = fresh(execution)
    assert (failed.status, card.status) == ("failed", "failed")
    assert "not known" in failed.last_error


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError("refused"), smtplib.SMTPDataError(451, b"try later")], ids=["unreached", "refused"]
)
def test_what_was_surely_not_sent_is_tried_again(execution: Execution, ledger: Ledger, error: Exception) -> None:
    ledger.begins, ledger.fail = True, error
    execute.execute(execution.pk)
    assert fresh(execution)[1].status == "pending"


def test_an_effect_that_kills_its_worker_each_time_is_given_up(
    execution: Execution, ledger: Ledger, clock: Any
) -> None:
    for _ in range(execute.MAX_ATTEMPTS):
        killed(execution, ledger)
        clock.shift(execute.LEASE)
    execute.execute(execution.pk)
    card, failed = fresh(execution)
    assert (failed.status, failed.last_error, card.status) == ("failed", execute.EXHAUSTED, "failed")


def test_a_worker_that_lost_its_lease_changes_nothing(execution: Execution, ledger: Ledger) -> None:
    """It comes back with a failure after another worker took over and succeeded."""
    mine = execute._claim(execution.pk, NOW)
    assert mine is not None
    with time_machine.travel(NOW + execute.LEASE, tick=False):
        execute.execute(execution.pk)
    execute._failed(mine, TRANSIENT[0], NOW + timedelta(hours=1))
    card, done = fresh(execution)
    assert (done.status, card.status) == ("succeeded", "executed")


# Rolling back


@pytest.fixture
def undone(execution: Execution, operator: User) -> Execution:
    execute.execute(execution.pk)
    card, _ = fresh(execution)
    return services.roll_back(
        card_id=card.pk, seen_version=card.version, actor=operator, reason="Wrong order.", key=uuid4()
    )


def test_rolling_back_undoes_and_says_so(undone: Execution, execution: Execution, ledger: Ledger) -> None:
    execute.execute(undone.pk)
    card, done = fresh(undone)
    assert ledger.done == [("execute", str(execution.key)), ("roll_back", str(undone.key))]
    assert (done.status, card.status) == ("succeeded", "rolled_back")
    assert card.events.latest("id").kind == "rolled_back"
    assert last_decision().action == "card_rolled_back"


def test_a_rollback_that_failed_leaves_the_card_done_and_may_be_asked_for_again(
    undone: Execution, ledger: Ledger, operator: User
) -> None:
    ledger.fail = PERMANENT[0]
    execute.execute(undone.pk)
    card, failed = fresh(undone)
    assert (failed.status, card.status) == ("failed", "executed")
    assert card.events.latest("id").text == failed.last_error

    ledger.fail = None
    again = services.roll_back(card_id=card.pk, seen_version=card.version, actor=operator, reason="Again.", key=uuid4())
    execute.execute(again.pk)
    assert fresh(again)[0].status == "rolled_back"
