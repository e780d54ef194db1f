"""How fast the help centre's pages are among many articles: kept, made anew, and asked for by who has them already.

    python -m benchmarks.help_centre [--articles 10000] [--requests 500]

A hundred articles of about 6 kB with real vectors stand beside so many made-up ones (see ``benchmarks.knowledge_speed``).
Requests go through all of the middleware in one process, without a network. "Made anew" is the same page with nothing kept,
as if there were no cache. The answers are those of ``answer()`` to questions that were asked before, as the chat and the API
get them, with and without keeping what was asked.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
from datetime import UTC, date, datetime

import numpy as np

from benchmarks.benchmarks_database import scratch_database
from benchmarks.knowledge_speed import fill, say, timed

NAME = "bench_help_centre"
REAL = 120
THINGS = (
    "parcel",
    "invoice",
    "refund",
    "password",
    "subscription",
    "voucher",
    "account",
    "address",
    "order",
    "warranty",
)
DOINGS = ("change", "find", "cancel", "return", "pay", "track", "renew", "delete", "correct", "share")
WAYS = ("on the phone", "abroad", "as a company", "after the delivery", "without an account", "by mail")


def body(draw: random.Random, thing: str) -> str:
    """An article of about 6 kB, with headings, a list, a table and links."""
    parts = []
    for n in range(8):
        sentences = " ".join(
            f"Open *{draw.choice(THINGS)}* {n} and choose **{draw.choice(DOINGS)}**, then wait for {draw.randint(2, 30)} minutes."
            for _ in range(8)
        )
        parts.append(
            f"## {draw.choice(DOINGS).capitalize()} your {thing} {n}\n\n{sentences}\n\n- [Look](/help/)\n- Write to us\n"
        )
    return "\n".join(parts) + "\n| To | Days |\n|---|---:|\n| Germany | 2 |\n| Norway | 6 |\n"


def articles() -> list[tuple[str, str]]:
    """Publish articles; returns address and question of each."""
    from apps.core.models import User
    from apps.knowledge.models import Article, ArticleVersion, Category
    from apps.knowledge.search import passages

    now, draw = datetime.now(UTC), random.Random(1)
    ann, bob = (User.objects.create(username=name, email=f"{name}@example.com") for name in ("ann", "bob"))
    shelves = [Category.objects.create(slug=thing, title=thing.capitalize(), owner=ann) for thing in THINGS]
    questions = [(n, doing, way) for n in range(len(THINGS)) for doing in DOINGS for way in WAYS]
    made = []
    for place, doing, way in draw.sample(questions, REAL):
        thing = THINGS[place]
        article = Article.objects.create(
            slug=f"{doing}-{thing}-{way.replace(' ', '-')}", category=shelves[place], owner=ann, created_at=now,
            next_review_on=date(2030, 1, 1),
        )  # fmt: skip
        title = f"How do I {doing} my {thing} {way}?"
        version = ArticleVersion.objects.create(
            article=article,
            number=1,
            title=title,
            body=body(draw, thing),
            changes="-",
            author=ann,
            created_at=now,
            updated_at=now,
        )
        version.refresh_from_db()
        rows = ArticleVersion.objects.filter(pk=version.pk)
        rows.update(state="in_review")
        rows.update(state="approved", reviewer=bob, reviewed_at=now, approved_digest=version.digest)
        rows.update(state="published", published_at=now)
        made.append((article.slug, title))
    ids = list(Article.objects.values_list("pk", flat=True))
    for start in range(0, len(ids), 50):
        passages.index(ids[start : start + 50])
    return made


def fill_in(size: int) -> list[tuple[str, str]]:
    """The articles, and made-up ones beside them up to a number."""
    from apps.knowledge.models import PassageVector

    made = articles()
    vectors = np.array([[*row] for row in PassageVector.objects.values_list("vector", flat=True)[:2_000]], np.float32)
    fill(size - REAL, vectors, [*THINGS, *DOINGS, *(f"word{n}" for n in range(30_000))])
    return made


def measure(made: list[tuple[str, str]], size: int, requests: int) -> None:
    """Ask for pages and answers.

    Args:
        made: addresses and questions of articles.
        size: how many articles there are in all.
    """
    from django.core.cache import cache
    from django.db import connection
    from django.test import Client

    from apps.knowledge.answers import answer
    from apps.knowledge.search.retrieve import Reader

    client, draw = Client(), random.Random(2)
    pages = [f"/help/articles/{slug}/" for slug, _ in draw.choices(made, k=requests)]
    tags: dict[str, str] = {}

    def anew(page: str) -> None:
        cache.clear()
        assert client.get(page).status_code == 200

    def kept(page: str) -> None:
        tags[page] = client.get(page)["ETag"]

    def had(page: str) -> None:
        assert client.get(page, headers={"If-None-Match": tags[page]}).status_code == 304

    for page in pages[:10]:
        anew(page)
    say("article, made anew", articles=size, bytes=len(client.get(pages[0]).content), **timed(pages, anew))
    for page in set(pages):
        kept(page)
    say("article, kept", articles=size, **timed(pages, kept))
    say("article, not changed", articles=size, **timed(pages, had))
    for page in ("/help/", "/help/sitemap.xml"):
        say(f"{page}, made anew", articles=size, **timed([page] * 20, anew))
    now, asked = datetime.now(UTC), [title for _, title in draw.choices(made, k=requests)]

    def ask(keep: bool, question: str) -> None:
        answer(question, reader=Reader(), source="benchmark", now=now, keep=keep)

    for question in set(asked):
        ask(False, question)
    say("answer, asked before, kept as asked", articles=size, **timed(asked, lambda question: ask(True, question)))
    say("answer, asked before", articles=size, **timed(asked, lambda question: ask(False, question)))

    def suggest(text: str) -> None:
        assert client.get("/help/suggest/", {"q": text}).status_code == 200

    typed = [question[: draw.randint(9, len(question))] for question in asked[:200]]
    say("suggestions", articles=size, **timed(typed, suggest))
    say("memory of the process", mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
    connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--articles", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=500)
    options = parser.parse_args()
    with scratch_database(os.environ["DATABASE_URL"], NAME):
        from django.conf import settings

        settings.ALLOWED_HOSTS = ["testserver"]
        settings.RATE_LIMITS = {name: "1000000/minute" for name in settings.RATE_LIMITS}
        measure(fill_in(options.articles), options.articles, options.requests)


if __name__ == "__main__":
    main()
