"""Public collections of questions with the articles that answer them, brought into the knowledge base for measuring.

They are read from a folder that is given (``--data``); none of them is part of the product.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from django.utils.text import slugify

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@dataclass
class Collection:
    """Articles by slug, and questions with the slug of the article that answers them or None.

    Attributes:
        articles: title, body and other ways to ask, by slug.
    """

    name: str
    articles: dict[str, tuple[str, str, list[str]]] = field(default_factory=dict)
    questions: list[tuple[str, str | None]] = field(default_factory=list)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def stackfaq(data: Path) -> Collection:
    """Paraphrases of questions, each labelled with its article; all are answered."""
    found = Collection("stackfaq")
    for row in _lines(data / "stackfaq" / "faq.jsonl"):
        found.articles[f"faq-{row['faq_id']}"] = (row["question"], "\n\n".join(row["answers"]), [])
    for row in _lines(data / "stackfaq" / "queries.jsonl"):
        found.questions.append((row["query"], f"faq-{row['faq_id']}"))
    return found


def stackfaq_withheld(data: Path) -> Collection:
    """The same with a third of the articles taken away: their questions have no answer any more."""
    found = stackfaq(data)
    found.name = "stackfaq, a third withheld"
    gone = set(random.Random(1).sample(sorted(found.articles), len(found.articles) // 3))
    found.articles = {slug: article for slug, article in found.articles.items() if slug not in gone}
    found.questions = [(text, None if slug in gone else slug) for text, slug in found.questions]
    return found


def _slug(intent: str) -> str:
    return slugify(intent.replace("_", "-"))


def _of_intents(name: str, shown: Iterable[tuple[str, str]], asked: Iterable[tuple[str, str]]) -> Collection:
    found = Collection(name)
    ways: dict[str, list[str]] = {}
    for text, intent in shown:
        ways.setdefault(intent, []).append(text)
    for intent, texts in ways.items():
        found.articles[_slug(intent)] = (intent.replace("_", " ").capitalize() + "?", "", texts)
    for text, intent in asked:
        found.questions.append((text, _slug(intent) if intent in ways else None))
    return found


_FILLERS = frozenset(
    [
        "a",
        "an",
        "the",
        "is",
        "are",
        "do",
        "does",
        "can",
        "i",
        "my",
        "me",
        "to",
        "of",
        "in",
        "on",
        "for",
        "please",
        "how",
        "what",
        "when",
        "where",
        "will",
        "be",
        "it",
    ]
)


def _mistyped(text: str, draw: random.Random) -> str:
    """As somebody in a hurry types it: half of the small words left out, and each long word mistyped one time in four."""
    words = []
    for word in text.lower().strip("?.! ").split():
        if word in _FILLERS and draw.random() < 0.5:
            continue
        if len(word) > 3 and draw.random() < 0.25:
            place = draw.randrange(len(word) - 1)
            change = draw.choice((word[place], word[place + 1] + word[place], word[place] * 2 + word[place + 1]))
            word = word[:place] + change + word[place + 2 :]
        words.append(word)
    return " ".join(words)


def _hurried(name: str, rows: Iterable[tuple[str, str]]) -> Collection:
    """Real articles without real ways to ask: each title is asked mistyped, which measures errors and no other words."""
    found, draw = Collection(f"{name}, titles mistyped"), random.Random(1)
    for n, (title, body) in enumerate(dict(rows).items()):
        found.articles[f"{name.replace('_', '-')}-{n}"] = (title, body, [])
        found.questions.append((_mistyped(title, draw), f"{name.replace('_', '-')}-{n}"))
    return found


def ecommerce_faq(data: Path) -> Collection:
    """Questions to a shop, several of them near to each other."""
    rows = _lines(data / "ecommerce_faq" / "faq.jsonl")
    return _hurried("ecommerce_faq", ((row["question"], row["answer"]) for row in rows))


def bank_faqs(data: Path) -> Collection:
    """Questions to a bank; those that are there twice with other answers are one article."""
    rows = _rows(data / "bank_faqs" / "BankFAQs.csv")
    return _hurried("bank_faqs", ((row["Question"], row["Answer"]) for row in rows))


def hint3(data: Path) -> Collection:
    """What people typed to a shop's bot; over a third of it belongs to nothing that the bot knows."""
    part = data / "hint3" / "v2"
    shown = [(row["sentence"], row["label"]) for row in _rows(part / "train" / "sofmattress_train.csv")]
    asked = [(row["sentence"], row["label"]) for row in _rows(part / "test" / "sofmattress_test.csv")]
    return _of_intents("hint3 (sofmattress)", shown, asked)


def clinc150(data: Path) -> Collection:
    """Questions of 150 intents, and some of none; a third of the training phrases are the ways to ask."""
    rows = _rows(data / "clinc150" / "clinc150.csv")
    shown = [(row["text"], row["intent"]) for row in rows if row["split"] == "train"][::3]
    asked = [(row["text"], row["intent"]) for row in rows if row["split"] in ("val", "oos_val", "oos_train")]
    return _of_intents("clinc150", shown, random.Random(1).sample(asked, 1_500))


def banking77(data: Path) -> Collection:
    """Questions to a bank; 27 of the 77 intents are withheld, so that what is not known is near to what is."""
    rows = _rows(data / "banking77" / "train.csv")
    draw = random.Random(1)
    withheld = set(draw.sample(sorted({row["category"] for row in rows}), 27))
    draw.shuffle(rows)
    kept = [(row["text"], row["category"]) for row in rows]
    shown = [(text, intent) for text, intent in kept[:4_000] if intent not in withheld]
    return _of_intents("banking77, 27 of 77 withheld", shown, kept[4_000:5_500])


COLLECTIONS: list[Callable[[Path], Collection]] = [
    stackfaq,
    stackfaq_withheld,
    ecommerce_faq,
    bank_faqs,
    hint3,
    clinc150,
    banking77,
]


def load(collection: Collection) -> dict[str, int]:
    """Replace all articles of the scratch database by those of a collection, and index them.

    Returns:
        ids of the articles by slug.
    """
    from django.db import connection

    from apps.core.models import User
    from apps.knowledge.models import Article, ArticleVersion, Category, Question
    from apps.knowledge.search import passages

    with connection.cursor() as cursor:
        # The scratch database's own articles; the product refuses this to everybody.
        cursor.execute("SET session_replication_role = replica; TRUNCATE knowledge_article, knowledge_word CASCADE")
        cursor.execute("SET session_replication_role = origin")
    owner, _ = User.objects.get_or_create(username="owner", defaults={"email": "owner@example.com"})
    reviewer, _ = User.objects.get_or_create(username="reviewer", defaults={"email": "reviewer@example.com"})
    shelf, _ = Category.objects.get_or_create(slug="all", defaults={"title": "All", "owner": owner})
    made = Article.objects.bulk_create(
        Article(slug=slug, category=shelf, owner=owner, created_at=NOW, next_review_on=date(2027, 1, 1))
        for slug in collection.articles
    )
    ids = {article.slug: article.pk for article in made}
    texts = collection.articles
    ArticleVersion.objects.bulk_create(
        ArticleVersion(
            article=article,
            number=1,
            title=texts[article.slug][0][:200],
            body=texts[article.slug][1],
            changes="First",
            author=owner,
            created_at=NOW,
            updated_at=NOW,
        )
        for article in made
    )
    Question.objects.bulk_create(
        Question(article=article, text=text[:300], added_at=NOW)
        for article in made
        for text in dict.fromkeys(way[:300] for way in texts[article.slug][2])
    )
    with connection.cursor() as cursor:
        for change in (
            "state = 'in_review'",
            f"state = 'approved', reviewer_id = {reviewer.pk}, approved_digest = digest",
            "state = 'published', published_at = now()",
        ):
            cursor.execute(f"UPDATE knowledge_articleversion SET {change}")
    for start in range(0, len(made), 50):
        passages.index([article.pk for article in made[start : start + 50]])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE knowledge_passage, knowledge_passagevector, knowledge_word")
    return ids
