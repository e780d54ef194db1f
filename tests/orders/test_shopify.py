"""The Admin API's client stays within its budget and tells what may pass by itself from what needs a person."""

from __future__ import annotations

import pytest

from apps.core.http import PermanentFailure, TransientFailure
from apps.orders.intake.nodes import ONE_ORDER
from apps.orders.shopify import AdminApi, Budget
from tests.support.admin_api import order_node

ID = "gid://shopify/Order/1"


@pytest.fixture
def api(reachable):
    """A client that notes its pauses and sleeps a hundredth of them."""
    pauses: list[float] = []
    with AdminApi(reachable, sleep=pauses.append) as made:
        made.pauses = pauses
        yield made


def test_a_query(api, admin_shop):
    admin_shop.add(order_node(1))
    assert api.execute(ONE_ORDER, {"id": ID})["order"]["name"] == "#1"
    assert api.budget.available == 990


def test_it_waits_until_the_next_query_can_be_paid(api, admin_shop):
    admin_shop.add(order_node(1))
    admin_shop.points, admin_shop.cost, admin_shop.restore_rate = 15.0, 10.0, 1.0
    api.execute(ONE_ORDER, {"id": ID})
    admin_shop.points = 100.0  # as if it had slept
    api.execute(ONE_ORDER, {"id": ID})
    assert api.pauses == [pytest.approx(5.0, abs=0.5)]


def test_throttled_it_waits_and_asks_again(api, admin_shop):
    admin_shop.add(order_node(1))
    admin_shop.points, admin_shop.restore_rate = 0.0, 1.0

    def restored(_: float) -> None:
        admin_shop.points = 100.0

    api._sleep = restored
    assert api.execute(ONE_ORDER, {"id": ID})["order"]
    assert len(admin_shop.asked) == 2


def test_throttled_for_ever_it_hands_the_work_back(api, admin_shop):
    admin_shop.points, admin_shop.restore_rate = 0.0, 0.0
    with pytest.raises(TransientFailure) as failure:
        api.execute(ONE_ORDER, {"id": ID})
    assert failure.value.code == "throttled"
    assert failure.value.retry_after > 0


@pytest.mark.parametrize("fault", [503, 500, 429])
def test_queries_are_repeated_after_a_fault(api, admin_shop, fault):
    admin_shop.add(order_node(1))
    admin_shop.faults = [fault, fault]
    assert api.execute(ONE_ORDER, {"id": ID})["order"]


def test_a_mutation_without_a_key_is_sent_once(api, admin_shop):
    admin_shop.faults = [503]
    with pytest.raises(TransientFailure):
        api.mutate("mutation add($id: ID!) { x }", {"id": ID, "tags": []}, "tagsAdd")
    assert admin_shop.asked == []


def test_a_wrong_token_needs_a_person(api, reachable):
    reachable.api_token = "wrong"
    with AdminApi(reachable) as wrong, pytest.raises(PermanentFailure, match="401"):
        wrong.execute(ONE_ORDER, {"id": ID})


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([{"message": "x", "extensions": {"code": "ACCESS_DENIED"}}], PermanentFailure),
        ([{"message": "x", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}], TransientFailure),
        ([{"message": "x"}], PermanentFailure),
        ("[API] something", PermanentFailure),
    ],
)
def test_errors_inside_an_answer(api, admin_shop, errors, expected):
    admin_shop.faults = [lambda: (200, {"errors": errors})]
    with pytest.raises(expected):
        api.execute(ONE_ORDER, {"id": ID})


def test_errors_of_the_user_are_told(api, admin_shop):
    wrong = {"data": {"tagsAdd": {"userErrors": [{"message": "Tag is too long"}]}}}
    admin_shop.faults = [lambda: (200, wrong)]
    with pytest.raises(PermanentFailure, match="Tag is too long"):
        api.mutate("mutation add($id: ID!) { x }", {}, "tagsAdd")


def test_a_budget_that_is_not_known_makes_nobody_wait():
    assert Budget().pause(100.0, 5.0) == 0.0


def test_a_query_dearer_than_the_maximum_waits_for_the_maximum():
    budget = Budget()
    budget.learn({"throttleStatus": {"maximumAvailable": 100, "currentlyAvailable": 0, "restoreRate": 50}}, 0.0)
    assert budget.pause(1000.0, 0.0) == 2.0
