"""Admin pages of what goes out and what runs by itself: deliveries and the schedule."""

from __future__ import annotations

from datetime import datetime

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_celery_beat import admin as _beat_admin  # noqa: F401  # registers what is replaced below
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from apps.core.admin.base import ReadOnlyAdmin
from apps.core.models import Delivery
from apps.core.numbers import plural
from apps.core.templatetags.desk import badge

DELIVERY_TONES = {"sent": "ok", "pending": "info", "failed": "bad", "skipped": "muted"}


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """How news went out: what waits, what failed and why."""

    list_display = ["news", "recipient", "channel", "state", "when", "error"]
    list_filter = ["channel", "status"]
    list_select_related = ["notification__recipient"]
    show_full_result_count = False
    actions = ["try_again"]

    @admin.display(description="news")
    def news(self, delivery: Delivery) -> SafeString:
        return format_html('<span class="clip" title="{0}">{0}</span>', delivery.notification.title)

    @admin.display(description="status", ordering="status")
    def state(self, delivery: Delivery) -> SafeString:
        shown = badge(DELIVERY_TONES.get(delivery.status, "muted"), delivery.get_status_display())
        return format_html("{} {} attempts", shown, delivery.attempts) if delivery.attempts > 1 else shown

    @admin.display(description="sent, or next attempt")
    def when(self, delivery: Delivery) -> datetime | None:
        return delivery.sent_at or delivery.next_attempt_at

    @admin.display(description="last error")
    def error(self, delivery: Delivery) -> SafeString:
        return format_html('<span class="clip" title="{0}">{0}</span>', delivery.last_error)

    @admin.display(description="to")
    def recipient(self, delivery: Delivery) -> str:
        return str(delivery.notification.recipient)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("core.change_delivery")

    @admin.action(description="Try failed e-mails again", permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        from apps.core.notifications import retry_failed

        self.message_user(
            request, f"{plural(retry_failed(queryset), 'e-mail waits', 'e-mails wait')} to be sent again."
        )


# What runs when is kept in config/celery.py; here it can be looked at.
for model in (ClockedSchedule, CrontabSchedule, IntervalSchedule, SolarSchedule, PeriodicTask):
    admin.site.unregister(model)


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(ReadOnlyAdmin):
    list_display = ["name", "task", "scheduler", "enabled", "last_run_at", "total_run_count"]
    list_select_related = ["interval", "crontab", "solar", "clocked"]

    @admin.display(description="when")
    def scheduler(self, task: PeriodicTask) -> str:
        return str(task.scheduler)
