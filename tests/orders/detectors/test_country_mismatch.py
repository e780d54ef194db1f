"""Country mismatch: which differences count, and which do not."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from apps.orders.detectors.country_mismatch import Settings
from apps.orders.models import Order
from tests.orders.detectors.conftest import DAY, NOW, Shop, judge


def order(shop: Shop, countries: str, age: timedelta = DAY, **fields: Any) -> Order:
    billing, shipping, browser = (part.strip("-") for part in countries.split())
    return shop.order(age, billing_country=billing, shipping_country=shipping, ip_country=browser, **fields)


@pytest.mark.parametrize(
    ("countries", "tier", "mismatch"),
    [
        ("DE DE DE", None, []), ("DE DE --", None, []), ("-- -- --", None, []), ("-- -- US", None, []),
        ("DE -- --", None, []), ("DE -- DE", None, []),
        ("DE FR --", "low", ["shipping"]), ("DE FR DE", "low", ["shipping"]), ("DE FR FR", "low", ["shipping"]),
        ("DE DE NG", "low", ["browser"]), ("DE -- NG", "low", ["browser"]), ("-- DE NG", "low", ["browser"]),
        ("DE FR NG", "safety", ["shipping", "browser"]),
    ],
)  # fmt: skip
def test_differences(shop: Shop, countries: str, tier: str | None, mismatch: list[str]) -> None:
    order(shop, countries)
    hits = judge("country-mismatch")
    assert [(hit.tier, hit.data["mismatch"]) for hit in hits] == ([(tier, mismatch)] if tier else [])


def test_card_words_and_figures(shop: Shop) -> None:
    one = order(shop, "DE FR NG", number="#7")
    (hit,) = judge("country-mismatch")
    assert hit.draft == "Order #7: countries do not fit (billing DE, shipping FR, browser NG). Total: USD 100.00"
    assert (hit.subject, hit.scope_id, hit.can_execute) == (f"order:{one.pk}", shop.store.scope_id, True)


def test_settings_change_the_finding(shop: Shop) -> None:
    order(shop, "DE FR NG")
    assert judge("country-mismatch", compare_shipping=False)[0].data["mismatch"] == ["browser"]
    assert judge("country-mismatch", compare_browser=False)[0].data["mismatch"] == ["shipping"]
    assert judge("country-mismatch", compare_browser=False, accepted_pairs="US-CA, FR-DE") == []
    assert judge("country-mismatch", minimum_total=101) == []
    assert len(judge("country-mismatch", minimum_total=100)) == 1


@pytest.mark.parametrize("pairs", ["de-fr", "DE", "DE-FR;US-CA", "DE-FRA"])
def test_pairs_are_checked(pairs: str) -> None:
    with pytest.raises(ValidationError):
        Settings(accepted_pairs=pairs)


@pytest.mark.parametrize(
    "fields",
    [{"fulfillment_status": "fulfilled"}, {"cancelled_at": NOW}, {"deleted_at": NOW}, {"financial_status": "refunded"}],
)
def test_nothing_is_to_be_held(shop: Shop, fields: dict[str, Any]) -> None:
    order(shop, "DE FR NG", **fields)
    assert judge("country-mismatch") == []


@pytest.mark.parametrize(("age", "hits"), [(14 * DAY, 0), (14 * DAY - timedelta(seconds=1), 1), (-DAY, 0)])
def test_window(shop: Shop, age: timedelta, hits: int) -> None:
    order(shop, "DE FR NG", age)
    assert len(judge("country-mismatch")) == hits


def test_event_judges_only_the_touched_in_one_query_more(shop: Shop, django_assert_num_queries: Any) -> None:
    one, _ = order(shop, "DE FR NG"), order(shop, "DE FR NG")
    with django_assert_num_queries(2):
        hits = judge("country-mismatch", subjects={f"order:{one.pk}"})
    assert [hit.subject for hit in hits] == [f"order:{one.pk}"]
    with django_assert_num_queries(1):
        assert len(judge("country-mismatch")) == 2
