"""Two hands that prepare batches at the same time and write them in order."""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, Event, get_ident

import pytest
from django.db import OperationalError

from apps.subscriptions import relay as module
from apps.subscriptions.relay import GivenUp, Relay, Step, TurnIsLate

SOON = 5.0  # seconds in which another thread certainly comes to it


def helped() -> None:
    """The other thread needs nothing."""


def hands(relay: Relay, count: int, batch: Callable[[Step, int], None]) -> Callable[[], None]:
    """A hand that does batches 0 to ``count`` - 1."""
    numbers = iter(range(count))

    def hand() -> None:
        while True:
            with relay.step() as step:
                number = next(numbers, None)
                if step is None or number is None:
                    relay.close()
                    return
                batch(step, number)

    return hand


def test_two_prepare_at_the_same_time_and_write_in_order() -> None:
    relay, together = Relay(), Barrier(2)
    written: list[int] = []
    threads: set[int] = set()

    def batch(step: Step, number: int) -> None:
        threads.add(get_ident())
        step.locked()
        together.wait(SOON)  # passes only if another batch is being prepared now
        step.turn()
        written.append(number)

    relay.run(hands(relay, 20, batch), helper=helped)
    assert written == list(range(20))
    assert len(threads) == 2


def test_no_batch_begins_before_the_one_before_has_its_locks() -> None:
    relay = Relay()
    holding: list[int] = []
    most: list[int] = []

    def batch(step: Step, number: int) -> None:
        holding.append(number)
        most.append(len(holding))
        holding.remove(number)
        step.locked()
        step.turn()

    relay.run(hands(relay, 50, batch), helper=helped)
    assert set(most) == {1}


@pytest.mark.parametrize("failing", [0, 1, 2, 5])
def test_after_a_failure_those_before_are_written_and_those_after_given_up(failing: int) -> None:
    relay = Relay()
    written: list[int] = []

    def batch(step: Step, number: int) -> None:
        step.locked()
        if number == failing:
            raise OperationalError("gone")
        step.turn()
        written.append(number)

    with pytest.raises(OperationalError, match="gone"):
        relay.run(hands(relay, 20, batch), helper=helped)
    assert written == list(range(failing))


def test_a_failure_while_nothing_is_prepared_lets_batches_under_way_end() -> None:
    relay, underway, failed = Relay(), Event(), Event()
    written: list[int] = []

    def batch(step: Step, number: int) -> None:
        step.locked()
        underway.set()
        assert failed.wait(SOON)
        step.turn()
        written.append(number)

    def helper() -> None:
        assert underway.wait(SOON)
        relay.fail(ValueError("judging"))
        failed.set()
        raise OperationalError("no helper any more")

    with pytest.raises(ValueError, match="judging"):
        relay.run(hands(relay, 3, batch), helper=helper)
    assert written == [0]


def test_without_a_connection_for_the_other_it_works_alone() -> None:
    relay = Relay()
    written: list[int] = []

    def refused() -> None:
        raise OperationalError("too many clients already")

    def batch(step: Step, number: int) -> None:
        step.turn()
        written.append(number)

    relay.run(hands(relay, 5, batch), helper=refused)
    assert written == [0, 1, 2, 3, 4]


def test_a_batch_whose_turn_is_late_may_let_go_and_wait_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    relay, let_go = Relay(), Event()
    written: list[int] = []

    def batch(step: Step, number: int) -> None:
        step.locked()
        if number == 0:
            assert let_go.wait(SOON)
        try:
            step.turn()
        except TurnIsLate:
            let_go.set()
            step.turn_without_locks()
        written.append(number)

    relay.run(hands(relay, 4, batch), helper=helped)
    assert written == [0, 1, 2, 3]


def test_who_waits_without_locks_hears_of_a_failure_too() -> None:
    relay = Relay()
    given_up: list[int] = []

    def batch(step: Step, number: int) -> None:
        step.locked()
        if number == 0:
            raise ValueError("first")
        try:
            step.turn_without_locks()
        except GivenUp:
            given_up.append(number)
            raise

    with pytest.raises(ValueError, match="first"):
        relay.run(hands(relay, 4, batch), helper=helped)
    assert given_up in ([], [1])
