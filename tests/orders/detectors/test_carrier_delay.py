from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from apps.orders.detectors.carrier_delay import Settings
from tests.orders.detectors.conftest import DAY, NOW, Shop, judge


@pytest.mark.parametrize(
    ("method", "days", "late"),
    [
        ("standard", 4.99, False), ("standard", 5, False), ("standard", 5.01, True), ("express", 3, False),
        ("express", 3.01, True), ("overnight", 1, False), ("overnight", 1.01, True),
    ],
)  # fmt: skip
def test_boundaries(shop: Shop, method: str, days: float, late: bool) -> None:
    parcel = shop.parcel(days * DAY, method=method)
    assert [hit.subject for hit in judge("carrier-delay")] == ([f"fulfillment:{parcel.pk}"] if late else [])


def test_card(shop: Shop) -> None:
    shop.parcel(timedelta(days=7, hours=1), carrier="DHL", tracking_number="X9")
    (hit,) = judge("carrier-delay")
    assert hit.target == "Tracking #X9"
    assert "In transit for 7 days. Carrier: DHL" in hit.draft
    assert hit.rationale.startswith(
        "Shipment has been in transit for 7 days, exceeding the 5-day standard shipping window"
    )
    assert (hit.expected_impact, hit.expected_loss, hit.tier) == (Decimal(0), Decimal("10.00"), "safety")


@pytest.mark.parametrize("fields", [{"status": "delivered"}, {"delivered_at": NOW}, {"status": "pending"}])
def test_not_moving(shop: Shop, fields: dict) -> None:
    shop.parcel(9 * DAY, **fields)
    assert judge("carrier-delay") == []


def test_event_judges_only_the_touched(shop: Shop) -> None:
    one, two = shop.parcel(9 * DAY), shop.parcel(9 * DAY)
    assert {hit.subject for hit in judge("carrier-delay", subjects={f"fulfillment:{one.pk}"})} == {
        f"fulfillment:{one.pk}"
    }
    assert {hit.subject for hit in judge("carrier-delay", subjects={f"order:{two.order_id}"})} == {
        f"fulfillment:{two.pk}"
    }


def test_faster_methods_have_fewer_days() -> None:
    with pytest.raises(ValidationError):
        Settings(express_days=6)
