from datetime import timedelta

import pytest

from tests.orders.detectors.conftest import Shop, judge

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(("orders", "refunds", "hits"), [(20, 1, 0), (19, 1, 1), (100, 5, 0), (100, 6, 1)])
def test_more_than_five_percent(shop: Shop, orders: int, refunds: int, hits: int) -> None:
    placed = [shop.order(HOUR) for _ in range(orders)]
    for order in placed[:refunds]:
        shop.refund(order)
    found = judge("refund-daily-rate")
    assert len(found) == hits
    if found:
        assert f"({refunds} of {orders})" in found[0].rationale
        assert found[0].expected_impact == 50 * refunds
        assert not found[0].can_execute


def test_money_must_have_moved(shop: Shop) -> None:
    shop.refund(shop.order(HOUR), status="pending")
    assert judge("refund-daily-rate") == []


def test_the_day_is_the_stores(db: None) -> None:
    east = Shop(time_zone="Pacific/Auckland")
    # 15:00 in London is 04:00 of the next day in Auckland: five hours ago is yesterday there.
    east.refund(east.order(5 * HOUR), 5 * HOUR)
    assert judge("refund-daily-rate") == []


def test_stores_do_not_mix(shop: Shop) -> None:
    other = Shop()
    for _ in range(30):
        other.order(HOUR)
    shop.refund(shop.order(HOUR))
    assert [hit.subject for hit in judge("refund-daily-rate")] == [f"store:{shop.store.pk}"]
    assert judge("refund-daily-rate", subjects={f"store:{other.store.pk}"}) == []
