"""Random runs with faults: every acknowledged message is stored once, and everybody ends with the same history.

A few here; thousands in ``benchmarks/chat_faults.py``.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection

from apps.chat.models import ChatSite, Conversation
from tests.chat.factories import chat_site
from tests.support.chat.customer import SHOP
from tests.support.chat.proxy import STORM
from tests.support.chat.runs import Outcome, Run
from tests.support.chat.servers import Outage, Valkey, Web

pytestmark = pytest.mark.django_db(transaction=True)
RUNS, TABS, MESSAGES = 6, 3, 8


@pytest.fixture
def servers(settings) -> Iterator[tuple[Web, Valkey, Outage]]:
    """A web server and a Valkey to be killed, on the test database."""
    name = connection.settings_dict["NAME"]
    database = urlunsplit(urlsplit(settings.ENV.database_url.get_secret_value())._replace(path=f"/{name}"))
    with tempfile.TemporaryDirectory(prefix="rdf") as folder:
        valkey = Valkey(Path(folder))
        valkey.start()
        web = Web(database=database, valkey=valkey.url, log=Path(folder) / "web.log")
        web.start()
        yield web, valkey, Outage(database)
        web.kill()
        valkey.kill()
        connection.close()  # it was thrown out, too


@pytest.fixture
def site() -> ChatSite:
    return chat_site(key="shop", allowed_origins=[SHOP], has_bot=False)


def test_nothing_is_lost_and_nothing_comes_twice(site, servers) -> None:
    web, valkey, outage = servers
    runs = [Run.prepared(site, seed, TABS) for seed in range(RUNS)]
    # A person has them, so that no bot is owed.
    Conversation.objects.update(state="waiting", waiting_since="2026-03-02T12:00:00Z")

    async def disasters() -> None:
        await asyncio.sleep(1)
        valkey.kill()
        await asyncio.sleep(0.5)
        await asyncio.to_thread(valkey.start)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(outage.begin)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(outage.end)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(web.kill)
        web.start()

    async def play() -> list[Outcome]:
        await web.ready()
        trouble = asyncio.create_task(disasters())
        plays = [
            run.play(ports=[lambda: web.port], messages=MESSAGES, faults=STORM, pace=3.0, patience=1.5, settle=90)
            for run in runs
        ]
        outcomes = await asyncio.gather(*plays)
        await trouble
        return outcomes

    outcomes = asyncio.run(play())
    assert [(each.seed, each.wrong) for each in outcomes if each.wrong] == []
    assert sum(each.connects for each in outcomes) > RUNS * TABS  # there were faults
