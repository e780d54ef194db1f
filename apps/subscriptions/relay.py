"""Batches that overlap: one is prepared while the one before it is written, and they are committed one after the other.

The program and the database take turns if a single hand does batch after batch, and each of two cores is idle half of the
time. So two hands, each a thread with its own connection, take batches alternately. What must happen in the order of the
batches does:

* A batch locks its rows only after the one before it has locked all of its own. Without this, somebody who locks rows of
  both could wait for the later batch, the earlier one for them, and the later one for its turn.
* A batch writes only after the one before it is committed, so a cursor never passes over a batch that is not done. If a
  batch fails, those before it are finished and those after it are rolled back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from threading import Condition, Lock, Thread

import structlog
from django.db import Error, connection

logger = structlog.get_logger(__name__)

PATIENCE = 10.0
"""Seconds that a batch waits for its turn while it holds locks. Whoever waits for one of them may hold up the batch before."""


class GivenUp(Exception):
    """A batch before this one failed, so this one is left to the next start."""


class TurnIsLate(Exception):
    """The batch before this one takes long; this one must give back its locks before it waits on."""


class Pace:
    """What a batch tells while it is calculated; here it is alone, and waits for nobody."""

    def locked(self) -> None:
        """All its rows are locked."""

    def turn(self) -> None:
        """All is computed, and is written next. Returns when it may be."""


class Step(Pace):
    """One batch of a relay."""

    def __init__(self, relay: Relay, number: int) -> None:
        self._relay, self._number = relay, number

    def locked(self) -> None:
        self._relay.let_next_lock(self._number)

    def turn(self) -> None:
        """Wait for the turn, but not forever.

        Raises:
            GivenUp: if a batch before this one failed.
            TurnIsLate: after :data:`PATIENCE`.
        """
        self._relay.wait(self._number, seconds=PATIENCE)

    def turn_without_locks(self) -> None:
        """Wait for the turn as long as it takes. Call it outside of transactions."""
        self._relay.wait(self._number, seconds=None)


class Relay:
    """Numbers batches, and keeps their order.

    Attributes:
        error: what the earliest batch that failed failed by.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._locking = Lock()
        self._lock_holder: int | None = None
        self._changed = Condition()
        self._begun = self._ended = 0
        self._failed: float = math.inf
        self._over = False

    @contextmanager
    def step(self) -> Iterator[Step | None]:
        """The next batch, begun when the one before has its locks; None if there are no more to be done."""
        self._locking.acquire()
        number = self._begin()
        if number is None:
            self._locking.release()
            yield None
            return
        step = Step(self, number)
        try:
            yield step
        except BaseException as error:
            self.fail(error, number)
            raise
        else:
            self._end(number)
        finally:
            step.locked()

    def _begin(self) -> int | None:
        with self._changed:
            if self._over:
                return None
            number = self._lock_holder = self._begun
            self._begun += 1
            return number

    def let_next_lock(self, number: int) -> None:
        """Let the next batch begin; once for each batch, later calls do nothing."""
        with self._changed:
            if self._lock_holder != number:
                return
            self._lock_holder = None
        self._locking.release()

    def wait(self, number: int, *, seconds: float | None) -> None:
        """Wait until all batches before this one are committed; see :class:`Step`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._ended == number or self._failed < number, seconds):
                raise TurnIsLate
            if self._failed < number:
                raise GivenUp

    def _end(self, number: int) -> None:
        with self._changed:
            if self._ended == number:  # else it found nothing to do, and is the last
                self._ended += 1
                self._changed.notify_all()

    def close(self) -> None:
        """Begin no more batches; those that were begun are finished."""
        with self._changed:
            self._over = True

    def fail(self, error: BaseException, number: float = math.inf) -> None:
        """Begin no more batches, and give up those after this one."""
        with self._changed:
            self._over = True
            if self.error is None or number < self._failed:
                self.error, self._failed = error, number
            self._changed.notify_all()

    def run(self, hand: Callable[[], None], *, helper: Callable[[], None] | None) -> None:
        """Do batches in this thread and, if wanted, in one more.

        Args:
            hand: does batches until :meth:`step` gives None.
            helper: called first in the other thread, with its own connection; None to work alone. If it fails by the
                database, this thread works alone.

        Raises:
            BaseException: what the earliest batch failed by.
        """
        other = Thread(target=copy_context().run, args=(self._help, hand, helper), daemon=True) if helper else None
        if other is not None:
            other.start()
        try:
            hand()
        except GivenUp:
            pass  # the other thread's batch failed, see below
        except BaseException as error:  # noqa: BLE001  # whatever it is: raised below, when the other thread has ended
            self.fail(error)
        finally:
            if other is not None:
                other.join()
        if self.error is not None:
            raise self.error

    def _help(self, hand: Callable[[], None], prepare: Callable[[], None]) -> None:
        try:
            prepare()
        except Error:
            logger.warning("relay_works_alone", exc_info=True)
            connection.close()
            return
        try:
            hand()
        except GivenUp:
            pass  # the batch before it failed in the other thread, which says so
        except BaseException as error:  # noqa: BLE001  # whatever it is: the other thread raises it
            self.fail(error)
        finally:
            connection.close()
