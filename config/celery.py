"""The Celery application and the one beat schedule of the product."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, signals
from celery.schedules import crontab
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("riskdesk")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)  # binds the id of the request that asked for a task


@signals.setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """Celery sets up logging of its own unless somebody listens here; Django's LOGGING is in force already."""


# Each entry expires before its next turn, so that a worker that was down finds one task and not a heap. The scheduler in
# the database knows that option by the name of its column; it drops `expires` without a word.
app.conf.beat_schedule = {
    "actions.run_rules": {
        "task": "apps.actions.tasks.run_all_rules",
        "schedule": crontab(minute="*/15"),
        "options": {"expire_seconds": 14 * 60},
    },
    "orders.process_webhooks": {
        "task": "apps.orders.tasks.process_pending_webhooks",
        "schedule": 10.0,
        "options": {"expire_seconds": 9},
    },
    "orders.reconcile_stores": {
        "task": "apps.orders.tasks.reconcile_all_stores",
        "schedule": crontab(minute="7"),
        "options": {"expire_seconds": 55 * 60},
    },
    "actions.resume_executions": {
        "task": "apps.actions.tasks.resume_executions",
        "schedule": 60.0,
        "options": {"expire_seconds": 55},
    },
    "actions.watch_monitoring": {
        "task": "apps.actions.tasks.watch_monitoring",
        "schedule": crontab(minute="*/5"),
        "options": {"expire_seconds": 4 * 60},
    },
    "actions.forget_runs": {
        "task": "apps.actions.tasks.forget_runs",
        "schedule": crontab(hour="3", minute="45"),
        "options": {"expire_seconds": 20 * 3600},
    },
    "chat.judge_conversations": {
        "task": "apps.chat.tasks.judge_conversations",
        "schedule": 5.0,
        "options": {"expire_seconds": 4},
    },
    "chat.close_quiet_conversations": {
        "task": "apps.chat.tasks.close_quiet_conversations",
        "schedule": crontab(minute="*/15"),
        "options": {"expire_seconds": 14 * 60},
    },
    "chat.forget_chats": {
        "task": "apps.chat.tasks.forget_chats",
        "schedule": crontab(hour="3", minute="20"),
        "options": {"expire_seconds": 20 * 3600},
    },
    "escalation.sweep_clocks": {
        "task": "apps.escalation.tasks.sweep_clocks",
        "schedule": 60.0,
        "options": {"expire_seconds": 55},
    },
    "knowledge.publish_articles": {
        "task": "apps.knowledge.tasks.publish_articles",
        "schedule": 60.0,
        "options": {"expire_seconds": 55},
    },
    "knowledge.complete_index": {
        "task": "apps.knowledge.tasks.complete_index",
        "schedule": crontab(minute="*/5"),
        "options": {"expire_seconds": 4 * 60},
    },
    "knowledge.collect_gaps": {
        "task": "apps.knowledge.tasks.collect_gaps",
        "schedule": crontab(minute="*/15"),
        "options": {"expire_seconds": 14 * 60},
    },
    "knowledge.check_gaps": {
        "task": "apps.knowledge.tasks.check_gaps",
        "schedule": crontab(hour="4", minute="20"),
        "options": {"expire_seconds": 20 * 3600},
    },
    "knowledge.keep_articles": {
        "task": "apps.knowledge.tasks.keep_articles",
        "schedule": crontab(hour="6", minute="10"),
        "options": {"expire_seconds": 20 * 3600},
    },
    "subscriptions.recalculate_all": {
        "task": "apps.subscriptions.tasks.recalculate_all",
        "schedule": crontab(hour="2", minute="0"),
        "options": {"expire_seconds": 20 * 3600},
    },
    "subscriptions.resume_recalculation": {
        "task": "apps.subscriptions.tasks.resume_recalculation",
        "schedule": 60.0,
        "options": {"expire_seconds": 55},
    },
    "subscriptions.execute_payment_retries": {
        "task": "apps.subscriptions.tasks.execute_payment_retries",
        "schedule": 60.0,
        "options": {"expire_seconds": 55},
    },
    "subscriptions.predict_renewals": {
        "task": "apps.subscriptions.tasks.predict_renewals",
        "schedule": crontab(minute="*/10"),
        "options": {"expire_seconds": 9 * 60},
    },
    "escalation.watch_reports": {
        "task": "apps.escalation.tasks.watch_reports",
        "schedule": crontab(minute="*/15"),
        "options": {"expire_seconds": 14 * 60},
    },
    "escalation.forget_reports": {
        "task": "apps.escalation.tasks.forget_reports",
        "schedule": crontab(hour="4", minute="25"),
        "options": {"expire_seconds": 20 * 3600},
    },
    "escalation.route_waiting": {
        "task": "apps.escalation.tasks.route_waiting",
        "schedule": 60.0,
        "options": {"expire_seconds": 55},
    },
    "escalation.deliver_outgoing": {
        "task": "apps.escalation.tasks.deliver_outgoing",
        "schedule": 15.0,
        "options": {"expire_seconds": 14},
    },
    "escalation.forget_outgoing": {
        "task": "apps.escalation.tasks.forget_outgoing",
        "schedule": crontab(hour="4", minute="15"),
        "options": {"expire_seconds": 20 * 3600},
    },
    "escalation.plan_reviews": {
        "task": "apps.escalation.tasks.plan_reviews",
        "schedule": crontab(hour="5", minute="5"),
        "options": {"expire_seconds": 20 * 3600},
    },
    "escalation.remind_trainings": {
        "task": "apps.escalation.tasks.remind_trainings",
        "schedule": crontab(hour="5", minute="20", day_of_week="1"),
        "options": {"expire_seconds": 20 * 3600},
    },
    "chat.mail_transcripts": {
        "task": "apps.chat.tasks.mail_transcripts",
        "schedule": 300.0,
        "options": {"expire_seconds": 240},
    },
    "chat.answer_due_turns": {
        "task": "apps.chat.tasks.answer_due_turns",
        "schedule": 5.0,
        "options": {"expire_seconds": 4},
    },
    "chat.send_codes": {
        "task": "apps.chat.tasks.send_codes",
        "schedule": 30.0,
        "options": {"expire_seconds": 25},
    },
    "chat.rescue_waiting": {
        "task": "apps.chat.tasks.rescue_waiting",
        "schedule": 60.0,
        "options": {"expire_seconds": 55},
    },
    "register.run_due_checks": {
        "task": "apps.register.tasks.run_due_checks",
        "schedule": crontab(minute="*/5"),
        "options": {"expire_seconds": 4 * 60},
    },
    "register.thin_check_history": {
        "task": "apps.register.tasks.thin_check_history",
        "schedule": crontab(hour="4", minute="35"),
        "options": {"expire_seconds": 20 * 3600},
    },
    "register.end_acceptances": {
        "task": "apps.register.tasks.end_acceptances",
        "schedule": crontab(hour="4", minute="40"),
        "options": {"expire_seconds": 20 * 3600},
    },
    "register.plan_reviews": {
        "task": "apps.register.tasks.plan_reviews",
        "schedule": crontab(hour="4", minute="50"),
        "options": {"expire_seconds": 20 * 3600},
    },
    "register.remind_owners": {
        "task": "apps.register.tasks.remind_owners",
        "schedule": crontab(hour="5", minute="30"),
        "options": {"expire_seconds": 20 * 3600},
    },
    "core.deliver_notifications": {
        "task": "apps.core.tasks.deliver_pending_notifications",
        "schedule": 15.0,
        "options": {"expire_seconds": 14},
    },
    "core.verify_decision_log": {
        "task": "apps.core.tasks.verify_decision_log",
        "schedule": crontab(hour="3", minute="30"),
        "options": {"expire_seconds": 20 * 3600},
    },
    "core.clear_sessions": {
        "task": "apps.core.tasks.clear_sessions",
        "schedule": crontab(hour="3", minute="15"),
        "options": {"expire_seconds": 20 * 3600},
    },
}
