"""How long a customer waits for the bot's answer, from sending to showing, at a steady rate of questions.

    python -m benchmarks.chat_bot --data FOLDER [--rate 20] [--seconds 30] [--articles 10000] [--workers 2]

Questions of Banking77 (public data that is not part of the product), each in a conversation of its own and each asked once,
so that nothing is kept; its articles stand beside so many made-up ones. One web process, the worker of answers with so many
processes, the other worker and beat run as in the product; customers share the machine with them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from benchmarks.benchmarks_database import scratch_database
from benchmarks.chat_load import Tab, Tally, close_all, open_all, summary, talk, until

SETTINGS = "tests.support.chat.settings"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=20.0, help="questions a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--articles", type=int, default=10_000, help="made-up ones beside the real ones; 0 for none")
    parser.add_argument("--workers", type=int, default=2, help="processes of the worker of answers")
    return parser.parse_args()


class Asker(Tab):
    """A customer who asks one question and waits for the bot's first words."""

    question = ""
    asked_at = 0.0

    def take(self, frame: dict[str, Any], now: float) -> None:
        for event in frame.get("events", ()):
            if event["author"] == "bot" and self.asked_at:
                self.tally.got += 1
                self.tally.delivered.append(now - self.asked_at)
                self.asked_at = 0.0
        super().take(frame, now)

    def _got(self, event: dict[str, Any], now: float) -> None:
        """Only the bot's words count here."""

    async def say(self, text: str, due: float) -> None:
        self.asked_at = due
        await super().say(self.question, due)


def shelf(data: Path, articles: int, questions: int) -> list[str]:
    """The articles; returns questions."""
    import numpy as np

    from apps.knowledge.models import PassageVector, SearchIndex
    from apps.knowledge.search import embedding
    from benchmarks import knowledge_data
    from benchmarks.knowledge_speed import fill

    collection = knowledge_data.banking77(data)
    for slug, (title, _body, ways) in collection.articles.items():  # the collection has no answers
        collection.articles[slug] = (
            title,
            f"{title} Open the app, choose Help, and follow the three steps there.",
            ways,
        )
    knowledge_data.load(collection)
    SearchIndex.objects.update(model=embedding.wanted())
    if articles:
        vectors = np.array([[*row] for row in PassageVector.objects.values_list("vector", flat=True)], np.float32)
        fill(articles, vectors, [f"word{n}" for n in range(30_000)])
    return [text for text, _slug in random.Random(3).sample(collection.questions, questions)]


def tokens(count: int) -> list[str]:
    """Conversations with the bot."""
    from apps.chat.models import ChatSite, Conversation
    from benchmarks.chat import prepared

    made = prepared(count)
    ChatSite.objects.update(has_bot=True)
    Conversation.objects.update(state="bot", assignee=None)
    return [token for token, _pk in made]


def celery(*words: str, log: Path, valkey: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "REDIS_URL": valkey, "DJANGO_SETTINGS_MODULE": SETTINGS, "LOG_LEVEL": "WARNING"}
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "config", "--quiet", *words], env=environment, stdout=stream, stderr=stream
        )  # fmt: skip


def processor(processes: list[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (each.cpu_times() for each in processes))


async def quiet(worker: psutil.Process) -> None:
    """Wait until a worker has done what beat had ready for a new database: all checks, all rules, all reminders."""
    for _ in range(60):
        busy = [worker, *worker.children(recursive=True)]
        before = processor(busy)
        await asyncio.sleep(3)
        if processor(busy) - before < 0.3:
            return


async def ask(port: int, options: argparse.Namespace, questions: list[str], workers: psutil.Process) -> None:
    tally = Tally()
    tabs = [Asker(port, token, tally) for token in await asyncio.to_thread(tokens, len(questions))]
    for tab, question in zip(tabs, questions, strict=True):
        tab.question = question
    await open_all(tabs)
    warm, rest = tabs[:40], tabs[40:]
    await talk(warm, 5, len(warm) / 5)
    await until(lambda: tally.got >= len(warm), 60)
    tally.got, tally.delivered, tally.acknowledged = 0, [], []
    busy = [workers, *workers.children(recursive=True)]
    before, began = processor(busy), time.monotonic()
    await talk(rest, options.rate, options.seconds)
    await until(lambda: tally.got >= len(rest), 60)
    used = processor(busy) - before
    print(
        f"{options.rate:.0f}/s for {options.seconds:.0f} s among {options.articles} made-up articles: answered {tally.got} of "
        f"{len(rest)}; acknowledged {summary(tally.acknowledged)}; answer {summary(tally.delivered)}; "
        f"worker {used / len(rest) * 1000:.0f} ms of the processor each, {used / (time.monotonic() - began) * 100:.0f} % of a core",
        flush=True,
    )
    await close_all(tabs)


def outcomes() -> dict[str, int]:
    from django.db import connection

    from apps.chat.models import BotTurn

    found = Counter(BotTurn.objects.values_list("outcome", flat=True))
    connection.close()
    return dict(found)


async def measure(options: argparse.Namespace, folder: Path) -> None:
    from tests.support.chat.servers import Valkey, Web

    questions = await asyncio.to_thread(shelf, options.data, options.articles, int(options.rate * options.seconds) + 40)
    valkey, log = Valkey(folder), folder / "celery.log"
    valkey.start()
    web = Web(database=os.environ["DATABASE_URL"], valkey=valkey.url, log=folder / "web.log", settings=SETTINGS)
    started: list[subprocess.Popen[bytes]] = []
    try:
        web.start()
        for queue, processes in (("answers", options.workers), ("celery", 2)):
            words = ["worker", "-Q", queue, "-n", f"{queue}@%h", "--concurrency", str(processes)]
            started.append(celery(*words, "--without-mingle", "--without-gossip", log=log, valkey=valkey.url))
        started.append(celery("beat", log=log, valkey=valkey.url))
        await web.ready()
        await quiet(psutil.Process(started[1].pid))
        await ask(web.port, options, questions, psutil.Process(started[0].pid))
        print(await asyncio.to_thread(outcomes))
    finally:
        for each in started:
            each.terminate()
        for each in started:
            each.wait(60)
        web.kill()
        valkey.kill()


def main() -> int:
    options = arguments()
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with (
        scratch_database(os.environ["DATABASE_URL"], "bench_chat_bot"),
        tempfile.TemporaryDirectory(prefix="rdb") as folder,
    ):
        asyncio.run(measure(options, Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
