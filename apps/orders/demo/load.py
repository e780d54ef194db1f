"""Loads the demonstration: people, two stores, months of orders, things that went wrong, and a filled queue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import chain, islice
from random import Random

from django.db import transaction

from apps.actions.models import ActionCard, RuleRun
from apps.actions.runs import run_rules
from apps.actions.services import dismiss, escalate
from apps.core.models import Scope, User
from apps.escalation.services import raise_flag
from apps.orders.demo import past, scenes
from apps.orders.demo.people import make_people
from apps.orders.demo.shop import LAMPS, OUTDOOR, Doc, Shop
from apps.orders.intake.apply import apply
from apps.orders.intake.staging import refresh_statistics
from apps.orders.intake.topics import READERS, News, RiskNews
from apps.orders.models import Order, Store

BATCH = 400
PER_DAY = 24
SECRET = "demo-webhook-secret"  # noqa: S105 - of invented stores, for signed webhooks on this machine
Report = Callable[[str, int], object]
"""Told what is being done, and how many steps of :func:`steps` were done."""

STORES = (
    ("northlight", "Northlight Lamps", "USD", "America/New_York", "US", LAMPS),
    ("fjord", "Fjord Outdoor", "EUR", "Europe/Berlin", "DE", OUTDOOR),
)


def domain(slug: str) -> str:
    """The address of a demo store."""
    return f"{slug}.demo.riskdesk.example.com"


def make_shop(slug: str, seed: int = 7) -> Shop:
    """The invented shop behind a demo store."""
    place = next(place for place, store in enumerate(STORES) if store[0] == slug)
    _, _, currency, _, country, products = STORES[place]
    return Shop(Random(seed + place), currency, country, products, base=(place + 1) * 1_000_000_000)  # noqa: S311 - a game


def _later_shop(slug: str) -> Shop:
    """The same shop with numbers that its months of orders have not used."""
    shop = make_shop(slug)
    shop.number = 500_000
    return shop


def make_stores() -> list[Store]:
    """The demo stores, made if they are not there."""
    made = []
    for slug, name, currency, zone, _, _ in STORES:
        scope, _ = Scope.objects.get_or_create(slug=slug, defaults={"name": name})
        store, _ = Store.objects.get_or_create(
            domain=domain(slug),
            defaults={"scope": scope, "platform": Store.Platform.SHOPIFY, "name": name, "currency": currency,
                      "time_zone": zone, "webhook_secret": SECRET},
        )  # fmt: skip
        made.append(store)
    return made


def expected_orders() -> int:
    """About how many orders are made, for the progress bar."""
    return len(STORES) * (PER_DAY * (scenes.HISTORY_DAYS + 1) + 70)


def load(*, now: datetime, report: Report) -> bool:
    """Load what is not there yet; each store's orders come in one transaction, so that an interruption leaves no half.

    Returns:
        False if everything was there already. What an interrupted load left out, the next one makes up for.
    """
    report("People and stores", 0)
    stores = make_stores()
    people = make_people([store.scope for store in stores])
    for store, (slug, *_) in zip(stores, STORES, strict=True):
        if not Order.objects.filter(store=store).exists():
            report(f"Orders of {store.name}", 0)
            _orders(store, slug, now, report)
    if ActionCard.objects.filter(scope__store__in=stores).exists():
        return False
    refresh_statistics()
    with transaction.atomic():
        _cards(stores, people, now, report)
    return True


def _cards(stores: list[Store], people: dict[str, User], now: datetime, report: Report) -> None:
    """The cards of the past and the present. Called in one transaction, so that an interruption leaves none of them."""
    report("The weeks before", 0)
    shops = [(store, _later_shop(slug)) for store, (slug, *_) in zip(stores, STORES, strict=True)]
    past.live_through(shops, people["operator"], now=now)
    report("Flags", 0)
    _flags(stores, people, now)
    report("Sweep by all rules", 0)
    run_rules(now=now, trigger=RuleRun.Trigger.COMMAND)
    report("Decisions", 0)
    _decisions(stores, people["operator"])


@transaction.atomic
def _orders(store: Store, slug: str, now: datetime, report: Report) -> None:
    news = _news(make_shop(slug), now)
    while batch := list(islice(news, BATCH)):
        apply(store, batch, now=now)
        report("", len(batch))


def _news(shop: Shop, now: datetime) -> Iterator[News]:
    parts: Iterable[Iterable[Doc]] = (
        scenes.history(shop, now, per_day=PER_DAY), scenes.ageing(shop, now), scenes.late_parcels(shop, now),
        scenes.refunds(shop, now), scenes.fraud(shop, now), scenes.failed_payments(shop, now),
    )  # fmt: skip
    for document in chain.from_iterable(parts):
        yield READERS["orders/create"](document, now)
    for document, level, recommendation in scenes.doubtful(shop, now):
        news = READERS["orders/create"](document, now)
        (ref,) = news.orders
        facts = ("The card's country and the browser's differ.", "Several cards were tried.")
        news.risks = [RiskNews(ref, level, "Demo risk service", now, recommendation, facts)]
        yield news


def _flags(stores: list[Store], people: dict[str, User], now: datetime) -> None:
    for title, level, store, who, hours in (
        ("Customers report sparks from Pendant Orb", 5, stores[0], "agent", 3),
        ("A reseller threatens a chargeback for twelve orders", 3, stores[1], "lead", 20),
        ("The carrier's depot has been closed since Monday", 2, stores[0], "agent", 46),
    ):
        raise_flag(
            title=title,
            description="Raised for the demonstration.",
            level=level,
            source=f"demo:{store.scope.slug}:{level}",
            evidence=[],
            scope=store.scope,
            raised_by=people[who],
            now=now - timedelta(hours=hours),
        )


def _decisions(stores: list[Store], operator: User) -> None:
    """A few cards are decided already, so that the figures have something to show."""
    cards = ActionCard.objects.filter(status="open", scope__store__in=stores)
    said = (
        ("benign", "The buyer answered: a present for a friend."),
        ("false", "A test order of our own."),
        ("true", "Cancelled together with the buyer."),
    )
    for card, (outcome, reason) in zip(list(cards.order_by("priority", "pk")[:3]), said, strict=False):
        dismiss(card_id=card.pk, seen_version=card.version, actor=operator, outcome=outcome, reason=reason)
    worst = cards.filter(kind="fraud-pattern-alert").first()
    if worst:
        reason = "More than one order is affected."
        escalate(card_id=worst.pk, seen_version=worst.version, actor=operator, level=3, reason=reason)
