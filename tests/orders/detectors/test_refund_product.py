import pytest

from tests.orders.detectors.conftest import Shop, judge


@pytest.mark.parametrize(("refunds", "hits"), [(4, 0), (5, 1)])
def test_five_refunds(shop: Shop, refunds: int, hits: int) -> None:
    product = shop.product()
    order = shop.order()
    for _ in range(refunds):
        order = shop.order()
        shop.refund(order, product=product)
    assert [hit.subject for hit in judge("refund-product")] == [f"product:{product.pk}"] * hits
    assert len(judge("refund-product", subjects={f"order:{order.pk}"})) == hits
