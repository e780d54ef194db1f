"""The API's answer to "does the scheduler run": heartbeats of the scheduled tasks, and the daily recalculation."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import redis
import structlog
from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.worker import heartbeats
from apps.subscriptions import services
from apps.subscriptions.api_base import SubscriptionView, documented
from apps.subscriptions.models import RecalculationRun
from apps.subscriptions.serializers import RunSerializer

logger = structlog.get_logger(__name__)

DAILY_AT = time(2, tzinfo=UTC)
"""When the recalculation of all is scheduled; see config/celery.py."""
SILENT = timedelta(minutes=10)
"""Some scheduled task runs every minute; after so long without any, scheduler or workers stand still."""
OVERDUE = timedelta(hours=26)


class SchedulerStatusSerializer(serializers.Serializer):
    """Whether what is scheduled happens."""

    running = serializers.BooleanField(help_text="Whether any scheduled task ran in the last ten minutes.")
    last_heartbeat_at = serializers.DateTimeField(allow_null=True, help_text="When the latest scheduled task ran.")
    next_run_at = serializers.DateTimeField(help_text="When all subscriptions are recalculated next.")
    overdue = serializers.BooleanField(help_text="Whether no recalculation of all finished in the last 26 hours.")
    last_run = RunSerializer(allow_null=True, help_text="The latest recalculation of all that finished.")
    present_run = RunSerializer(allow_null=True, help_text="One that waits or is under way.")


class SchedulerStatusAnswer(serializers.Serializer):
    success = serializers.BooleanField(default=True)
    data = SchedulerStatusSerializer()  # type: ignore[assignment]  # DRF collects declared fields, and removes them


class SchedulerStatusView(SubscriptionView):
    """The scheduler."""

    @documented(
        {200: SchedulerStatusAnswer},
        name="scheduler_status",
        summary="Whether the scheduler runs",
        refused=(401, 403, 429),
    )
    def get(self, request: Request) -> Response:
        """The latest heartbeat of the scheduled tasks, and the recalculation of all subscriptions."""
        if not self.person.has_perm("subscriptions.view_recalculationrun"):
            raise PermissionDenied
        return Response({"success": True, "data": SchedulerStatusSerializer(status(timezone.now())).data})


def status(now: datetime) -> dict[str, object]:
    """What :class:`SchedulerStatusSerializer` shows."""
    beat = _last_heartbeat()
    finished = RecalculationRun.objects.filter(status=RecalculationRun.Status.FINISHED).order_by("-finished_at")
    last = finished.first()
    today = datetime.combine(now.astimezone(UTC).date(), DAILY_AT)
    return {
        "running": beat is not None and beat > now - SILENT,
        "last_heartbeat_at": beat,
        "next_run_at": today if today > now else today + timedelta(days=1),
        "overdue": last is None or last.finished_at is None or last.finished_at < now - OVERDUE,
        "last_run": last,
        "present_run": services.unfinished(),
    }


def _last_heartbeat() -> datetime | None:
    """When a scheduled task last ran; None if that is not known, as where Valkey is not there."""
    try:
        found = heartbeats()
    except (redis.RedisError, OSError) as error:
        logger.warning("heartbeats_not_read", error=type(error).__name__)
        return None
    return max((datetime.fromtimestamp(int(at), UTC) for at in found.values()), default=None)
