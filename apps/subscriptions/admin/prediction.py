"""Models of the chance that a renewal fails, and what they predict: beside the scores, never in their place."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin
from apps.core.errors import DomainError
from apps.core.people import user_of
from apps.core.templatetags.desk import badge
from apps.subscriptions.admin.shared import DASH, OrganisationFilter, SubscriptionData, level_badge, when
from apps.subscriptions.models import RenewalModel, RenewalPrediction
from apps.subscriptions.prediction.predict import active_model, silent
from apps.subscriptions.prediction.train import use


@admin.register(RenewalModel)
class RenewalModelAdmin(ReadOnlyAdmin):
    """Versions and their figures of the latest renewals, which they had not seen, with the plain rule beside them."""

    list_display = ["version", "state", "trained_at", "rows", "model_figures", "rule_figures", "threshold"]
    list_filter = ["active"]
    change_list_template = "subscriptions/predictions.html"
    sortable_by: ClassVar[list[str]] = []
    actions = ["use_this"]
    fields = [
        "version", "state", "threshold", "trained_at", "created_by", "observed_until", "rows", "model_figures",
        "rule_figures", "alerts", "reliability", "file", "sha256",
    ]  # fmt: skip

    @admin.display(description="use")
    def state(self, version: RenewalModel) -> SafeString:
        return badge("ok", "In use", "check") if version.active else badge("muted", "Kept")

    @admin.display(description="model")
    def model_figures(self, version: RenewalModel) -> SafeString | str:
        return _figures(version, "model")

    @admin.display(description="plain rule")
    def rule_figures(self, version: RenewalModel) -> SafeString | str:
        return _figures(version, "rules")

    @admin.display(description="alerts at the threshold")
    def alerts(self, version: RenewalModel) -> SafeString | str:
        found = version.metrics.get("alerts")
        if not found:
            return DASH
        return (
            f"{found['share']:.1%} of renewals; {found['precision']:.0%} of those failed; "
            f"{found['recall']:.0%} of the failures were among them"
        )

    @admin.display(description="predicted and true share, in ten groups")
    def reliability(self, version: RenewalModel) -> SafeString:
        rows = version.metrics.get("reliability") or []
        lines = format_html_join(
            "", "<tr><td>{}</td><td>{}</td><td>{}</td></tr>", ((f"{p:.1%}", f"{t:.1%}", n) for p, t, n in rows)
        )
        head = SafeString("<tr><th>Predicted</th><th>Failed</th><th>Renewals</th></tr>")
        return format_html("<table><thead>{}</thead><tbody>{}</tbody></table>", head, lines) if rows else DASH

    def has_use_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscriptions.change_renewalmodel")

    @admin.action(description="Predict by this version", permissions=["use"])
    def use_this(self, request: HttpRequest, queryset: QuerySet[RenewalModel]) -> None:
        if queryset.count() != 1:
            self.message_user(request, "Choose one version.", messages.ERROR)
            return
        version = queryset.get()
        try:
            use(version, actor=user_of(request))
        except DomainError as error:
            self.message_user(request, error.message, messages.ERROR)
            return
        self.message_user(request, f"{version} is used from the next predictions on.")


def _figures(version: RenewalModel, name: str) -> SafeString | str:
    found: dict[str, Any] = version.metrics.get(name) or {}
    if not found:
        return DASH
    return f"ROC AUC {found['roc_auc']:.3f}, calibration error {found['calibration_error']:.3f}, Brier {found['brier']:.3f}"


class RulesFilter(admin.SimpleListFilter):
    """What the rules say about the same subscriptions."""

    title = "rules"
    parameter_name = "rules"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("low", "LOW, but over the threshold")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() != "low":
            return queryset
        version = active_model()
        return queryset.filter(pk__in=silent(version).values("pk")) if version else queryset.none()


@admin.register(RenewalPrediction)
class RenewalPredictionAdmin(SubscriptionData):
    """The chance that each next renewal fails, worst first."""

    list_display_links = ["renewal_on"]
    change_list_template = "subscriptions/predictions.html"
    list_display = ["of", "likely", "rules_say", "why", "renewal_on", "predicted", "alerted"]
    list_filter = [RulesFilter, OrganisationFilter]
    list_select_related = ["subscription__risk_score", "model"]
    search_fields = ["subscription__name__istartswith"]
    search_help_text = "Beginning of the subscription's name"
    ordering = ["-chance"]
    fields = ["of", "likely", "rules_say", "why", "renewal_on", "model", "predicted_at", "alerted_at"]

    @admin.display(description="chance of failing")
    def likely(self, prediction: RenewalPrediction) -> SafeString:
        tone = "warn" if prediction.chance >= prediction.model.threshold else "muted"
        return badge(tone, f"{prediction.chance:.0%}")

    @admin.display(description="rules say")
    def rules_say(self, prediction: RenewalPrediction) -> SafeString:
        score = getattr(prediction.subscription, "risk_score", None)
        return level_badge(score.risk_level, degraded=score.degraded) if score else level_badge("")

    @admin.display(description="main reasons: ↑ likelier, ↓ less likely")
    def why(self, prediction: RenewalPrediction) -> SafeString:
        lines = format_html_join(
            "",
            '<li><span aria-hidden="true">{}</span><span class="visually-hidden">{}:</span> {} <b>{}</b></li>',
            (
                (
                    "↑" if one["effect"] > 0 else "↓",
                    "likelier" if one["effect"] > 0 else "less likely",
                    one["title"],
                    f"{one['value']:.3g}",
                )
                for one in prediction.reasons
            ),
        )
        return format_html('<ul class="reasons">{}</ul>', lines) if lines else DASH

    @admin.display(description="predicted")
    def predicted(self, prediction: RenewalPrediction) -> SafeString:
        return when(prediction.predicted_at)

    @admin.display(description="alerted")
    def alerted(self, prediction: RenewalPrediction) -> SafeString:
        return when(prediction.alerted_at)
