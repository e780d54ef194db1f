"""The risk register as people read it."""

from __future__ import annotations

from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.templatetags.desk import ago, badge
from apps.register.models import Risk


@admin.register(Risk)
class RiskAdmin(ScopedAdmin, ReadOnlyAdmin):
    """Standing risks, the latest first."""

    list_display = ["reference", "title", "level_badge", "status", "owner_role", "recorded_by", "age"]
    list_filter = ["status", "level", "owner_role"]
    list_select_related = ["recorded_by"]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["reference", "title", "source__startswith"]
    search_help_text = "Reference, title, or source such as risk_flag:4"

    @admin.display(description="level", ordering="level")
    def level_badge(self, risk: Risk) -> SafeString:
        return badge("bad" if (risk.level or 0) >= 4 else "warn" if risk.level == 3 else "low", str(risk.level or "–"))

    @admin.display(description="recorded", ordering="recorded_at")
    def age(self, risk: Risk) -> SafeString:
        return ago(risk.recorded_at, timezone.now())
