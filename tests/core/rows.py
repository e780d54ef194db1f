"""One row of every model that has admin pages, for the tests of who may open what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from auditlog.models import LogEntry
from django.contrib.auth.models import Group
from django.db.models import Model
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from apps.actions.models import Execution, RuleRun
from apps.core.decisions import Entry, record, system
from apps.core.models import Delivery, Scope
from apps.core.notifications import notify
from apps.escalation.models import RiskFlag
from apps.orders.models import DataRequest, Dispute, ImportRun, ReconciliationRun, Store
from tests.actions.factories import CardFactory, example_version
from tests.core.factories import UserFactory
from tests.orders.factories import (
    CustomerFactory,
    FulfillmentFactory,
    OrderFactory,
    ProductFactory,
    RefundFactory,
    StoreFactory,
    TransactionFactory,
    WebhookDeliveryFactory,
)

Make = Callable[[Scope], Model]


def _decision(scope: Scope) -> Model:
    return record(Entry(scope="s", actor=system("tests"), action="a", subject="x:1"))


def _delivery(scope: Scope) -> Model:
    notify(kind="monitoring", recipients=[UserFactory()], title="t", body="b", dedupe_key="k")
    return Delivery.objects.get(channel="email")


def _change(scope: Scope) -> Model:
    scope.name += "!"
    scope.save(update_fields=["name"])
    return LogEntry.objects.latest("id")


def _periodic_task(scope: Scope) -> Model:
    every = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.MINUTES)
    return PeriodicTask.objects.create(name="tests", task="tests.nothing", interval=every)


def _execution(scope: Scope) -> Model:
    return Execution.objects.create(
        card=CardFactory(scope=scope), action="note-down", requested_by=UserFactory(), created_at=timezone.now()
    )


def _run(scope: Scope) -> Model:
    now = timezone.now()
    return RuleRun.objects.create(
        rule="example", version=example_version(), trigger="schedule", status="succeeded", as_of=now, started_at=now
    )


def _flag(scope: Scope) -> Model:
    return RiskFlag.objects.create(
        scope=scope, source=f"tests:{scope.pk}", level=3, title="t", description="d", raised_at=timezone.now()
    )


def _store(scope: Scope) -> Store:
    return Store.objects.filter(scope=scope).first() or StoreFactory(scope=scope)


def _dispute(scope: Scope) -> Model:
    return Dispute.objects.create(
        store=_store(scope), external_id="1", status="open", amount=10, currency="USD", told_at=timezone.now()
    )


def _reconciliation(scope: Scope) -> Model:
    now = timezone.now()
    return ReconciliationRun.objects.create(store=_store(scope), status="succeeded", updated_from=now, started_at=now)


def _import(scope: Scope) -> Model:
    return ImportRun.objects.create(
        store=_store(scope), mapping="generic_csv", source="orders.csv", started_at=timezone.now()
    )


def _data_request(scope: Scope) -> Model:
    return DataRequest.objects.create(
        store=_store(scope), external_id="1", customer_external_id="7", requested_at=timezone.now()
    )


def _of_order(factory: Any) -> Make:
    return lambda scope: factory(order=OrderFactory(store=_store(scope)))


ROWS: dict[str, Make] = {
    "orders.store": _store,
    "orders.customer": lambda scope: CustomerFactory(store=_store(scope)),
    "orders.product": lambda scope: ProductFactory(store=_store(scope)),
    "orders.order": lambda scope: OrderFactory(store=_store(scope)),
    "orders.fulfillment": _of_order(FulfillmentFactory),
    "orders.refund": _of_order(RefundFactory),
    "orders.transaction": _of_order(TransactionFactory),
    "orders.dispute": _dispute,
    "orders.webhookdelivery": lambda scope: WebhookDeliveryFactory(store=_store(scope)),
    "orders.reconciliationrun": _reconciliation,
    "orders.importrun": _import,
    "orders.datarequest": _data_request,
    "core.user": lambda scope: UserFactory(),
    "core.scope": lambda scope: scope,
    "core.decision": _decision,
    "core.delivery": _delivery,
    "auth.group": lambda scope: Group.objects.earliest("pk"),
    "auditlog.logentry": _change,
    "django_celery_beat.periodictask": _periodic_task,
    "escalation.riskflag": _flag,
    "actions.actioncard": lambda scope: CardFactory(scope=scope),
    "actions.execution": _execution,
    "actions.ruleversion": lambda scope: example_version("order-ageing"),
    "actions.rulerun": _run,
}
