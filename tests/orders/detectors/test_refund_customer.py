import pytest

from tests.orders.detectors.conftest import DAY, Shop, judge


@pytest.mark.parametrize(("refunds", "hits"), [(2, 0), (3, 1)])
def test_three_refunds(shop: Shop, refunds: int, hits: int) -> None:
    customer = shop.customer()
    for _ in range(refunds):
        shop.refund(shop.order(customer=customer), 20 * DAY)
    assert [hit.subject for hit in judge("refund-customer")] == [f"customer:{customer.pk}"] * hits


def test_event_counts_the_whole_history_and_currencies_stay_apart(shop: Shop) -> None:
    customer = shop.customer()
    orders = [shop.order(customer=customer, currency=currency) for currency in ("USD", "EUR", "USD")]
    for order in orders:
        shop.refund(order)
    (hit,) = judge("refund-customer", subjects={f"order:{orders[0].pk}"})
    assert (hit.expected_impact, hit.currency) == (100, "USD")
    assert hit.data["amounts"] == {"EUR": "50.00", "USD": "100.00"}
