import pytest

from tests.orders.detectors.conftest import DAY, Shop, judge


@pytest.mark.parametrize(("orders", "refunds", "hits"), [(100, 3, 0), (99, 3, 1)])
def test_more_than_three_percent_of_seven_days(shop: Shop, orders: int, refunds: int, hits: int) -> None:
    placed = [shop.order(3 * DAY) for _ in range(orders)]
    for order in placed[:refunds]:
        shop.refund(order, 2 * DAY)
    shop.refund(shop.order(20 * DAY), 8 * DAY)
    assert len(judge("refund-weekly-rate")) == hits
