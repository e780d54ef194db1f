"""Evidence in words: labels, units, money, times, lists."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.facts import MOST_ITEMS, evidence, facts, label

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def words(data: Any) -> dict[str, str]:
    return {fact.label: fact.text for fact in facts(data)}


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("trackingNumber", "Tracking number"),
        ("tracking_number", "Tracking number"),
        ("orderId", "Order ID"),
        ("orderIds", "Order IDs"),
        ("", ""),
    ],
)
def test_keys_become_labels(key: str, text: str) -> None:
    assert label(key) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"daysWaiting": 5}, "5 days"),
        ({"daysWaiting": 1}, "1 day"),
        ({"total": "1249.00", "currency": "EUR"}, "1,249.00 EUR"),
        ({"refundRate": 0.082}, "8.2 %"),
        ({"count": 12345}, "12,345"),
        ({"orderNumber": 12345}, "12345"),
        ({"isNew": True}, "yes"),
        ({"carrier": None}, "unknown"),
        ({"status": "in_transit"}, "in transit"),
        ({"refunded": {"EUR": "10.5", "USD": "2.00"}}, "10.50 EUR and 2.00 USD"),
        ({"names": ["Ada", "Bo"]}, "Ada, Bo"),
        ({"names": []}, "none"),
        ({"count": list(range(MOST_ITEMS + 5))}, ", ".join(map(str, range(MOST_ITEMS))) + " and 5 more"),
    ],
)
def test_values_carry_their_unit(data: dict[str, Any], text: str) -> None:
    assert next(iter(words(data).values())) == text


def test_times_are_times() -> None:
    (fact,) = facts({"createdAt": "2026-03-02T09:55:00+00:00"})
    assert fact.moment == datetime(2026, 3, 2, 9, 55, tzinfo=UTC)


def test_like_things_become_a_table() -> None:
    fact = facts({"lines": [{"title": "Lamp", "price": "50.00"}, {"title": "Rug"}], "currency": "EUR"})[-1]
    assert fact.columns == ("Title", "Price")
    assert [[cell.text for cell in row] for row in fact.rows] == [["Lamp", "50.00 EUR"], ["Rug", ""]]


def test_evidence_is_newest_first_whatever_its_spelling() -> None:
    old = {"source": "shopify", "mcpRequestId": "a", "timestamp": "2026-03-01T00:00:00+00:00", "data": {"n": 1}}
    new = {"source": "shopify", "requestId": "b", "query": "orders.list", "data": {"n": 2}}
    assert [(one.request_id, one.query) for one in evidence([old, new])] == [("b", "orders.list"), ("a", "")]
    assert evidence(None) == []
    assert evidence(["odd"])[0].facts[0].text == "odd"


@given(JSON)
def test_anything_can_be_shown(data: Any) -> None:
    for fact in facts(data):
        assert isinstance(fact.label, str)
    evidence([data])


def test_rows_that_have_pages_are_linked() -> None:
    (fact,) = facts({"affectedOrders": [4, 5]})
    assert fact.links == (("4", "/admin/orders/order/4/change/"), ("5", "/admin/orders/order/5/change/"))
    assert facts({"orderId": 4})[0].links == (("4", "/admin/orders/order/4/change/"),)
    for odd in ({"orderId": "4"}, {"orderId": True}, {"requestId": 4}, {"affectedOrders": []}, {"affected": [4]}):
        assert facts(odd)[0].links == ()


def test_facts_stand_by_what_they_are() -> None:
    data = {"orderId": 4, "createdAt": "2026-03-02T09:55:00+00:00", "days": 3, "status": "open", "limits": {"a": 1}}
    assert [fact.label for fact in facts(data)] == ["Status", "Days", "Created at", "Order ID", "Limits"]


def test_tiny_shares_are_not_written_as_powers() -> None:
    assert words({"probability": 4.4e-11}) == {"Probability": "below 0.01 %"}
    assert words({"probability": 0.0}) == {"Probability": "0 %"}
