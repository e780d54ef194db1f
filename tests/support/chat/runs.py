"""A random run: customers of one conversation talk through a faulty proxy while servers die; then all must agree."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from apps.chat.models import ChatSite, Event
from apps.chat.sessions import open_session
from tests.support.chat.customer import SHOP, Customer
from tests.support.chat.proxy import CALM, Faults, FaultyProxy


@dataclass
class Outcome:
    """What came of one run. ``wrong`` says what was against the promises; empty is well."""

    seed: int
    messages: int = 0
    connects: int = 0
    polls: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


@dataclass
class Run:
    """One conversation with a few tabs."""

    seed: int
    site_key: str
    tokens: list[str]
    conversation_id: int

    @classmethod
    def prepared(cls, site: ChatSite, seed: int, tabs: int) -> Run:
        """Sessions of one visitor, stored."""
        key = UUID(int=random.Random(f"{site.pk}:{seed}").getrandbits(128), version=4)
        opened = open_session(
            site_key=site.key, client_key=key, identity="", language="en", origin=SHOP, now=timezone.now()
        )
        return cls(seed, site.key, [opened.token] * tabs, opened.conversation.pk)

    async def play(
        self,
        *,
        ports: Sequence[Callable[[], int]],
        messages: int,
        faults: Faults,
        pace: float,
        patience: float,
        settle: float,
    ) -> Outcome:
        """Let everybody talk, then let the faults end, and wait until all agree.

        Args:
            ports: of the web servers; the tabs are spread over them.
            pace: seconds in which the messages are said.
            settle: seconds within which all must agree.
        """
        dice, outcome, loop = random.Random(self.seed), Outcome(self.seed), asyncio.get_running_loop()
        began = loop.time()
        async with AsyncExitStack() as stack:
            proxies = [
                await stack.enter_async_context(FaultyProxy(port(), faults, self.seed + number))
                for number, port in enumerate(ports)
            ]
            tabs = [
                Customer(
                    self.site_key, token, partial(_port_of, proxies[number % len(ports)]), ports[number % len(ports)],
                    random.Random(f"{self.seed}:{number}"), patience,
                    unsocketed=number > 0 and dice.random() < 0.15,
                )
                for number, token in enumerate(self.tokens)
            ]  # fmt: skip
            lives = [asyncio.create_task(tab.live()) for tab in tabs]
            for number in range(messages):
                dice.choice(tabs).says(f"message {number} of run {self.seed}")
                await asyncio.sleep(dice.random() * 2 * pace / messages)
            for proxy in proxies:
                proxy.faults = CALM
            total = await self._settled(tabs, lives, settle)
            for life in lives:
                life.cancel()
            ended = await asyncio.gather(*lives, return_exceptions=True)
        outcome.wrong += [repr(each) for each in ended if isinstance(each, AssertionError)]
        outcome.wrong += wrong_with(tabs, total)
        outcome.messages, outcome.seconds = messages, loop.time() - began
        outcome.connects, outcome.polls = sum(tab.connects for tab in tabs), sum(tab.polls for tab in tabs)
        stored = await self._asked_until_it_answers()
        outcome.wrong += wrong_with_stored(tabs, stored, messages)
        return outcome

    async def _settled(self, tabs: list[Customer], lives: list[asyncio.Task[None]], settle: float) -> int:
        """Wait until nothing is in an outbox and all have the same; returns the seq that they have."""
        with suppress(TimeoutError):
            async with asyncio.timeout(settle):
                while not any(life.done() for life in lives):
                    if not any(tab.outbox for tab in tabs) and len({tab.have for tab in tabs}) == 1:
                        said = sum(len(tab.acknowledged) for tab in tabs)
                        if tabs[0].have >= said:  # one of them may know of an event before what comes before it
                            break
                    await asyncio.sleep(0.05)
        return max(tab.have for tab in tabs)

    async def _asked_until_it_answers(self) -> list[tuple[int, str | None, str]]:
        """What is stored; the database may be away just now."""
        while True:
            try:
                return await asyncio.to_thread(self._stored)
            except (OperationalError, InterfaceError):
                await asyncio.sleep(0.2)

    def _stored(self) -> list[tuple[int, str | None, str]]:
        try:
            rows = Event.objects.filter(conversation=self.conversation_id).order_by("seq")
            return [
                (seq, str(key) if key else None, text)
                for seq, key, text in rows.values_list("seq", "client_id", "text")
            ]
        finally:
            connection.close()


def _port_of(proxy: FaultyProxy) -> int:
    return proxy.port


def wrong_with(tabs: list[Customer], last: int) -> list[str]:
    """What the customers themselves can see."""
    wrong = []
    for number, tab in enumerate(tabs):
        if tab.outbox:
            wrong.append(f"tab {number} still waits for {len(tab.outbox)} messages")
        if tab.have != last:
            wrong.append(f"tab {number} has got to {tab.have} and not to {last}")
        if tab.history != tabs[0].history:
            wrong.append(f"tab {number} has another history than tab 0")
        if tab.refused:
            wrong += [f"tab {number} was refused: {code}" for code in tab.refused if code != "not_stored"]
    return wrong


def wrong_with_stored(tabs: list[Customer], stored: list[tuple[int, str | None, str]], messages: int) -> list[str]:
    """What the database says about what they were told."""
    wrong = []
    if [seq for seq, _key, _text in stored] != list(range(1, len(stored) + 1)):
        wrong.append("the events are not numbered one after another")
    if len(stored) != messages:
        wrong.append(f"{len(stored)} events of {messages} messages")
    by_key = {key: seq for seq, key, _text in stored}
    for number, tab in enumerate(tabs):
        lost = [key for key, seq in tab.acknowledged.items() if by_key.get(key) != seq]
        if lost:
            wrong.append(f"tab {number} was told that {len(lost)} messages are stored, and they are not")
        if [(event["seq"], event["text"]) for _seq, event in sorted(tab.history.items())] != [
            (seq, text) for seq, _key, text in stored
        ]:
            wrong.append(f"tab {number} has another history than the database")
    return wrong
