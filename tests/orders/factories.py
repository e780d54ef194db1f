"""Stores and what happens in them, for tests. Times are near :data:`NOW`; pass your own where they matter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import factory

from apps.orders.models import (
    Customer,
    Fulfillment,
    Order,
    OrderLine,
    Product,
    Refund,
    RiskAssessment,
    Store,
    Transaction,
    WebhookDelivery,
)
from tests.core.factories import ScopeFactory

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
SECRET = "a store's client secret"


class StoreFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Store

    scope = factory.SubFactory(ScopeFactory)
    platform = Store.Platform.SHOPIFY
    domain = factory.Sequence(lambda n: f"shop-{n}.example.com")
    name = factory.Sequence(lambda n: f"Shop {n}")
    webhook_secret = SECRET


class CustomerFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Customer

    store = factory.SubFactory(StoreFactory)
    external_id = factory.Sequence(lambda n: str(7000 + n))
    email = factory.Sequence(lambda n: f"buyer{n}@example.com")
    name = "Ada Example"
    created_at = NOW - timedelta(days=30)
    updated_at = NOW - timedelta(days=30)


class ProductFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Product

    store = factory.SubFactory(StoreFactory)
    external_id = factory.Sequence(lambda n: str(8000 + n))
    title = "Lamp"


class OrderFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Order

    store = factory.SubFactory(StoreFactory)
    external_id = factory.Sequence(lambda n: str(5000 + n))
    number = factory.LazyAttribute(lambda order: f"#{order.external_id}")
    customer = factory.SubFactory(CustomerFactory, store=factory.SelfAttribute("..store"))
    currency = "USD"
    total = Decimal("100.00")
    financial_status = Order.Financial.PAID
    created_at = NOW - timedelta(days=1)
    updated_at = factory.SelfAttribute("created_at")
    synced_at = factory.SelfAttribute("created_at")


class OrderLineFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = OrderLine

    order = factory.SubFactory(OrderFactory)
    external_id = factory.Sequence(lambda n: str(6000 + n))
    product = factory.SubFactory(ProductFactory, store=factory.SelfAttribute("..order.store"))
    title = factory.SelfAttribute("product.title")
    quantity = 1
    price = factory.SelfAttribute("order.total")


class FulfillmentFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Fulfillment

    order = factory.SubFactory(OrderFactory, fulfillment_status=Order.Fulfillment.FULFILLED)
    external_id = factory.Sequence(lambda n: str(9000 + n))
    status = Fulfillment.Status.IN_TRANSIT
    tracking_number = factory.Sequence(lambda n: f"TRACK{n}")
    created_at = NOW - timedelta(days=1)
    updated_at = factory.SelfAttribute("created_at")
    synced_at = factory.SelfAttribute("created_at")


class RefundFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Refund

    order = factory.SubFactory(OrderFactory)
    store = factory.SelfAttribute("order.store")
    customer = factory.SelfAttribute("order.customer")
    external_id = factory.Sequence(lambda n: str(3000 + n))
    amount = Decimal("50.00")
    currency = factory.SelfAttribute("order.currency")
    created_at = NOW - timedelta(hours=1)
    synced_at = factory.SelfAttribute("created_at")


class TransactionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Transaction

    order = factory.SubFactory(OrderFactory)
    external_id = factory.Sequence(lambda n: str(4000 + n))
    kind = Transaction.Kind.SALE
    status = Transaction.Status.SUCCESS
    amount = factory.SelfAttribute("order.total")
    currency = factory.SelfAttribute("order.currency")
    created_at = factory.SelfAttribute("order.created_at")


class RiskAssessmentFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = RiskAssessment

    order = factory.SubFactory(OrderFactory)
    level = RiskAssessment.Level.HIGH
    recommendation = RiskAssessment.Recommendation.CANCEL
    assessed_at = factory.SelfAttribute("order.created_at")


class WebhookDeliveryFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = WebhookDelivery

    store = factory.SubFactory(StoreFactory)
    webhook_id = factory.Sequence(lambda n: f"webhook-{n}")
    topic = "orders/create"
    received_at = NOW
    next_attempt_at = NOW
    body = factory.LazyFunction(dict)
