"""The Celery application and the one beat schedule of the product."""

from __future__ import annotations

import os

from celery import Celery
from celery.schedules import crontab

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("riskdesk")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# Each entry expires before its next turn, so that a worker that was down finds one task and not a heap.
app.conf.beat_schedule = {
    "orders.run_detectors": {
        "task": "apps.orders.tasks.run_all_detectors",
        "schedule": crontab(minute="*/15"),
        "options": {"expires": 14 * 60},
    },
    "orders.process_webhooks": {
        "task": "apps.orders.tasks.process_pending_webhooks",
        "schedule": 10.0,
        "options": {"expires": 9},
    },
    "orders.reconcile_stores": {
        "task": "apps.orders.tasks.reconcile_all_stores",
        "schedule": crontab(minute="7"),
        "options": {"expires": 55 * 60},
    },
    "actions.resume_executions": {
        "task": "apps.actions.tasks.resume_executions",
        "schedule": 60.0,
        "options": {"expires": 55},
    },
    "actions.watch_monitoring": {
        "task": "apps.actions.tasks.watch_monitoring",
        "schedule": crontab(minute="*/5"),
        "options": {"expires": 4 * 60},
    },
    "core.deliver_notifications": {
        "task": "apps.core.tasks.deliver_pending_notifications",
        "schedule": 15.0,
        "options": {"expires": 14},
    },
    "core.verify_decision_log": {
        "task": "apps.core.tasks.verify_decision_log",
        "schedule": crontab(hour="3", minute="30"),
        "options": {"expires": 20 * 3600},
    },
}
