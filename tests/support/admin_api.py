"""A local server that speaks the Admin API's protocol: GraphQL over POST, a token, a budget of points, faults on demand."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "shpat_example"
Answer = tuple[int, Any]


def money(amount: str) -> dict[str, Any]:
    return {"shopMoney": {"amount": amount, "currencyCode": "USD"}}


def order_node(number: int, *, updated_at: str = "2026-03-11T12:00:00Z", **changes: Any) -> dict[str, Any]:
    """An order as the API tells it."""
    node = {
        "id": f"gid://shopify/Order/{number}", "name": f"#{number}", "email": "ada@example.com",
        "createdAt": "2026-03-01T12:00:00Z", "updatedAt": updated_at, "tags": ["vip"], "note": None,
        "cancelledAt": None, "cancelReason": None, "closedAt": None, "clientIp": "203.0.113.9",
        "displayFinancialStatus": "PAID", "displayFulfillmentStatus": "UNFULFILLED",
        "totalPriceSet": money("120.00"),
        "customer": {"id": "gid://shopify/Customer/7", "firstName": "Ada", "lastName": "Example",
                     "email": "ada@example.com", "updatedAt": "2026-03-01T12:00:00Z"},
        "billingAddress": None, "shippingAddress": {"address1": "1 Main St", "zip": "10001", "countryCodeV2": "US"},
        "shippingLine": {"title": "Express", "code": "EXP"}, "customAttributes": [],
        "lineItems": {"nodes": [{"id": "gid://shopify/LineItem/61", "title": "Lamp", "quantity": 2,
                                 "originalUnitPriceSet": money("60.00"), "product": {"id": "gid://shopify/Product/81"}}]},
        "fulfillments": [], "refunds": [], "transactions": [], "risk": None,
        "fulfillmentOrders": {"nodes": [{"id": f"gid://shopify/FulfillmentOrder/{number}", "status": "OPEN",
                                         "fulfillAt": None, "fulfillmentHolds": []}]},
    }  # fmt: skip
    return {**node, **changes}


@dataclass
class Shop:
    """The shop behind the server.

    Attributes:
        orders: by global id.
        points, maximum, restore_rate, cost: the budget; a query that cannot be paid for is throttled.
        faults: played before anything else, one for each request: a status, or a function that makes the answer.
        most: pages larger than this are too dear.
        asked: the requests, as (operation, variables).
    """

    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    maximum: float = 1000.0
    points: float = 1000.0
    restore_rate: float = 100.0
    cost: float = 10.0
    most: int = 1000
    faults: list[int | Callable[[], Answer]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    at: float = field(default_factory=time.monotonic)

    def add(self, *nodes: dict[str, Any]) -> None:
        self.orders |= {node["id"]: node for node in nodes}

    def answer(self, headers: Any, body: dict[str, Any]) -> Answer:
        with self.lock:
            if headers.get("X-Shopify-Access-Token") != TOKEN:
                return 401, {"errors": "[API] Invalid API key or access token"}
            if self.faults:
                fault = self.faults.pop(0)
                return fault() if callable(fault) else (fault, {"errors": "fault"})
            operation = body["query"].split("(", 1)[0].split()[-1]
            self.asked.append((operation, body["variables"]))
            self.keys.append(headers.get("Idempotency-Key"))
            if operation == "orders" and body["variables"]["first"] > self.most:
                return self._said({"errors": [{"message": "too dear", "extensions": {"code": "MAX_COST_EXCEEDED"}}]})
            if not self._pay():
                return self._said({"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]})
            return self._said({"data": getattr(self, f"do_{operation}")(**body["variables"])})

    def _pay(self) -> bool:
        now = time.monotonic()
        self.points = min(self.maximum, self.points + (now - self.at) * self.restore_rate)
        self.at = now
        if self.points < self.cost:
            return False
        self.points -= self.cost
        return True

    def _said(self, content: dict[str, Any]) -> Answer:
        status = {
            "maximumAvailable": self.maximum, "currentlyAvailable": int(self.points), "restoreRate": self.restore_rate,
        }  # fmt: skip
        cost = {"requestedQueryCost": self.cost, "actualQueryCost": self.cost, "throttleStatus": status}
        return 200, {**content, "extensions": {"cost": cost}}

    def do_orders(self, filter: str, first: int, after: str | None) -> dict[str, Any]:
        since = filter.split("'")[1]
        found = sorted(
            (node for node in self.orders.values() if node["updatedAt"] >= since),
            key=lambda node: (node["updatedAt"], node["id"]),
        )
        start = int(after) if after else 0
        page = found[start : start + first]
        info = {"hasNextPage": start + first < len(found), "endCursor": str(start + len(page))}
        return {"orders": {"pageInfo": info, "nodes": page}}

    def do_order(self, id: str) -> dict[str, Any]:
        return {"order": self.orders.get(id)}

    do_tags = do_note = do_holds = do_order

    def do_add(self, id: str, tags: list[str]) -> dict[str, Any]:
        node = self.orders[id]
        node["tags"] = sorted({*node["tags"], *tags})
        return {"tagsAdd": {"node": {"id": id}, "userErrors": []}}

    def do_remove(self, id: str, tags: list[str]) -> dict[str, Any]:
        node = self.orders[id]
        node["tags"] = sorted({*node["tags"]} - {*tags})
        return {"tagsRemove": {"node": {"id": id}, "userErrors": []}}

    def do_annotate(self, input: dict[str, Any]) -> dict[str, Any]:
        self.orders[input["id"]]["note"] = input["note"]
        return {"orderUpdate": {"order": {"id": input["id"]}, "userErrors": []}}

    def _part(self, id: str) -> dict[str, Any]:
        parts = (part for node in self.orders.values() for part in node["fulfillmentOrders"]["nodes"])
        return next(part for part in parts if part["id"] == id)

    def do_hold(self, id: str, hold: dict[str, Any]) -> dict[str, Any]:
        part = self._part(id)
        if any(one["handle"] == hold["handle"] for one in part["fulfillmentHolds"]):
            return {"fulfillmentOrderHold": {"userErrors": [{"field": ["handle"], "message": "Handle is taken"}]}}
        made = {"id": f"gid://shopify/FulfillmentHold/{len(part['fulfillmentHolds']) + 1}", "handle": hold["handle"]}
        part["fulfillmentHolds"].append(made)
        part["status"] = "ON_HOLD"
        return {"fulfillmentOrderHold": {"fulfillmentHold": made, "userErrors": []}}

    def do_release(self, id: str, holds: list[str]) -> dict[str, Any]:
        part = self._part(id)
        part["fulfillmentHolds"] = [one for one in part["fulfillmentHolds"] if one["id"] not in holds]
        part["status"] = "ON_HOLD" if part["fulfillmentHolds"] else "OPEN"
        return {"fulfillmentOrderReleaseHold": {"fulfillmentOrder": {"id": id}, "userErrors": []}}


@contextlib.contextmanager
def admin_api_server() -> Iterator[Shop]:
    """Run the server on a free port of this machine."""
    shop = Shop()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, content = shop.answer(self.headers, body)
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Tests say enough."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    shop.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield shop
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
