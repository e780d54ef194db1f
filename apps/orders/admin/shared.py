"""What the admin pages of store data share."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.numbers import whole
from apps.core.paging import EstimatedPaginator
from apps.core.people import user_of
from apps.core.templatetags.desk import ago, badge
from apps.orders.models import Fulfillment, Order, Store, Transaction

PAYMENT_TONES = {
    Order.Financial.PAID: "ok",
    Order.Financial.PENDING: "warn",
    Order.Financial.REFUNDED: "bad",
    Order.Financial.PARTIALLY_REFUNDED: "bad",
    Order.Financial.VOIDED: "muted",
}
SENT_TONES = {
    Order.Fulfillment.UNFULFILLED: "warn",
    Order.Fulfillment.PARTIAL: "info",
    Order.Fulfillment.FULFILLED: "ok",
}
PARCEL_TONES = {
    Fulfillment.Status.DELIVERED: "ok",
    Fulfillment.Status.IN_TRANSIT: "info",
    Fulfillment.Status.FAILED: "bad",
    Fulfillment.Status.CANCELLED: "muted",
}
MONEY_TONES = {
    Transaction.Status.SUCCESS: "ok",
    Transaction.Status.FAILURE: "bad",
    Transaction.Status.ERROR: "bad",
    Transaction.Status.PENDING: "warn",
}


class StoreFilter(admin.SimpleListFilter):
    """The stores that the person sees, and no other's name."""

    title = "store"
    parameter_name = "store"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        stores = Store.objects.visible_to(user_of(request))
        return [(str(key), name) for key, name in stores.values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        path = {"Fulfillment": "order__store", "Transaction": "order__store"}.get(queryset.model.__name__, "store")
        key = whole(value)
        return queryset.none() if key is None else queryset.filter(**{path: key})


class DataAdmin(ScopedAdmin, ReadOnlyAdmin):
    """Rows that the store owns: to look at. Lists may hold millions."""

    paginator = EstimatedPaginator
    list_per_page = 50
    show_full_result_count = False
    ordering = ["-pk"]
    sortable_by: ClassVar[list[str]] = []


class DataInline(admin.TabularInline):
    """Parts of a row, to look at."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def state(tones: dict[Any, str], value: str, words: str) -> SafeString:
    """A badge for a state."""
    return badge(tones.get(value, "muted"), words)


def when(moment: Any) -> SafeString:
    """How long ago, or a dash."""
    return ago(moment) if moment else format_html('<span class="muted">–</span>')
