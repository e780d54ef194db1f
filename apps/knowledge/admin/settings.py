"""How sure answers must be: the settings in force, what they were measured with, and those before."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin
from apps.core.asking import READS, Question, Words, ask, found, page, person
from apps.core.facts import label
from apps.core.names import called
from apps.core.templatetags.desk import ago, badge
from apps.knowledge.admin.asked import percent
from apps.knowledge.admin.forms import ThresholdsForm
from apps.knowledge.admin.shared import DASH, Plain
from apps.knowledge.calibration import current_settings
from apps.knowledge.models import AnswerSettings, IndexBuild, Passage, SearchIndex
from apps.knowledge.search.in_use import model_in_use
from apps.knowledge.thresholds import SET, choose_thresholds

BUILD_TONES = {IndexBuild.State.RUNNING: "info", IndexBuild.State.DONE: "ok", IndexBuild.State.GIVEN_UP: "bad"}
_SHARES = frozenset({"answered", "wrong_of_answered", "calibration_error", "max_wrong"})


@admin.register(AnswerSettings)
class AnswerSettingsAdmin(ReadOnlyAdmin, Plain):
    """Versions of the settings, the one in force first. None is ever changed."""

    list_display = ["link", "answers", "choices", "answered", "wrong", "reason", "made"]
    list_display_links = None
    list_select_related = ["created_by"]
    ordering = ("-number",)
    sortable_by: ClassVar[list[str]] = []
    change_list_template = "knowledge/answer_settings.html"

    @admin.display(description="settings")
    def link(self, row: AnswerSettings) -> SafeString:
        url = reverse("admin:knowledge_answersettings_change", args=[row.pk])
        return format_html('<a href="{}"><strong>Version {}</strong></a>', url, row.number)

    @admin.display(description="answers from")
    def answers(self, row: AnswerSettings) -> str:
        return percent(row.answer_at)

    @admin.display(description="offers from")
    def choices(self, row: AnswerSettings) -> str:
        return percent(row.choose_at)

    @admin.display(description="answered when measured")
    def answered(self, row: AnswerSettings) -> SafeString | str:
        return percent(row.metrics["answered"]) if "answered" in row.metrics else DASH

    @admin.display(description="wrong of those")
    def wrong(self, row: AnswerSettings) -> SafeString | str:
        share = row.metrics.get("wrong_of_answered")
        return f"{100 * share:.1f} %" if share is not None else DASH

    @admin.display(description="made")
    def made(self, row: AnswerSettings) -> SafeString:
        return format_html("{} by {}", ago(row.created_at, timezone.now()), called(row.created_by) or "Riskdesk")

    def get_urls(self) -> list[URLPattern]:
        return [page(self, "choose/", "choose", choose), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        current_settings()  # the delivered ones are made when they are looked at first
        more = {"title": "How sure answers are", "may_set": request.user.has_perm(SET), "index": _index()}
        return super().changelist_view(request, {**more, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One version with what it was measured with."""
        if request.method not in READS:
            return HttpResponseNotAllowed(READS)
        row: AnswerSettings = found(self, request, object_id, "created_by")
        context = {
            **self.admin_site.each_context(request),
            "title": f"Settings {row.number}",
            "opts": self.opts,
            "row": row,
            "now": timezone.now(),
            "in_force": row.number == current_settings().number,
            "answers": percent(row.answer_at),
            "choices": percent(row.choose_at),
            "figures": [(label(name), _figure(name, value)) for name, value in row.metrics.items()],
            "may_set": request.user.has_perm(SET),
            "media": self.media,
        }
        return TemplateResponse(request, "knowledge/settings_version.html", context)


def _figure(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(label(str(one)).lower() for one in value)
    return f"{100 * value:.1f} %" if name in _SHARES and isinstance(value, int | float) else str(value)


def _index() -> dict[str, Any]:
    """What the search reads."""
    model = model_in_use()
    passages = Passage.objects.count()
    state = SearchIndex.objects.first()
    missing = Passage.objects.exclude(vectors__model=model.name).count() if model else passages
    return {
        "passages": passages,
        "generation": state.generation if state else 0,
        "model": model.name if model else "",
        "missing": missing,
        "builds": [(build, BUILD_TONES[IndexBuild.State(build.state)]) for build in IndexBuild.objects.select_related("started_by")[:5]],
        "now": timezone.now(),
        "state": badge("bad", "No embedding model: words alone") if model is None
        else badge("warn", f"{missing} passages wait for their vectors") if missing
        else badge("ok", "Complete"),
    }  # fmt: skip


def choose(modeladmin: admin.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Other thresholds, as a version of the settings."""
    if not (modeladmin.has_view_permission(request) and request.user.has_perm(SET)):
        raise PermissionDenied
    now_held = current_settings()

    def run(form: ThresholdsForm) -> str:
        made = choose_thresholds(actor=person(request), now=timezone.now(), **form.cleaned_data)
        return f"Settings {made.number} decide from the next question on."

    initial = {"seen": now_held.number, "answer_at": now_held.answer_at, "choose_at": now_held.choose_at}
    lead = (
        "Higher thresholds give fewer answers and fewer wrong ones. Better than by hand they are chosen by labelled questions: "
        "manage.py calibrate_answers."
    )
    url = reverse("admin:knowledge_answersettings_changelist")
    question = Question(
        Words("Other thresholds", "Make them hold", lead), lambda data, _: ThresholdsForm(data, initial=initial), run, url, url,
        "How sure answers are", "knowledge/form.html", {"held": now_held},
    )  # fmt: skip
    return ask(modeladmin, request, question)
