"""How many sockets and messages one web process of chat takes, with every message stored; and the plain tutorial's chat.

    python -m benchmarks.chat                                  # all parts, as they stand in docs/benchmarks.md
    python -m benchmarks.chat --only load --sockets 200 --conversations 50 --rates 50 100 --seconds 5

Servers, customers, database and Valkey share the machine; customers are one process, whose own load is printed: where it
nears 100 %, the figure is the customers' limit and not the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from benchmarks.benchmarks_database import scratch_database
from benchmarks.chat_load import (
    PlainTab,
    Tab,
    Tally,
    close_all,
    come_back,
    open_all,
    percentile,
    summary,
    talk,
    until,
)  # fmt: skip

PARTS = ("load", "second", "plain", "idle", "storm")
LIMIT_MS = 250.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--sockets", type=int, default=2_000)
    parser.add_argument("--conversations", type=int, default=500)
    parser.add_argument("--rates", type=float, nargs="*", default=[250, 500, 750, 1_000, 1_250, 1_500])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each rate")
    parser.add_argument("--idle", type=int, nargs="*", default=[1_000, 10_000])
    parser.add_argument("--idle-minutes", type=float, default=0.0, help="for which the last idle sockets must stay up")
    parser.add_argument("--storm", type=int, default=2_000)
    parser.add_argument("--valkey", action="store_true", help="a Valkey of its own instead of that of REDIS_URL")
    return parser.parse_args()


def prepared(conversations: int) -> list[tuple[str, int]]:
    """Tokens and keys of so many new conversations, each with a person, so that no bot answers."""
    from datetime import timedelta

    from django.utils import timezone

    from apps.chat.models import ChatSession, ChatSite, Conversation, Visitor
    from apps.chat.sessions import digest_of, token_for
    from apps.core.models import User
    from tests.chat.factories import chat_site

    now = timezone.now()
    site = ChatSite.objects.filter(key="bench").first() or chat_site(
        key="bench", allowed_origins=["https://shop.example.com"], has_bot=False
    )
    agent, _made = User.objects.get_or_create(username="agent", defaults={"is_staff": True})
    visitors = Visitor.objects.bulk_create(
        [Visitor(site=site, created_at=now, seen_at=now) for _ in range(conversations)]
    )
    talks = Conversation.objects.bulk_create(
        [
            Conversation(
                site=site, scope=site.scope, visitor=visitor, state="person", assignee=agent, opened_at=now,
                last_event_at=now,
            )
            for visitor in visitors
        ]
    )  # fmt: skip
    keys = [uuid4() for _ in talks]
    ChatSession.objects.bulk_create(
        [
            ChatSession(
                site=site, visitor=each.visitor, conversation=each, client_key=key, created_at=now, seen_at=now,
                expires_at=now + timedelta(days=1), token_digest=digest_of(token_for(site, key)),
            )
            for each, key in zip(talks, keys, strict=True)
        ]
    )  # fmt: skip
    return [(token_for(site, key), each.pk) for each, key in zip(talks, keys, strict=True)]


class Bench:
    """The servers, and what is measured on them."""

    def __init__(self, options: argparse.Namespace, folder: Path, valkey_url: str) -> None:
        self.options, self.folder, self.valkey_url = options, folder, valkey_url
        self.customers = psutil.Process()
        self.started: list[Any] = []

    def web(self, application: str = "config.asgi:application", settings: str = "tests.support.chat.settings") -> Any:
        from tests.support.chat.servers import Web

        log = self.folder / f"web{random.randrange(10**9)}.log"
        made = Web(
            database=os.environ["DATABASE_URL"], valkey=self.valkey_url, log=log, settings=settings,
            application=application,
        )  # fmt: skip
        self.started.append(made)
        return made

    async def load(self, name: str, webs: Sequence[Any], make: Any, rooms: Sequence[str], stored: Any) -> None:
        """Rates one after another, until one is too much."""
        options = self.options
        print(
            f"\n{name}: {options.sockets} sockets in {len(rooms)} conversations, {options.seconds:.0f} s each",
            flush=True,
        )
        for rate in options.rates:
            tally = Tally()
            tabs = [
                # the tabs of one conversation on all servers
                make(webs[number // len(rooms) % len(webs)].port, rooms[number % len(rooms)], tally)
                for number in range(options.sockets)
            ]
            await open_all(tabs)
            await asyncio.sleep(1)
            fine = await self._rate(rate, webs, tabs, tally, options.sockets // len(rooms), stored)
            await close_all(tabs)
            await asyncio.sleep(1)
            if not fine:
                print("        the limit is passed; higher rates are left out")
                break

    async def _rate(
        self, rate: float, webs: Sequence[Any], tabs: Sequence[Tab], tally: Tally, each: int, stored: Any
    ) -> bool:
        """One rate; whether a higher one is worth trying. ``each``: the sockets that get each message."""
        before, kept = [_processor(web) for web in webs], stored()
        own, began = self._own(), time.monotonic()
        late = await talk(tabs, rate, self.options.seconds)
        spoken, expected = time.monotonic() - began, len(tally.due) * each
        await until(lambda: tally.got >= expected, 30)
        passed = time.monotonic() - began
        used = [(_processor(web) - was) / passed * 100 for web, was in zip(webs, before, strict=True)]
        acks = f"acknowledged {summary(tally.acknowledged)}; " if tally.acknowledged else ""
        print(
            f"{rate:6.0f}/s: sent {len(tally.due)} in {spoken:.1f} s; stored {stored() - kept}; "
            f"delivered {tally.got} of {expected}; {acks}delivery {summary(tally.delivered)}; "
            f"server {' and '.join(f'{each:.0f}' for each in used)} % of a core, "
            f"customers {(self._own() - own) / passed * 100:.0f} %; last sent {late * 1000:.0f} ms late; "
            f"refused {tally.refused or 0}",
            flush=True,
        )
        return percentile(tally.delivered, 0.99) <= LIMIT_MS * 4 and tally.got >= expected

    async def idle(self, tokens: Sequence[str]) -> None:
        """Memory by number of idle sockets; do they stay?"""
        web = self.web()
        web.start()
        await web.ready()
        tally, tabs = Tally(), list[Tab]()
        warm = [Tab(web.port, tokens[0], tally)]
        await open_all(warm)
        empty = _memory(web)
        print(f"\nIdle sockets on one process, which has {empty / 2**20:.0f} MB without")
        for count in self.options.idle:
            more = [Tab(web.port, tokens[number % len(tokens)], tally) for number in range(len(tabs), count)]
            took = await open_all(more)
            tabs += more
            await asyncio.sleep(3)
            memory = _memory(web)
            print(
                f"{count:6d} sockets: {memory / 2**20:.0f} MB, {(memory - empty) / count / 1024:.1f} KB each; "
                f"the last {len(more)} opened in {took:.1f} s",
                flush=True,
            )
        if self.options.idle_minutes:
            before = _processor(web)
            await asyncio.sleep(self.options.idle_minutes * 60)
            used = (_processor(web) - before) / (self.options.idle_minutes * 60) * 100
            print(
                f"after {self.options.idle_minutes:g} idle minutes {sum(tab.ready.is_set() for tab in tabs)} of {len(tabs)} are up; {used:.1f} % of a core"
            )
        await close_all([*warm, *tabs])
        web.kill()

    async def storm(self, tokens: Sequence[str]) -> None:
        """All come back after the server was replaced."""
        web = self.web()
        web.start()
        await web.ready()
        tally = Tally()
        tabs = [Tab(web.port, tokens[number % len(tokens)], tally) for number in range(self.options.storm)]
        await open_all(tabs)
        began = time.monotonic()
        await asyncio.to_thread(web.stop)
        down = time.monotonic()
        await until(lambda: not any(tab.ready.is_set() for tab in tabs), 10)
        web.start()
        never, dice = asyncio.Event(), random.Random(1)
        backs = [asyncio.create_task(come_back(tab, never, dice)) for tab in tabs]
        await web.ready()
        up = time.monotonic()
        await until(lambda: all(tab.ready.is_set() for tab in tabs), 120)
        done = time.monotonic()
        never.set()
        returned = sorted(tab.ready_at for tab in tabs if tab.ready.is_set())
        half = returned[len(returned) // 2] - up if returned else 0
        print(
            f"\nStorm of {len(tabs)}: stopped in {down - began:.1f} s, the new server up {up - began:.1f} s after the signal; "
            f"all back {done - up:.1f} s later (half of them {half:.1f} s); "
            f"{sum(tab.ready.is_set() for tab in tabs)} are there; {tally.warned} were told beforehand, closed with {tally.closed}",
            flush=True,
        )
        for back in backs:
            back.cancel()
        await close_all(tabs)
        web.kill()

    def _own(self) -> float:
        times = self.customers.cpu_times()
        return times.user + times.system


def _processor(web: Any) -> float:
    times = psutil.Process(web.process.pid).cpu_times()
    return times.user + times.system


def _memory(web: Any) -> int:
    return int(psutil.Process(web.process.pid).memory_info().rss)


async def measure(bench: Bench, options: argparse.Namespace) -> None:
    from django.db import connection

    def stored() -> int:
        from apps.chat.models import Event

        return Event.objects.count()

    tokens = [token for token, _pk in prepared(max(options.conversations, 1))]
    for part in options.only:
        if part in ("load", "second"):
            webs = [bench.web() for _ in range(1 if part == "load" else 2)]
        elif part == "plain":
            webs = [bench.web("benchmarks.plain_chat:application", "benchmarks.plain_chat_settings")]
        else:
            await (bench.idle(tokens) if part == "idle" else bench.storm(tokens))
            continue
        for web in webs:
            web.start()
            await web.ready()
        if part == "plain":
            rooms = [f"room{number}" for number in range(options.conversations)]
            await bench.load("The tutorial's chat, nothing stored", webs, PlainTab, rooms, lambda: 0)
        else:
            name = "One process" if part == "load" else "Two processes"
            await bench.load(f"{name}, every message stored", webs, Tab, tokens, stored)
        for web in webs:
            web.kill()
    connection.close()


def main() -> int:
    options = arguments()
    wanted = max([options.sockets, options.storm, *options.idle]) * 2 + 500
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard > 0 else wanted, hard))
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with (
        scratch_database(os.environ["DATABASE_URL"], "riskdesk_bench_chat"),
        tempfile.TemporaryDirectory(prefix="rdb") as folder,
    ):
        from tests.support.chat.servers import Valkey

        own = Valkey(Path(folder))
        if options.valkey:
            own.start()
        bench = Bench(options, Path(folder), own.url if options.valkey else os.environ["REDIS_URL"])
        try:
            import uvloop

            uvloop.run(measure(bench, options))
        finally:
            for web in bench.started:
                web.kill()
            own.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
