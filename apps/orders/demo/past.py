"""The weeks before the demonstration: what rules would have found then, and what people decided about it.

The orders of the past stand in their final state, so only what depends on times is found again (refunds, velocity, names,
first orders). Orders that waited and parcels that were late are told of as they stood, and then as they ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

from apps.actions.models import ActionCard, RuleRun
from apps.actions.runs import run_rules
from apps.actions.services import dismiss
from apps.core.models import User
from apps.orders.demo.shop import Doc, Shop
from apps.orders.intake.apply import apply
from apps.orders.intake.topics import READERS
from apps.orders.models import Store

DAYS = (38, 34, 31, 27, 20, 17, 13, 10, 3)
"""How many days ago somebody worked through the queue."""
RULES = (
    "order-ageing", "carrier-delay", "first-order-high-value", "order-velocity", "many-names", "refund-customer",
    "refund-product", "refund-high-value",
)  # fmt: skip
"""Those that judge single orders, customers and products; what concerns a whole store is left for the present."""
DECIDED = 0.8
SAID = {
    "order-aging-alert": (
        ("true", "The warehouse had overlooked it; sent today."),
        ("true", "Out of stock; the buyer takes another colour."),
        ("true", "Cancelled together with the buyer."),
        ("benign", "Waits for the second article; the buyer knows."),
        ("benign", "The buyer had agreed to wait."),
        ("benign", "Ordered for a later date, says the note."),
        ("false", "An order of our own, for a test."),
    ),
    "carrier-delay-alert": (
        ("true", "Called the carrier; a second parcel is on its way."),
        ("true", "Lost; the carrier pays, the buyer has the money back."),
        ("benign", "It waits in the parcel shop."),
        ("benign", "Held by customs; the buyer knows."),
        ("benign", "Delivered yesterday; the carrier told late."),
        ("false", "Picked up by the buyer; there never was a parcel."),
    ),
}
OTHERWISE = (
    ("true", "Sold no further until the supplier has answered."),
    ("true", "Asked for the number on the invoice; no answer, so cancelled."),
    ("benign", "A known customer who furnishes an office."),
    ("benign", "The buyer answered at once; all is well."),
    ("false", "Two people of the same name."),
)


def live_through(shops: list[tuple[Store, Shop]], operator: User, *, now: datetime) -> int:
    """Let the weeks pass, the oldest first: troubles come, rules find them, people decide. Returns how many decisions.

    A card that nobody decided resolves itself at a later sweep, when its trouble is over.
    """
    pick = Random(11)  # noqa: S311 - a game
    decided = 0
    for days in DAYS:
        then = now - timedelta(days=days, hours=pick.randint(0, 5))
        told = [(store, list(_troubles(shop, then, pick))) for store, shop in shops]
        for store, orders in told:
            _tell(store, orders, then)
        run_rules(now=then, trigger=RuleRun.Trigger.SCHEDULE, rules=RULES)
        decided += _decide(operator, then, now, pick)
        for store, orders in told:
            _tell(store, [_ended(shop, order, then, pick) for shop, order in _by(shops, store, orders)], then)
    return decided


def _troubles(shop: Shop, then: datetime, pick: Random) -> Iterator[Doc]:
    """Two to five orders that wait, and one or two parcels that are late, each in its own way."""
    for _ in range(pick.randint(2, 5)):
        at = then - timedelta(days=pick.choice((3, 3, 4, 5, 7)), hours=pick.randint(1, 20))
        yield shop.order(shop.buyer(at), at)
    for _ in range(pick.randint(1, 2)):
        at = then - timedelta(days=pick.randint(7, 12))
        order = shop.order(shop.buyer(at), at, speed="Standard")
        shop.parcel(order, at + timedelta(hours=20))
        yield order


def _by(shops: list[tuple[Store, Shop]], store: Store, orders: list[Doc]) -> list[tuple[Shop, Doc]]:
    shop = next(shop for one, shop in shops if one == store)
    return [(shop, order) for order in orders]


def _ended(shop: Shop, order: Doc, then: datetime, pick: Random) -> Doc:
    """The order as it is a day or two later: everything has arrived."""
    arrived = then + timedelta(hours=pick.randint(12, 50))
    parcels = order["fulfillments"]
    if not parcels:
        shop.parcel(order, then + timedelta(hours=2), arrived=arrived)
    for parcel in parcels:
        parcel |= {"shipment_status": "delivered", "updated_at": arrived.isoformat()}
    return order | {"updated_at": arrived.isoformat()}


def _tell(store: Store, orders: list[Doc], at: datetime) -> None:
    apply(store, [READERS["orders/create"](order, at) for order in orders], now=at)


def _decide(operator: User, then: datetime, now: datetime, pick: Random) -> int:
    """Decide most of what opened, some within minutes, some the day after."""
    opened = ActionCard.objects.filter(status="open", opened_at=then).order_by("pk")
    chosen = [card for card in opened if pick.random() < DECIDED]
    for card in chosen:
        outcome, reason = pick.choice(SAID.get(card.kind, OTHERWISE))
        at = min(then + timedelta(minutes=round(pick.lognormvariate(4, 1.2)) + 2), now)
        dismiss(card_id=card.pk, seen_version=card.version, actor=operator, outcome=outcome, reason=reason, now=at)
    return len(chosen)
