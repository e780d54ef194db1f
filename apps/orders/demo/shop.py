"""An invented shop: buyers, orders, parcels and refunds as the platform's documents.

Everything comes from one random generator, so the same seed makes the same shop. People, streets and cards are made up;
addresses are of example.com, and IP addresses of the ranges reserved for documentation (RFC 5737).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

Doc = dict[str, Any]
FIRST = ("Ada", "Bo", "Cleo", "Dana", "Emil", "Fay", "Gus", "Hana", "Ivo", "June", "Kai", "Lena", "Milo", "Nora", "Otto",
         "Pia", "Quin", "Rosa", "Sam", "Tess", "Uma", "Vito", "Wren", "Yara", "Zeno")  # fmt: skip
LAST = ("Abbott", "Berg", "Castillo", "Dahl", "Eriksen", "Fischer", "Greco", "Holt", "Ito", "Jansen", "Kowalski", "Lund",
        "Moreau", "Novak", "Okafor", "Petrov", "Rossi", "Silva", "Tanaka", "Weber")  # fmt: skip
STREETS = ("Main Street", "Mill Lane", "Station Road", "Park Avenue", "Harbour Street", "Elm Road", "Church Hill")
CARRIERS = ("UPS", "FedEx", "DHL", "USPS")


@dataclass(frozen=True, slots=True)
class Buyer:
    """Somebody who buys."""

    id: int
    name: str
    street: str
    zip: str
    country: str
    ip: str
    card: tuple[str, str]
    since: datetime

    @property
    def email(self) -> str:
        return f"{self.name.lower().replace(' ', '.')}.{self.id % 10_000}@example.com"

    def address(self, **changes: str) -> Doc:
        return {"name": self.name, "address1": self.street, "zip": self.zip, "country_code": self.country, **changes}


@dataclass(slots=True)
class Shop:
    """Makes documents; it keeps numbers and buyers, not orders.

    Args:
        products: title and price.
        base: where the numbers begin, so that shops do not share them.
    """

    random: Random
    currency: str
    country: str
    products: tuple[tuple[str, str], ...]
    base: int
    number: int = 1000
    buyers: list[Buyer] = field(default_factory=list)

    def next_id(self) -> int:
        self.number += 1
        return self.base + self.number

    def buyer(self, at: datetime, *, known: float = 0.35) -> Buyer:
        """Somebody new, or with a certain probability one of the last who bought."""
        if self.buyers and self.random.random() < known:
            return self.random.choice(self.buyers[-500:])
        pick = self.random
        made = Buyer(
            id=self.next_id(),
            name=f"{pick.choice(FIRST)} {pick.choice(LAST)}",
            street=f"{pick.randint(1, 400)} {pick.choice(STREETS)}",
            zip=f"{pick.randint(10_000, 99_999)}",
            country=self.country,
            ip=f"{pick.choice(('192.0.2', '198.51.100', '203.0.113'))}.{pick.randint(1, 254)}",
            card=(f"4{pick.randint(10_000, 99_999)}", f"{pick.randint(0, 9999):04d}"),
            since=at - timedelta(days=pick.randint(0, 300)),
        )
        self.buyers.append(made)
        return made

    def order(self, buyer: Buyer, at: datetime, **changes: Any) -> Doc:
        """A paid order of one or two products, not sent yet."""
        number = self.next_id()
        chosen = changes.pop("chosen", None) or self.random.sample(
            range(len(self.products)), self.random.choice((1, 1, 2))
        )
        lines = [self._line(number, place, product) for place, product in enumerate(chosen)]
        total = (
            changes.pop("total", None) or f"{sum(float(line['price']) * line['quantity'] for line in lines) + 6:.2f}"
        )
        speed = changes.pop("speed", None) or self.random.choices(("Standard", "Express", "Overnight"), (8, 2, 0.5))[0]
        first, _, last = buyer.name.partition(" ")
        document = {
            "id": number,
            "name": f"#{number - self.base}",
            "email": buyer.email,
            "created_at": at.isoformat(),
            "updated_at": at.isoformat(),
            "currency": self.currency,
            "total_price": total,
            "financial_status": "paid",
            "fulfillment_status": None,
            "browser_ip": buyer.ip,
            "note_attributes": [{"name": "ip_country", "value": buyer.country}],
            "customer": {
                "id": buyer.id, "first_name": first, "last_name": last, "email": buyer.email,
                "created_at": buyer.since.isoformat(), "updated_at": at.isoformat(),
            },
            "billing_address": buyer.address(),
            "shipping_address": buyer.address(),
            "shipping_lines": [{"title": speed, "code": speed.upper()}],
            "line_items": lines,
            "fulfillments": [],
            "refunds": [],
            "transactions": [self.payment(number, buyer, at, total)],
        }  # fmt: skip
        return {**document, **changes}

    def _line(self, order: int, place: int, product: int) -> Doc:
        title, price = self.products[product]
        quantity = self.random.choice((1, 1, 1, 2))
        return {
            "id": order * 10 + place, "product_id": self.base + product, "title": title, "quantity": quantity,
            "price": price,
        }  # fmt: skip

    def payment(self, order: int, buyer: Buyer, at: datetime, amount: str, *, status: str = "success") -> Doc:
        """A payment by the buyer's card, or an attempt at one."""
        return {
            "id": self.next_id(), "order_id": order, "kind": "sale", "status": status, "amount": amount,
            "currency": self.currency, "created_at": at.isoformat(), "gateway": "card",
            "error_code": "card_declined" if status == "failure" else None,
            "payment_details": {
                "credit_card_bin": buyer.card[0], "credit_card_number": f"•••• •••• •••• {buyer.card[1]}",
                "credit_card_company": "Visa",
            },
        }  # fmt: skip

    def parcel(self, order: Doc, at: datetime, *, arrived: datetime | None = None) -> Doc:
        """A parcel with all of an order, on its way or arrived; the order is sent then."""
        changed = arrived or at
        made = {
            "id": self.next_id(), "order_id": order["id"], "status": "success",
            "shipment_status": "delivered" if arrived else "in_transit", "created_at": at.isoformat(),
            "updated_at": changed.isoformat(), "tracking_company": self.random.choice(CARRIERS),
            "tracking_number": f"1Z{self.random.randint(10**9, 10**10 - 1)}",
        }  # fmt: skip
        order["fulfillments"] = [made]
        order["fulfillment_status"] = "fulfilled"
        order["updated_at"] = max(order["updated_at"], changed.isoformat())
        return made

    def refund(self, order: Doc, at: datetime, *, share: float = 1.0, note: str = "") -> Doc:
        """A refund of the first line, or of more than that."""
        line = order["line_items"][0]
        amount = f"{float(order['total_price']) * share:.2f}" if share < 1 else str(order["total_price"])
        made = {
            "id": self.next_id(), "order_id": order["id"], "created_at": at.isoformat(), "note": note,
            "refund_line_items": [{
                "id": self.next_id(), "line_item_id": line["id"], "quantity": 1, "subtotal": amount,
                "line_item": {"product_id": line["product_id"], "title": line["title"]},
            }],
            "transactions": [{
                "id": self.next_id(), "order_id": order["id"], "kind": "refund", "status": "success", "amount": amount,
                "currency": self.currency, "created_at": at.isoformat(), "gateway": "card",
            }],
        }  # fmt: skip
        order["refunds"] = [*order["refunds"], made]
        order["financial_status"] = "refunded" if share == 1 else "partially_refunded"
        order["updated_at"] = max(order["updated_at"], at.isoformat())
        return made


LAMPS = (
    ("Desk lamp Alba", "49.00"), ("Floor lamp Cirrus", "129.00"), ("Pendant Orb", "89.00"), ("Bedside lamp Dusk", "35.00"),
    ("Wall light Arc", "64.00"), ("Reading light Page", "42.00"), ("Chandelier Grand", "780.00"), ("Light string", "19.00"),
)  # fmt: skip
OUTDOOR = (
    ("Tent Ridge 2", "249.00"), ("Sleeping bag Frost", "139.00"), ("Stove Ember", "59.00"), ("Rucksack Trail 40", "119.00"),
    ("Bottle 1 l", "24.00"), ("Head torch", "39.00"), ("Expedition set", "960.00"), ("Map case", "15.00"),
)  # fmt: skip
