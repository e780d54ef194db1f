"""Thousands of random runs of chat with faults: is every acknowledged message stored once, and do all agree in the end?

    python -m benchmarks.chat_faults --runs 2000

Each run is a conversation with a few tabs behind a proxy of its own that loses, repeats, delays and cuts; now and then the
web server, Valkey or the database is gone for a moment, for all runs at once. Ends with 1 if one promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.benchmarks_database import scratch_database


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--at-once", type=int, default=40, help="runs at the same time")
    parser.add_argument("--servers", type=int, default=2, help="web servers, over which the tabs are spread")
    parser.add_argument("--tabs", type=int, default=3)
    parser.add_argument("--messages", type=int, default=12, help="of each run")
    parser.add_argument("--pace", type=float, default=3.0, help="seconds in which the messages of a run are said")
    parser.add_argument("--every", type=float, default=4.0, help="mean seconds between two disasters; 0 for none")
    parser.add_argument("--settle", type=float, default=120.0, help="seconds within which all must agree")
    parser.add_argument("--patience", type=float, default=2.0, help="seconds after which a silent socket is given up")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


class Disasters:
    """Kills one of the servers now and then, and counts."""

    def __init__(self, webs: list[Any], valkey: Any, outage: Any, every: float, seed: int) -> None:
        self.webs, self.valkey, self.outage, self.every = webs, valkey, outage, every
        self.dice, self.counts = random.Random(seed), dict[str, int]()

    async def happen(self) -> None:
        while self.every:
            await asyncio.sleep(self.dice.expovariate(1 / self.every))
            what = self.dice.choice(["server killed", "server restarted", "Valkey killed", "database restarted"])
            self.counts[what] = self.counts.get(what, 0) + 1
            if what == "Valkey killed":
                self.valkey.kill()
                await asyncio.sleep(self.dice.random())
                await asyncio.to_thread(self.valkey.start)
            elif what == "database restarted":
                await asyncio.to_thread(self.outage.begin)
                await asyncio.sleep(self.dice.random())
                await asyncio.to_thread(self.outage.end)
            else:
                web = self.dice.choice(self.webs)
                await asyncio.to_thread(web.kill if what == "server killed" else web.stop)
                web.start()
                await web.ready()
                await asyncio.sleep(self.every)  # or nobody would ever be served


def _port_of(web: Any) -> int:
    return int(web.port)


async def play(options: argparse.Namespace, webs: list[Any], disasters: Disasters) -> list[Any]:
    from django.db import connection

    from apps.chat.models import ChatSite, Conversation
    from tests.chat.factories import chat_site
    from tests.support.chat.proxy import STORM
    from tests.support.chat.runs import Run

    for web in webs:
        await web.ready()

    def prepare(numbers: range) -> list[Run]:
        site = ChatSite.objects.first() or chat_site(key="shop", allowed_origins=["https://shop.example.com"])
        runs = [Run.prepared(site, options.seed * 1_000_000 + number, options.tabs) for number in numbers]
        # Waiting for a person, so that no bot is owed.
        Conversation.objects.filter(state="bot").update(state="waiting", waiting_since="2026-01-01T00:00:00Z")
        connection.close()
        return runs

    runs = await asyncio.to_thread(prepare, range(options.runs))
    trouble = asyncio.create_task(disasters.happen())
    places, outcomes = asyncio.Semaphore(options.at_once), []

    async def one(run: Run) -> None:
        async with places:
            outcomes.append(
                await run.play(
                    ports=[partial(_port_of, web) for web in webs], messages=options.messages, faults=STORM, pace=options.pace,
                    patience=options.patience, settle=options.settle,
                )
            )  # fmt: skip
            if len(outcomes) % 50 == 0 or outcomes[-1].wrong:
                print(
                    f"{len(outcomes)} runs, {sum(bool(each.wrong) for each in outcomes)} wrong {outcomes[-1].wrong}",
                    flush=True,
                )

    await asyncio.gather(*(one(run) for run in runs))
    trouble.cancel()
    return outcomes


def main() -> int:
    options, began = arguments(), time.monotonic()
    with (
        scratch_database(os.environ["DATABASE_URL"], "riskdesk_bench_chat_faults"),
        tempfile.TemporaryDirectory(prefix="rdf") as folder,
    ):
        from tests.support.chat.servers import Outage, Valkey, Web

        valkey = Valkey(Path(folder))
        valkey.start()
        log = Path(folder) / "web.log"
        webs = [Web(database=os.environ["DATABASE_URL"], valkey=valkey.url, log=log) for _ in range(options.servers)]
        for web in webs:
            web.start()
        disasters = Disasters(webs, valkey, Outage(os.environ["DATABASE_URL"]), options.every, options.seed)
        try:
            outcomes = asyncio.run(play(options, webs, disasters))
        finally:
            for web in webs:
                web.kill()
            valkey.kill()
    wrong = [each for each in outcomes if each.wrong]
    print(
        f"\n{len(outcomes)} runs, {sum(each.messages for each in outcomes)} messages, {time.monotonic() - began:.0f} s"
    )
    print(f"sockets opened {sum(each.connects for each in outcomes)}, polls {sum(each.polls for each in outcomes)}")
    print(", ".join(f"{what} {count} times" for what, count in sorted(disasters.counts.items())) or "no disasters")
    for each in wrong:
        print(f"run {each.seed}: {'; '.join(each.wrong)}")
    print("every promise was kept" if not wrong else f"{len(wrong)} RUNS BROKE A PROMISE")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
