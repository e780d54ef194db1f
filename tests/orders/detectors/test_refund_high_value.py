import pytest

from tests.orders.detectors.conftest import Shop, judge


@pytest.mark.parametrize(("amount", "hits"), [("499.99", 0), ("500.00", 0), ("500.01", 1)])
def test_above_five_hundred(shop: Shop, amount: str, hits: int) -> None:
    refund = shop.refund(shop.order(), amount=amount)
    assert [hit.subject for hit in judge("refund-high-value")] == [f"refund:{refund.pk}"] * hits


def test_currency_setting(shop: Shop) -> None:
    shop.refund(shop.order(currency="EUR"), amount="900")
    assert judge("refund-high-value", currency="USD") == []
    assert judge("refund-high-value")[0].currency == "EUR"


def test_event(shop: Shop) -> None:
    one, _ = (shop.refund(shop.order(), amount="900") for _ in range(2))
    assert [hit.subject for hit in judge("refund-high-value", subjects={f"refund:{one.pk}"})] == [f"refund:{one.pk}"]
